// Optimizers that convolutions have to themselves, as resnet_dynamics.decoupled and .correlation have them; a test
// holds the two together.
//
//   w ← w − λ(v + αw),  a = 1 − λα,  S = 1 + 2Σ aᵏC_k over k ≥ 1, C_k = E[v_t·v_{t−k}]/E|v|²
//
//   shape   [rows, columns] of the weights as a matrix, K in number        x   λα
// Adam has its decay in the gradient: its λα is αλ times the mean of 1/√s, and knows the size of gradients.

import { timeConstant } from "./theory.js";

export const DIRECTED = ["sgdw", "adamw", "lion", "muon", "adam"];
export const directed = (optimizer) => DIRECTED.includes(optimizer);

const BETA2 = 0.99; // of Lion
const LEAST = 1e-3; // C_k that is not counted any more
const [NODES, TERMS] = [256, 64]; // of the integrals for Muon

/** A function of a key and more, which remembers what it returned. */
function remembered(make) {
  const known = new Map();
  return (...given) => {
    const key = given.join();
    if (!known.has(key)) known.set(key, make(...given));
    return known.get(key);
  };
}

/** r₁ of a mean of gradients c_t = β₁m_{t−1} + (1 − β₁)g_t, m_t = β₂m_{t−1} + (1 − β₂)g_t: r_k = r₁β₂ᵏ⁻¹. */
function meanCorrelation(beta1, beta2) {
  const left = (1 - beta1) ** 2 * (1 + beta2) + beta1 ** 2 * (1 - beta2);
  return (beta1 * (1 - beta2) * (1 + beta2 - beta1)) / left;
}

/** What five steps of Newton and Schulz make of a singular value, relative to the length of the matrix. */
function newtonSchulz(s) {
  for (let i = 0; i < 5; i++) s *= 3.4445 - 4.775 * s ** 2 + 2.0315 * s ** 4;
  return s;
}

/** Of Muon's v of a Gaussian matrix, {square, shares}: |v|², and f_n of f(r) = Σ f_n r²ⁿ⁺¹, how alike it is for two
 *  matrices of correlation r. */
export const polar = remembered((rows, columns) => {
  const [n, y] = [Math.min(rows, columns), Math.sqrt(Math.min(rows, columns) / Math.max(rows, columns))];
  const shares = new Float64Array(TERMS);
  let square = 0;
  for (let i = 0; i < NODES; i++) {
    const v = ((i + 0.5) * Math.PI) / NODES;
    const rest = Math.PI * Math.cos(v / 2) ** 2;
    const t = (1 - y) ** 2 + 4 * y * Math.sin(rest / 2) ** 2;
    const h = newtonSchulz(Math.sqrt(t / n)) / Math.sqrt(t);
    const measure = (Math.sin(rest) * Math.sin(v) * Math.PI) / NODES;
    square += measure * Math.sin(rest) * h ** 2;
    for (let k = 0; k < TERMS; k++) shares[k] += Math.sin((k + 1) * (Math.PI - rest)) * measure * h;
  }
  return { square: n * square, shares: shares.map((b) => b ** 2 / square) };
});

/** C_1, C_2, … of Lion and Muon, as long as they are more than LEAST. */
export const lags = remembered((optimizer, rho, rows, columns) => {
  const [beta1, beta2] = optimizer === "lion" ? [rho, BETA2] : [rho ** 2, rho];
  const { shares } = polar(rows, columns);
  const f = (r) => shares.reduceRight((sum, share) => sum * r ** 2 + share, 0) * r;
  const overlap = optimizer === "lion" ? (r) => (2 / Math.PI) * Math.asin(r) : f;
  const found = [];
  for (let r = meanCorrelation(beta1, beta2); overlap(r) > LEAST; r *= beta2) found.push(overlap(r));
  return found;
});

const geometric = (optimizer) => optimizer !== "lion" && optimizer !== "muon";

/** S; of gradients that do not know of each other. */
export function overlap({ lr, weight_decay, momentum: rho, optimizer }, shape) {
  const a = optimizer === "adam" ? 1 : 1 - lr * weight_decay;
  if (geometric(optimizer)) return (1 + a * rho) / (1 - a * rho);
  return 1 + 2 * lags(optimizer, rho, ...shape).reduceRight((sum, C) => a * (sum + C), 0);
}

/** E|v|² of gradients that are alike in all weights; but for SGDW and Adam, where it depends on them. */
export function square({ momentum: rho, optimizer }, [rows, columns]) {
  if (optimizer === "muon") return polar(rows, columns).square;
  return optimizer === "lion" ? rows * columns : (rows * columns * (1 - rho)) / (1 + rho);
}

/** |w|² at equilibrium, from c² of SGDW and Adam, E|v|² of the others. Adam's is to leading order, where s = |g|²/K. */
export function level(values, shape, { c2, v2 }) {
  const { lr, weight_decay: alpha, momentum: rho, optimizer } = values;
  if (optimizer === "adam") return Math.cbrt((lr ** 2 * c2 * shape[0] * shape[1]) / (4 * alpha ** 2)); // |w|³ = λc√K/2α
  const per = (lr * overlap(values, shape)) / (alpha * (2 - lr * alpha)); // λ²S/(1 − a²)
  return optimizer === "sgdw" ? Math.sqrt((per * c2) / (1 - rho ** 2)) : per * v2;
}

/** √(2λα/S), to which equilibrium drives λ|v|/|w|; of Adam with the mean h of 1/√s. */
export const line = (values, shape, h = 1) =>
  Math.sqrt((2 * values.lr * values.weight_decay * h) / overlap(values, shape));

/** The angle of a step at equilibrium, in rad: 2 arcsin(|Δw|/2|w|), (|Δw|/|w|)² = 2x(1 − xσ)/S, S = 1 + 2aσ. */
export function angle(values, shape) {
  const x = values.lr * values.weight_decay;
  const S = overlap(values, shape);
  const sigma = (S - 1) / (2 * (1 - x));
  return 2 * Math.asin(Math.min(1, Math.sqrt((2 * x * (1 - x * sigma)) / S) / 2));
}

/** Steps in which |w|² settles: SGDW's |w|⁴ in 1/(4λα); |w|² of AdamW, Lion and Muon in 1/(2λα), or as fast as they
 *  forget; and Adam's in a third of its 1/λα, here of a layer with K/c = 1,000. */
export function relaxation(values) {
  const { lr, weight_decay: alpha, momentum: rho, optimizer } = values;
  if (!directed(optimizer)) return timeConstant({ ...values, optimizer: "heavy-ball" });
  if (optimizer === "sgdw") return timeConstant(values);
  if (optimizer === "adam") return 1 / (3 * Math.cbrt((1e6 * lr ** 4 * alpha ** 2) / 2));
  return Math.max(1 / (2 * lr * alpha), -0.5 / Math.log(optimizer === "lion" ? BETA2 : rho));
}

/** What w knows of the next update, for all layers: {own, kept} [T], E[w·v_t] = own · E|v|² + kept · w·v of the update
 *  before the first. As decoupled_recurrence of Python, whose Q_1 it is. */
export function foreseen(found, lr, alpha) {
  const [own, kept] = [new Float64Array(lr.length), new Float64Array(lr.length)];
  const ahead = new Float64Array(found.length + 1);
  const sums = new Float64Array(found.length + 1);
  for (let k = found.length - 1; k >= 0; k--) sums[k] = found[k] + (1 - lr[0] * alpha) * sums[k + 1];
  let left = 1 / (1 + (1 - lr[0] * alpha) * sums[0]);
  for (let t = 0; t < lr.length; t++) {
    const a = 1 - lr[t] * alpha;
    own[t] = ahead[0];
    kept[t] = left * (sums[t] ?? 0);
    left *= a;
    for (let k = 0; k < found.length; k++) ahead[k] = a * ahead[k + 1] - lr[t] * found[k];
  }
  return { own, kept };
}

/** |w|² before each step, for updates of the mean square v2: X' = a²X − 2aλ E[w·v] + λ²E|v|². */
export function wander(w2_0, wv_0, v2, lr, alpha, { own, kept }) {
  const w2 = new Float64Array(lr.length);
  let X = w2_0;
  for (let t = 0; t < lr.length; t++) {
    const a = 1 - lr[t] * alpha;
    w2[t] = X;
    X = a ** 2 * X - 2 * a * lr[t] * (own[t] * v2 + kept[t] * wv_0) + lr[t] ** 2 * v2;
  }
  return w2;
}
