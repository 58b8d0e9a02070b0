// What the figure of shrink and growth shows, as numbers and in words: λ through the points that a reader draws, and
// what |w|² makes of it. Pure.
//
//   given    {lr, weight_decay, steps, w2_0, c, schedules}: the highest λ, α, T, |w₀|², c = |g||w|, name → points
//   points   λ/lr at moments that are equally far apart, from the first step to the last: [K]

import { follow } from "../theory.js";
import { written } from "../words.js";

export const TOP = 1.25; // as high as a point can be drawn, of lr
const BALANCE = 0.02; // |ln z| below which |w|² is said to stand

/** λ of every step, [T]: straight lines between the points, taken at the middle of a step. */
export function drawn(points, { lr, steps }) {
  const last = points.length - 1;
  return Float64Array.from({ length: steps }, (_, t) => {
    const x = ((t + 0.5) / steps) * last;
    const i = Math.min(Math.floor(x), last - 1);
    return lr * (points[i] + (x - i) * (points[i + 1] - points[i]));
  });
}

/** Where shrink 2λα|w|² and growth λ²c²/|w|² cross: |w|² = c√(λ/2α). */
export const crossing = (lr, { c, weight_decay }) => c * Math.sqrt(lr / (2 * weight_decay));

/** What a step takes from |w|² and what it adds, to leading order in λα, at any |w|². */
export const amounts = (w2, lr, { c, weight_decay }) => [2 * lr * weight_decay * w2, (lr * c) ** 2 / w2];

/** Follow |w|² through the points: λ, |w|² (exactly), its crossing, and √z = λ|g|/|w| over √(2λα), each [T]. */
export function path(points, given) {
  const lr = drawn(points, given);
  const c2 = new Float64Array(given.steps).fill(given.c ** 2);
  const { w2 } = follow(given.w2_0, c2, lr, { ...given, momentum: 0, optimizer: "sgd" });
  const target = lr.map((one) => crossing(one, given));
  return { lr, w2, target, root: target.map((one, t) => one / w2[t]) };
}

/** The ranges of the axes. They depend on nothing that a reader draws, so that the axes stand still. */
export function ranges(given) {
  const top = TOP * given.lr;
  const high = 1.1 * Math.max(given.w2_0, crossing(top, given));
  const most = amounts(high, top, given)[0];
  return { lr: [0, top], w2: [0, high], amount: [most / 100, 3 * most], root: [0.1, 10] };
}

/** The point that is nearest to a share of the training, in [0, 1]. */
export const nearest = (share, points) =>
  Math.max(0, Math.min(points.length - 1, Math.round(share * (points.length - 1))));

const within = (value) => Math.max(0, Math.min(TOP, +value.toFixed(3)));

/** Points with one of them elsewhere. */
export const moved = (points, i, value) => points.map((one, j) => (j === i ? within(value) : one));

/** Points along a stroke from one place to another, {i, value} of the points that they are nearest to: those between
 *  lie on the straight line, however fast the stroke was. */
export function stroked(points, from, to) {
  const [first, last] = from.i < to.i ? [from, to] : [to, from];
  return points.map((one, j) => {
    if (j < first.i || j > last.i || (j === from.i && from.i !== to.i)) return one;
    if (j === to.i) return within(to.value);
    return within(first.value + ((last.value - first.value) * (j - first.i)) / (last.i - first.i));
  });
}

/** What happens in step t. */
export function sentence(t, { lr, w2, root }, given) {
  const start = `Step ${written(t)}: λ = ${written(lr[t])}, |w|² = ${written(w2[t])}.`;
  if (lr[t] === 0) return `${start} With λ = 0 nothing moves.`;
  const [taken, added] = amounts(w2[t], lr[t], given).map(written);
  const far = 2 * Math.log(root[t]);
  const goes = Math.abs(far) < BALANCE ? "stands" : far > 0 ? "grows" : "shrinks";
  return `${start} Shrink takes ${taken}, growth adds ${added}: |w|² ${goes}. √z = ${written(root[t])}.`;
}
