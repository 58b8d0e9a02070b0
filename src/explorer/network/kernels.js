// What a network spends its time on, in plain JavaScript. kernels_simd.js has the same functions in WebAssembly.
//
// Activations are [C, H, W, N], the image innermost: one channel is one row of H·W·N numbers, and what is done to a pixel
// is done to N neighbors in memory. Weights of a convolution are [C_out, C_in, 3, 3], as in PyTorch. A shape is
// {cIn, cOut, height, width, batch}. Every function writes its
// first argument, and some the second.

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
      for (let o = 0; o < cOut; o++) sumUp(y, o * plane + pixel, batch, x, from, w, weight, 9 * cIn * o, terms);
    }
}

/** y[at + n] = Σ_k w[row + weight[k]] · x[from[k] + n] for all n of a batch, four at a time. */
function sumUp(y, at, batch, x, from, w, weight, row, terms) {
  let n = 0;
  for (; n + 4 <= batch; n += 4) {
    let a = 0;
    let b = 0;
    let c = 0;
    let d = 0;
    for (let k = 0; k < terms; k++) {
      const factor = w[row + weight[k]];
      const p = from[k] + n;
      a += factor * x[p];
      b += factor * x[p + 1];
      c += factor * x[p + 2];
      d += factor * x[p + 3];
    }
    y[at + n] = a;
    y[at + n + 1] = b;
    y[at + n + 2] = c;
    y[at + n + 3] = d;
  }
  for (; n < batch; n++) {
    let a = 0;
    for (let k = 0; k < terms; k++) a += w[row + weight[k]] * x[from[k] + n];
    y[at + n] = a;
  }
}

/** ∂L/∂x of a convolution from dy = ∂L/∂y: dy convolved with the weights turned round. */
function convolveInput(dx, dy, w, shape) {
  const { cIn, cOut } = shape;
  const turned = new Float32Array(w.length); // [C_in, C_out, 3, 3]
  for (let o = 0; o < cOut; o++)
    for (let c = 0; c < cIn; c++)
      for (let k = 0; k < 9; k++) turned[9 * (c * cOut + o) + 8 - k] = w[9 * (o * cIn + c) + k];
  convolve(dx, dy, turned, { ...shape, cIn: cOut, cOut: cIn });
}

/** ∂L/∂w of a convolution: dw[o, c, i, j] = Σ over pixels and images of dy[o] · x[c] moved by (i − 1, j − 1). */
function convolveWeights(dw, dy, x, { cIn, cOut, height, width, batch }) {
  const plane = height * width * batch;
  for (let o = 0; o < cOut; o++)
    for (let c = 0; c < cIn; c++)
      for (let i = 0; i < 3; i++)
        for (let j = 0; j < 3; j++) {
          const first = Math.max(0, 1 - j);
          const length = (Math.min(width, width + 1 - j) - first) * batch;
          let sum = 0;
          for (let row = Math.max(0, 1 - i); row < Math.min(height, height + 1 - i); row++) {
            const p = o * plane + (row * width + first) * batch;
            const q = c * plane + ((row + i - 1) * width + first + j - 1) * batch;
            sum += dotOf(dy, p, x, q, length);
          }
          dw[9 * (o * cIn + c) + 3 * i + j] = sum;
        }
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

/** The largest of 2 × 2 pixels, x [C, 2H, 2W, N] → y [C, H, W, N]; of equal ones, the first. `place`: which of the four. */
function maxPool(y, place, x, { cOut, height, width, batch }) {
  const [rows, columns, line] = [height >> 1, width >> 1, width * batch];
  let at = 0;
  for (let c = 0; c < cOut; c++)
    for (let row = 0; row < rows; row++)
      for (let column = 0; column < columns; column++) {
        const p = (c * height + 2 * row) * line + 2 * column * batch;
        for (let n = p; n < p + batch; n++, at++) {
          let [best, which] = [x[n], 0];
          if (x[n + batch] > best) [best, which] = [x[n + batch], 1];
          if (x[n + line] > best) [best, which] = [x[n + line], 2];
          if (x[n + line + batch] > best) [best, which] = [x[n + line + batch], 3];
          y[at] = best;
          place[at] = which;
        }
      }
}

/** ∂L/∂x of maxPool: dy goes to the largest of the four. */
function maxPoolInput(dx, dy, place, { cOut, height, width, batch }) {
  const [rows, columns, line] = [height >> 1, width >> 1, width * batch];
  let at = 0;
  for (let c = 0; c < cOut; c++)
    for (let row = 0; row < rows; row++)
      for (let column = 0; column < columns; column++) {
        const p = (c * height + 2 * row) * line + 2 * column * batch;
        for (let n = p; n < p + batch; n++, at++) {
          dx[n] = place[at] === 0 ? dy[at] : 0;
          dx[n + batch] = place[at] === 1 ? dy[at] : 0;
          dx[n + line] = place[at] === 2 ? dy[at] : 0;
          dx[n + line + batch] = place[at] === 3 ? dy[at] : 0;
        }
      }
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
