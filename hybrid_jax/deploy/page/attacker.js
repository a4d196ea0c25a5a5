// An attacker: guesses the sensitive label from released vectors.

/** Returns the log-probabilities `[classes]` of logits. */
export function logSoftmax(logits) {
  const max = Math.max(...logits); // Subtracted to avoid overflow.
  const total = logits.reduce((sum, v) => sum + Math.exp(v - max), 0);
  return logits.map((v) => v - max - Math.log(total));
}

/** Returns the index of the largest number. */
export function argmax(numbers) {
  return numbers.indexOf(Math.max(...numbers));
}

/** A small trained network that combines its guesses over many windows. */
export class Attacker {
  /**
   * `network` has `mean`, `scale`, `layers` of `weights` and `bias`, and
   * `log_prior`: the log-share of each class among its training examples.
   */
  constructor(network) {
    this.network = network;
    this.prior = network.log_prior ?? null; // Older files have none.
    this.reset();
  }

  /** Starts again: the next window may be of another person. */
  reset() {
    this.windows = 0;
    this.total = new Array(this.network.layers.at(-1).bias.length).fill(0);
  }

  /**
   * Returns probabilities `[classes]` for a released vector: `{one, all}`.
   *
   * `one` is from this vector only. `all` is from all vectors since `reset`: the
   * sum of their log-likelihoods, which are log-probabilities without the prior.
   */
  guess(released) {
    const logs = logSoftmax(this.logits(released));
    this.windows += 1;
    this.total = this.total.map(
      (sum, i) => sum + logs[i] - (this.prior?.[i] ?? 0),
    );
    return {
      one: logs.map(Math.exp),
      all: logSoftmax(this.total).map(Math.exp),
    };
  }

  logits(released) {
    const { mean, scale, layers } = this.network;
    let values = Array.from(released, (v, i) => (v - mean[i]) / scale[i]);
    layers.forEach(({ weights, bias }, layer) => {
      const out = bias.map((b, j) => values.reduce(
        (sum, v, i) => sum + v * weights[i][j],
        b,
      ));
      const last = layer === layers.length - 1;
      values = last ? out : out.map((v) => Math.max(v, 0));
    });
    return values;
  }
}
