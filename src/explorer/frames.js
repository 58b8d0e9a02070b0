// The frame of a chart: the range of values that its axis shows. It stands still while something moves, so that the eye
// sees the curves move, not the numbers at the axis. Pure.

const EVERY = 2; // ends of a logarithmic frame in a decade
const BELOW = 0.5; // of a decade, room for what moves: λ × 30 fits into it
const ABOVE = 1.25;
const FULL = 0.6; // a frame of which less is used is made anew, once all is at rest
const APART = 0.75; // decades by which dots may widen a logarithmic frame of theory
const TIMES = 3; // a linear one to so much

/** The range of what is shown, [low, high], null without anything: of theory all, of the runs no more than leaves
 *  theory to be seen. What explodes beyond `cap`, or lies `decades` below the top, is out of the picture. */
export function extent(series, { log, decades = 12, cap = 1e12 }) {
  const part = (list) => {
    let low = Infinity;
    let high = -Infinity;
    for (const { ys } of list) {
      for (const v of ys) {
        if (v < cap && v < Infinity && (!log || v > 0)) {
          if (v < low) low = v;
          if (v > high) high = v;
        }
      }
    }
    return low > high ? null : [low, high];
  };
  const theory = ({ kind, layer }) => kind === "line" && layer;
  const shown = series.filter((one) => one.class !== "ghost");
  const all = limited(part(shown.filter(theory)), part(shown.filter((one) => !theory(one))), log);
  if (!all) return null;
  const [low, high] = all;
  return log ? [Math.max(low, high / 10 ** decades), high] : [Math.min(0, low), high];
}

function limited(theory, runs, log) {
  if (!theory || !runs) return theory ?? runs;
  const [low, high] = log ? [theory[0] / 10 ** APART, theory[1] * 10 ** APART] : [-Infinity, TIMES * theory[1]];
  const clip = (v) => Math.min(high, Math.max(low, v));
  return [Math.min(theory[0], clip(runs[0])), Math.max(theory[1], clip(runs[1]))];
}

/** The frame after a look at what is shown; `before` is null for a new one. It grows at once, and shrinks only when all
 *  is at rest and little of it is used. */
export function framed(before, shown, { log, moving = false }) {
  if (!shown) return before ?? (log ? [1, 10] : [0, 1]);
  const wish = wanted(shown, log);
  if (!before) return wish;
  const grown = [
    shown[0] < before[0] ? Math.min(before[0], wish[0]) : before[0],
    shown[1] > before[1] ? Math.max(before[1], wish[1]) : before[1],
  ];
  return !moving && size(wish, log) < FULL * size(grown, log) ? wish : grown;
}

const size = ([low, high], log) => (log ? Math.log(high / low) : high - low);

/** Room around what is shown. The ends of a logarithmic frame are half decades, that of a linear one 1, 2 or 5 times a
 *  power of ten. */
function wanted([low, high], log) {
  if (!log) return [low < 0 ? -round(-low) : 0, high > 0 ? round(1.1 * high) : 1];
  const end = (v, to) => 10 ** (to(EVERY * Math.log10(v)) / EVERY);
  return [end(low, (x) => Math.floor(x - EVERY * BELOW)), end(high, (x) => Math.ceil(x + EVERY * ABOVE))];
}

/** The least of 1, 2, 5 times a power of ten that is as large. */
function round(value) {
  const power = 10 ** Math.floor(Math.log10(value));
  return power * [1, 2, 5, 10].find((digit) => digit * power >= value * (1 - 1e-9));
}
