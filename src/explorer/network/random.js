// Random numbers of a seed: the same on every machine, since only whole numbers of 32 bits are mixed.

/** A generator (sfc32) of its own for each seed and stream.
 *
 *  uniform(low, high)  between 0 and 1 if not said otherwise
 *  triangular()        the sum of two uniform numbers between −1 and 1
 *  integer(n)          0 ... n − 1
 */
export function random(seed, stream = 0) {
  const state = Int32Array.of(seed, Math.floor(seed / 2 ** 32), stream, 1); // a, b, c and a counter
  function next() {
    const [a, b, c, counter] = [state[0], state[1], state[2], state[3]];
    const sum = (a + b + counter) | 0;
    state[0] = b ^ (b >>> 9);
    state[1] = c + (c << 3);
    state[2] = ((c << 21) | (c >>> 11)) + sum;
    state[3] = counter + 1;
    return sum;
  }
  for (let n = 0; n < 20; n++) next(); // until the seed has reached every bit
  function uniform(low = 0, high = 1) {
    return low + ((high - low) * (next() >>> 0)) / 2 ** 32;
  }
  function triangular() {
    const bits = next();
    return ((bits >>> 16) + (bits & 0xffff)) / 2 ** 15 - 2;
  }
  return { uniform, triangular, integer: (n) => Math.floor(uniform(0, n)) };
}
