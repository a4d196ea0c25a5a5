// Asks the cloud half, with the Open Inference Protocol v2 and binary tensors.

const TIMEOUT = 10; // seconds

/** An error for the user; `needsToken` if the server asks for a token. */
export class CloudError extends Error {
  constructor(message, needsToken = false) {
    super(message);
    this.needsToken = needsToken;
  }
}

export class Cloud {
  /** `model` is its name on the server; `grid` the step of the integers, or null. */
  constructor(model, grid) {
    this.address = `/v2/models/${encodeURIComponent(model)}`;
    this.grid = grid;
    this.token = ''; // Only in the memory of this page.
    this.metadata = null;
  }

  /** Reads the model's input, and whether the server accepts integer steps. */
  async connect() {
    this.metadata = await this.#request('');
    [this.input] = this.metadata.inputs;
    const accepted = String(this.metadata.parameters?.wire_datatypes ?? '');
    this.datatype = this.grid && accepted.includes('INT16') ? 'INT16' : 'FP32';
  }

  /**
   * Sends a released vector; returns `{logits, bytes, milliseconds}`.
   *
   * `bytes` counts only the vector. There is no retry: a window whose request
   * failed is never released again.
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
    const response = await this.#request('/infer', {
      method: 'POST',
      body,
      headers: {
        'Content-Type': 'application/octet-stream',
        'Inference-Header-Content-Length': String(header.length),
      },
    });
    return {
      logits: response.outputs[0].data,
      bytes: data.byteLength,
      milliseconds: performance.now() - started,
    };
  }

  async #request(path, options = {}) {
    const headers = { ...options.headers };
    if (this.token) headers.Authorization = `Bearer ${this.token}`;
    let response;
    try {
      response = await fetch(this.address + path, {
        ...options,
        headers,
        cache: 'no-store',
        credentials: 'omit',
        signal: AbortSignal.timeout(1000 * TIMEOUT),
      });
    } catch (error) {
      throw new CloudError(
        error.name === 'TimeoutError'
          ? `The server did not answer within ${TIMEOUT} seconds.`
          : 'The server cannot be reached. Is it still running?',
      );
    }
    if (response.status === 401) {
      throw new CloudError(
        this.token
          ? 'The server does not accept this token.'
          : 'The server asks for a token.',
        true,
      );
    }
    const content = await response.json().catch(() => ({}));
    if (!response.ok) {
      throw new CloudError(
        `The server refused (${response.status}): ${content.error ?? 'no reason given'}`,
      );
    }
    return content;
  }
}

/** Returns the steps of the grid as little-endian 16-bit integers. */
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
