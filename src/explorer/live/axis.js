// Axes that stand still: which steps are seen, and a range of values that grows at once and shrinks late. Pure.

import { directed, relaxation } from "../decoupled.js";
import { ringing, timeConstant } from "../theory.js";

const SPANS = [1, 2, 5];
const LEAST = 1000; // steps
const MOST = 10000;
const AHEAD = 1.2; // quarters of an axis that lie ahead, at least
const QUIET = 60; // looks at a range that is too wide before it shrinks, some three seconds
const ROOM = 0.5; // of a decade: what a logarithmic range may be too wide

/** A number of 1, 2 or 5 times a power of ten, at least `value`. */
export function round(value) {
  const power = 10 ** Math.floor(Math.log10(value) + 1e-9);
  return power * (SPANS.find((digit) => digit * power >= value * (1 - 1e-9)) ?? 10);
}

/** How many steps an axis shows of a setting: some twelve time constants; where |w|² rings, five of its damping. */
export function span(values) {
  const ball = { ...values, optimizer: values.optimizer === "nesterov" ? "heavy-ball" : values.optimizer };
  const tau = (ringing(ball) ? 5 : 12) * (directed(values.optimizer) ? relaxation : timeConstant)(ball);
  return round(Math.min(MOST, Math.max(LEAST, Number.isFinite(tau) ? tau : MOST)));
}

/** The steps that are seen, [from, to]: all of them, or the last ones and what lies ahead, three to six tenths of the
 *  axis. It moves on in jumps of a quarter, so that it can be read. */
export function steps(t, width, all) {
  if (all) return [0, Math.max(width, round(1.2 * t))];
  const jump = width / 4;
  const to = Math.max(width, jump * Math.ceil(t / jump + AHEAD));
  return [to - width, to];
}

/** A range as it is after a look at what is shown, [low, high] of it; `held` while the reader moves something.
 *  It grows at once. It shrinks when it was too wide for QUIET looks. On a logarithmic axis its ends are 1, 2 or 5
 *  times a power of ten, on a linear one its top is, and its bottom is 0. */
export function settle(range, [low, high], { log, held = false }) {
  const wish = log ? [below(low), round(high * 1.02)] : [0, round(high * 1.02)];
  if (!(high > 0) || !Number.isFinite(high) || (log && !(low > 0)))
    return range ?? { low: log ? 0.1 : 0, high: 1, wait: 0 };
  if (!range) return { low: wish[0], high: wish[1], wait: 0 };
  const grown = { low: Math.min(range.low, wish[0]), high: Math.max(range.high, wish[1]), wait: 0 };
  if (grown.low < range.low || grown.high > range.high) return grown;
  if (held || !tooWide(range, wish, log)) return { ...range, wait: 0 };
  return range.wait < QUIET ? { ...range, wait: range.wait + 1 } : { low: wish[0], high: wish[1], wait: 0 };
}

const below = (value) => 1 / round(1 / (value * 0.98));

function tooWide({ low, high }, wish, log) {
  if (!log) return high > 2.2 * wish[1];
  return Math.log10(wish[0] / low) + Math.log10(high / wish[1]) > ROOM;
}
