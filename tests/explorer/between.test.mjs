// between.js: the size of gradients between recorded runs.

import assert from "node:assert/strict";
import test from "node:test";

import { around, blend, broke } from "../../src/explorer/between.js";
import { compute } from "../../src/explorer/compute.js";
import { fromPython } from "../../src/explorer/evidence.js";
import { initial } from "../../src/explorer/state.js";

function close(actual, expected, rtol, what = "") {
  const far = Math.abs(actual - expected);
  assert.ok(actual === expected || far <= rtol * Math.abs(expected), `${what} ${actual}, not ${expected}`);
}
const EDGES = [0, 8, 16, 24, 32, 40];
const PLAN = { steps: 40, steps_per_epoch: 10, epochs: 4, warmup: 1, schedule: "constant", set: 0 };
const LRS = [0.1, 0.4, 1.6];
const DECAYS = [0, 5e-4, 2e-3, 8e-3];
const LEFT = [1, 0.1, 0.01];

/** A run whose c² is a power of λ, α and 1 − ρ: straight lines in the logarithms, which interpolation meets exactly. */
const size = ({ lr, weight_decay, momentum }) => 3 * lr ** -0.3 * (weight_decay || 1) ** 0.2 * (1 - momentum) ** 0.4;
function run(lr, weight_decay, momentum, changes = {}) {
  const values = { lr, weight_decay, momentum, optimizer: momentum ? "heavy-ball" : "sgd" };
  const series = [size(values), 2 * size(values)].map((v) => EDGES.slice(1).map((_, i) => v * 1.1 ** i));
  const rest = { loss: [], accuracy: [], test_loss: [], test_accuracy: [], growth: [] };
  return fromPython({ ...values, ...PLAN, edges: EDGES, w2: series, c2: series, drive: series, ...rest, ...changes });
}
const GRID = LRS.flatMap((lr) => DECAYS.flatMap((alpha) => LEFT.map((left) => run(lr, alpha, 1 - left))));
const ball = (lr, weight_decay, momentum) => ({ lr, weight_decay, momentum, optimizer: "heavy-ball" });
const at = (setting, runs = GRID) => blend(around(runs, setting), setting);

test("at a recorded setting it is that run and no other", () => {
  for (const one of GRID) assert.equal(at(one), one);
});

test("on a grid it is linear in ln λ, ln α and ln(1 − ρ)", () => {
  for (const [lr, alpha, rho] of [
    [0.2, 1e-3, 0.7],
    [1.1, 5e-3, 0.95],
    [0.4, 6e-4, 0.3],
    [0.13, 2e-3, 0],
  ]) {
    const { c2, drive, w2 } = at(ball(lr, alpha, rho));
    for (const series of [c2, drive, w2]) close(series[1][3], 2 * 1.1 ** 3 * size(ball(lr, alpha, rho)), 1e-12);
  }
});

test("beyond the grid it stays what it is at the edge", () => {
  assert.equal(
    at(ball(50, 0.5, 0.999)),
    GRID.find((one) => one.lr === 1.6 && one.weight_decay === 8e-3 && one.momentum === 0.99),
  );
  close(at(ball(1e-3, 1e-3, 0.9)).c2[0][0], size(ball(0.1, 1e-3, 0.9)), 1e-12);
});

test("runs without decay are by themselves, and SGD is heavy ball with ρ = 0", () => {
  assert.ok(around(GRID, ball(0.2, 0, 0.5)).every((part) => part.run.weight_decay === 0));
  assert.ok(around(GRID, ball(0.2, 1e-9, 0.5)).every((part) => part.run.weight_decay === 5e-4));
  const sgd = { ...ball(0.2, 1e-3, 0.9), optimizer: "sgd" };
  assert.deepEqual(at(sgd).c2, at(ball(0.2, 1e-3, 0)).c2);
  assert.deepEqual(around(GRID, { ...sgd, optimizer: "lars" }), []);
});

test("where runs are no grid every run has a share, and at its own setting all", () => {
  const some = [GRID[5], GRID[13], GRID[35]].filter((one) => one.weight_decay > 0);
  for (const one of some) assert.equal(at(one, some), one);
  const parts = around(some, ball(0.3, 1e-3, 0.6));
  assert.equal(parts.length, some.length);
  close(
    parts.reduce((sum, { weight }) => sum + weight, 0),
    1,
    1e-12,
  );
  const near = at({ ...some[0], lr: some[0].lr * (1 + 1e-5) }, some);
  close(near.c2[0][0], some[0].c2[0][0], 1e-6, "no jump beside a run:");
});

test("it has no jump anywhere: a step of the slider changes it no more than its neighbours differ", () => {
  const noise = [1, 7, 0.2, 3, 0.5, 11, 2, 0.1, 5];
  const bumpy = GRID.map((one, i) => ({ ...one, c2: one.c2.map((list) => list.map((v) => v * noise[i % 9])) }));
  const most = Math.log(11 / 0.1) + 1; // between any two neighbours
  for (const runs of [bumpy, bumpy.filter((_, i) => i % 5 !== 2)]) {
    let last = null;
    for (let k = 0; k <= 400; k++) {
      const now = Math.log(at(ball(0.1 * 16 ** (k / 400), 1.3e-3, 0.85), runs).c2[0][2]);
      if (last !== null) assert.ok(Math.abs(now - last) < (3 * most * 2) / 200, `${k}: ${now - last}`);
      last = now;
    }
  }
});

test("between two runs |w|² at equilibrium lies between theirs and only rises, if theirs rise", () => {
  const evidence = { layers: ["prep", "layer2"], plans: { short: PLAN } };
  const limit = (lr) => {
    const state = initial({ plan: "short", lr, weight_decay: 2e-3, momentum: 0.9 });
    return compute(state, evidence, [GRID, GRID]).layers[1].limit;
  };
  let last = 0;
  for (let k = 0; k <= 200; k++) {
    const now = limit(0.1 * 16 ** (k / 200));
    assert.ok(now > last && (k === 0 || now / last < 1.02), `${k}: ${last} → ${now}`);
    last = now;
  }
});

test("runs that broke are not mixed with others: the nearest decides, and there alone is a jump", () => {
  const hot = { c2: [EDGES.slice(1).map(() => 1e20), EDGES.slice(1).map(() => 1e20)], loss: [2, 1e6] };
  const cold = { c2: [EDGES.slice(1).map(() => 0), EDGES.slice(1).map(() => 0)] };
  for (const changes of [hot, cold, { diverged_at: 7 }]) {
    const runs = GRID.map((one) => (one.lr === 1.6 ? { ...one, ...changes } : one));
    assert.equal(runs.filter(broke).length, GRID.length / 3);
    assert.equal(
      at(ball(0.79, 2e-3, 0.9), runs),
      runs.find((one) => one.lr === 0.4 && one.momentum === 0.9 && one.weight_decay === 2e-3),
    );
    assert.equal(at(ball(0.81, 2e-3, 0.9), runs).lr, 1.6);
    close(at(ball(0.79, 1e-3, 0.9), runs).c2[0][0], size(ball(0.4, 1e-3, 0.9)), 1e-9, "others are mixed");
  }
  assert.ok(!GRID.some(broke));
});

test("a run that ended early stays what it was", () => {
  const ended = (one) => one.c2.map((list) => list.map((v, i) => (i < 2 ? v : NaN)));
  const runs = GRID.map((one) => (one.lr === 0.4 ? { ...one, c2: ended(one) } : one));
  assert.ok(at(ball(0.3, 2e-3, 0.9), runs).c2[0].every(Number.isFinite));
});
