// Draws the noise from the operating system's generator, as device.py does.

const QUOTA = 65536; // bytes that one call of getRandomValues can fill

/**
 * Returns `size` standard normal numbers as a Float32Array.
 *
 * They come from `crypto.getRandomValues` (53 random bits each, Box-Muller
 * transform): the noise protects a person only if the cloud cannot compute it
 * again. Throws an error if the browser lacks that generator.
 */
export function standardNormal(size) {
  if (typeof globalThis.crypto?.getRandomValues !== 'function') {
    throw new Error(
      'This browser lacks crypto.getRandomValues, the only safe source of noise:'
      + ' nothing may be sent.',
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

/** Returns `count` uniform numbers between 0 and 1, with 53 random bits. */
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
