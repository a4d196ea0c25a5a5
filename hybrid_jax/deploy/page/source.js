// Sources of sensor rows: recordings, or the sensors of this device.

const GRAVITY = 9.80665; // m/s² in one g
const MAX_QUEUED = 4; // windows of sensor rows that may wait
const MAX_GAP = 250; // ms without an event, after which a new window starts

/** Recorded windows, each used once, in order. */
export class Recorded {
  /** `data`: Float32Array of all rows; `labels`: one entry for each window. */
  constructor(data, labels, time, channels, rate) {
    Object.assign(this, { data, labels, time, channels, rate });
    this.row = 0;
    this.clock = 0;
  }

  get ended() {
    return this.row >= this.labels.length * this.time;
  }

  /** The true labels of the current window, for display. */
  get truth() {
    return this.labels[Math.floor(Math.max(this.row - 1, 0) / this.time)];
  }

  /** Returns the rows of the next `seconds`, at most `limit` rows. */
  take(seconds, limit) {
    this.clock = Math.min(this.clock + seconds * this.rate, limit);
    const count = Math.min(Math.floor(this.clock), limit);
    this.clock -= count;
    const rows = [];
    for (let i = 0; i < count; i += 1, this.row += 1) {
      const start = this.row * this.channels;
      rows.push(this.data.subarray(start, start + this.channels));
    }
    return rows;
  }
}

/**
 * Accelerometer and gyroscope of this device, in the units and at the rate of
 * the bundle. Windows do not overlap, so no sample is released twice.
 */
export class Sensors {
  /** Returns why the sensors cannot be used, as a sentence; null if they can. */
  static problem(channels, rate) {
    if (!rate || !channels.every((name) => reader(name))) {
      return 'This bundle is not for motion sensors.';
    }
    if (!globalThis.isSecureContext) {
      return 'Browsers allow motion sensors only on pages loaded over HTTPS.';
    }
    if (typeof globalThis.DeviceMotionEvent === 'undefined') {
      return 'This device has no motion sensors that a browser can read.';
    }
    return null;
  }

  constructor(channels, time, rate) {
    this.readers = channels.map(reader);
    this.maxRows = MAX_QUEUED * time;
    this.step = 1000 / rate;
    this.queue = [];
    this.last = null;
    this.hasGap = false;
    this.ended = false;
    this.truth = null;
    this.listener = (event) => this.add(event, event.timeStamp);
  }

  /** Asks for permission if the system requires it; call it from a click. */
  async start() {
    if (typeof DeviceMotionEvent.requestPermission === 'function') {
      const answer = await DeviceMotionEvent.requestPermission();
      if (answer !== 'granted') {
        throw new Error('You did not allow this page to read the motion sensors.');
      }
    }
    addEventListener('devicemotion', this.listener);
  }

  stop() {
    removeEventListener('devicemotion', this.listener);
    this.queue.length = 0;
    this.last = null;
  }

  /** Drops waiting rows, which arrived while the page was paused. */
  flush() {
    this.queue.length = 0;
    this.hasGap = true;
  }

  /** Adds an event at time `now` (ms), resampled by linear interpolation. */
  add(event, now) {
    const row = this.readers.map((read) => read(event));
    if (!row.every(Number.isFinite)) return; // A sensor is missing.
    if (this.last && now - this.last.now > MAX_GAP) {
      this.flush();
      this.last = null;
    }
    if (this.last && now > this.last.now) {
      const { now: before, row: from } = this.last;
      for (; this.next <= now; this.next += this.step) {
        const share = (this.next - before) / (now - before);
        this.queue.push(from.map((v, i) => v + share * (row[i] - v)));
      }
      if (this.queue.length > this.maxRows) {
        this.queue.splice(0, this.queue.length - this.maxRows);
      }
    } else if (!this.last) {
      this.next = now;
    }
    this.last = { now, row };
  }

  take(seconds, limit) {
    return this.queue.splice(0, limit);
  }
}

/** Returns a function that reads a channel from an event; null if unknown. */
function reader(name) {
  const match = /^(acceleration|rotation) ([xyz]) \((g|rad\/s)\)$/.exec(name);
  if (!match) return null;
  const [, kind, axis] = match;
  if (kind === 'acceleration') {
    return (event) => number(event.accelerationIncludingGravity, axis) / GRAVITY;
  }
  // In browsers, the rates around x, y, z are alpha, beta, gamma, in °/s.
  const rate = { x: 'alpha', y: 'beta', z: 'gamma' }[axis];
  return (event) => (number(event.rotationRate, rate) * Math.PI) / 180;
}

/** Returns a sensor's number; NaN if the sensor is missing. */
function number(reading, name) {
  return reading?.[name] ?? NaN;
}
