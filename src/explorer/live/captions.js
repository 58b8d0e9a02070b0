// What the live network says: of a story, at the charts, of a movement, and of how well theory agrees. Pure.

import { directed, relaxation } from "../decoupled.js";
import { larsRate, ringing, timeConstant } from "../theory.js";
import { written } from "../words.js";
import { agreement, lineOf, overLine, RECENT, SHAPES, settlesAt } from "./forecast.js";
import { column, mean } from "./history.js";
import { forgets, NAMES } from "./optimizers.js";
import { blind, ofNormalized, SHIELDED, short, shrunk } from "./run.js";
import { WINDOW } from "./series.js";
import { setting as scenery } from "./state.js";
import { DEFAULT, STORIES, scene } from "./stories.js";

const rateOf = (optimizer) => (directed(optimizer) ? "λ|v|/|w|" : "λ|g|/|w|");
const lineNamed = (optimizer) => (directed(optimizer) ? "√(2λα/S)" : "√(2λα(1−ρ))");
const RMS = `rms over ${WINDOW} steps`;
const RATES = {
  lars: "LARS sets λ|g|/|w| to √(2λα(1−ρ)), bold",
  adam: `λ|v|/|w|, ${RMS}; each layer has a level of its own`,
};
const BALANCES = { lars: ": LARS has no shrink", adam: ": Adam has both in one step" };
const TAKEN = { adamw: ", with s as measured", adam: ", with s as measured", muon: ", with |v|² as measured" };
const CAPTIONS = {
  norm: ({ optimizer }) => `|w|² (u²): dots measured, lines theory${TAKEN[optimizer] ?? ""}, bars equilibrium`,
  rate: ({ optimizer }) => RATES[optimizer] ?? `${rateOf(optimizer)}, ${RMS}; bold: ${lineNamed(optimizer)}`,
  angle: ({ optimizer }) => `angle of a step (rad), ${RMS}${optimizer === "adam" ? "" : "; bold: at equilibrium"}`,
  cosine: () => `cosine of w and g, ${RMS}`,
  balance: ({ optimizer }) =>
    `growth ÷ shrink of |w|²${BALANCES[optimizer] ?? `, mean over ${WINDOW} steps; bold: balance`}`,
  loss: () => `loss (nat): mean over ${WINDOW} steps; dots: test`,
  accuracy: () => `accuracy (%): mean over ${WINDOW} steps; dots: test`,
};

/** What a panel shows; of two networks with an optimizer each the second one, too, in another `other`. */
export function caption(panel, settings, other = settings) {
  const text = CAPTIONS[panel](settings);
  if (other.optimizer === settings.optimizer) return text;
  if (panel === "loss" || panel === "accuracy") return `${text}; dashed: ${NAMES[other.optimizer]}`;
  const rate = panel === "rate" ? `, ${rateOf(other.optimizer)}; dashed: ${lineNamed(other.optimizer)}` : "";
  return `${text}; open: ${NAMES[other.optimizer]}${rate}`;
}

const factor = (value) => value.toFixed(value < 9.95 ? 2 : 1);
const steps = (n) => `${written(n)} step${n === 1 ? "" : "s"}`;
const span = (list) => {
  const [low, high] = [Math.min(...list), Math.max(...list)].map(factor);
  return low === high ? low : `${low} to ${high}`;
};

/** What to look at, as the story has it; where the reader has other values than it was told with, that. */
export function look(state) {
  const { story, own } = state;
  if (!story) return "Move λ, α or ρ: lines show where every |w|² will go, and dots arrive.";
  const { label, look: told, acts } = STORIES[story];
  const has = own ?? scenery(state);
  if (Object.entries(scenery(scene(story))).every(([key, value]) => has[key] === value)) return told;
  const when = [...new Set((acts ?? []).map(({ t }) => `step ${written(t)}`))];
  const acting = when.length ? ` It still does what it does at ${listed(when)}.` : "";
  const of = `The story “${label}” is told of ${numbers(scene(story))}, and you have moved that.`;
  return `${of}${acting} Its button begins it again.`;
}

/** What theory says of the setting, in a sentence or two; `line` is its forecast, if there is one yet. */
export function verdict(setting, line = null) {
  const { lr, weight_decay: alpha, momentum, optimizer } = setting;
  const own = directed(optimizer);
  const values = { lr, weight_decay: alpha, momentum, optimizer: optimizer === "nesterov" ? "heavy-ball" : optimizer };
  const rate = own ? lineOf(setting, SHAPES.at(-1)) : larsRate(lr, alpha, momentum);
  if (line?.falls) return "Theory: the lines are drawn for λ as it is going to fall.";
  if (alpha === 0 && optimizer === "lars") return "With α = 0 LARS takes no steps: its rate is √(2λα(1−ρ)).";
  if (alpha === 0) return "No decay: nothing shrinks |w|, and there is no equilibrium.";
  if (optimizer === "lars") return `LARS: each step has the length ${written(rate)} |w|, and nothing shrinks |w|.`;
  const adam = optimizer === "adam";
  const overshoots = own ? (adam ? NaN : 2) : (2 * (1 + momentum)) / (optimizer === "nesterov" ? 1 + 2 * momentum : 1);
  if (lr * alpha >= overshoots) return `λα = ${written(lr * alpha)}: decay alone makes |w| longer at every step.`;
  if (lr * alpha > 0.5 && !adam)
    return `λα = ${written(lr * alpha)}: one step replaces most of w, and this theory is for small λα.`;
  const rings = ringing(values);
  const ring = rings && rings.period < 6 * rings.damping ? ` On the way it rings, period ${steps(rings.period)}.` : "";
  const independent = momentum > 0 ? ", if batches are independent" : "";
  const balance = adam
    ? "where layers settle depends on the size of their gradients"
    : `in equilibrium ${rateOf(optimizer)} = ${written(rate)} in every layer with batch norm${independent}`;
  return `Theory: ${goal(line, own ? relaxation(values) : timeConstant(values))}; ${balance}.${ring}`;
}

/** When the norms settle, in words. */
function goal(line, tau) {
  const at = line ? settlesAt(line) : NaN;
  if (at <= line?.t) return "every line is within 5 % of its bar";
  if (Number.isFinite(at)) return `every line is within 5 % of its bar from step ${written(at)} on`;
  return `|w|² approaches its level with the time constant ${steps(tau)}`;
}

/** How well the dots agree with theory, and what is to be known of it. */
export function agrees(run, network = run.networks[0]) {
  if (run.state === "diverged") return diverged(run);
  const found = agreement(network.past, network.line);
  if (!network.past.steps) return "";
  if (!network.line) return "Theory begins as soon as the size of the gradients is known.";
  if (!found) return "Theory has just been drawn anew.";
  const has = told(run, network);
  const ratios = found.ratios.filter((_, l) => has[l]);
  if (!ratios.length) return tooShort(run, network).trim();
  if (!ratios.every(Number.isFinite)) return "|w|² is zero or infinite by now: there is nothing to compare.";
  const layers = has.every(Boolean) ? `all ${ratios.length} layers` : `the ${ratios.length} other layers`;
  const apart = found.ratios[blind(run, network).indexOf(false)];
  return (
    `${steps(found.steps)} after theory was drawn: |w|² is ${span(ratios)} times the line in ${layers}.` +
    (apart ? ` In ${network.no_norm}, without batch norm, ${factor(apart)} times.` : "") +
    tooShort(run, network) +
    onTheLine(run, network) +
    guessing(network)
  );
}

/** The layers of which the sentence tells: those that theory is for, and that are not too short for it. */
function told(run, network) {
  const gone = shrunk(run, network);
  return blind(run, network).map((has, l) => has && !gone[l]);
}

/** Layers that have shrunk so far that theory no longer holds. */
function tooShort(run, network) {
  const names = run.layers.filter((_, l) => shrunk(run, network)[l]);
  if (!names.length) return "";
  return (
    ` In ${listed(names)} |w|² is below ${written(short(network))}, so short that the ε of batch norm counts: ` +
    "theory does not hold there. Restart begins again."
  );
}

const listed = (names) => [names.slice(0, -1).join(", "), names.at(-1)].filter(Boolean).join(" and ");

/** λ|g|/|w| over the bold line, once five time constants have passed since the last movement. */
function onTheLine(run, network) {
  const { settings, past } = network;
  const from = run.since + 5 * relaxation(settings);
  const layers = network.line.layers;
  const found = run.ramp ? null : overLine(past, Math.ceil(from), settings, WINDOW, layers, run.shapes);
  const has = told(run, network);
  const ratios = found?.filter((_, l) => has[l]);
  if (!ratios?.length) return "";
  const times = `${span(ratios)} times ${settings.optimizer === "adam" ? "its level" : "the bold line"}`;
  return ` ${rateOf(settings.optimizer)} is ${times} (rms over ${steps(past.steps - Math.ceil(from))}).`;
}

/** Whether the network has stopped learning: its loss is that of who guesses among ten classes. */
function guessing({ past }) {
  const loss = mean(past, column("loss"), past.steps - WINDOW);
  if (past.steps < 3 * WINDOW || Math.abs(loss - Math.log(10)) > 0.005) return "";
  return " The network does not learn: its loss is that of guessing, ln 10 = 2.30.";
}

function diverged(run) {
  const [first] = run.networks.map((one) => one.diverged_at).filter((t) => t >= 0);
  return `The loss is no longer finite at step ${written(first ?? run.t)}: this network is lost. Restart begins again.`;
}

/** What a kick did to what the network computes. */
export function kicked({ layer, factor: by, logits_change: change, logits_change_no_eps: bare }) {
  const times = by < 1 ? `divided by ${written(1 / by)}` : `multiplied by ${written(by)}`;
  return (
    `The weights of ${layer === "all" ? "all layers" : layer} were ${times}. The outputs of the network changed by ` +
    `${written(change)} of the largest of them; without the ε of batch norm, by ${written(bare)}.`
  );
}

/** What it means to take batch norm out of a layer. */
export function withoutNorm(layer, optimizer) {
  if (!layer) return "All layers have batch norm.";
  if (ofNormalized(optimizer))
    return `${layer} has no batch norm now, so here SGD moves it: theory is not for this layer.`;
  if (layer in SHIELDED)
    return `${layer} has no batch norm now. Theory still holds: that of ${SHIELDED[layer]} divides the length out.`;
  return `${layer} has no batch norm now, and the loss depends on its length: theory is not for this layer.`;
}

/** Of two networks, how far the losses of the same batches are apart: {same, most, steps}. */
export function twins({ same, most, steps: n }) {
  if (!n) return "";
  if (same === n) return `The losses of both networks are equal, bit for bit, in all ${steps(n)}.`;
  const equal = `The losses of both networks are equal, bit for bit, in ${written(same)} of ${steps(n)}`;
  return `${equal}; largest difference ${written(most)} nat.`;
}

/** Of two networks with an optimizer each, what the second one has and how well theory agrees with it. */
export function beside(run) {
  const [, { settings, line }] = run.networks;
  if (run.state === "diverged" || !line) return "";
  const at = lineOf(settings, run.shapes.at(-1));
  const bold = Number.isFinite(at) && at > 0 ? `, dashed line at ${written(at)}` : "";
  return `Open: ${numbers(settings)}${bold}. ${agrees(run, run.networks[1])}`;
}

/** What a change of the optimizer does to what was remembered, and to λ and α where it `carries` them over. */
export function takenOver(from, { lr, weight_decay, momentum, optimizer }, carries) {
  const memory = forgets(from, optimizer)
    ? `${NAMES[optimizer]} begins without a memory: v is zero, as that of ${NAMES[from]} has another unit.`
    : `${NAMES[optimizer]} goes on with what ${NAMES[from]} remembers.`;
  if (!carries) return memory;
  const to = `λ, α and ρ are now ${written(lr)}, ${written(weight_decay)} and ${written(momentum)}`;
  const alike = optimizer === "adam" || from === "adam" || !weight_decay;
  return `${memory} ${to}${alike ? "." : ": steps turn the weights as far as before, in the long run."}`;
}

/** What theory takes for the size of the gradients. */
export function sizes({ correlated, optimizer }) {
  const last = `, mean over the last ${RECENT} steps when it was drawn. `;
  const grows = correlated ? " The growth of |w|² is as measured, too." : "";
  const taken = {
    lion: "Theory takes |v|² = K, the number of weights.",
    muon: `Theory takes |v|² of each layer${last}`,
    adam: `Theory takes c² = |g|²|w|² of each layer${last}It follows s from where it is.`,
  };
  const kappa = correlated ? "c²(1 + 2ρκ), κ as measured," : "c² = |g|²|w|²";
  const known = taken[optimizer === "adamw" ? "adam" : optimizer];
  const size = known
    ? `${known.trim()}${grows} v: what λ multiplies. s: Adam's mean of g². `
    : `Theory takes ${kappa} of each layer${last}κ: how far the gradients of consecutive batches point the same way. `;
  return `${size}u: unit of the weights, nat: unit of the loss, rms: root of the mean square.`;
}

/** How it runs, in words. */
export function runs({ state, t, steps_per_second: speed, kernels, where, start }, playing = state === "running") {
  const how =
    { simd: "", plain: ", in plain JavaScript (slower: WebAssembly SIMD is not to be had here)" }[kernels] ?? "";
  const place = where === "page" ? ", on the page itself, as it may start no worker" : "";
  const goes = playing && state !== "diverged"; // also where it rests between two steps of a story
  const said = goes ? `${written(Math.round(speed))} steps a second` : ({ diverged: "stopped" }[state] ?? "paused");
  return `step ${written(t)}, ${said}${how}${place}; batches of ${start.batch_size}`;
}

/** A chart in a sentence, for who cannot see it. */
export function spoken(text, shown) {
  const dots = shown.filter(({ kind, ys, network }) => (kind === "dots" || kind === "curve") && ys.length && !network);
  if (!dots.length) return `${text}. Nothing yet.`;
  const last = dots.map(({ ys }) => ys.at(-1));
  const [low, high] = [Math.min(...last), Math.max(...last)].map(written);
  return `${text}. Now ${low === high ? low : `${low} to ${high}`}.`;
}

const numbers = (v) =>
  `λ = ${written(v.lr)}, α = ${written(v.weight_decay)}, ρ = ${written(v.momentum)}, ${NAMES[v.optimizer]}`;
export const setting = (v) => `${numbers(v)}, seed ${v.seed ?? DEFAULT.seed}`;
