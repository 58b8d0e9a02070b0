// SGDW, Adam, AdamW, Lion and Muon: each has a direction u of its own, and its decay acts on the weights themselves.
//
//   w ← w − λ(u + αw)
//
// For convolutions that a batch norm follows, as in resnet_dynamics.directions. A layer keeps u as its v: what λ
// multiplies, as for heavy ball.

/** β₂ of those that have one. */
export const BETA2 = { adam: 0.999, adamw: 0.999, lion: 0.99 };
const EPS = 1e-8; // of Adam

/** What a newcomer remembers of each layer beside v: {m, s, steps}; and room for the products of Muon's matrices. */
export function memories(kernels, layers) {
  const rows = Math.max(...layers.map(({ shape }) => shape.cOut));
  const sizes = { gram: 9 * rows ** 2, flat: rows ** 2, square: rows ** 2 };
  const room = Object.fromEntries(Object.entries(sizes).map(([name, size]) => [name, kernels.floats(size)]));
  room.product = kernels.floats(Math.max(...layers.map(({ w }) => w.length)));
  const own = ({ w }) => ({ m: kernels.floats(w.length), s: kernels.floats(w.length), steps: 0, room });
  return layers.map(own);
}

/** Name → direction(kernels, layer, memory, setting), which writes u to the layer's v. */
export const DIRECTIONS = { sgdw, adam, adamw, lion, muon };

/** Take a step of a layer. */
export function move(kernels, layer, memory, setting) {
  const { lr, weight_decay, optimizer } = setting;
  memory.steps++;
  DIRECTIONS[optimizer](kernels, layer, memory, setting);
  kernels.combine(layer.w, -lr, layer.v, optimizer === "adam" ? 1 : 1 - lr * weight_decay); // (1 − λα)w − λu
}

/** u = v ← ρv + g */
function sgdw({ combine }, { g, v }, _, { momentum }) {
  combine(v, 1, g, momentum);
}

function adamw(_, { g, v }, memory, { momentum }) {
  adaptive(v, g, memory, momentum, BETA2.adamw);
}

/** Of g + αw, and nothing else decays: Adam with L2. */
function adam({ combine }, { w, g, v }, memory, { weight_decay, momentum }) {
  v.set(g);
  combine(v, weight_decay, w, 1);
  adaptive(v, v, memory, momentum, BETA2.adam);
}

/** m ← β₁m + (1 − β₁)g, s ← β₂s + (1 − β₂)g², u = m/(1 − β₁ᵗ) / (√(s/(1 − β₂ᵗ)) + ε) in the t-th step */
function adaptive(u, g, { m, s, steps }, beta1, beta2) {
  const [left, right] = [1 - beta1 ** steps, 1 - beta2 ** steps];
  for (let i = 0; i < u.length; i++) {
    m[i] = beta1 * m[i] + (1 - beta1) * g[i];
    s[i] = beta2 * s[i] + (1 - beta2) * g[i] ** 2;
    u[i] = m[i] / left / (Math.sqrt(s[i] / right) + EPS);
  }
}

/** u = sign(β₁m + (1 − β₁)g), then m ← β₂m + (1 − β₂)g */
function lion(_, { g, v }, { m }, { momentum: beta1 }) {
  const beta2 = BETA2.lion;
  for (let i = 0; i < v.length; i++) {
    v[i] = Math.sign(beta1 * m[i] + (1 - beta1) * g[i]);
    m[i] = beta2 * m[i] + (1 - beta2) * g[i];
  }
}

/** m ← ρm + g, u = orthogonal(g + ρm). No matrix here has more rows than columns, where Muon has another factor. */
function muon(kernels, { g, v, shape }, { m, room }, { momentum }) {
  kernels.combine(m, 1, g, momentum);
  v.set(g);
  kernels.combine(v, momentum, m, 1);
  orthogonal(kernels, v, shape.cOut, room);
}

/** Bring the singular values of a matrix x of so many rows, at most as many as its columns, near 1: x ← x/|x|, then
 *  five times x ← ax + (bA + cA²)x with A = xxᵀ. Zeros stay. A convolution of images of one pixel, of whose weights the
 *  middle one counts, is a product of matrices: that of their rows is `gram`, which has room for the others. */
export function orthogonal(kernels, x, rows, { gram, flat, square, product }) {
  const [a, b, c] = [3.4445, -4.775, 2.0315]; // Jordan et al. 2024, kellerjordan.github.io/posts/muon
  const one = { cIn: rows, cOut: rows, height: 1, width: 1 };
  const [columns, count] = [x.length / rows, rows ** 2];
  const cut = (array, length) => array.subarray(0, length);
  const [A, flatA, A2, y] = [cut(gram, 9 * count), cut(flat, count), cut(square, count), cut(product, x.length)];
  const size = Math.sqrt(kernels.dot(x, x));
  kernels.combine(x, 0, x, size > 0 ? 1 / size : 0);
  for (let step = 0; step < 5; step++) {
    kernels.convolveWeights(A, x, x, { ...one, batch: columns });
    for (let i = 0; i < count; i++) flatA[i] = A[9 * i + 4];
    kernels.convolve(A2, flatA, A, { ...one, batch: rows });
    for (let i = 0; i < count; i++) A[9 * i + 4] = b * flatA[i] + c * A2[i];
    kernels.convolve(y, x, A, { ...one, batch: columns });
    kernels.combine(x, 1, y, a);
  }
}
