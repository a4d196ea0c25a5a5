// What is shown, and how it is said; nothing here computes or sends.

import { argmax } from './attacker.js';

const ROWS = 12; // released numbers that are shown one by one
const PAST = 24; // earlier releases that are shown beside the last

/** An element by its id. */
export const $ = (id) => document.getElementById(id);

/** `0.934` as `93 %`; of exact figures `93.4 %`. */
export function percent(share, digits = 0) {
  return `${(100 * share).toFixed(digits)} %`;
}

/** A figure with its interval, or without where there is none. */
export function figure({ value, low, high }) {
  return low === undefined
    ? percent(value, 1)
    : `${percent(value, 1)} [${(100 * low).toFixed(1)}, ${(100 * high).toFixed(1)}]`;
}

function element(name, className, text = '') {
  const made = document.createElement(name);
  if (className) made.className = className;
  made.textContent = text;
  return made;
}

function setShare(node, name, share) {
  node.style.setProperty(name, `${(100 * share).toFixed(2)}%`);
}

/** The released numbers as bars from the middle. */
export class Released {
  constructor(root, dim, grid) {
    this.grid = grid;
    this.most = grid ? 16 : 1e-9;
    this.rows = Array.from({ length: Math.min(dim, ROWS) }, () => {
      const item = element('li');
      const track = element('span', 'track');
      const past = Array.from({ length: PAST }, () => element('s'));
      const bar = element('i');
      const text = element('b', '', '–');
      track.append(bar, ...past);
      item.append(track, text);
      root.append(item);
      return { bar, past, text };
    });
    this.before = [];
    if (dim > ROWS) root.append(element('li', 'soft', `and ${dim - ROWS} more`));
  }

  show(released) {
    const values = Array.from(
      released,
      (v) => (this.grid ? Math.round(v / this.grid) : v),
    );
    this.most = Math.max(this.most, ...values.map(Math.abs));
    const place = (value) => value / this.most / 2;
    this.rows.forEach(({ bar, past, text }, i) => {
      const share = place(values[i]);
      setShare(bar, '--from', 0.5 + Math.min(share, 0));
      setShare(bar, '--width', Math.abs(share));
      const shown = this.grid ? String(values[i]) : values[i].toFixed(2);
      text.textContent = shown.replace('-', '−');
      this.before.forEach((earlier, k) => {
        setShare(past[k], '--from', 0.5 + place(earlier[i]));
      });
    });
    this.before = [values, ...this.before].slice(0, PAST);
  }
}

/** The cloud's answer, with every class's share. */
export class Answer {
  constructor(labels) {
    this.labels = labels;
    this.rows = labels.map((label) => {
      const item = element('li');
      const bar = element('span', 'bar');
      const fill = element('i');
      const text = element('b', '', '–');
      bar.append(fill);
      item.append(element('span', '', label), bar, text);
      $('classes').append(item);
      return { item, fill, text };
    });
  }

  show(shares, truth) {
    const guess = argmax(shares);
    this.rows.forEach(({ item, fill, text }, i) => {
      item.classList.toggle('guess', i === guess);
      setShare(fill, '--share', shares[i]);
      text.textContent = percent(shares[i]);
    });
    $('answer').textContent = this.labels[guess];
    mark($('answer-mark'), guess, truth, this.labels);
  }
}

/** Says whether a guess is right, in words and a sign, not by colour alone. */
function mark(node, guess, truth, labels) {
  node.className = 'mark';
  node.textContent = '';
  if (truth === undefined) return;
  node.classList.add(guess === truth ? 'right' : 'wrong');
  node.textContent = guess === truth ? '✓ right' : `✗ it was ${labels[truth]}`;
}

/** One attacker's guesses: after one window, and after all so far. */
export class Guesses {
  constructor(root, attribute, names) {
    this.names = names;
    this.attribute = attribute;
    const box = root.querySelector('.guesses');
    this.charts = ['one', 'all'].map((name) => this.#chart(box, name));
    this.tally = root.querySelector('.tally');
  }

  #chart(box, name) {
    const root = element('div');
    const head = element('div', 'guess-head');
    const title = element(
      'span',
      '',
      name === 'one' ? 'after 1 window' : 'after all windows',
    );
    const text = element('b', '', '–');
    const list = element('div', 'people');
    list.setAttribute('role', 'img');
    head.append(title, text);
    const columns = this.names.map((label) => {
      const item = element('div', 'person');
      const column = element('div', 'column');
      const fill = element('i');
      column.append(fill);
      item.append(column, element('span', '', label));
      list.append(item);
      return { item, fill };
    });
    root.append(head, list);
    box.append(root);
    return { name, title, text, list, columns };
  }

  /** `guess` as an attacker gives it; `truth` a class, or undefined. */
  show(guess, truth, seen) {
    for (const { name, title, text, list, columns } of this.charts) {
      const shares = guess[name];
      const best = argmax(shares);
      columns.forEach(({ item, fill }, i) => {
        item.classList.toggle('guess', i === best);
        item.classList.toggle('truth', i === truth);
        setShare(fill, '--share', shares[i]);
      });
      if (name === 'all') {
        title.textContent = `after ${seen} window${seen === 1 ? '' : 's'}`;
      }
      const sign = truth === undefined ? '' : [' ✗', ' ✓'][Number(best === truth)];
      text.textContent = `${this.attribute} ${this.names[best]}${sign}`;
      text.className = sign === ' ✓' ? 'found' : '';
      list.setAttribute(
        'aria-label',
        `${title.textContent}: ${this.attribute} ${this.names[best]} with`
        + ` ${percent(shares[best])}${sign && (best === truth ? ', right' : ', wrong')}`,
      );
    }
  }
}

/** Shows an error, or hides it where there is none. */
export function showError(message = '') {
  $('error').hidden = !message;
  $('error').textContent = message;
}

/** Shows a remark that is no error, or hides it. */
export function showNote(message = '') {
  $('note').hidden = !message;
  $('note').textContent = message;
}

let spoken = -Infinity;

/** Tells a screen reader, at most every three seconds. */
export function say(message) {
  const now = performance.now();
  if (now - spoken < 3000 || $('live').textContent === message) return;
  spoken = now;
  $('live').textContent = message;
}
