// Which kernels a network trains with: those in WebAssembly, or where that is not to be had those in plain JavaScript.

import { plainKernels } from "./kernels.js";
import { loadSimd } from "./kernels_simd.js";

/** The function that makes kernels, see kernels.js. `binary`: WebAssembly in base64; null asks for plain JavaScript. */
export async function fastest(binary) {
  if (binary === null) return plainKernels;
  try {
    return await loadSimd(binary);
  } catch {
    return plainKernels; // no WebAssembly, none with SIMD, or a page that forbids it
  }
}
