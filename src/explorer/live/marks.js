// Marks of what was done to a run, on the axis of its steps. Pure.

import { written } from "../words.js";

const MOST = 100; // marks that are kept
const SYMBOLS = { lr: "λ", weight_decay: "α", momentum: "ρ" };

/** What an event reads like: {t, kind, text}. */
export function mark(event) {
  const { t, type, layer, factor } = event;
  if (type === "kick") {
    const times = factor < 1 ? `÷ ${written(1 / factor)}` : `× ${written(factor)}`;
    return { t, kind: `kick ${layer}`, text: `${layer === "all" ? "w" : layer} ${times}` };
  }
  if (type === "no_norm") return { t, kind: type, text: layer ? `${layer} without batch norm` : "batch norm back" };
  const numbers = Object.keys(SYMBOLS).filter((key) => event[key] !== undefined);
  const parts = numbers.map((key) => `${SYMBOLS[key]} = ${written(event[key])}`);
  if (event.optimizer) parts.unshift(event.optimizer);
  const network = event.network === undefined ? "" : ` of network ${event.network + 1}`;
  return { t, kind: `set ${numbers} ${event.optimizer ?? ""}`, text: parts.join(", ") + network };
}

/** Add a mark to those that are there. What a slider does while it is dragged is one movement: a mark of the same kind
 *  that is no more than `near` steps back is replaced. */
export function merged(marks, one, near) {
  const last = marks.at(-1);
  if (last && last.kind === one.kind && last.kind.startsWith("set") && one.t - last.t <= near) marks.pop();
  marks.push(one);
  if (marks.length > MOST) marks.shift();
}
