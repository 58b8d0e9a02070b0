// What theory says of a setting: in plain words, then in a formula. Pure.

import { larsRate, rates, ringing, timeConstant } from "./theory.js";
import { EXPLODED, lastOf, written } from "./words.js";

export const SETTLED = 3; // time constants: 5 % of the distance in |w|⁴ is left

/** How fast and whether it rings: Nesterov is taken for heavy ball, which it is to leading order. */
const ball = (values) => (values.optimizer === "nesterov" ? { ...values, optimizer: "heavy-ball" } : values);

/** Steps until SETTLED time constants have passed, Σ4λα/(1 − ρ) along the schedule; infinite if the training is over
 *  before. */
export function settledAfter(values, plan) {
  if (plan.schedule === "constant") {
    const steps = SETTLED * timeConstant(ball(values));
    return steps <= plan.steps ? steps : Infinity;
  }
  let passed = 0;
  const steps = rates(plan, values.lr).findIndex((lr) => {
    passed += 1 / timeConstant({ ...ball(values), lr });
    return passed >= SETTLED;
  });
  return steps < 0 ? Infinity : steps + 1;
}

/** What happens to |w| with a setting in a training, in a sentence or two without a formula. */
export function verdict(values, plan) {
  const { lr, weight_decay: alpha, momentum: rho, optimizer } = values;
  const x = lr * alpha;
  if (alpha === 0) {
    return optimizer === "lars"
      ? "With α = 0 LARS does not move the convolutions: its rate is zero."
      : "It never settles: without decay nothing shrinks |w|. It grows, and steps turn w less and less.";
  }
  if (optimizer === "lars")
    return `It never settles: LARS does not shrink |w|². It grows e-fold in about ${times((1 - rho) / (2 * x), plan)}.`;
  if (overshoots(values)) return "It explodes: decay alone makes |w| longer at every step.";
  if (x > 0.5) return "The theory here is for small λα, and one step replaces most of the weights.";
  return settling(values, plan) + swinging(values);
}

const whole = (steps) => written(Math.max(1, Math.round(steps)));
/** So many steps, and epochs where there are any: the images that a page draws never end. */
const times = (steps, plan) =>
  `${whole(steps)} steps${plan.here ? "" : ` (${short(steps / plan.steps_per_epoch)} epochs)`}`;
const short = (epochs) => (epochs < 10 ? epochs.toFixed(1) : whole(epochs));

/** Whether decay overshoots zero by more than the length that w has. */
const overshoots = ({ lr, weight_decay, momentum: rho, optimizer }) =>
  lr * weight_decay >= (2 * (1 + rho)) / (optimizer === "nesterov" ? 1 + 2 * rho : 1);

function settling(values, plan) {
  const after = settledAfter(values, plan);
  if (Number.isFinite(after))
    return `It settles after about ${times(after, plan)}, if gradients keep their size${lost(values, plan)}.`;
  if (plan.schedule !== "constant")
    return `It does not settle in this training: λ falls before ${SETTLED} time constants have passed.`;
  const steps = whole(SETTLED * timeConstant(ball(values)));
  return `It does not settle in this training: that would take ${steps} steps, and it has ${written(plan.steps)}.`;
}

/** Where λ = s(T − t) runs down to zero, equilibrium is lost √((1 − ρ)/(4sα)) steps before the end. */
function lost({ lr, weight_decay, momentum }, { schedule, epochs, warmup, steps_per_epoch }) {
  if (schedule === "constant" || warmup >= epochs) return "";
  const slope = lr / ((epochs - warmup) * steps_per_epoch);
  const before = Math.sqrt((1 - momentum) / (4 * slope * weight_decay));
  return `; it is lost again ${whole(before)} steps before the end, as λ falls`;
}

function swinging(values) {
  const rings = ringing(ball(values));
  if (!rings) return "";
  return rings.period / 2 < SETTLED * rings.damping
    ? ` The norms ring, they overshoot and come back, with a period of ${whole(rings.period)} steps.`
    : " The norms overshoot once, by little.";
}

/** The same in a formula: the rate at equilibrium, and the time that it takes. */
export function formula(values, plan) {
  const { lr, weight_decay: alpha, momentum: rho, optimizer } = values;
  const peak = plan.schedule === "constant" ? "" : " at the highest λ";
  if (alpha === 0) return optimizer === "lars" ? "λ_LARS = √(2λα(1−ρ)) = 0." : "No equilibrium: 2λα|w|² = 0.";
  const rate = `√(2λα(1−ρ)) = ${written(larsRate(lr, alpha, rho))}${peak}`;
  if (optimizer === "lars") return `Every step has λ_LARS = ${rate}, whatever |w| is.`;
  if (overshoots(values) || lr * alpha > 0.5) return `λα = ${written(lr * alpha)}: theory is for small λα.`;
  const rings = ringing(ball(values));
  const time = rings
    ? `time constant 2/ln(1/ρ) = ${written(rings.damping)} steps`
    : `time constant (1−ρ)/(4λα) = ${written(timeConstant(values))} steps`;
  return `Equilibrium: λ|g|/|w| = ${rate} in every layer; ${time}.`;
}

/** How a run broke, in a sentence, or "". */
export function broken(run) {
  const loss = lastOf(run.loss);
  if (run.diverged_at >= 0)
    return `The recorded run broke: its loss is not finite from step ${written(run.diverged_at)} on.`;
  if (loss > EXPLODED) return `The recorded run broke: its loss exploded, to ${written(loss)}.`;
  return "";
}
