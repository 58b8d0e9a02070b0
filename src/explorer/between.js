// Between recorded runs: which of them surround a setting, and how large gradients are there. Pure.

import { group, lateSize, nearest, place } from "./evidence.js";
import { EXPLODED } from "./words.js";

const TINY = 2 ** -64; // below the codes: what is zero still has a logarithm
const SAME = 1e-9; // of ln λ, ln α, ln(1 − ρ)
const SILENT = 1e-3; // nat: of the recorded runs those that do not learn have at least ten times that, or far less

/** The recorded runs around a setting, [{run, weight}], weights that sum to 1. Of the same optimizer, with or without
 *  decay as asked; none if there is no such run. On a grid it is linear between the corners in ln λ, ln α and
 *  ln(1 − ρ), and beyond its edge stays what it is there. Runs that are no grid have weights 1/distance⁴. At a recorded
 *  setting it is that run alone.
 *
 *  Gradients of a run that broke are zero or astronomical, and half-way to them is nothing that a network does. So runs
 *  that broke are not mixed with others: the nearest run decides which of the two take part. There alone is a jump. */
export function around(runs, setting) {
  const some = group(runs, setting).map((run) => ({ run, at: place(run) }));
  if (!some.length) return [];
  const here = place(setting);
  const axes = here.map((_, i) => ticks(some.map(({ at }) => at[i])));
  const grid = axes.reduce((n, axis) => n * axis.length, 1) === some.length;
  const near = (grid ? corners(some, axes, here) : shares(some, here)).filter(({ weight }) => weight > SAME);
  const parts = near.map(({ run, weight }) => ({ run: run.opened?.() ?? run, weight }));
  const first = broke(nearest(runs, setting).run);
  const alike = parts.filter(({ run }) => broke(run) === first);
  const sum = alike.reduce((all, { weight }) => all + weight, 0);
  return alike.map(({ run, weight }) => ({ run, weight: weight / sum }));
}

/** Whether a run's loss exploded or was not finite, or a layer of it gets no gradient any more. */
export function broke({ diverged_at, loss, c2, edges }) {
  if (diverged_at >= 0 || loss.some((v) => v > EXPLODED)) return true;
  return c2.some((series) => lateSize(series, edges) < SILENT);
}

/** The different values of a coordinate, ascending. */
function ticks(values) {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted.filter((v, i) => i === 0 || v - sorted[i - 1] > SAME);
}

/** Each run's share of the box of the grid that a place lies in: the product of its shares along the axes. */
function corners(some, axes, here) {
  const along = axes.map((axis, i) => share(axis, here[i]));
  return some.map(({ run, at }) => ({ run, weight: at.reduce((w, v, i) => w * along[i](v), 1) }));
}

/** The share of each value of an axis in a place on it: the two neighbours share it, beyond an end that end has all. */
function share(axis, x) {
  const next = axis.findIndex((v) => v >= x);
  if (next <= 0) return (v) => +same(v, next < 0 ? axis.at(-1) : axis[0]);
  const [low, high] = [axis[next - 1], axis[next]];
  const part = (x - low) / (high - low);
  return (v) => (same(v, low) ? 1 - part : same(v, high) ? part : 0);
}
const same = (a, b) => Math.abs(a - b) <= SAME;

function shares(some, here) {
  const far = some.map(({ at }) =>
    Math.max(
      SAME ** 2,
      at.reduce((sum, v, i) => sum + (v - here[i]) ** 2, 0),
    ),
  );
  const near = far.map((d2) => d2 ** -2);
  const sum = near.reduce((a, b) => a + b, 0);
  return some.map(({ run }, i) => ({ run, weight: near[i] / sum }));
}

/** What theory needs of a run, between some: |w|² at the start, c² and drive of each window, each the mean of its
 *  logarithm. What ended early stays what it was last. One run alone is itself. */
export function blend(parts, { lr, weight_decay, momentum, optimizer }) {
  const [{ run }] = parts;
  if (parts.length === 1) return run;
  const each = (series) => run.w2.map((_, l) => mean(parts.map((one) => [kept(one.run[series][l]), one.weight])));
  const between = { edges: run.edges, steps: run.steps, what: run.what, parts: parts.length };
  return {
    ...{ lr, weight_decay, momentum, optimizer },
    ...between,
    w2: each("w2"),
    c2: each("c2"),
    drive: each("drive"),
  };
}

/** The values of a run, the last one again where it ended. */
function kept(values) {
  const end = values.findLastIndex(Number.isFinite);
  return values.map((v, i) => (i > end ? values[end] : v));
}

function mean(lists) {
  return lists[0][0].map((_, i) => {
    let sum = 0;
    for (const [values, weight] of lists) sum += weight * Math.log(Math.max(TINY, values?.[i] ?? NaN));
    return Math.exp(sum);
  });
}
