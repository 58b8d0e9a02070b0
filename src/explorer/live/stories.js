// Stories: each sets the scene, and says what to look at. Pure.
//
//   label      on the button                        set     values that differ from DEFAULT
//   look       two sentences                        panels  that tell it, the first two seen in small
//   networks   where there are two of them, what each has beside the values: an optimizer of its own has the same λα
//   acts       [{t, command}] of the page at a step; `lr: 2` in `times` multiplies; `to` has new values
//   ramp       λ that falls linearly to zero: {start, end}, in steps
//   layer      that is kicked, or has no batch norm

import { beside, HOMES } from "./optimizers.js";

export const DEFAULT = { lr: 0.5, weight_decay: 0.01, momentum: 0, optimizer: "sgd", seed: 1 };
export const BATCH = 32;
const SETTLED = 600; // steps: twelve time constants of DEFAULT, and the gradients change slowly by then
const SAME = { eps: 1e-30 }; // of batch norm: it knows the length of w, and would part the two

export const STORIES = {
  settle: {
    label: "settle",
    look:
      "Every |w|² goes to a level of its own, which moves as the network learns. λ|g|/|w| goes to the same level in " +
      "all eight layers: the bold line √(2λα).",
    panels: ["norm", "rate"],
  },
  double: {
    label: "double λ",
    look:
      "At step 600 λ is doubled, and theory draws where each |w|² will go. In the end λ|g|/|w| is √2 times " +
      "what it was, and |w|² too if c = |g||w| stays.",
    panels: ["norm", "rate"],
    acts: [{ t: SETTLED, times: { lr: 2 } }],
  },
  kick: {
    label: "kick",
    look:
      "At step 600 the weights of layer2 are multiplied by three, at step 1,000 divided by three. " +
      "The network computes the same function, but for the ε of batch norm; |w|² comes back slowly from above.",
    panels: ["norm", "rate"],
    layer: "layer2",
    acts: [
      { t: SETTLED, command: { type: "kick", factor: 3 } },
      { t: 1000, command: { type: "kick", factor: 1 / 3 } },
    ],
  },
  rings: {
    label: "rings",
    look:
      "With ρ = 0.99 the momentum remembers a hundred steps. At step 600 all weights become twice as long: " +
      "|w|² falls below its level and swings back, with about the period of the lines.",
    set: { optimizer: "heavy-ball", momentum: 0.99, lr: 0.02, weight_decay: 0.01 },
    panels: ["norm", "rate"],
    layer: "all",
    acts: [{ t: SETTLED, command: { type: "kick", factor: 2 } }],
  },
  slow: {
    label: "never settles",
    look:
      "The time constant 1/(4λα) is 25,000 steps: you would wait long. Until then |w|² is what the start and " +
      "the growth have made of it, and λ|g|/|w| is not at the bold line.",
    set: { lr: 0.1, weight_decay: 1e-4 },
    panels: ["norm", "rate"],
  },
  growth: {
    label: "no decay",
    look:
      "With α = 0 nothing shrinks the norm: the gradient, at a right angle to w, can only make it longer. So |w|² " +
      "grows without end, and in the long run steps turn w less and less.",
    set: { weight_decay: 0 },
    panels: ["norm", "angle"],
  },
  hot: {
    label: "too hot",
    look:
      "With λα = 3 decay takes three times w away, so w turns round and gets twice as long at every step. After some " +
      "fifty steps the numbers overflow; the page says so, and Restart begins again.",
    set: { lr: 300, weight_decay: 0.01 },
    panels: ["norm", "loss"],
  },
  control: {
    label: "negative control",
    look:
      "At step 600 batch norm is taken out of layer3.res2. There the gradient is no longer at a right angle " +
      "to w, and λ|g|/|w| leaves the bold line; in the seven other layers the gradient stays at a right angle.",
    set: { lr: 0.1, weight_decay: 0.05 },
    panels: ["cosine", "rate"],
    layer: "layer3.res2",
    acts: [{ t: SETTLED, command: { type: "no_norm" } }],
  },
  decay: {
    label: "λ to zero",
    look:
      "From step 600 on λ falls in a straight line, to 1/1,800 of it at step 2,400, and the loss drops. λ|g|/|w| " +
      "first follows the bold line; near the end it falls below, as |w| cannot shrink so fast.",
    panels: ["rate", "loss"],
    ramp: { start: SETTLED, end: 2400 },
  },
  adamw: {
    label: "AdamW",
    look:
      "AdamW divides a gradient by its size, so K weights bring |w|² near λK/(2α), however long gradients are: the " +
      "bars. λ|v|/|w|, v being what λ multiplies, goes to the bold line √(2λα/S) in all layers.",
    set: { optimizer: "adamw", ...HOMES.adamw },
    panels: ["norm", "rate"],
  },
  beside: {
    label: "SGD and AdamW",
    look:
      "SGD, filled, and AdamW, open, have the same λα: λ times an update over |w| goes to √(2λα) in both, while |w|² " +
      "differs. At step 600 AdamW gets ρ = 0.9: its updates are alike now, and its line, dashed, falls by √S = √19.",
    panels: ["norm", "rate"],
    networks: [{}, { optimizer: "adamw" }],
    acts: [{ t: SETTLED, command: { type: "set", network: 1, momentum: 0.9 } }],
  },
  muon: {
    label: "SGD → Muon",
    look:
      "At step 600 Muon takes over from SGD, with another λ and α but the same λα. Each |w|² goes elsewhere and a " +
      "single step is shorter; in the long run weights turn as far as before, √(2λα) a step.",
    panels: ["norm", "rate"],
    acts: [{ t: SETTLED, to: { optimizer: "muon", ...HOMES.muon } }],
  },
  twins: {
    label: "same λα",
    look:
      "Two networks from one seed, whose convolutions have (λ, α, w₀), filled, and (4λ, α/4, 2w₀), open; the rest " +
      "has the same λ. They compute one function at every step, while |w|² differs by a factor of 4.",
    panels: ["norm", "loss"],
    networks: [SAME, { ...SAME, lr: 4, weight_decay: 1 / 4, init_scale: 2, rest_lr_scale: 1 / 4 }],
  },
  cousins: {
    label: "same λα, same w₀",
    look:
      "The same two settings, from the same w₀. At first their steps turn w by different angles; once both have " +
      "settled the angle is the same, as it depends on λα alone.",
    panels: ["norm", "angle"],
    networks: [SAME, { ...SAME, lr: 4, weight_decay: 1 / 4, init_scale: 1, rest_lr_scale: 1 / 4 }],
  },
};

/** The values that a story starts with. */
export const scene = (name) => ({ ...DEFAULT, ...STORIES[name]?.set });

/** The command that starts a network, or two, with these values: {lr, weight_decay, momentum, optimizer, seed}. */
export function start(values, story) {
  const networks = (STORIES[story]?.networks ?? [{}]).map((own) => networkOf(values, own));
  return { type: "start", seed: values.seed, batch_size: BATCH, networks };
}

/** A network's part of it. `own` multiplies λ and α, and adds what else it has; or it has an optimizer of its own. */
function networkOf({ lr, weight_decay, momentum, optimizer }, own) {
  if (own.optimizer) return beside({ lr, weight_decay, momentum }, own.optimizer);
  const { lr: more = 1, weight_decay: less = 1, ...rest } = own;
  return { lr: more * lr, weight_decay: less * weight_decay, momentum, optimizer, ...rest };
}

/** What a change of the values is to the lab: one command, or one for each network where their λ and α differ. `values`
 *  are all of them, after it. */
export function sets(changes, story, values) {
  const two = STORIES[story]?.networks;
  if (!two) return [{ type: "set", ...changes }];
  return two.map(({ lr = 1, weight_decay = 1, optimizer }, network) => {
    const own = { type: "set", network, ...changes };
    if (optimizer) {
      const { momentum, ...all } = beside(values, optimizer);
      return { ...own, ...all, ...("momentum" in changes && { momentum }) };
    }
    if ("lr" in changes) own.lr = lr * changes.lr;
    if ("weight_decay" in changes) own.weight_decay = weight_decay * changes.weight_decay;
    return own;
  });
}

/** What the page does by itself between the steps `from` (not done yet) and `to`: [{command}, {times} or {to}]. What is
 *  not done to the setting is done to the layer of the story. */
export function due(story, from, to) {
  const { acts = [], layer } = STORIES[story] ?? {};
  const whole = (command) => command && { ...(command.type !== "set" && { layer }), ...command };
  return acts.filter(({ t }) => t > from && t <= to).map((act) => ({ ...act, command: whole(act.command) }));
}

const EVERY = 10; // steps between two values of λ on a ramp

/** Whether λ moves along a ramp before step t. */
export const falls = (ramp, t) => Boolean(ramp) && t > ramp.start && (t % EVERY === 0 || t >= ramp.end);

/** The step after `t` before which the page has something to do by itself; Infinity where there is none. */
export function next(story, t, ramp) {
  const steps = (STORIES[story]?.acts ?? []).map((act) => act.t).filter((at) => at > t);
  if (ramp) steps.push(Math.min(ramp.end, EVERY * Math.floor(Math.max(ramp.start, t) / EVERY + 1)));
  return Math.min(...steps);
}
