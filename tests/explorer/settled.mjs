// Dots over line, and the way home after a kick, of the network in the page against theory: node settled.mjs. No test:
// it takes minutes.

import { loadSimd } from "../../src/explorer/network/kernels_simd.js";
import { Lab } from "../../src/explorer/network/lab.js";
import { LAYERS } from "../../src/explorer/network/model.js";
import binary from "../../src/explorer/network/simd.wasm.js";

const SMOOTH = 50; // steps over which c² is smoothed for the law of a kick
const kernels = await loadSimd(binary);

/** A lab that has made so many steps. */
function begun(setting, steps, seed) {
  const lab = new Lab({ kernels });
  lab.receive({ type: "start", seed, networks: [setting] });
  return further(lab, steps) && lab;
}

function further(lab, steps) {
  lab.report();
  lab.receive({ type: "step", count: steps });
  while (lab.running) lab.step();
  return lab.report().networks[0];
}

/** Product number p of a layer in a report: [T]. The order is that of PRODUCTS. */
const [WW, GG, PREV2, V_PREV, VV] = [0, 5, 9, 10, 12];
const of = ({ products, loss }, l, p) => Float64Array.from(loss, (_, t) => products[(8 * t + l) * 15 + p]);
const mean = (numbers) => numbers.reduce((a, b) => a + b, 0) / numbers.length;
const row = (name, numbers) => console.log(name.padEnd(28), [...numbers].map((x) => x.toFixed(3)).join("  "));

/** rms of λ|g|/|w| over √(2λα(1 − ρ)), and over √(1/(1 + 2ρκ)) of that. */
function dots({ lr, weight_decay, momentum = 0, ...rest }, seed) {
  const tau = (1 - momentum) / (4 * lr * weight_decay);
  const lab = begun({ lr, weight_decay, momentum, ...rest }, Math.ceil(5 * tau), seed);
  const network = further(lab, 2000);
  const over = LAYERS.map((_, l) => {
    const [w2, g2, v2, vv, prev2] = [WW, GG, VV, V_PREV, PREV2].map((p) => of(network, l, p));
    const z = mean(g2.map((g, t) => (lr * g) / w2[t])) / (2 * weight_decay * (1 - momentum));
    const dv = mean(w2.map((w, t) => (vv[t] - momentum * prev2[t]) / w));
    const d2 = mean(w2.map((w, t) => (v2[t] - 2 * momentum * vv[t] + momentum ** 2 * prev2[t]) / w));
    return [Math.sqrt(z), Math.sqrt(z * (1 + (2 * momentum * dv) / d2))];
  });
  const name = `λ ${lr} α ${weight_decay} ρ ${momentum}`;
  row(
    name,
    over.map(([raw]) => raw),
  );
  if (momentum)
    row(
      "  with κ",
      over.map(([, corrected]) => corrected),
    );
  console.log("  accuracy", mean(network.accuracy.slice(-500)).toFixed(3), "test", network.tests.at(-1)?.accuracy);
}

/** Largest distance of |w|² from the law, in 4τ steps after all weights have become three times as long: with c²
 *  smoothed, and with one c for all of them. */
function kick({ lr, weight_decay }, factor, seed) {
  const tau = 1 / (4 * lr * weight_decay);
  const lab = begun({ lr, weight_decay }, Math.ceil(5 * tau), seed);
  lab.receive({ type: "kick", layer: "all", factor });
  const change = lab.report().events[0].logits_change;
  const network = further(lab, Math.ceil(4 * tau));
  const worst = LAYERS.map((_, l) => {
    const [w2, g2] = [WW, GG].map((p) => of(network, l, p));
    const c2 = w2.map((w, t) => w * g2[t]);
    const smooth = c2.map((_, t) => mean(c2.slice(Math.max(0, t - SMOOTH / 2), t + SMOOTH / 2)));
    return [smooth, c2.fill(mean(c2))].map((sizes) => {
      let [w, far] = [w2[0], 0];
      for (let t = 0; t < w2.length; t++) {
        far = Math.max(far, Math.abs(w / w2[t] - 1));
        w = (1 - lr * weight_decay) ** 2 * w + (lr ** 2 * sizes[t]) / w;
      }
      return far;
    });
  });
  console.log(`kick × ${factor.toFixed(2)}, λ ${lr} α ${weight_decay}: logits changed by ${change.toExponential(1)}`);
  row(
    "  c smoothed",
    worst.map(([far]) => far),
  );
  row(
    "  c constant",
    worst.map(([, far]) => far),
  );
}

for (const seed of [1, 2]) {
  for (const [lr, weight_decay] of [
    [0.5, 0.01],
    [0.2, 0.01],
    [1, 0.01],
  ])
    dots({ lr, weight_decay }, seed);
  for (const lr of [0.05, 0.02, 0.1]) dots({ lr, weight_decay: 0.01, momentum: 0.9, optimizer: "heavy-ball" }, seed);
  // Downwards one step, or two, decides: there |w|² grows by several times itself, and no mean of c² says by how much.
  for (const factor of [3, 1 / 3])
    for (const [lr, weight_decay] of [
      [0.5, 0.01],
      [0.2, 0.01],
      [1, 0.01],
    ])
      kick({ lr, weight_decay }, factor, seed);
}
