// Where the numbers of a network lie: views of one buffer, handed out one after the other and never given back.

/** An arena over `buffer`, from byte `start` on. floats(n) and ints(n) return zeroed views at multiples of 16 bytes. */
export function arena(buffer, start = 0) {
  let next = start;
  const take = (View, length) => {
    const at = (next + 15) & ~15;
    next = at + View.BYTES_PER_ELEMENT * length;
    if (next > buffer.byteLength) throw new RangeError(`${next} bytes: must be at most ${buffer.byteLength}`);
    return new View(buffer, at, length);
  };
  return {
    floats: (length) => take(Float32Array, length),
    ints: (length) => take(Int32Array, length),
    used: () => next,
  };
}

/** What looks like an arena and only counts: what it hands out lies elsewhere, and is soon forgotten. */
export function counter() {
  let next = 0;
  const take = (View, length) => {
    next = ((next + 15) & ~15) + View.BYTES_PER_ELEMENT * length;
    return new View(length);
  };
  return {
    floats: (length) => take(Float32Array, length),
    ints: (length) => take(Int32Array, length),
    used: () => next,
  };
}
