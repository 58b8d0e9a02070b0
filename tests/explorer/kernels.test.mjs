// The kernels in WebAssembly against those in plain JavaScript, on shapes that fit the vectors and that do not.

import assert from "node:assert/strict";
import test from "node:test";

import { plainKernels } from "../../src/explorer/network/kernels.js";
import { loadSimd } from "../../src/explorer/network/kernels_simd.js";
import binary from "../../src/explorer/network/simd.wasm.js";

const MB = 1 << 20;
const simdKernels = await loadSimd(binary);
const SHAPES = [
  { cIn: 3, cOut: 4, height: 16, width: 16, batch: 32 },
  { cIn: 32, cOut: 32, height: 2, width: 2, batch: 32 },
  { cIn: 8, cOut: 16, height: 8, width: 8, batch: 12 },
  { cIn: 1, cOut: 1, height: 1, width: 1, batch: 1 },
  { cIn: 5, cOut: 7, height: 3, width: 6, batch: 13 },
  { cIn: 7, cOut: 5, height: 6, width: 1, batch: 3 },
  { cIn: 2, cOut: 9, height: 1, width: 4, batch: 5 },
  { cIn: 6, cOut: 6, height: 4, width: 2, batch: 18 },
];

/** A generator of numbers between −1 and 1. */
function random(seed) {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 31 - 1;
  };
}

/** What a kernel returns, or else writes, given arrays of random numbers of these lengths. */
function outcome(kernels, name, [written, read, rest]) {
  const next = random(1);
  const take = (length) => {
    const array = kernels.floats(length);
    array.set(Array.from(array, next));
    return array;
  };
  const out = written.map(take);
  const returned = kernels[name](...out, ...read.map(take), ...rest);
  return returned === undefined ? out : [[returned]];
}

/** Equal but for the rounding of sums of `terms` numbers of size 1. */
function agree(actual, expected, terms, what) {
  for (const [k, one] of expected.entries())
    for (let n = 0; n < one.length; n++) {
      const far = Math.abs(actual[k][n] - one[n]);
      assert.ok(
        far <= 8e-7 * Math.sqrt(terms) + 1e-6 * Math.abs(one[n]),
        `${what}, array ${k} at ${n}: ${actual[k][n]}, not ${one[n]}`,
      );
    }
}

/** Of every kernel but those of pooling: lengths that it writes and reads, what else it is given, terms of its sums. */
function calls(shape) {
  const { cIn, cOut, height, width, batch } = shape;
  const pixels = height * width * batch;
  const [x, y, w] = [cIn * pixels, cOut * pixels, 9 * cIn * cOut];
  const channels = [cOut, cOut, cOut, cOut];
  return {
    convolve: [[y], [x, w], [shape], 9 * cIn],
    convolveInput: [[x], [y, w], [shape], 9 * cOut],
    convolveWeights: [[w], [y, x], [shape], pixels],
    moments: [[cOut, cOut], [y], [], 1],
    affine: [[y], [y, cOut, cOut], [], 2],
    normSums: [[cOut, cOut], [y, y, cOut, cOut], [], pixels],
    normInput: [[y], [y, y, cOut, ...channels], [], 4],
    relu: [[y], [y], [], 1],
    reluInput: [[y], [y, y], [], 1],
    add: [[y], [y, y], [], 2],
    dot: [[], [y, y], [], y],
    gram: [[15], [w, w, w, w, w], [], w],
  };
}

for (const shape of SHAPES) {
  const words = Object.entries(shape)
    .map(([name, size]) => `${name} ${size}`)
    .join(", ");

  test(`kernels agree, ${words}`, async () => {
    const [plain, simd] = [plainKernels(32 * MB), simdKernels(32 * MB)];
    for (const [name, [...given]] of Object.entries(calls(shape))) {
      const terms = given.pop();
      agree(outcome(simd, name, given), outcome(plain, name, given), terms, name);
    }
  });

  test(`pooling agrees exactly, and so do sums of two vectors, ${words}`, async () => {
    const { cOut, height, width, batch } = shape;
    const [full, pooled] = [cOut * height * width * batch, cOut * (height >> 1) * (width >> 1) * batch];
    const found = [plainKernels(MB * 8), simdKernels(MB * 8)].map((kernels) => {
      const next = random(2);
      const [x, y, dx, dy] = [full, pooled, full, pooled].map(kernels.floats);
      const place = kernels.ints(pooled);
      x.set(Array.from(x, () => Math.round(4 * next()))); // many are equal: the first counts
      dy.set(Array.from(dy, next));
      kernels.maxPool(y, place, x, shape);
      kernels.maxPoolInput(dx, dy, place, shape);
      kernels.combine(x, 0.5, dx, -2);
      return [y, place, dx, x].map((array) => Array.from(array));
    });
    assert.deepEqual(found[1], found[0]);
  });
}

test("an arena that is full says so", async () => {
  for (const kernels of [plainKernels(1000), simdKernels(1000)])
    assert.throws(() => kernels.floats(MB), { name: "RangeError", message: /bytes: must be at most/ });
});

test("a convolution for which there is no room says so", async () => {
  const kernels = simdKernels(MB);
  const shape = { cIn: 128, cOut: 128, height: 1, width: 1, batch: 1 };
  const [x, w] = [kernels.floats(128), kernels.floats(9 * 128 * 128)];
  assert.throws(() => kernels.convolve(x, x, w, shape), /cIn × cOut = 16384: must be at most/);
});
