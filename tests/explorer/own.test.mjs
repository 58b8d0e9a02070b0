// own.js: the reader's run of the page's network, in the windows that recorded runs have.

import assert from "node:assert/strict";
import test from "node:test";

import { compute, measured } from "../../src/explorer/compute.js";
import { random } from "../../src/explorer/network/random.js";
import { begin, HERE, shown, take, windows } from "../../src/explorer/own.js";
import { initial, kept } from "../../src/explorer/state.js";
import { follow, larsRate, rates } from "../../src/explorer/theory.js";

const ROLES = ["w", "g", "v_prev", "v", "u"];
const PAIRS = ROLES.flatMap((a, i) => ROLES.slice(i).map((b) => [a, b]));
const SIZE = 24;
const dot = (a, b) => a.reduce((sum, v, i) => sum + v * b[i], 0);

/** Reports of `layers` weights of SIZE numbers that move by SGD in random directions at right angles, |g| = c/|w|. */
function* reports(values, layers, steps, every = 37) {
  const { lr, weight_decay, momentum, optimizer } = values;
  const draw = random(1);
  const some = () => Array.from({ length: SIZE }, () => draw.triangular());
  const all = Array.from({ length: layers }, () => ({ w: some(), v: Array(SIZE).fill(0) }));
  let out = null;
  for (let t = 0; t < steps; t++) {
    out ??= { products: [], loss: [], accuracy: [], tests: [] };
    all.forEach((one, l) => {
      const { w, v: v_prev } = one;
      const n = some();
      const off = n.map((x, i) => x - (w[i] * dot(n, w)) / dot(w, w));
      const g = off.map((x) => (x * (1 + l)) / Math.sqrt(dot(off, off) * dot(w, w)));
      const lars = optimizer === "lars";
      const scale = lars ? Math.sqrt(dot(w, w) / dot(g, g)) : 1;
      const v = g.map((x, i) => momentum * v_prev[i] + scale * x + (lars ? 0 : weight_decay * w[i]));
      const u = v.map((x) => -(lars ? larsRate(lr, weight_decay, momentum) : lr) * x);
      const rows = { w, g, v_prev, v, u };
      out.products.push(...PAIRS.map(([a, b]) => dot(rows[a], rows[b])));
      one.v = v;
      one.w = w.map((x, i) => x + u[i]);
    });
    out.loss.push(2 - t / steps);
    out.accuracy.push(t / steps);
    if ((t + 1) % HERE.steps_per_epoch === 0) out.tests.push({ t: t + 1, loss: 1, accuracy: (t + 1) / 2000 });
    if (t % every === every - 1 || t === steps - 1) {
      yield { networks: [out] };
      out = null;
    }
  }
}
function trained(values, steps = HERE.steps, layers = 2) {
  const run = begin(values, layers, 7);
  for (const report of reports(values, layers, steps)) take(run, report);
  return run;
}
const BALL = { lr: 0.1, weight_decay: 0.02, momentum: 0.8, optimizer: "heavy-ball" };

test("a run has one number a window, and theory meets its norms from its own start and gradients", () => {
  for (const values of [{ ...BALL, momentum: 0, optimizer: "sgd" }, BALL, { ...BALL, optimizer: "lars", lr: 0.02 }]) {
    const run = shown(trained(values), "done");
    assert.equal(run.w2[0].length, run.edges.length - 1);
    assert.equal(run.edges.at(-1), HERE.steps);
    for (const l of [0, 1]) {
      const lars = values.optimizer === "lars";
      const c2 = new Float64Array(HERE.steps).fill((1 + l) ** 2);
      const rate = lars ? larsRate(values.lr, values.weight_decay, values.momentum) : values.lr;
      const { w2, growth } = follow(run.w2[l][0], c2, rates(HERE, rate), values);
      for (let w = 20; w < run.w2[l].length; w++) {
        assert.ok(Math.abs(run.w2[l][w] / w2[run.edges[w]] - 1) < 0.2, `${values.optimizer} ${l} ${w}`);
        const middle = Math.floor((run.edges[w] + run.edges[w + 1]) / 2);
        const grown = run.growth[l].slice(w - 15, w + 1).reduce((a, b) => a + b, 0) / 16;
        if (w > 40)
          assert.ok(Math.abs(grown / growth[middle - 120] - 1) < 0.35, `growth ${values.optimizer} ${l} ${w}`);
      }
      assert.ok(
        run.c2[l].every((v) => Math.abs(v / (1 + l) ** 2 - 1) < 1e-9),
        "c is what it was made with",
      );
    }
  }
});

test("without momentum the drive is c², and growth λ²|g|², exactly", () => {
  const run = shown(trained({ ...BALL, momentum: 0, optimizer: "sgd" }, 300), "training");
  assert.deepEqual(run.drive, run.c2);
  for (const [w, growth] of run.growth[0].slice(0, 2).entries()) // windows of one step
    assert.ok(Math.abs(growth / ((0.01 * run.c2[0][w]) / run.w2[0][w]) - 1) < 1e-9);
});

test("a run is shown as far as it is, its last window too", () => {
  assert.equal(shown(begin(BALL, 2, 1), "training"), null);
  const run = shown(trained(BALL, 300), "training");
  assert.equal(run.edges.at(-1), 300);
  assert.deepEqual(run.test_accuracy, [0.125]);
  const window = run.edges.length - 2;
  const middle = (run.edges[window] + run.edges[window + 1] - 1) / 2;
  assert.ok(Math.abs(run.accuracy[window] - middle / 300) < 1e-9, "a mean over its steps");
  assert.equal(measured("rate", 0, run).length, run.edges.length - 1);
});

test("a loss that is not finite ends it", () => {
  const run = trained(BALL, 100);
  take(run, { networks: [{ products: Array(30).fill(NaN), loss: [NaN], accuracy: [NaN], tests: [] }] });
  take(run, { networks: [{ products: Array(30).fill(1), loss: [1], accuracy: [1], tests: [] }] });
  assert.equal(run.diverged_at, 100);
  const { edges, w2 } = shown(run, "diverged");
  assert.ok(edges.at(-1) === 100 && w2[0].every(Number.isFinite));
});

test("theory takes its gradients and its start", () => {
  const run = shown(trained(BALL), "done");
  const state = kept(initial({ ...BALL, plan: "here" }), [run]);
  const evidence = { layers: ["prep", "layer2"], plans: { here: HERE } };
  const { sizes, found, layers } = compute(state, evidence, [[], [run]]);
  assert.deepEqual([sizes, found], [run, null]);
  assert.equal(layers[1].w2[0], run.w2[1][0]);
  assert.ok(Math.abs(layers[1].late - 2) < 1e-9);
});

test("windows are short at the start", () => {
  assert.deepEqual(windows(3), [0, 1, 2, 3]);
  assert.deepEqual(windows(20), [0, 1, 2, 4, 8, 16, 20]);
  assert.deepEqual(windows(1000).slice(4, 8), [8, 16, 32, 48]);
});
