// What a network spends its time on, in plain JavaScript. kernels_simd.js has the same functions in WebAssembly.
//
// Activations are [C, H, W, N], the image innermost: one channel is one row of H·W·N numbers, and what is done to a
// pixel is done to N neighbors in memory. Weights of a convolution are [C_out, C_in, 3, 3], as in PyTorch. A shape is
// {cIn, cOut, height, width, batch}. Every function writes its first argument, and some the second.

import { arena } from "./arena.js";

/** Kernels, and an arena of `bytes` for the arrays that they are given. */
export function plainKernels(bytes) {
  return { name: "plain", ...arena(new ArrayBuffer(bytes)), ...KERNELS };
}

// Convolution

/** y[o] = Σ_{c, i, j} w[o, c, i, j] · x[c] moved by (i − 1, j − 1), with zeros around the images. */
function convolve(y, x, w, { cIn, cOut, height, width, batch }) {
  const plane = height * width * batch;
  const from = new Int32Array(9 * cIn); // where the numbers of a sum lie, in x and in a row of w
  const weight = new Int32Array(9 * cIn);
  for (let row = 0; row < height; row++)
    for (let column = 0; column < width; column++) {
      let terms = 0;
      for (let c = 0; c < cIn; c++)
        for (let i = Math.max(0, 1 - row); i < Math.min(3, height + 1 - row); i++)
          for (let j = Math.max(0, 1 - column); j < Math.min(3, width + 1 - column); j++) {
            from[terms] = c * plane + ((row + i - 1) * width + column + j - 1) * batch;
            weight[terms++] = 9 * c + 3 * i + j;
          }
      const pixel = (row * width + column) * batch;
      for (let o = 0; o < cOut; o += 2) {
        const other = Math.min(o + 1, cOut - 1); // of an odd number, the last is done twice
        const into = [o * plane + pixel, other * plane + pixel];
        sumUp(y, ...into, batch, x, from, w, 9 * cIn * o, 9 * cIn * other, weight, terms);
      }
    }
}

/** y[p + n] = Σ_k w[u + weight[k]] · x[from[k] + n] for all n of a batch, and y[q + n] with w[v + weight[k]]. Eight
 *  sums at a time: each x is loaded for two of them, each weight for four. */
function sumUp(y, p, q, batch, x, from, w, u, v, weight, terms) {
  let n = 0;
  for (; n + 4 <= batch; n += 4) {
    let a = 0;
    let b = 0;
    let c = 0;
    let d = 0;
    let e = 0;
    let f = 0;
    let g = 0;
    let h = 0;
    for (let k = 0; k < terms; k++) {
      const at = from[k] + n;
      const one = w[u + weight[k]];
      const two = w[v + weight[k]];
      a += one * x[at];
      b += one * x[at + 1];
      c += one * x[at + 2];
      d += one * x[at + 3];
      e += two * x[at];
      f += two * x[at + 1];
      g += two * x[at + 2];
      h += two * x[at + 3];
    }
    y[p + n] = a;
    y[p + n + 1] = b;
    y[p + n + 2] = c;
    y[p + n + 3] = d;
    y[q + n] = e;
    y[q + n + 1] = f;
    y[q + n + 2] = g;
    y[q + n + 3] = h;
  }
  for (; n < batch; n++) {
    let a = 0;
    let b = 0;
    for (let k = 0; k < terms; k++) {
      a += w[u + weight[k]] * x[from[k] + n];
      b += w[v + weight[k]] * x[from[k] + n];
    }
    y[p + n] = a;
    y[q + n] = b;
  }
}

/** ∂L/∂x of a convolution from dy = ∂L/∂y: dy convolved with the weights turned round. */
function convolveInput(dx, dy, w, shape) {
  const { cIn, cOut } = shape;
  const turned = new w.constructor(w.length); // [C_in, C_out, 3, 3]
  for (let o = 0; o < cOut; o++)
    for (let c = 0; c < cIn; c++)
      for (let k = 0; k < 9; k++) turned[9 * (c * cOut + o) + 8 - k] = w[9 * (o * cIn + c) + k];
  convolve(dx, dy, turned, { ...shape, cIn: cOut, cOut: cIn });
}

/** ∂L/∂w of a convolution: dw[o, c, i, j] = Σ over pixels and images of dy[o] · x[c] moved by (i − 1, j − 1). */
function convolveWeights(dw, dy, x, { cIn, cOut, height, width, batch }) {
  const plane = height * width * batch;
  dw.fill(0);
  for (let row = 0; row < height; row++)
    for (let i = Math.max(0, 1 - row); i < Math.min(3, height + 1 - row); i++)
      for (let j = 0; j < 3; j++) {
        const first = Math.max(0, 1 - j);
        const length = (Math.min(width, width + 1 - j) - first) * batch;
        const [p, q] = [(row * width + first) * batch, ((row + i - 1) * width + first + j - 1) * batch];
        for (let o = 0; o < cOut; o += 2)
          for (let c = 0; c < cIn; c += 2) {
            const at = 9 * (o * cIn + c) + 3 * i + j;
            const [down, right] = [o + 1 < cOut ? 9 * cIn : 0, c + 1 < cIn ? 9 : 0];
            addProducts(dw, at, down, right, dy, o * plane + p, x, c * plane + q, length, plane);
          }
      }
}

/** Add the inner products of two rows of dy and two of x, `plane` apart, to dw. Where down or right is 0 there is only
 *  one of them. */
function addProducts(dw, at, down, right, dy, p, x, q, length, plane) {
  const below = down ? p + plane : p;
  const beside = right ? q + plane : q;
  let a = 0;
  let b = 0;
  let c = 0;
  let d = 0;
  for (let n = 0; n < length; n++) {
    a += dy[p + n] * x[q + n];
    b += dy[p + n] * x[beside + n];
    c += dy[below + n] * x[q + n];
    d += dy[below + n] * x[beside + n];
  }
  dw[at] += a;
  if (right) dw[at + right] += b;
  if (down) dw[at + down] += c;
  if (right && down) dw[at + down + right] += d;
}

/** Four sums at a time: a sum of one term after the other would wait for each. */
function dotOf(a, p, b, q, length) {
  let [s0, s1, s2, s3] = [0, 0, 0, 0];
  let n = 0;
  for (; n + 4 <= length; n += 4) {
    s0 += a[p + n] * b[q + n];
    s1 += a[p + n + 1] * b[q + n + 1];
    s2 += a[p + n + 2] * b[q + n + 2];
    s3 += a[p + n + 3] * b[q + n + 3];
  }
  for (; n < length; n++) s0 += a[p + n] * b[q + n];
  return s0 + s1 + s2 + s3;
}

// Batch norm

/** Mean and biased variance of every channel of x [C, M]. */
function moments(mean, variance, x) {
  const size = x.length / mean.length;
  for (let c = 0; c < mean.length; c++) {
    let sum = 0;
    for (let n = c * size; n < (c + 1) * size; n++) sum += x[n];
    const middle = sum / size;
    let squares = 0;
    for (let n = c * size; n < (c + 1) * size; n++) squares += (x[n] - middle) ** 2;
    mean[c] = middle;
    variance[c] = squares / size;
  }
}

/** y = slope · x + shift, a slope and a shift a channel. */
function affine(y, x, slope, shift) {
  const size = x.length / slope.length;
  for (let c = 0; c < slope.length; c++)
    for (let n = c * size; n < (c + 1) * size; n++) y[n] = slope[c] * x[n] + shift[c];
}

/** Sums of every channel: of dy, and of dy · x̂, with x̂ = (x − mean) · scale. */
function normSums(sum, product, dy, x, mean, scale) {
  const size = x.length / mean.length;
  for (let c = 0; c < mean.length; c++) {
    let [s, p] = [0, 0];
    for (let n = c * size; n < (c + 1) * size; n++) {
      s += dy[n];
      p += dy[n] * (x[n] - mean[c]);
    }
    sum[c] = s;
    product[c] = p * scale[c];
  }
}

/** dx = factor · (dy − sum/M − x̂ · product/M), with the sums of normSums: what batch norm leaves of a gradient is
 *  orthogonal to 1 and to x̂. */
function normInput(dx, dy, x, mean, scale, factor, sum, product) {
  const size = x.length / mean.length;
  for (let c = 0; c < mean.length; c++) {
    const slope = (scale[c] * product[c]) / size;
    const shift = sum[c] / size;
    for (let n = c * size; n < (c + 1) * size; n++) dx[n] = factor[c] * (dy[n] - shift - slope * (x[n] - mean[c]));
  }
}

// Pooling, ReLU and the rest

/** Call visit(p, at) for each square of 2 × 2 pixels: it begins at p in x [C, 2H, 2W, N], at `at` in y [C, H, W, N]. */
function squares({ cOut, height, width, batch }, visit) {
  let at = 0;
  for (let c = 0; c < cOut; c++)
    for (let row = 0; row + 2 <= height; row += 2)
      for (let column = 0; column + 2 <= width; column += 2, at += batch)
        visit(((c * height + row) * width + column) * batch, at);
}

/** The largest of 2 × 2 pixels, x → y; of equal ones the first. `place`: which of four. */
function maxPool(y, place, x, shape) {
  const [right, below] = [shape.batch, shape.width * shape.batch];
  squares(shape, (p, at) => {
    for (let n = p; n < p + right; n++, at++) {
      let [best, which] = [x[n], 0];
      if (x[n + right] > best) [best, which] = [x[n + right], 1];
      if (x[n + below] > best) [best, which] = [x[n + below], 2];
      if (x[n + below + right] > best) [best, which] = [x[n + below + right], 3];
      y[at] = best;
      place[at] = which;
    }
  });
}

/** ∂L/∂x of maxPool: dy goes to the largest of the four. */
function maxPoolInput(dx, dy, place, shape) {
  const [right, below] = [shape.batch, shape.width * shape.batch];
  squares(shape, (p, at) => {
    for (let n = p; n < p + right; n++, at++) {
      dx[n] = place[at] === 0 ? dy[at] : 0;
      dx[n + right] = place[at] === 1 ? dy[at] : 0;
      dx[n + below] = place[at] === 2 ? dy[at] : 0;
      dx[n + below + right] = place[at] === 3 ? dy[at] : 0;
    }
  });
}

/** y = max(x, 0). */
function relu(y, x) {
  for (let n = 0; n < x.length; n++) y[n] = Math.max(x[n], 0);
}

/** dx = dy where y > 0, else 0. dx may be dy. */
function reluInput(dx, dy, y) {
  for (let n = 0; n < y.length; n++) dx[n] = y[n] > 0 ? dy[n] : 0;
}

/** y = a + b. y may be one of them. */
function add(y, a, b) {
  for (let n = 0; n < y.length; n++) y[n] = a[n] + b[n];
}

/** y = a · x + b · y. */
function combine(y, a, x, b) {
  for (let n = 0; n < y.length; n++) y[n] = a * x[n] + b * y[n];
}

/** The inner product of two vectors. */
function dot(a, b) {
  return dotOf(a, 0, b, 0, a.length);
}

/** All inner products of five vectors: aa, ab, ac, ad, ae, bb, bc, ... ee [15]. */
function gram(products, a, b, c, d, e) {
  const vectors = [a, b, c, d, e];
  let at = 0;
  for (let i = 0; i < 5; i++) for (let j = i; j < 5; j++) products[at++] = dot(vectors[i], vectors[j]);
}

const KERNELS = {
  convolve, convolveInput, convolveWeights, moments, affine, normSums, normInput, maxPool, maxPoolInput, relu,
  reluInput, add, combine, dot, gram,
}; // biome-ignore format: a list
