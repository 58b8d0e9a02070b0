// How weights move: SGD, heavy ball, Nesterov as in PyTorch, LARS as equations (4) and (8), and those of directions.js.

import { DIRECTIONS, move } from "./directions.js";

export const OPTIMIZERS = ["sgd", "heavy-ball", "nesterov", "lars", ...Object.keys(DIRECTIONS)];

/** What an optimizer remembers, in its own units: a sum of gradients, or what no other has. */
export function memoryOf(optimizer) {
  if (optimizer.startsWith("adam")) return "adam";
  return ["lars", "lion", "muon"].includes(optimizer) ? optimizer : "gradients";
}

/** Take a step of a network with its setting {lr, weight_decay, momentum, optimizer, rest_…}. `memories` are those of
 *  its layers. Plain "sgd" has no momentum, whatever `momentum` says. LARS and the optimizers of directions.js are of
 *  convolutions that a batch norm follows; one without has SGD instead, or that of the rest. */
export function descend(kernels, model, memories, setting) {
  const { lr, weight_decay, optimizer } = setting;
  const momentum = momentumOf(setting);
  const nesterov = optimizer === "nesterov";
  const rest = restOf(setting);
  if (optimizer === "lars") {
    const own = Math.sqrt(2 * lr * weight_decay * (1 - momentum)); // (6), (9): the rate at which SGD moves
    for (const layer of model.layers)
      if (layer.normalized) lars(kernels, layer, own, momentum);
      else sgd(kernels, layer, lr, weight_decay, momentum, false);
  } else if (optimizer in DIRECTIONS) {
    for (const [l, layer] of model.layers.entries())
      if (layer.normalized) move(kernels, layer, memories[l], setting);
      else sgd(kernels, layer, rest.lr, rest.weight_decay, rest.momentum, false);
  } else sgd(kernels, model.convs, lr, weight_decay, momentum, nesterov);
  sgd(kernels, model.rest, rest.lr, rest.weight_decay, rest.momentum, nesterov);
}

/** λ, α and ρ of all other parameters: those of the convolutions, scaled; of their own beside the optimizers of
 *  directions.js, whose λ and α have other units. */
function restOf({ optimizer, rest_lr, rest_weight_decay, rest_momentum, ...setting }) {
  if (optimizer in DIRECTIONS) return { lr: rest_lr, weight_decay: rest_weight_decay, momentum: rest_momentum };
  const { lr, weight_decay, rest_lr_scale, rest_weight_decay_scale } = setting;
  const momentum = momentumOf({ optimizer, ...setting });
  return { lr: lr * rest_lr_scale, weight_decay: weight_decay * rest_weight_decay_scale, momentum };
}

/** ρ as an optimizer uses it. */
export const momentumOf = ({ optimizer, momentum }) => (optimizer === "sgd" ? 0 : momentum);

/** v ← ρv + d, w ← w − λv with d = g + αw; Nesterov: w ← w − λ(d + ρv). */
function sgd({ combine }, { w, g, v }, lr, weight_decay, momentum, nesterov) {
  combine(v, 1, g, momentum); // ρv + g
  combine(v, weight_decay, w, 1); // + αw
  if (!nesterov) return combine(w, -lr, v, 1);
  combine(w, -lr * momentum, v, 1 - lr * weight_decay); // w − λαw − λρv
  combine(w, -lr, g, 1); // − λg
}

/** v ← ρv + (|w|/|g|) g, w ← w − λv. Equations (4) and (8). A gradient of zero moves nothing. */
function lars({ combine, dot }, { w, g, v }, lr, momentum) {
  const [w2, g2] = [dot(w, w), dot(g, g)];
  combine(v, g2 > 0 ? Math.sqrt(w2 / g2) : 0, g, momentum);
  combine(w, -lr, v, 1);
}
