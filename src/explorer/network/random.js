// Random numbers of a seed: the same on every machine, since only whole numbers of 32 bits are mixed.

/** A generator (sfc32) of its own for each seed and stream. uniform(low, high); integer(n): 0 ... n − 1. */
export function random(seed, stream = 0) {
  let [a, b, c, counter] = [seed >>> 0, Math.floor(seed / 2 ** 32) >>> 0, stream >>> 0, 1];
  function next() {
    const sum = (a + b + counter++) | 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) | 0;
    c = (((c << 21) | (c >>> 11)) + sum) | 0;
    return sum >>> 0;
  }
  for (let n = 0; n < 20; n++) next(); // until the seed has reached every bit
  const uniform = (low = 0, high = 1) => low + (high - low) * (next() / 2 ** 32);
  return { uniform, integer: (n) => Math.floor(uniform(0, n)) };
}
