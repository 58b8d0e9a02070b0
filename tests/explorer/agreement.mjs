// Steps of the network for tests/test_live_network.py: node agreement.mjs <setting as JSON> <file for the numbers>.
//
// The setting: that of a network, and kernels ("plain", "simd" or "wide", float64), steps, batch. Arrays are float64 in
// base64. Labels and images are those of the first steps.

import { writeFileSync } from "node:fs";

import { batches, source } from "../../src/explorer/network/images.js";
import { plainKernels } from "../../src/explorer/network/kernels.js";
import { loadSimd } from "../../src/explorer/network/kernels_simd.js";
import { crossEntropy } from "../../src/explorer/network/model.js";
import { random } from "../../src/explorer/network/random.js";
import binary from "../../src/explorer/network/simd.wasm.js";
import { Network } from "../../src/explorer/network/step.js";
import { wideKernels } from "./networks.mjs";

const { kernels: name, steps, batch, ...setting } = JSON.parse(process.argv[2]);
const make = { plain: () => plainKernels, wide: () => wideKernels, simd: () => loadSimd(binary) }[name];
const kernels = (await make())(32e6);
const packed = (array) => Buffer.from(Float64Array.from(array).buffer).toString("base64");

const network = new Network(kernels, batch);
network.begin(random(1), setting);
const { model, recorder, dlogits } = network;
const draws = random(2);
for (const { gain, offset } of model.layers)
  for (let c = 0; c < gain.w.length; c++) {
    gain.w[c] = draws.uniform(0.5, 1.5);
    offset.w[c] = draws.uniform(-0.3, 0.3);
  }
const start = { convs: packed(model.convs.w), rest: packed(model.rest.w) };

const [one] = batches(kernels, 1, batch);
const images = source(3);
const out = { start, images: [], labels: [], loss: [], products: [] };
for (let t = 0; t < steps; t++) {
  images.next(one);
  out.images.push(packed(one.images));
  out.labels.push([...one.labels]);
  if (t === 0) {
    crossEntropy(model.forward(one.images), one.labels, dlogits);
    model.backward(dlogits);
    model.follow(0.1);
    out.first = { logits: packed(model.linear.y), convs: packed(model.convs.g), rest: packed(model.rest.g) };
    out.running = model.layers.map(({ running }) => [packed(running.mean), packed(running.variance)]);
    out.tested = packed(model.forward(one.images, false));
  }
  out.loss.push(network.step(one.images, one.labels).loss);
  out.products.push(packed(recorder.products));
}
out.end = { convs: packed(model.convs.w), rest: packed(model.rest.w) };
writeFileSync(process.argv[3], JSON.stringify(out));
