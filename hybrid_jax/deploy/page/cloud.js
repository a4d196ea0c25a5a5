// The cloud half, by the Open Inference Protocol v2 with binary tensors.

const SECONDS = 10;

/** An error that a person can read; `wantsToken` where the server asks for one. */
export class CloudError extends Error {
  constructor(message, wantsToken = false) {
    super(message);
    this.wantsToken = wantsToken;
  }
}

export class Cloud {
  /** `model` is its name at the server; `grid` of the integers to send, or null. */
  constructor(model, grid) {
    this.address = `/v2/models/${encodeURIComponent(model)}`;
    this.grid = grid;
    this.token = ''; // In this page's memory alone.
    this.metadata = null;
  }

  /** Reads the model's input, and whether the server takes integer steps. */
  async connect() {
    this.metadata = await this.#ask('');
    [this.input] = this.metadata.inputs;
    const taken = String(this.metadata.parameters?.wire_datatypes ?? '');
    this.datatype = this.grid && taken.includes('INT16') ? 'INT16' : 'FP32';
  }

  /**
   * A released vector to `{logits, bytes, milliseconds}`.
   *
   * `bytes` counts the vector alone. There is no second try: whatever arrived
   * or not, this vector is never drawn again.
   */
  async infer(released) {
    if (!this.metadata) await this.connect();
    const data = this.datatype === 'INT16'
      ? steps(released, this.grid)
      : floats(released);
    const header = new TextEncoder().encode(JSON.stringify({
      inputs: [{
        name: this.input.name,
        shape: this.input.shape,
        datatype: this.datatype,
        parameters: { binary_data_size: data.byteLength },
      }],
    }));
    const body = new Uint8Array(header.length + data.byteLength);
    body.set(header);
    body.set(data, header.length);
    const started = performance.now();
    const answer = await this.#ask('/infer', {
      method: 'POST',
      body,
      headers: {
        'Content-Type': 'application/octet-stream',
        'Inference-Header-Content-Length': String(header.length),
      },
    });
    return {
      logits: answer.outputs[0].data,
      bytes: data.byteLength,
      milliseconds: performance.now() - started,
    };
  }

  async #ask(path, options = {}) {
    const headers = { ...options.headers };
    if (this.token) headers.Authorization = `Bearer ${this.token}`;
    let answer;
    try {
      answer = await fetch(this.address + path, {
        ...options,
        headers,
        cache: 'no-store',
        credentials: 'omit',
        signal: AbortSignal.timeout(1000 * SECONDS),
      });
    } catch (error) {
      throw new CloudError(
        error.name === 'TimeoutError'
          ? `The server did not answer within ${SECONDS} seconds.`
          : 'The server cannot be reached. Is it still running?',
      );
    }
    if (answer.status === 401) {
      throw new CloudError(
        this.token
          ? 'The server does not accept this token.'
          : 'The server asks for a token.',
        true,
      );
    }
    const said = await answer.json().catch(() => ({}));
    if (!answer.ok) {
      throw new CloudError(
        `The server refused (${answer.status}): ${said.error ?? 'no reason given'}`,
      );
    }
    return said;
  }
}

/** The integer steps of the grid, as little-endian bytes of 16-bit numbers. */
export function steps(released, grid) {
  const view = new DataView(new ArrayBuffer(2 * released.length));
  released.forEach((value, i) => {
    const step = Math.round(value / grid);
    if (!(Math.abs(step) <= 32767)) {
      throw new Error('A released number does not fit into 16 bits.');
    }
    view.setInt16(2 * i, step, true);
  });
  return new Uint8Array(view.buffer);
}

function floats(released) {
  const view = new DataView(new ArrayBuffer(4 * released.length));
  released.forEach((value, i) => view.setFloat32(4 * i, value, true));
  return new Uint8Array(view.buffer);
}
