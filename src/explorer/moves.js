// Movements from the setting that an explorer opens with: "λ × 4, α ÷ 4", as Python's `moves` and as buttons. Pure.

import { RANGES } from "./words.js";

const KEYS = { λ: "lr", α: "weight_decay", "1−ρ": "momentum" };
const PART = /^(λ|α|1−ρ) ([×÷]) (\d+(?:\.\d+)?)$/;

/** The values after a movement; those that it does not name stay. What leaves a slider's range stays at its end. */
export function moved(values, move) {
  const next = {
    lr: values.lr,
    weight_decay: values.weight_decay,
    momentum: values.momentum,
    optimizer: values.optimizer,
  };
  for (const part of move.split(", ")) {
    const [, symbol, sign, number] = part.match(PART);
    const key = KEYS[symbol];
    const factor = sign === "×" ? +number : 1 / number;
    const value = key === "momentum" ? 1 - (1 - values.momentum) * factor : values[key] * factor;
    const [low, high] = RANGES[key];
    next[key] = Math.min(high, Math.max(low, +value.toPrecision(12)));
  }
  return next;
}
