// Shows results on the page. It computes and sends nothing.

import { argmax } from './attacker.js';

const ROWS = 12; // released numbers that are shown
const PAST = 24; // earlier releases that are shown behind the last one

/** Returns the element with this id. */
export const $ = (id) => document.getElementById(id);

/** Formats 0.934 as `93 %`, or with one digit as `93.4 %`. */
export function percent(share, digits = 0) {
  return `${(100 * share).toFixed(digits)} %`;
}

/** Formats a figure with its interval, if it has one. */
export function figure({ value, low, high }) {
  return low === undefined
    ? percent(value, 1)
    : `${percent(value, 1)} [${(100 * low).toFixed(1)}, ${(100 * high).toFixed(1)}]`;
}

function element(name, className, text = '') {
  const node = document.createElement(name);
  if (className) node.className = className;
  node.textContent = text;
  return node;
}

function setShare(node, name, share) {
  node.style.setProperty(name, `${(100 * share).toFixed(2)}%`);
}

/** The released numbers, as bars that start in the middle. */
export class Released {
  constructor(root, dim, grid) {
    this.grid = grid;
    this.max = grid ? 16 : 1e-9;
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
    this.max = Math.max(this.max, ...values.map(Math.abs));
    const position = (value) => value / this.max / 2;
    this.rows.forEach(({ bar, past, text }, i) => {
      const share = position(values[i]);
      setShare(bar, '--from', 0.5 + Math.min(share, 0));
      setShare(bar, '--width', Math.abs(share));
      const shown = this.grid ? String(values[i]) : values[i].toFixed(2);
      text.textContent = shown.replace('-', '−');
      this.before.forEach((earlier, k) => {
        setShare(past[k], '--from', 0.5 + position(earlier[i]));
      });
    });
    this.before = [values, ...this.before].slice(0, PAST);
  }
}

/** The cloud's answer, with the probability of every class. */
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
    showMark($('answer-mark'), guess, truth, this.labels);
  }
}

/** Shows whether a guess is right, in words and with a sign. */
function showMark(node, guess, truth, labels) {
  node.className = 'mark';
  node.textContent = '';
  if (truth === undefined) return;
  node.classList.add(guess === truth ? 'right' : 'wrong');
  node.textContent = guess === truth ? '✓ right' : `✗ it was ${labels[truth]}`;
}

/** The guesses of one attacker: after one window, and after all windows. */
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

  /** `guess` is from `Attacker.guess`; `truth` is a class or undefined. */
  show(guess, truth, windows) {
    for (const { name, title, text, list, columns } of this.charts) {
      const shares = guess[name];
      const best = argmax(shares);
      columns.forEach(({ item, fill }, i) => {
        item.classList.toggle('guess', i === best);
        item.classList.toggle('truth', i === truth);
        setShare(fill, '--share', shares[i]);
      });
      if (name === 'all') {
        title.textContent = `after ${windows} window${windows === 1 ? '' : 's'}`;
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

/** Shows an error; without a message, hides it. */
export function showError(message = '') {
  $('error').hidden = !message;
  $('error').textContent = message;
}

/** Shows a note; without a message, hides it. */
export function showNote(message = '') {
  $('note').hidden = !message;
  $('note').textContent = message;
}

let lastSpoken = -Infinity;

/** Announces a message to screen readers, at most every three seconds. */
export function say(message) {
  const now = performance.now();
  if (now - lastSpoken < 3000 || $('live').textContent === message) return;
  lastSpoken = now;
  $('live').textContent = message;
}
