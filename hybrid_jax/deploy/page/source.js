// Where the windows come from: recordings, or this device's sensors.

const GRAVITY = 9.80665; // m/s² in one g
const MOST_QUEUED = 4; // windows of the sensors that may wait
const PAUSE = 250; // ms without an event, after which a window starts anew

/** Recorded windows, each given once, in order. */
export class Recorded {
  /** `data` Float32Array of all rows; `index` the list of what windows are. */
  constructor(data, index, time, channels, rate) {
    Object.assign(this, { data, index, time, channels, rate });
    this.row = 0;
    this.clock = 0;
  }

  get ended() {
    return this.row >= this.index.length * this.time;
  }

  /** What the window that comes, or has just come, is: labels for display. */
  get truth() {
    return this.index[Math.floor(Math.max(this.row - 1, 0) / this.time)];
  }

  /** The rows of `seconds`, at most the `left` that the window lacks. */
  take(seconds, left) {
    this.clock = Math.min(this.clock + seconds * this.rate, left);
    const count = Math.min(Math.floor(this.clock), left);
    this.clock -= count;
    const rows = [];
    for (let i = 0; i < count; i += 1, this.row += 1) {
      const at = this.row * this.channels;
      rows.push(this.data.subarray(at, at + this.channels));
    }
    return rows;
  }
}

/**
 * This device's accelerometer and gyroscope, in the bundle's units and rate.
 *
 * Windows do not overlap: no sample is released twice.
 */
export class Sensors {
  /** Why they cannot be used here, in one sentence, or null. */
  static obstacle(channels, rate) {
    if (!rate || !channels.every((name) => reader(name))) {
      return 'This bundle is not for motion sensors.';
    }
    if (!globalThis.isSecureContext) {
      return 'Browsers give motion sensors to pages over HTTPS only.';
    }
    if (typeof globalThis.DeviceMotionEvent === 'undefined') {
      return 'This device has no motion sensors that a browser can read.';
    }
    return null;
  }

  constructor(channels, time, rate) {
    this.readers = channels.map(reader);
    this.most = MOST_QUEUED * time;
    this.step = 1000 / rate;
    this.queue = [];
    this.last = null;
    this.torn = false;
    this.ended = false;
    this.truth = null;
    this.listener = (event) => this.add(event, event.timeStamp);
  }

  /** Asks for leave where the system wants it; call it from a click. */
  async start() {
    if (typeof DeviceMotionEvent.requestPermission === 'function') {
      const said = await DeviceMotionEvent.requestPermission();
      if (said !== 'granted') {
        throw new Error('The motion sensors were not allowed to be read.');
      }
    }
    addEventListener('devicemotion', this.listener);
  }

  stop() {
    removeEventListener('devicemotion', this.listener);
    this.queue.length = 0;
    this.last = null;
  }

  /** Drops what waits: it came while nothing was played. */
  flush() {
    this.queue.length = 0;
    this.torn = true;
  }

  /** Resamples events of any rate by linear interpolation in time (ms). */
  add(event, now) {
    const row = this.readers.map((read) => read(event));
    if (!row.every(Number.isFinite)) return; // A sensor that is not there.
    if (this.last && now - this.last.now > PAUSE) {
      this.flush();
      this.last = null;
    }
    if (this.last && now > this.last.now) {
      const { now: before, row: from } = this.last;
      for (; this.next <= now; this.next += this.step) {
        const share = (this.next - before) / (now - before);
        this.queue.push(from.map((v, i) => v + share * (row[i] - v)));
      }
      if (this.queue.length > this.most) {
        this.queue.splice(0, this.queue.length - this.most);
      }
    } else if (!this.last) {
      this.next = now;
    }
    this.last = { now, row };
  }

  take(seconds, left) {
    return this.queue.splice(0, left);
  }
}

/** A function of an event that gives a channel, by its name and unit. */
function reader(name) {
  const found = /^(acceleration|rotation) ([xyz]) \((g|rad\/s)\)$/.exec(name);
  if (!found) return null;
  const [, kind, axis] = found;
  if (kind === 'acceleration') {
    return (event) => number(event.accelerationIncludingGravity, axis) / GRAVITY;
  }
  // Browsers call the rates around x, y and z alpha, beta and gamma, in °/s.
  const rate = { x: 'alpha', y: 'beta', z: 'gamma' }[axis];
  return (event) => (number(event.rotationRate, rate) * Math.PI) / 180;
}

/** A sensor's number; NaN for the null of a sensor that is not there. */
function number(reading, name) {
  return reading?.[name] ?? NaN;
}
