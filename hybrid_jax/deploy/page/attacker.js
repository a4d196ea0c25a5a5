// What the cloud could do with what it gets: guess who it is.

/** Log-probabilities `[classes]` of logits, without overflow. */
export function logSoftmax(logits) {
  const most = Math.max(...logits);
  const total = logits.reduce((sum, v) => sum + Math.exp(v - most), 0);
  return logits.map((v) => v - most - Math.log(total));
}

/** The place of the largest number. */
export function argmax(numbers) {
  return numbers.indexOf(Math.max(...numbers));
}

/** A small trained network, and what it has seen of one person. */
export class Attacker {
  /** `trained` has `mean`, `scale`, and `layers` of `weights` and `bias`. */
  constructor(trained) {
    this.trained = trained;
    this.forget();
  }

  /** Another person, of whom nothing was seen. */
  forget() {
    this.seen = 0;
    this.total = new Array(this.trained.layers.at(-1).bias.length).fill(0);
  }

  /**
   * Guesses by a released vector: `{one, all}`, probabilities `[classes]`.
   *
   * `one` knows this vector alone. `all` adds up the log-probabilities of every
   * vector since `forget`: the classes are about equally frequent.
   */
  guess(released) {
    const logs = logSoftmax(this.logits(released));
    this.seen += 1;
    this.total = this.total.map((sum, i) => sum + logs[i]);
    return {
      one: logs.map(Math.exp),
      all: logSoftmax(this.total).map(Math.exp),
    };
  }

  logits(released) {
    const { mean, scale, layers } = this.trained;
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
