// Scales of the charts, from numbers to places and back, straight or by the logarithm; and round numbers for an axis.
// Pure.

export const scaleLinear = () =>
  scale(
    (v) => v,
    (v) => v,
  );
export const scaleLog = () => scale(Math.log, Math.exp);

/** A function of a number, with domain(ends) and range(ends), which without ends return them, invert(place) and
 *  ticks(count). `to` makes it straight, `from` undoes that. */
function scale(to, from) {
  let [domain, range, low, span] = [[], [0, 1], 0, 1];
  const between = ([a, b], share) => a * (1 - share) + b * share;
  const made = (v) => between(range, (to(v) - low) / span);
  return Object.assign(made, {
    domain(ends) {
      if (!ends) return domain;
      domain = ends;
      low = to(domain[0]);
      span = to(domain[1]) - low || 1;
      return made;
    },
    range(ends) {
      if (!ends) return range;
      range = ends;
      return made;
    },
    invert: (place) => from(low + (span * (place - range[0])) / (range[1] - range[0])),
    ticks: (count) => ticks(...domain, count),
  });
}

/** Some `count` numbers from `low` to `high`, multiples of 1, 2 or 5 times a power of ten. */
export function ticks(low, high, count) {
  const step = (high - low) / count;
  const power = Math.floor(Math.log10(step));
  const over = step / 10 ** power;
  const digit = over >= Math.sqrt(50) ? 10 : over >= Math.sqrt(10) ? 5 : over >= Math.SQRT2 ? 2 : 1;
  const value = (i) => (power < 0 ? (i * digit) / 10 ** -power : i * digit * 10 ** power);
  const first = Math.ceil(low / value(1) - 1e-9);
  const last = Math.floor(high / value(1) + 1e-9);
  return Array.from({ length: Math.max(0, last - first + 1) || 0 }, (_, i) => value(first + i));
}
