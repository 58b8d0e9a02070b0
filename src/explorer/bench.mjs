// The CPU time of a step of the network in node, with images and recorder: node bench.mjs simd|plain STEPS.

import { fastest } from "./network/fastest.js";
import { Lab } from "./network/lab.js";
import binary from "./network/simd.wasm.js";

const [kind, steps] = [process.argv[2], Number(process.argv[3])];
const lab = new Lab({ kernels: await fastest(kind === "simd" ? binary : null) });
lab.receive({ type: "start", seed: 1, networks: [{}] });
lab.receive({ type: "play" });

function take(steps) {
  const began = process.cpuUsage();
  for (let step = 0; step < steps; step++) {
    lab.step();
    if (step % 10 === 0) lab.report();
  }
  const { user, system } = process.cpuUsage(began);
  return (user + system) / 1000 / steps;
}

take(steps / 2);
console.log(JSON.stringify({ kernels: lab.kernels.name, ms: take(steps) }));
