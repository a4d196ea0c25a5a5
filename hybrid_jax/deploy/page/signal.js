// Plots the raw signal: one plot for each quantity.

const LINE = 1.6; // CSS pixels

/** Plots of the last two windows of a signal. */
export class Signal {
  /**
   * `names` are the channels, with units in brackets; a window has `time` rows.
   * Channels of the same quantity share a plot.
   */
  constructor(root, names, time) {
    this.time = time;
    this.rows = [];
    this.plots = groups(names).map((group) => plot(root, group));
    const dark = matchMedia('(prefers-color-scheme: dark)');
    dark.addEventListener('change', () => this.draw());
    new ResizeObserver(() => this.draw()).observe(root);
  }

  /** Adds rows at the right; drops those older than two windows. */
  push(rows) {
    this.rows.push(...rows);
    if (this.rows.length > 2 * this.time) {
      this.rows.splice(0, this.rows.length - 2 * this.time);
    }
  }

  /** Draws; the last `filled` rows belong to the unfinished window. */
  draw(filled = this.filled ?? 0) {
    this.filled = filled;
    for (const { canvas, channels, range } of this.plots) {
      const values = this.rows.flatMap((r) => channels.map((c) => Math.abs(r[c])));
      range.max = Math.max(range.max, ...values);
      this.#paint(canvas, channels, range.max);
    }
  }

  #paint(canvas, channels, max) {
    const ratio = globalThis.devicePixelRatio || 1;
    const width = canvas.clientWidth;
    const height = canvas.clientHeight;
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
    const pen = canvas.getContext('2d');
    pen.scale(ratio, ratio);
    const style = getComputedStyle(canvas);
    const x = (i) => ((i + 2 * this.time - this.rows.length) / (2 * this.time))
      * width;
    const y = (v) => (height / 2) * (1 - v / max) * 0.94 + height * 0.03;
    // The background of finished windows, which were released, is darker.
    pen.fillStyle = style.getPropertyValue('--faint');
    pen.fillRect(0, 0, x(this.rows.length - this.filled), height);
    pen.strokeStyle = style.getPropertyValue('--line');
    pen.lineWidth = 1;
    pen.beginPath();
    pen.moveTo(0, y(0));
    pen.lineTo(width, y(0));
    pen.stroke();
    pen.lineWidth = LINE;
    pen.lineJoin = 'round';
    channels.forEach((channel, k) => {
      pen.strokeStyle = style.getPropertyValue(`--${'xyz'[k % 3]}`);
      pen.beginPath();
      this.rows.forEach((row, i) => {
        // A line breaks between windows: there may be a gap in time.
        const first = (this.rows.length - this.filled - i) % this.time === 0;
        if (first) pen.moveTo(x(i), y(row[channel]));
        else pen.lineTo(x(i), y(row[channel]));
      });
      pen.stroke();
    });
  }
}

/** Groups channels by quantity and unit: `[{title, channels, marks}]`. */
function groups(names) {
  const byTitle = new Map();
  names.forEach((name, channel) => {
    const parts = /^(.*?) ?(\S+) \((.*)\)$/.exec(name);
    const title = parts ? `${parts[1]} (${parts[3]})` : 'channels';
    const group = byTitle.get(title) ?? { title, channels: [], marks: [] };
    group.channels.push(channel);
    group.marks.push(parts ? parts[2] : name);
    byTitle.set(title, group);
  });
  return [...byTitle.values()];
}

function plot(root, { title, channels, marks }) {
  const box = document.createElement('div');
  box.className = 'plot';
  const name = document.createElement('h3');
  name.textContent = title;
  const canvas = document.createElement('canvas');
  canvas.setAttribute('role', 'img');
  canvas.setAttribute('aria-label', `${title}: the last two windows`);
  const list = document.createElement('ul');
  marks.forEach((mark, k) => {
    const item = document.createElement('li');
    item.className = `trace-${k % 3}`;
    item.textContent = mark;
    list.append(item);
  });
  box.append(name, canvas, list);
  root.append(box);
  return { canvas, channels, range: { max: 1e-9 } };
}
