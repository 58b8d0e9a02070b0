// The numbers at an axis. Pure.

const superscript = (n) => String(n).replace(/./g, (c) => "⁰¹²³⁴⁵⁶⁷⁸⁹"[c] ?? "⁻");

export function tick(value) {
  const power = Math.floor(Math.log10(Math.abs(value)) + 1e-9);
  if (value === 0 || (Math.abs(value) >= 0.001 && Math.abs(value) < 1e5)) return String(+value.toPrecision(6));
  const digit = value / 10 ** power;
  return (Math.abs(digit - 1) < 1e-6 ? "10" : `${+digit.toPrecision(2)}·10`) + superscript(power);
}

/** A whole number, with the comma of thousands. */
export const grouped = (value) => value.toLocaleString("en-US");

/** Where a logarithmic scale has its numbers. */
export function logTicks(y) {
  const [low, high] = y.domain();
  const out = [];
  const decades = Math.log10(high / low);
  const digits = decades > 3 ? [1] : decades > 1.2 ? [1, 3] : [1, 2, 5];
  const every = Math.ceil(decades / 6);
  for (let p = Math.floor(Math.log10(low)); p <= Math.log10(high); p++) {
    if (p % every === 0) for (const d of digits) if (d * 10 ** p >= low && d * 10 ** p <= high) out.push(d * 10 ** p);
  }
  return out.length > 1 ? out : y.ticks(4);
}
