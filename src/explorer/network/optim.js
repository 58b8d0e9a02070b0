// How weights move: SGD, heavy ball, Nesterov as in PyTorch, and LARS as equations (4) and (8).

export const OPTIMIZERS = ["sgd", "heavy-ball", "nesterov", "lars"];

/** Take a step of a network with its setting {lr, weight_decay, momentum, optimizer, rest_lr_scale,
 *  rest_weight_decay_scale}. Plain "sgd" has no momentum, whatever `momentum` says. */
export function descend(kernels, model, setting) {
  const { lr, weight_decay, optimizer, rest_lr_scale, rest_weight_decay_scale } = setting;
  const momentum = momentumOf(setting);
  const nesterov = optimizer === "nesterov";
  if (optimizer === "lars") {
    const own = Math.sqrt(2 * lr * weight_decay * (1 - momentum)); // (6), (9): the rate at which SGD moves
    for (const layer of model.layers)
      if (layer.normalized) lars(kernels, layer, own, momentum);
      else sgd(kernels, layer, lr, weight_decay, momentum, false);
  } else sgd(kernels, model.convs, lr, weight_decay, momentum, nesterov);
  sgd(kernels, model.rest, lr * rest_lr_scale, weight_decay * rest_weight_decay_scale, momentum, nesterov);
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
