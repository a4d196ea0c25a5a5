// The page: runs the edge on windows, asks the cloud, and shows the result.

import { Attacker, argmax, logSoftmax } from './attacker.js';
import { Cloud } from './cloud.js';
import { Edge, bytesOf } from './edge.js';
import { Signal } from './signal.js';
import { Recorded, Sensors } from './source.js';
import {
  $, Answer, Guesses, Released, figure, percent, say, showError, showNote,
} from './view.js';

const STILL = matchMedia('(prefers-reduced-motion: reduce)');
const SIDES = ['private', 'open'];

/** The state of the page; `tally` counts windows and right answers. */
class Page {
  constructor(live, edges, cloud, data) {
    Object.assign(this, { live, edges, cloud });
    [, , this.time, this.channels] = edges.private.inputs.x.shape;
    this.rate = live.rate ?? 50;
    this.recorded = new Recorded(
      data, live.windows, this.time, this.channels, this.rate,
    );
    this.source = this.recorded;
    this.window = new Float32Array(this.time * this.channels);
    this.filled = 0;
    this.tally = { windows: 0, answers: 0, private: 0, open: 0 };
    this.playing = false;
    this.busy = false;
    this.session = null;
    this.released = 0;
    this.times = []; // ms, of the edge half
    this.attackers = Object.fromEntries(
      SIDES.map((side) => [side, new Attacker(live.attackers[side])]),
    );
    this.signal = new Signal($('signal'), live.channels, this.time);
    this.numbers = new Released(
      $('released'), edges.private.dim, edges.private.grid,
    );
    this.answer = new Answer(live.labels);
    this.guesses = Object.fromEntries(SIDES.map(
      (side) => [side, new Guesses($(side), live.attribute, live.names)],
    ));
  }

  toggle(play = !this.playing) {
    if (play && this.source.ended) return;
    this.playing = play;
    $('play').textContent = play ? 'Pause' : 'Play';
    if (!play) return;
    showError();
    this.source.flush?.();
    this.before = performance.now();
    this.schedule();
  }

  schedule() { // Only one frame may wait, even after several clicks.
    cancelAnimationFrame(this.request);
    this.request = requestAnimationFrame((now) => this.frame(now));
  }

  async frame(now) {
    if (!this.playing || this.busy) return;
    const seconds = Math.max(now - this.before, 0) / 1000;
    this.before = now;
    if (this.source.hasGap) {
      this.filled = 0;
      this.source.hasGap = false;
    }
    const fast = this.source === this.recorded ? Number($('speed').value) : 1;
    const rows = this.source.take(fast * seconds, this.time - this.filled);
    rows.forEach((row) => {
      this.window.set(row, this.filled * this.channels);
      this.filled += 1;
    });
    this.signal.push(rows);
    const full = this.filled === this.time;
    if (rows.length && (full || !STILL.matches)) {
      this.signal.draw(full ? 0 : this.filled);
    }
    if (full) {
      this.filled = 0;
      await this.release();
    }
    if (this.playing) this.schedule();
  }

  /** Releases one window, sends it once, and shows the result. */
  async release() {
    const reason = this.edges.private.outside(this.window);
    if (reason) {
      showNote(reason);
      this.showProgress();
      return;
    }
    this.busy = true;
    const truth = this.source.truth ?? {};
    try {
      const [sent, open] = await Promise.all(
        SIDES.map((side) => this.edges[side].run(this.window)),
      );
      this.numbers.show(sent.released);
      const answer = await this.cloud.infer(sent.released);
      this.released += 1;
      this.show(truth, sent, open, answer);
    } catch (error) {
      this.toggle(false);
      fail(error);
    } finally {
      this.busy = false;
    }
    this.showProgress();
  }

  show(truth, sent, open, { logits, bytes, milliseconds }) {
    const shares = logSoftmax(logits).map(Math.exp);
    const guess = argmax(shares);
    this.answer.show(shares, truth.primary);
    if (truth.session !== this.session) {
      SIDES.forEach((side) => this.attackers[side].reset());
      this.session = truth.session;
    }
    const known = truth.primary !== undefined;
    if (known) {
      this.tally.windows += 1;
      this.tally.answers += guess === truth.primary;
    }
    const vectors = { private: sent.released, open: open.released };
    for (const side of SIDES) {
      const attacker = this.attackers[side];
      const guesses = attacker.guess(vectors[side]);
      this.guesses[side].show(guesses, truth.sensitive, attacker.windows);
      if (known) this.tally[side] += argmax(guesses.one) === truth.sensitive;
    }
    this.showSizes(sent, bytes, milliseconds);
    this.showCounts();
    say(`The cloud says ${this.live.labels[guess]}.`);
  }

  showSizes(sent, bytes, milliseconds) {
    const { dim } = this.edges.private;
    $('sent-size').textContent = `${dim} numbers in ${bytes} bytes.`
      + ` The answer took ${milliseconds.toFixed(0)} ms. Faint: earlier windows.`;
    this.times.push(sent.milliseconds);
    const sorted = [...this.times].sort((a, b) => a - b);
    const median = sorted[Math.floor(sorted.length / 2)];
    $('raw-size').textContent = `${this.window.length} numbers per window,`
      + ` ${this.window.byteLength.toLocaleString('en')} bytes, stay here. The`
      + ` edge half takes ${median.toFixed(2)} ms.`;
  }

  showCounts() {
    const { windows, answers } = this.tally;
    if (!windows) return;
    const { utility } = this.live;
    $('utility').textContent = `Right in ${answers} of ${windows} windows`
      + ` (${percent(answers / windows)}). In the study: ${figure(utility)};`
      + ` chance: ${percent(utility.chance, 1)}.`;
    for (const side of SIDES) {
      const { chance } = this.live.attackers[side].accuracy;
      this.guesses[side].tally.textContent = 'Right after 1 window:'
        + ` ${this.tally[side]} of ${windows}`
        + ` (${percent(this.tally[side] / windows)}; chance:`
        + ` ${percent(chance, 1)}).`;
    }
  }

  showProgress() {
    const recorded = this.source === this.recorded;
    $('progress').textContent = recorded
      ? `${Math.floor(this.recorded.row / this.time)} of`
        + ` ${this.live.windows.length} windows`
      : `${this.released} windows sent`;
    if (!this.source.ended) return;
    this.toggle(false);
    $('play').disabled = true;
    showNote(
      'Every window was sent once. A device must not send a window again with'
      + ' fresh noise: an attacker could average the noise away.',
    );
  }

  async choose(kind) {
    this.toggle(false);
    this.source.stop?.();
    this.source = this.recorded;
    const names = this.live.channels;
    if (kind === 'sensors') {
      const problem = Sensors.problem(names, this.live.rate);
      if (problem) throw new Error(problem);
      const sensors = new Sensors(names, this.time, this.rate);
      await sensors.start();
      this.source = sensors;
      setTimeout(() => {
        if (this.source !== sensors || sensors.last) return;
        this.toggle(false);
        fail(new Error('No readings come from the sensors of this device.'));
      }, 3000);
    }
    const live = this.source !== this.recorded;
    this.filled = live ? 0 : this.recorded.row % this.time;
    SIDES.forEach((side) => this.attackers[side].reset());
    $('speed').disabled = live;
    $('play').disabled = this.source.ended;
    showNote(live
      ? 'The network and the attackers learnt from other sensors and other'
        + ' people: on this device this is only a demonstration.'
      : '');
    this.showProgress();
  }
}

function fail(error) {
  showError(error.message);
  if (error.needsToken) {
    $('token').hidden = false;
    $('token-value').focus();
  }
}

/** Fills in the texts that do not change. */
function describe(live, edges) {
  const attribute = live.attribute;
  $('attack-title').textContent = `Which ${attribute} is it? An attacker’s guess`;
  $('attack-text').textContent = 'Two small attackers show what the cloud could'
    + ` do: each learnt to guess the ${attribute}, one of ${live.names.length}.`
    + ' The thick line is the truth, which only this page knows.';
  const texts = {
    private: `It sees the ${edges.private.dim} numbers that are sent.`,
    open: `It sees ${edges.open.dim} features without protection, which stay`
      + ' here.',
  };
  for (const side of SIDES) {
    const { accuracy, accuracy_by_count: byCount, kind } = live.attackers[side];
    const most = Math.max(...Object.keys(byCount).map(Number));
    $(side).querySelector('.what').textContent = texts[side];
    $(side).querySelector('.figures').textContent =
      `On test data this ${kind} is right in ${figure(accuracy)} after 1 window`
      + (most > 1 ? `, in ${figure(byCount[most])} after ${most}` : '')
      + `; chance: ${percent(accuracy.chance, 1)}`
      + (most > 1 ? ` and ${percent(byCount[most].chance, 1)}.` : '.');
  }
  const { strongest } = live;
  const lines = [
    'Only the numbers under “Sent” leave this device. You can see every request'
    + ' in the network panel of the browser.',
    edges.private.inputs.noise
      ? 'The noise comes from the operating system’s random generator'
        + ' (crypto.getRandomValues). It is drawn once for each window, and no'
        + ' window is sent twice.'
      : 'This bundle adds no noise.',
    'The strongest attackers of the study are right in'
      + ` ${figure(strongest.private)} with one window of what is sent, and in`
      + ` ${figure(strongest.open)} with the features without protection; chance`
      + ` is ${percent(strongest.private.chance, 1)}. Another attacker may be`
      + ' stronger.',
    'This is not differential privacy. The cloud’s answer itself also reveals'
    + ' something about a person.',
    'Accuracies on test data have 95 % intervals: over recordings for 1 window,'
    + ' over the values of the label for many windows. The attackers were chosen'
    + ' on validation data.',
  ];
  for (const line of lines) {
    const item = document.createElement('li');
    item.textContent = line;
    $('promise').append(item);
  }
}

async function start() {
  const decoder = new TextDecoder();
  const json = async (address) => JSON.parse(
    decoder.decode(await bytesOf(address)),
  );
  const [live, server, recorded, privateEdge, openEdge] = await Promise.all([
    json('/live/live.json'),
    json('/live/server.json'),
    bytesOf('/live/windows.f32'),
    Edge.load('/bundle'),
    Edge.load('/live/open'),
  ]);
  const edges = { private: privateEdge, open: openEdge };
  const { channels } = privateEdge;
  if (channels.length && String(channels) !== String(live.channels)) {
    throw new Error(
      `The page was prepared for the channels ${live.channels.join(', ')}; the`
      + ` bundle takes ${channels.join(', ')}.`,
    );
  }
  const cloud = new Cloud(server.model, privateEdge.wireGrid);
  // The file is little-endian, like all machines that run browsers.
  const page = new Page(live, edges, cloud, new Float32Array(recorded.buffer));
  describe(live, edges);
  $('play').addEventListener('click', () => page.toggle());
  $('source').addEventListener('change', () => {
    showError();
    page.choose($('source').value).catch((error) => {
      $('source').value = 'recorded';
      return page.choose('recorded').then(() => fail(error));
    });
  });
  $('token').addEventListener('submit', (event) => {
    event.preventDefault();
    cloud.token = $('token-value').value.trim();
    $('token-value').value = '';
    $('token').hidden = true;
    page.toggle(true);
  });
  page.showProgress();
  $('play').disabled = false;
  document.body.dataset.ready = 'true';
  await cloud.connect();
}

start().catch(fail);
