// The equations of the book, as the module resnet_dynamics.theory has them; a test holds the two together.
//
//   lr            λ  learning rate            weight_decay  α
//   momentum      ρ  v ← ρv + d               c             |g||w|, the size of a gradient whatever |w| is
//   optimizer     "sgd" (ρ = 0), "heavy-ball", "nesterov", "lars"; "sgdw", "adam" and "adamw", see decoupled.js

const ADAM = 0.999; // β₂

/** λ of every step: [T]. A step takes the schedule at its middle, (t + ½)/S epochs. */
export function rates({ steps, steps_per_epoch, epochs, warmup, schedule }, lr) {
  const peak = schedule === "constant" ? 0 : warmup;
  return Float64Array.from({ length: steps }, (_, t) => {
    const e = (t + 0.5) / steps_per_epoch;
    if (schedule === "constant") return lr;
    return e < peak ? (lr * e) / peak : (lr * (epochs - e)) / (epochs - peak);
  });
}

/** λ_LARS = √(2λα(1 − ρ)). Equations (6) and (9). */
export const larsRate = (lr, alpha, rho) => Math.sqrt(2 * lr * alpha * (1 - rho));

/** λ|g|²/(α|w|²) at equilibrium; x = λα. Exact for random orthogonal gradients. */
function balance(x, rho, optimizer) {
  if (optimizer !== "nesterov") return 2 * (1 - rho) * (1 - x / (2 * (1 + rho)));
  const top = (1 - rho + rho * x) * (2 * (1 + rho) - (1 + 2 * rho) * x);
  return top / (1 + rho + rho * (1 + 2 * rho) * x);
}

/** |w|² at equilibrium, in u²: |w|⁴ = λc²/(2α(1 − ρ)) and its correction in λα. (3) with |g| = c/|w|.
 *  Infinite without decay and for LARS, which has no equilibrium; NaN where decay overshoots and nothing settles. */
export function equilibrium(c, { lr, weight_decay: alpha, momentum: rho, optimizer }) {
  if (optimizer === "lars" || alpha === 0) return Infinity;
  return c * Math.sqrt(lr / (alpha * balance(lr * alpha, rho, optimizer)));
}

/** Steps in which |w|⁴ comes e times closer to equilibrium, (1 − ρ)/(4λα), SGDW 1/(4λα); if it rings, the damping. */
export function timeConstant(values) {
  const { lr, weight_decay: alpha, momentum: rho, optimizer } = values;
  const rings = ringing(values);
  return rings ? rings.damping : (optimizer === "sgdw" ? 1 : 1 - rho) / (4 * lr * alpha);
}

/** {period, damping} in steps if heavy ball rings, 4λα > (1 − √ρ)², leading order in λα, or SGDW does; else null. */
export function ringing({ lr, weight_decay: alpha, momentum: rho, optimizer }) {
  const x = lr * alpha;
  if (optimizer === "sgdw") return decoupledRinging(1 - x, rho);
  const cos = (1 + rho - 4 * x) / (2 * Math.sqrt(rho));
  if (optimizer !== "heavy-ball" || rho === 0 || Math.abs(cos) >= 1) return null;
  return { period: (2 * Math.PI) / Math.acos(cos), damping: 2 / Math.log(1 / rho) };
}

/** Of a cubic for the factors per step of small deviations one root is real, between 0 and 1: if the others are not,
 *  and are larger, it rings. */
function decoupledRinging(a, rho) {
  const q = ((1 - rho ** 2) * (1 - a ** 2) * (1 - a * rho)) / (1 + a * rho);
  const sum = a ** 2 - q + a * rho + rho ** 2;
  const pairs = a * rho * (a ** 2 + q + a * rho + rho ** 2);
  const product = (a * rho) ** 3;
  let [low, high] = [0, 1];
  for (let i = 0; i < 60; i++) {
    const mu = (low + high) / 2;
    if (((mu - sum) * mu + pairs) * mu < product) low = mu;
    else high = mu;
  }
  const [size, cos] = [Math.sqrt(product / low), (sum - low) / 2];
  if (!(size > Math.abs(cos) && size > low)) return null;
  return { period: (2 * Math.PI) / Math.acos(cos / size), damping: -1 / Math.log(size) };
}

/** The angle of a step at equilibrium, in rad: 2 arcsin(|Δw|/2|w|), |Δw|/|w| = √(2λα/(1 + ρ)); exact for SGD, whose
 *  cos θ is 1 − λα. Nesterov's step has its own length. LARS turns w by the same angle, to leading order. */
export function turn({ lr, weight_decay: alpha, momentum: rho, optimizer }) {
  const x = lr * alpha;
  const more = rho * (1 + 2 * rho) * x;
  const nesterov = (1 + 2 * rho - 2 * rho ** 3 + (1 + rho) * more) / (1 + rho + more);
  const step = Math.sqrt(2 * x * (optimizer === "nesterov" ? nesterov : 1 / (1 + rho)));
  return 2 * Math.asin(Math.min(1, step / 2));
}

/** Follow the mean of |w|² of random orthogonal gradients through a schedule, one layer.
 *  With X = |w|², Y = w·v, Z = |v|², G = |g|² = c²/X; LARS: G = X, no decay, λ its own rate:
 *      w·v' = ρY + αX     Z' = ρ²Z + 2ραY + G + α²X     Y' = w·v' − λZ'     X' = X − 2λ w·v' + λ²Z'
 *  SGDW: α = 0 in these, and (1 − λα)w for w in the last two. Adam and AdamW: v = m/√s and has another λ, which follows
 *  s; see resnet_dynamics.theory.adam_recurrence. `weights` K is theirs.
 *  Starts at |w|² = w2_0 and the momentum that is given, none by default: w·v and |v|², of Adam s after `steps`.
 *  Returns w2 [T], before each step, v2 [T], |v|² of the step, and growth [T], what the step's gradient will have added
 *  to |w|² in all: λ'²(|d|² + 2ρ d·v), λ' = λ/(1 − ρ); Nesterov has ρ² in that bracket. */
export function follow(w2_0, c2, lr, values, { wv = 0, v2 = 0, s = 0, steps: before = 0 } = {}, weights = 1) {
  const { weight_decay, momentum: rho, optimizer } = values;
  const [w2, sizes, grown] = [0, 0, 0].map(() => new Float64Array(lr.length));
  const lars = optimizer === "lars";
  const nesterov = optimizer === "nesterov";
  const adam = optimizer.startsWith("adam");
  const apart = optimizer === "sgdw" || optimizer === "adamw"; // decay is no part of v
  const alpha = lars || apart ? 0 : weight_decay;
  const a = nesterov ? 1 + rho : 1;
  const b = nesterov ? rho ** 2 : rho;
  const biased = (n) => (1 - rho ** n) / (1 - rho);
  let root = adam ? Math.sqrt(s) * biased(before) : 1; // √s, of which Adam's momentum has been divided
  let X = w2_0;
  let Y = root * wv;
  let Z = root ** 2 * v2;
  for (let t = 0; t < lr.length; t++) {
    const kept = apart ? 1 - lr[t] * weight_decay : 1;
    const G = lars ? X : c2[t] / X;
    const wd = alpha * X;
    const dv = alpha * Y;
    const d2 = G + alpha ** 2 * X; // as w·g = v·g = 0
    if (adam) {
      const n = before + t + 1;
      s += ((1 - ADAM) / (1 - ADAM ** n)) * (d2 / weights - s);
      root = Math.sqrt(s) * biased(n);
    }
    const rate = lr[t] / root;
    w2[t] = X;
    grown[t] = growth(rho === 0 ? G : d2, dv, { lr: rate, momentum: rho, optimizer });
    const wu = a * wd + b * Y;
    const u2 = a ** 2 * d2 + 2 * a * b * dv + b ** 2 * Z;
    const uv = a * d2 + (a * rho + b) * dv + b * rho * Z;
    X = kept ** 2 * X - 2 * kept * rate * wu + rate ** 2 * u2;
    Y = kept * (wd + rho * Y) - rate * uv;
    Z = d2 + 2 * rho * dv + rho ** 2 * Z;
    sizes[t] = Z / root ** 2;
  }
  return { w2, v2: sizes, growth: grown };
}

/** What a step's gradient will have added to |w|² in all: λ'²(|d|² + 2ρ d·v), λ' = λ/(1 − ρ), d = g + αw, v before the
 *  step; Nesterov has ρ² in the bracket. Without momentum d2 is |g|²: λ²|g|². */
export function growth(d2, dv, { lr, momentum: rho, optimizer }) {
  const overlap = optimizer === "nesterov" ? rho ** 2 : rho;
  return (lr / (1 - rho)) ** 2 * (d2 + 2 * overlap * dv);
}

/** Growth over shrink where the size of gradients is `push`, c²(1 + 2ρκ), to leading order in λα:
 *  λ push/(2α(1 − ρ)|w|⁴). Without decay, and for LARS, nothing shrinks: NaN. */
export const balanceAt = (push, w2, { lr, weight_decay: alpha, momentum: rho, optimizer }) =>
  optimizer === "lars" || alpha === 0 ? NaN : (lr * push) / (2 * alpha * (1 - rho) * w2 ** 2);

/** What decay takes from |w|² in each step, by `follow`'s accounts: (2λα − λ²α²)|w|², with momentum 2λα|w|²/(1 − ρ). */
export function shrink(w2, lr, { weight_decay: alpha, momentum: rho, optimizer }) {
  const x = optimizer === "lars" ? 0 : lr * alpha;
  return rho === 0 ? (2 * x - x ** 2) * w2 : (2 * x * w2) / (1 - rho);
}
