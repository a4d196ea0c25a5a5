// Standard normal numbers from the system's generator, as in device.py.

const QUOTA = 65536; // The most bytes that one call of the browser gives.

/**
 * `size` standard normal numbers: Float32Array.
 *
 * The noise hides a person only if the cloud cannot draw it again, so it comes
 * from `crypto.getRandomValues` (53 bits a number, Box and Muller's transform).
 * Throws where the browser has none; nothing else may stand in for it.
 */
export function standardNormal(size) {
  if (typeof globalThis.crypto?.getRandomValues !== 'function') {
    throw new Error(
      'This browser has no generator of random numbers that the cloud cannot'
      + ' guess (crypto.getRandomValues): nothing may be sent.',
    );
  }
  const pairs = Math.ceil(size / 2);
  const uniform = uniforms(2 * pairs);
  const normal = new Float32Array(2 * pairs);
  for (let i = 0; i < pairs; i += 1) {
    const radius = Math.sqrt(-2 * Math.log(uniform[i]));
    const angle = 2 * Math.PI * uniform[pairs + i];
    normal[i] = radius * Math.cos(angle);
    normal[pairs + i] = radius * Math.sin(angle);
  }
  return normal.subarray(0, size);
}

/** `count` numbers above 0 and up to 1, of 53 random bits each. */
function uniforms(count) {
  const words = new Uint32Array(2 * count);
  for (let i = 0; i < words.length; i += QUOTA / 4) {
    crypto.getRandomValues(words.subarray(i, i + QUOTA / 4));
  }
  return Float64Array.from({ length: count }, (_, i) => {
    const bits = words[2 * i] * 2 ** 21 + (words[2 * i + 1] >>> 11);
    return (bits + 0.5) * 2 ** -53;
  });
}
