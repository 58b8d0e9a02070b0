// Forward and backward of the network, what it is blind to, and the step. Agreement with PyTorch: test_live_network.py.

import assert from "node:assert/strict";
import { test } from "node:test";

import { batches, source } from "../../src/explorer/network/images.js";
import { plainKernels } from "../../src/explorer/network/kernels.js";
import { crossEntropy, LAYERS } from "../../src/explorer/network/model.js";
import { OPTIMIZERS } from "../../src/explorer/network/optim.js";
import { random } from "../../src/explorer/network/random.js";
import { PRODUCTS } from "../../src/explorer/network/recorder.js";
import { Network } from "../../src/explorer/network/step.js";
import { series, trained, wideKernels } from "./networks.mjs";

const SETTING = {
  ...{ lr: 0.5, weight_decay: 0.01, momentum: 0, optimizer: "sgd", init_scale: 1, no_norm: null },
  ...{ rest_lr_scale: 1, rest_weight_decay_scale: 0, eps: 1e-5 },
};
const place = (pair) => PRODUCTS.findIndex((names) => names.join() === pair);

/** A network in float64 with a batch of its own, gains and offsets not 1 and 0. */
function network(setting = {}, batch = 4) {
  const kernels = wideKernels();
  const it = new Network(kernels, batch);
  it.begin(random(3), { ...SETTING, ...setting });
  const draws = random(4);
  for (const { gain, offset } of it.model.layers)
    for (let c = 0; c < gain.w.length; c++)
      [gain.w[c], offset.w[c]] = [draws.uniform(0.5, 1.5), draws.uniform(-0.3, 0.3)];
  const [one] = batches(kernels, 1, batch);
  source(5).next(one);
  return { it, ...one };
}

const lossOf = ({ it, images, labels }) => crossEntropy(it.model.forward(images), labels).loss;

/** The largest difference of gradients from central differences, relative to the largest gradient of the group. */
function worst(given, { w, g }, every) {
  const h = 1e-6;
  let [difference, size] = [0, 0];
  for (let i = 0; i < w.length; i += every) {
    const kept = w[i];
    w[i] = kept + h;
    const above = lossOf(given);
    w[i] = kept - h;
    const below = lossOf(given);
    w[i] = kept;
    difference = Math.max(difference, Math.abs((above - below) / (2 * h) - g[i]));
    size = Math.max(size, Math.abs(g[i]));
  }
  return difference / size;
}

for (const no_norm of [null, "layer2", "layer3.res1"])
  test(`gradients are those of finite differences, batch norm everywhere but in ${no_norm ?? "nothing"}`, () => {
    const given = network({ no_norm });
    const { model } = given.it;
    crossEntropy(model.forward(given.images), given.labels, given.it.dlogits);
    model.backward(given.it.dlogits);
    for (const layer of model.layers) {
      const every = Math.ceil(layer.w.length / 24);
      assert.ok(worst(given, layer, every) < 1e-5, layer.name);
      if (!layer.normalized) continue;
      assert.ok(worst(given, layer.gain, 1) < 1e-5, `${layer.name} gain`);
      assert.ok(worst(given, layer.offset, 1) < 1e-5, `${layer.name} offset`);
    }
    assert.ok(worst(given, model.linear, 7) < 1e-5, "linear");
  });

test("cross-entropy: equal logits give ln 10, and a gradient that sums to zero", () => {
  const dlogits = new Float64Array(20);
  const { loss } = crossEntropy(new Float64Array(20).fill(3), [7, 2], dlogits);
  assert.ok(Math.abs(loss - Math.log(10)) < 1e-12);
  assert.ok(Math.abs(dlogits.reduce((a, b) => a + b)) < 1e-12);
  assert.ok(Math.abs(dlogits[14] - (0.1 - 1) / 2) < 1e-12); // class 7 of the first image
});

test("a gradient is orthogonal to its weights where batch norm follows, and only there", () => {
  const given = network({ no_norm: "layer1", eps: 1e-30 }); // of layer2 the next batch norm would see no scale
  given.it.step(given.images, given.labels);
  const { products } = given.it.recorder;
  for (const [l, name] of LAYERS.entries()) {
    const [w2, wg, g2] = ["w,w", "w,g", "g,g"].map((pair) => products[15 * l + place(pair)]);
    const cosine = Math.abs(wg) / Math.sqrt(w2 * g2);
    if (name === "layer1") assert.ok(cosine > 1e-3, `${name}: ${cosine}`);
    else assert.ok(cosine < 1e-10, `${name}: ${cosine}`);
  }
});

test("the recorder has the products of what the step has done", () => {
  const given = network({ momentum: 0.9, optimizer: "heavy-ball" });
  const { it, images, labels } = given;
  for (let t = 0; t < 3; t++) it.step(images, labels);
  const before = { w: it.model.convs.w.slice(), v_prev: it.model.convs.v.slice() };
  it.step(images, labels);
  const { w, g, v } = it.model.convs;
  const rows = { ...before, g, v, u: w.map((after, i) => after - before.w[i]) };
  let begin = 0;
  for (const [l, layer] of it.model.layers.entries()) {
    const cut = (name) => rows[name].subarray(begin, begin + layer.w.length);
    for (const [p, [a, b]] of PRODUCTS.entries()) {
      const expected = cut(a).reduce((sum, x, i) => sum + x * cut(b)[i], 0);
      const size = Math.sqrt(cut(a).reduce((s, x) => s + x * x, 0) * cut(b).reduce((s, x) => s + x * x, 0));
      assert.ok(Math.abs(it.recorder.products[15 * l + p] - expected) < 1e-12 * size, `${layer.name} ${a} · ${b}`);
    }
    begin += layer.w.length;
  }
});

test("a step does what its equation says", () => {
  for (const optimizer of OPTIMIZERS) {
    const [lr, alpha, rho] = [0.3, 0.02, optimizer === "sgd" ? 0 : 0.8];
    const given = network({ lr, weight_decay: alpha, momentum: 0.8, optimizer });
    const { it, images, labels } = given;
    it.step(images, labels);
    const before = it.model.layers.map(({ w, v }) => ({ w: w.slice(), v: v.slice() }));
    it.step(images, labels);
    for (const [l, layer] of it.model.layers.entries()) {
      const { w, v } = before[l];
      const norm = (x) => Math.sqrt(x.reduce((sum, one) => sum + one * one, 0));
      const lars = optimizer === "lars";
      const [step, trust] = [lars ? Math.sqrt(2 * lr * alpha * (1 - rho)) : lr, norm(w) / norm(layer.g)];
      for (let i = 0; i < w.length; i += 5) {
        const d = lars ? trust * layer.g[i] : layer.g[i] + alpha * w[i];
        const momentum = rho * v[i] + d;
        const direction = optimizer === "nesterov" ? d + rho * momentum : momentum;
        assert.ok(Math.abs(layer.v[i] - momentum) < 1e-12, `${optimizer} v`);
        assert.ok(Math.abs(layer.w[i] - (w[i] - step * direction)) < 1e-12, `${optimizer} w`);
      }
    }
  }
});

test("LARS turns every layer by √(2λα) a step, whatever its size", () => {
  const { report } = trained({ steps: 3, networks: [{ optimizer: "lars", init_scale: 5 }] });
  for (let l = 0; l < 8; l++) {
    const [w2, u2] = [series(report.networks[0], place("w,w"), l), series(report.networks[0], place("u,u"), l)];
    for (let t = 0; t < 3; t++) assert.ok(Math.abs(Math.sqrt(u2[t] / w2[t]) / Math.sqrt(0.01) - 1) < 1e-5);
  }
});

test("SGD without momentum: |w'|² is |w|² less its shrink plus its growth", () => {
  const steps = 40;
  const { report } = trained({ steps, networks: [{ eps: 1e-30 }] });
  const x = 0.5 * 0.01;
  for (let l = 0; l < 8; l++) {
    const [w2, g2] = ["w,w", "g,g"].map((pair) => series(report.networks[0], place(pair), l));
    for (let t = 0; t + 1 < steps; t++) {
      const expected = w2[t] - (2 * x - x * x) * w2[t] + 0.25 * g2[t];
      assert.ok(Math.abs(w2[t + 1] / expected - 1) < 2e-6, `layer ${l}, step ${t}`);
    }
  }
});

test("same λα: 4λ, α/4 and weights twice as long are the same function at every step, bit for bit", () => {
  for (const [optimizer, momentum] of [
    ["sgd", 0],
    ["heavy-ball", 0.875],
    ["nesterov", 0.875],
    ["lars", 0.875],
  ]) {
    const common = { optimizer, momentum, eps: 1e-30 };
    const networks = [
      { ...common, lr: 0.25, weight_decay: 1 / 64 },
      { ...common, lr: 1, weight_decay: 1 / 256, init_scale: 2, rest_lr_scale: 1 / 4 },
    ];
    const [one, other] = trained({ steps: 12, networks }).report.networks;
    assert.deepEqual(one.loss, other.loss, optimizer);
    assert.deepEqual(one.tests, other.tests);
    assert.notEqual(one.loss[0], one.loss[11]);
    for (let l = 0; l < 8; l++) {
      const [a, b] = [one, other].map((network) => series(network, place("w,w"), l));
      assert.deepEqual(
        b,
        a.map((w2) => 4 * w2),
        `${optimizer}: norms apart by 2`,
      );
    }
  }
});

test("a batch norm that is taken out and put back", () => {
  const kernels = plainKernels(1e7);
  const it = new Network(kernels, 8);
  it.begin(random(1), SETTING);
  it.withoutNorm("layer2");
  assert.deepEqual(
    it.model.layers.filter(({ normalized }) => !normalized).map(({ name }) => name),
    ["layer2"],
  );
  it.withoutNorm(null);
  assert.ok(it.model.layers.every(({ normalized }) => normalized));
});
