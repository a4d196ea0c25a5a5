// Runs an edge half in this browser, with LiteRT.js on the CPU.

import { loadAndCompile, loadLiteRt, Tensor } from './vendor/litert.js';
import { standardNormal } from './noise.js';

let runtime;

/** Fetches the bytes of an address of this server. */
export async function bytesOf(address) {
  const response = await fetch(address, { cache: 'no-cache' });
  if (!response.ok) {
    throw new Error(`${address}: the server answered ${response.status}.`);
  }
  return new Uint8Array(await response.arrayBuffer());
}

/** The edge half: maps a window in sensor units to the released vector. */
export class Edge {
  /** Loads `edge.tflite` from the bundle at `folder`, and checks its hash. */
  static async load(folder) {
    runtime ??= loadLiteRt(new URL('./vendor/', import.meta.url).href);
    const [manifest, data] = await Promise.all([
      bytesOf(`${folder}/manifest.json`).then(
        (bytes) => JSON.parse(new TextDecoder().decode(bytes)),
      ),
      bytesOf(`${folder}/edge.tflite`),
      runtime,
    ]);
    await check(data, manifest.edge, folder);
    return new Edge(manifest, await loadAndCompile(data, { accelerator: 'wasm' }));
  }

  constructor(manifest, model) {
    this.manifest = manifest;
    this.model = model;
    this.inputs = manifest.edge.inputs;
    [this.output] = Object.keys(manifest.edge.outputs);
    this.grid = manifest.grid ?? null;
    if (this.inputs.x.dtype !== 'float32') {
      throw new Error(`The edge half takes ${this.inputs.x.dtype}, not float32.`);
    }
  }

  /** The grid, if its steps may be sent as integers; null otherwise. */
  get wireGrid() {
    return this.manifest.wire?.grid ?? null;
  }

  /** The names of the channels, with units; empty if they are unknown. */
  get channels() {
    return this.inputs.x.channels ?? [];
  }

  /**
   * Returns why a window is far outside of the training data, as a sentence;
   * null if it is not, or if the manifest has no range.
   */
  outside(window) {
    const { range } = this.inputs.x;
    if (!range) return null;
    const count = range.mean.length;
    const farthest = new Array(count).fill(0);
    window.forEach((value, i) => {
      const k = i % count;
      const distance = Math.abs(value - range.mean[k]) / range.std[k];
      farthest[k] = Math.max(farthest[k], distance);
    });
    const excess = farthest.map((d, k) => (d > range.limit[k] ? d / range.limit[k] : 0));
    const worst = Math.max(...excess);
    if (worst === 0) return null;
    const k = excess.indexOf(worst);
    const name = this.channels[k] ?? `channel ${k}`;
    return `The window is not sent: ${name} is up to ${farthest[k].toPrecision(3)}`
      + ' deviations from the mean of the training data;'
      + ` ${range.limit[k].toPrecision(3)} is the limit. The noise was made for`
      + ' the range of the training data, and would hide less.';
  }

  /** How many numbers are released. */
  get dim() {
    return this.manifest.edge.outputs[this.output].shape.at(-1);
  }

  /**
   * Runs one window with fresh noise; returns `{released, milliseconds}`.
   *
   * Release a window only once: the average of two releases has half the noise
   * variance.
   */
  async run(window) {
    checkFinite(window, 'The window');
    const values = { x: window };
    if (this.inputs.noise) {
      values.noise = standardNormal(this.inputs.noise.shape[0]);
    }
    const tensors = {};
    let outputs = {};
    try {
      for (const [name, value] of Object.entries(values)) {
        tensors[name] = new Tensor(value, this.inputs[name].shape);
      }
      const started = performance.now();
      outputs = await this.model.run(tensors);
      const milliseconds = performance.now() - started;
      const released = Float32Array.from(
        outputs[this.output].toTypedArray(),
      );
      // LiteRT reports no error for NaN.
      checkFinite(released, 'The released vector');
      return { released, milliseconds };
    } finally { // JavaScript does not free the memory of LiteRT.
      for (const tensor of [...Object.values(tensors), ...Object.values(outputs)]) {
        tensor.delete();
      }
    }
  }
}

async function check(data, spec, folder) {
  if (data.length !== spec.bytes) {
    throw new Error(
      `${folder}/edge.tflite has ${data.length} bytes; its manifest says`
      + ` ${spec.bytes}.`,
    );
  }
  // Browsers lack it over plain HTTP from another machine.
  if (!crypto.subtle) return;
  const digest = await crypto.subtle.digest('SHA-256', data);
  const sha256 = Array.from(
    new Uint8Array(digest),
    (byte) => byte.toString(16).padStart(2, '0'),
  ).join('');
  if (sha256 !== spec.sha256) {
    throw new Error(`${folder}/edge.tflite is not the file that its manifest describes.`);
  }
}

function checkFinite(numbers, name) {
  if (!numbers.every(Number.isFinite)) {
    throw new Error(`${name} holds NaN or infinity; it is not sent.`);
  }
}
