// What the tests of the network share: kernels in float64, labs that have made some steps, the numbers of a network.

import { plainKernels } from "../../src/explorer/network/kernels.js";
import { Lab } from "../../src/explorer/network/lab.js";

/** The plain kernels on arrays of float64, for finite differences. */
export const wideKernels = () => ({
  ...plainKernels(0),
  floats: (length) => new Float64Array(length),
  ints: (length) => new Int32Array(length),
});

/** A lab after some steps with commands [[t, command]]; and its report of all of them. */
export function trained({ steps, seed = 1, batch_size = 8, networks = [{}], commands = [], kernels = plainKernels }) {
  const lab = new Lab({ kernels });
  lab.receive({ type: "start", seed, batch_size, networks });
  lab.receive({ type: "play" });
  for (let t = 0; t < steps && lab.running; t++) {
    for (const [when, command] of commands) if (when === t) lab.receive(command);
    lab.step();
  }
  return { lab, report: lab.report() };
}

/** The products of a pair of vectors, by name, in a report: [T] of a layer. */
export function series({ products, loss }, place, layer, layers = 8) {
  return Array.from(loss, (_, t) => products[(t * layers + layer) * 15 + place]);
}
