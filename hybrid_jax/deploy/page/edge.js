// An edge half in this browser: LiteRT.js on the CPU.

import { loadAndCompile, loadLiteRt, Tensor } from './vendor/litert.js';
import { standardNormal } from './noise.js';

let runtime;

/** Bytes of an address of this server, or an error that a person can read. */
export async function bytesOf(address) {
  const answer = await fetch(address, { cache: 'no-cache' });
  if (!answer.ok) throw new Error(`${address} gave status ${answer.status}.`);
  return new Uint8Array(await answer.arrayBuffer());
}

/** A window in sensor units to what may be released. */
export class Edge {
  /** Loads `edge.tflite` of the bundle at `folder`, checked by its manifest. */
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

  /** The grid whose steps may cross the network as integers, or null. */
  get wire() {
    // Manifests of format 1 do not say.
    return this.manifest.wire === null ? null : this.grid;
  }

  /** How many numbers are released. */
  get dim() {
    return this.manifest.edge.outputs[this.output].shape.at(-1);
  }

  /**
   * One window to `{released, milliseconds}`, with fresh noise.
   *
   * Release an input once: what is released twice is blurred half as much.
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
      // LiteRT lets NaN through in silence.
      checkFinite(released, 'What the edge half gave');
      return { released, milliseconds };
    } finally { // These live outside of JavaScript's memory.
      for (const tensor of [...Object.values(tensors), ...Object.values(outputs)]) {
        tensor.delete();
      }
    }
  }
}

async function check(data, stated, folder) {
  if (stated.bytes !== undefined && data.length !== stated.bytes) {
    throw new Error(
      `${folder}/edge.tflite has ${data.length} bytes; its manifest says`
      + ` ${stated.bytes}.`,
    );
  }
  if (!crypto.subtle) return; // Not over plain HTTP from another machine.
  const digest = await crypto.subtle.digest('SHA-256', data);
  const found = Array.from(
    new Uint8Array(digest),
    (byte) => byte.toString(16).padStart(2, '0'),
  ).join('');
  if (found !== stated.sha256) {
    throw new Error(`${folder}/edge.tflite is not the file of its manifest.`);
  }
}

function checkFinite(numbers, name) {
  if (!numbers.every(Number.isFinite)) {
    throw new Error(`${name} holds NaN or infinity; it is not sent.`);
  }
}
