// Words: numbers as one writes them, the names of what can be chosen, and what is said of a run. Pure.

export const OPTIMIZERS = {
  sgd: "SGD",
  "heavy-ball": "SGD with momentum (heavy ball)",
  nesterov: "Nesterov",
  lars: "LARS",
};
export const GRADIENTS = {
  recorded: "as in the recorded run",
  correlated: "as recorded, with the correlation of batches",
  constant: "held constant",
  mine: "as in my last run",
};
export const PANELS = {
  norm: "|w|²",
  balance: "shrink and growth",
  rate: "λ|g|/|w|",
  accuracy: "accuracy",
  loss: "loss",
};
export const RANGES = {
  lr: [Number.MIN_VALUE, 1000, "in (0, 1000]"],
  weight_decay: [0, 1, "in [0, 1]"],
  momentum: [0, 0.999, "in [0, 0.999]"],
};
export const SYMBOLS = { lr: "λ", weight_decay: "α", momentum: "ρ" };
export const VALUES = [
  "lr",
  "weight_decay",
  "momentum",
  "optimizer",
  "plan",
  "layer",
  "gradient",
  "panels",
  "small",
  "predict",
  "moves",
];
export const EXPLODED = 100; // a training loss, in nats, above which a run is said to have exploded

/** A number in three digits, as one would write it: 0.4, 23.1, 1,240, 5e-4. */
export function written(value) {
  if (value === 0) return "0";
  if (!Number.isFinite(value)) return value > 0 ? "∞" : "–";
  const size = Math.abs(value);
  if (size >= 999.5 && size < 999999.5) return Math.round(value).toLocaleString("en-US");
  if (size >= 1e-3 && size < 999.5) return String(+value.toPrecision(3));
  return value
    .toExponential(2)
    .replace(/\.?0+e/, "e")
    .replace("e+", "e");
}

/** A number for a field to be typed in: without the comma of thousands. */
export const plain = (value) => written(value).replace(",", "");

/** A number in as many digits as it needs, for a link: 0.35, 5e-4. */
export const exact = (value) => String(value).replace("e+", "e");

/** The number that somebody typed: 0.4, 0,4, 5e-4, 1,240; NaN for anything else. */
export function numeric(text) {
  const trimmed = text.trim();
  if (trimmed === "") return NaN;
  const thousands = /^\d{1,3}(,\d{3})+(\.\d*)?$/.test(trimmed);
  return Number(thousands ? trimmed.replaceAll(",", "") : trimmed.replace(",", "."));
}

export const name = (v) =>
  v.optimizer === "sgd" ? "SGD" : v.optimizer === "heavy-ball" ? "heavy ball" : OPTIMIZERS[v.optimizer];
export const setting = (v) =>
  `λ = ${written(v.lr)}, α = ${written(v.weight_decay)}, ρ = ${written(v.momentum)}, ${name(v)}`;

/** The last number of a list that has gaps. */
export const lastOf = (list) => list.filter(Number.isFinite).pop();

/** How a run came out, in words. */
export function outcome(run) {
  if (run.diverged_at >= 0) return `its loss was not finite from step ${run.diverged_at} on`;
  const loss = lastOf(run.loss);
  const test = lastOf(run.test_accuracy);
  if (loss > EXPLODED) return `its loss exploded, to ${written(loss)}`;
  return test === undefined ? "" : `test accuracy ${(100 * test).toFixed(1)} %`;
}
