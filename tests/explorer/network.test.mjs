// Forward and backward of the network, what it is blind to, and the step. Agreement with PyTorch: test_live_network.py.

import assert from "node:assert/strict";
import { test } from "node:test";

import { BETA2, DIRECTIONS, memories, orthogonal } from "../../src/explorer/network/directions.js";
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
  ...{ rest_lr: 0.25, rest_weight_decay: 0.01, rest_momentum: 0 },
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
  for (const optimizer of OPTIMIZERS.filter((name) => !(name in DIRECTIONS))) {
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

/** u of the second step, from the gradients of both and the weights before them; of one weight. */
const SECOND = {
  sgdw: ([, a], [, b], rho) => rho * a + b,
  lion: ([, a], [, b], beta) => Math.sign(beta * (1 - BETA2.lion) * a + (1 - beta) * b),
  adamw: ([, a], [, b], beta) => adaptive(a, b, beta),
  adam: ([v, a], [w, b], beta) => adaptive(a + 0.02 * v, b + 0.02 * w, beta),
};
const adaptive = (a, b, beta) => {
  const mean = (beta * a + b) / (1 + beta);
  return mean / (Math.sqrt((BETA2.adamw * a ** 2 + b ** 2) / (1 + BETA2.adamw)) + 1e-8);
};

test("a direction is what its equation says, and decay acts beside it; the rest has a λ of its own", () => {
  for (const [optimizer, second] of Object.entries(SECOND)) {
    const [lr, alpha, rho] = [0.03, 0.02, 0.8];
    const { it, images, labels } = network({ lr, weight_decay: alpha, momentum: rho, optimizer });
    const seen = [0, 1].map(() => {
      const before = it.model.convs.w.slice();
      const rest = it.model.rest.w.slice();
      it.step(images, labels);
      for (const [i, w] of rest.entries())
        assert.ok(Math.abs(it.model.rest.w[i] - ((1 - 0.25 * 0.01) * w - 0.25 * it.model.rest.g[i])) < 1e-12);
      return [before, it.model.convs.g.slice()];
    });
    for (let i = 0; i < it.model.convs.w.length; i += 7) {
      const [first, [w, g]] = seen.map((arrays) => arrays.map((array) => array[i]));
      const u = second(first, [w, g], rho);
      assert.ok(Math.abs(it.model.convs.v[i] - u) < 1e-9, `${optimizer} u`);
      const kept = optimizer === "adam" ? 1 : 1 - lr * alpha;
      assert.ok(Math.abs(it.model.convs.w[i] - (kept * w - lr * u)) < 1e-10, `${optimizer} w`);
    }
  }
});

test("Muon: the singular values of a matrix come near 1, as in Python's example; zeros stay zeros", () => {
  const kernels = wideKernels();
  const [{ room }] = memories(kernels, [{ shape: { cOut: 2 }, w: new Float64Array(6) }]);
  const small = Float64Array.from([3, 0, 0, 0.03]);
  orthogonal(kernels, small, 2, room);
  assert.deepEqual(
    [...small].map((x) => x.toFixed(4)),
    ["0.6965", "0.0000", "0.0000", "0.6989"],
  );
  const wide = Float64Array.from([4, 3, 0, -0.03, 0.04, 0]); // singular values 5 and 0.05
  orthogonal(kernels, wide, 2, room);
  const dot = (i, j) => [0, 1, 2].reduce((sum, k) => sum + wide[3 * i + k] * wide[3 * j + k], 0);
  for (const i of [0, 1]) assert.ok(Math.abs(Math.sqrt(dot(i, i)) - 0.95) < 0.27);
  assert.ok(Math.abs(dot(0, 1)) < 1e-12);
  const zeros = new Float64Array(4);
  orthogonal(kernels, zeros, 2, room);
  assert.deepEqual([...zeros], [0, 0, 0, 0]);
});

test("a new optimizer takes over a memory in its own units, and no other", () => {
  for (const [from, to, keeps] of [
    ["heavy-ball", "sgdw", true],
    ["adam", "adamw", true],
    ["sgdw", "adamw", false],
    ["adamw", "lion", false],
    ["lion", "muon", false],
    ["muon", "heavy-ball", false],
  ]) {
    const { it, images, labels } = network({ optimizer: from, momentum: 0.5, lr: 0.01 });
    it.step(images, labels);
    it.change({ optimizer: to, lr: 0.02 });
    const all = [it.model.convs.v, ...it.memories.flatMap(({ m, s }) => [m, s])];
    assert.equal(
      all.some((memory) => memory.some((x) => x !== 0)),
      keeps,
      `${from} → ${to}`,
    );
    assert.equal(it.memories[0].steps > 0, keeps && from === "adam");
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

test("same λα: 4λ, α/4 and longer weights are the same function at every step, bit for bit", () => {
  for (const [optimizer, momentum, by] of [
    ["sgd", 0, 2], // |w|² ∝ λ
    ["heavy-ball", 0.875, 2],
    ["nesterov", 0.875, 2],
    ["lars", 0.875, 2],
    ["sgdw", 0.875, 2],
    ["lion", 0.875, 4], // whose step does not know the size of a gradient: |w| ∝ λ
    ["muon", 0.875, 4],
  ]) {
    const common = { optimizer, momentum, eps: 1e-30 };
    const networks = [
      { ...common, lr: 0.25, weight_decay: 1 / 64 },
      { ...common, lr: 1, weight_decay: 1 / 256, init_scale: by, rest_lr_scale: 1 / 4 },
    ];
    const [one, other] = trained({ steps: 12, networks }).report.networks;
    assert.deepEqual(one.loss, other.loss, optimizer);
    assert.deepEqual(one.tests, other.tests);
    assert.notEqual(one.loss[0], one.loss[11]);
    for (let l = 0; l < 8; l++) {
      const [a, b] = [one, other].map((network) => series(network, place("w,w"), l));
      assert.deepEqual(
        b,
        a.map((w2) => by ** 2 * w2),
        `${optimizer}: norms apart by ${by}`,
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
