// At the default setting every layer comes to its equilibrium, and the network learns. settled.mjs looks more closely.

import assert from "node:assert/strict";
import { test } from "node:test";

import { loadSimd } from "../../src/explorer/network/kernels_simd.js";
import { BATCH_SIZE, DEFAULT } from "../../src/explorer/network/lab.js";
import { LAYERS } from "../../src/explorer/network/model.js";
import binary from "../../src/explorer/network/simd.wasm.js";
import { series, trained } from "./networks.mjs";

const SETTLED = 250; // steps: five time constants 1/(4λα)

test("dots over line, rms over 1,000 steps, is 1 within 5 % in every layer; most images are told apart", async () => {
  const kernels = await loadSimd(binary);
  const { report } = trained({ steps: SETTLED + 1000, batch_size: BATCH_SIZE, kernels });
  const [network] = report.networks;
  const { lr, weight_decay } = DEFAULT;
  for (const [l, name] of LAYERS.entries()) {
    const [w2, g2] = [0, 5].map((place) => series(network, place, l).slice(SETTLED));
    const z = w2.reduce((sum, w, t) => sum + (lr * g2[t]) / (2 * weight_decay * w), 0) / w2.length;
    assert.ok(Math.abs(Math.sqrt(z) - 1) < 0.05, `${name}: ${Math.sqrt(z)}`);
  }
  const { accuracy } = network.tests.at(-1);
  assert.ok(accuracy > 0.75 && accuracy < 0.99, `test accuracy ${accuracy}`);
});
