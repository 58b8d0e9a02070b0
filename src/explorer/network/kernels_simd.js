// The kernels of kernels.js in WebAssembly, 128 bits at a time: the same functions on arrays in one memory, of which
// they are given the addresses. Compiled from simd.ts.

import { arena } from "./arena.js";

const PAGE = 65536; // bytes
const TABLE = 0; // where in the memory a convolution keeps what its sums are over
const TURNED = 1 << 16; // where it keeps turned weights, or sums that are not complete
const START = 1 << 20; // where the arena begins

/** A function that makes kernels, with an arena of `bytes` for the arrays that they are given. `binary`: what simd.ts
 *  is compiled to, packed, in base64. Rejects where WebAssembly with SIMD is not to be had. */
export async function loadSimd(binary) {
  const compiled = await WebAssembly.compile(await unpacked(binary));
  return (bytes) => {
    const memory = new WebAssembly.Memory({ initial: Math.ceil((START + bytes) / PAGE) });
    const { exports } = new WebAssembly.Instance(compiled, { env: { memory } });
    return { name: "simd", ...arena(memory.buffer, START), ...wrapped(exports) };
  };
}

function unpacked(binary) {
  const bytes = Uint8Array.from(atob(binary), (letter) => letter.charCodeAt(0));
  return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate-raw"))).arrayBuffer();
}

/** The functions of kernels.js. An array becomes its address, a shape its numbers. */
function wrapped(wasm) {
  const at = (...arrays) => arrays.map((array) => array.byteOffset);
  const sizes = ({ cIn, cOut, height, width, batch }) => {
    const largest = START - TURNED;
    if (144 * cIn * cOut > largest)
      throw new RangeError(`cIn × cOut = ${cIn * cOut}: must be at most ${largest / 144}`);
    return [cIn, cOut, height, width, batch];
  };
  return {
    convolve: (y, x, w, shape) => wasm.convolve(...at(y, x, w), ...sizes(shape), TABLE),
    convolveInput(dx, dy, w, shape) {
      const [cIn, cOut, ...image] = sizes(shape);
      wasm.turn(TURNED, w.byteOffset, cIn, cOut);
      wasm.convolve(...at(dx, dy), TURNED, cOut, cIn, ...image, TABLE);
    },
    convolveWeights: (dw, dy, x, shape) => wasm.convolveWeights(...at(dw, dy, x), ...sizes(shape), TURNED),
    moments: (mean, variance, x) => wasm.moments(...at(mean, variance, x), mean.length, x.length / mean.length),
    affine: (y, x, slope, shift) => wasm.affine(...at(y, x, slope, shift), slope.length, x.length / slope.length),
    normSums: (sum, product, dy, x, mean, scale) =>
      wasm.normSums(...at(sum, product, dy, x, mean, scale), mean.length, x.length / mean.length),
    normInput: (dx, dy, x, mean, scale, factor, sum, product) =>
      wasm.normInput(...at(dx, dy, x, mean, scale, factor, sum, product), mean.length, x.length / mean.length),
    maxPool: (y, place, x, { cOut, height, width, batch }) =>
      wasm.maxPool(...at(y, place, x), cOut, height, width, batch),
    maxPoolInput: (dx, dy, place, { cOut, height, width, batch }) =>
      wasm.maxPoolInput(...at(dx, dy, place), cOut, height, width, batch),
    relu: (y, x) => wasm.relu(...at(y, x), x.length),
    reluInput: (dx, dy, y) => wasm.reluInput(...at(dx, dy, y), y.length),
    add: (y, a, b) => wasm.add(...at(y, a, b), y.length),
    combine: (y, a, x, b) => wasm.combine(y.byteOffset, a, x.byteOffset, b, y.length),
    gram: (products, ...vectors) => wasm.gram(...at(products, ...vectors), vectors[0].length),
    dot: (a, b) => wasm.dot(...at(a, b), a.length),
  };
}
