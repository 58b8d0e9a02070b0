// What stands at the charts, in words. Pure.

import { asked, mine, own, seen, settling, shown } from "./state.js";
import { name, outcome, setting, written } from "./words.js";

const CAPTIONS = {
  norm(state, { plan, layers }) {
    const bars = plan.schedule === "constant" && seen(state) && layers.some(({ limit }) => Number.isFinite(limit));
    return `|w|² (u²)${bars ? "; bars at the right: equilibrium" : ""}`;
  },
  balance(state, { names }) {
    if (state.optimizer === "lars") return "growth of |w|² a step (u²): LARS has no decay";
    if (state.weight_decay === 0) return "growth of |w|² a step (u²): there is no decay";
    return shown(state, names).length === 1
      ? "shrink (solid) and growth (dashed) of |w|² a step (u²)"
      : "growth / shrink of |w|²; bold: balance";
  },
  rate(state, { plan }) {
    const axis = plan.schedule === "constant" ? "" : "; the axis is linear";
    if (state.optimizer === "lars") return `λ_LARS (prescribed)${axis}`;
    return `λ|g|/|w|${state.weight_decay > 0 && seen(state) ? "; bold: √(2λα(1−ρ))" : ""}${axis}`;
  },
  accuracy: () => "accuracy: training (dotted), test (solid)",
  loss: () => "loss (nat): training (dotted), test (solid)",
};

export const caption = (panel, state, computed) => CAPTIONS[panel](state, computed);

/** A chart in a sentence, for who cannot see it. */
export function spoken(caption, series) {
  const paths = series.filter((one) => one.kind === "line" && !one.class && !one.xs);
  if (!paths.length) return `${caption}.`;
  const span = (list) =>
    list.length === 1 ? written(list[0]) : `${written(Math.min(...list))} to ${written(Math.max(...list))}`;
  const from = span(paths.map((one) => one.ys[0]));
  const to = span(paths.map((one) => one.ys.at(-1)));
  const curves = `${paths.length} curve${paths.length > 1 ? "s" : ""}`;
  return `${caption}. Theory: from ${from} at the first step to ${to} at the last, ${curves}.`;
}

/** How the run of the dots came out, where it may be said. */
export const result = (state, { found }) => (found && seen(state) ? outcome(found.run) : "");

/** What the dots are, and what the lines were computed from. */
export function sources(state, computed) {
  const { found } = computed;
  const last = own(state).includes(mine(state)) ? ` Open dots: my last run, ${setting(mine(state))}.` : "";
  const theory = `Lines: theory, with ${gradients(state, computed)}.`;
  if (!found) return `No recorded run of ${name(state)} in this training. ${theory}${last}`;
  const said = result(state, computed);
  const dots = found.exact ? "recorded at exactly these values" : `the nearest recorded run, ${setting(found.run)}`;
  const what = `Dots: ${dots}; ${found.run.what}${said && `; ${said}`}.`;
  return `${what} Lines: theory, from the norms at the start and ${gradients(state, computed)}.${last}`;
}

/** Whose gradients the theory has. */
function gradients(state, { found, sizes, last }) {
  if (last) return "the size of the gradients in my last run";
  const size = `the size of the gradients${state.plan === "here" ? " of the book's network on CIFAR-10" : ""}`;
  const where = `${sizes.parts ? "at" : "in the run with"} ${setting(sizes)}`;
  if (state.gradient === "constant") return `${size}, held at what it is, late, ${where}`;
  if (sizes.parts) return `${size}, interpolated between the ${sizes.parts} recorded runs around`;
  return `${size} ${found?.exact ? "in it" : where}`;
}

/** What is asked, with what an answer takes: |w|² at the start, and the size of the gradients. */
export function question(state, { names, layers, plan }) {
  const { w2, late } = layers[names.indexOf(asked(state))];
  return (
    `|w|² of ${asked(state)} starts at ${written(w2[0])}; late in training c = |g||w| is ${written(late)} nat. ` +
    `Where will it ${settling(state, plan) ? "settle" : "be at the end"}? Type it, or tap the first chart:`
  );
}

/** A guess and what it was to be; `score` as in compute.js. */
export function verdictOn({ guess, theory, measured, factor }, settles) {
  return (
    `You said ${written(guess)}. Theory${settles ? ", equilibrium" : ", at the end"}: ${written(theory)}; ` +
    `you are off by a factor of ${written(factor)}.` +
    (measured ? ` The recorded run ends at ${written(measured)}.` : "")
  );
}

/** The table under the cursor has a row a layer, with these heads. */
export function heads({ plan }) {
  const now = plan.schedule === "constant" ? "equilibrium" : "equilibrium at this λ";
  return ["layer", "|w|² theory", "|w|² dots", now, "shrink", "growth", "λ|g|/|w|"];
}

/** A number of that table, of column i: beyond the codes of the evidence nothing is told apart. */
export function cell(v, i) {
  if (v === null) return "";
  if (i === 2 && v === Infinity) return "none"; // and NaN, where decay overshoots or a run broke, is a dash
  return v > 1e19 ? "over 1e19" : written(v);
}

export const place = (t, { plan }) =>
  `step ${written(t)}${plan.here ? "" : `, epoch ${(t / plan.steps_per_epoch).toFixed(2)}`}`;
