// theory.js against closed forms, against itself, and against the Python it repeats.
//
// EXPLORER_CASES names a file of settings with what resnet_dynamics.theory makes of them; tests/test_explorer_module.py
// writes it.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import test from "node:test";

import {
  equilibrium,
  follow,
  larsRate,
  rates,
  ringing,
  shrink,
  timeConstant,
  turn,
} from "../../src/explorer/theory.js";
import { settledAfter } from "../../src/explorer/verdict.js";

const PLAN = { steps: 480, steps_per_epoch: 20, epochs: 24, warmup: 5, schedule: "triangular" };
const POST = { lr: 0.4, weight_decay: 5e-4, momentum: 0.9, optimizer: "heavy-ball" };
const KINDS = [
  { lr: 0.4, weight_decay: 0.05, momentum: 0, optimizer: "sgd" },
  { lr: 0.4, weight_decay: 0.01, momentum: 0.8, optimizer: "heavy-ball" },
  { lr: 0.4, weight_decay: 0.2, momentum: 0.9, optimizer: "heavy-ball" }, // rings
  { lr: 0.4, weight_decay: 0.2, momentum: 0.9, optimizer: "nesterov" },
  { lr: 0.4, weight_decay: 0.05, momentum: 0, optimizer: "nesterov" },
];

function close(actual, expected, rtol, what = "", atol = 0) {
  const far = Math.abs(actual - expected);
  assert.ok(actual === expected || far <= rtol * Math.abs(expected) + atol, `${what} ${actual}, not ${expected}`);
}
const sum = (values) => values.reduce((a, b) => a + b, 0);
const constant = (steps, value) => new Float64Array(steps).fill(value);

test("λ is at the middle of a step, and Σλ is the area of the schedule", () => {
  assert.deepEqual([...rates({ ...PLAN, schedule: "constant" }, 0.4)], Array(480).fill(0.4));
  for (const warmup of [0, 5, 24]) {
    const lr = rates({ ...PLAN, warmup }, 0.4);
    close(sum(lr), (0.4 * 480) / 2, 1e-12, `warmup ${warmup}`);
    close(lr[0], warmup ? (0.4 * 0.5) / (20 * warmup) : (0.4 * 479.5) / 480, 1e-12);
    close(Math.max(...lr), 0.4, 0.01);
  }
});

test("λ_LARS is √(2λα(1 − ρ)), λ|g|/|w| at equilibrium as λα → 0", () => {
  close(larsRate(4, 5e-4, 0), Math.sqrt(0.004), 1e-15);
  close(larsRate(0.4, 5e-4, 0.9), Math.sqrt(4e-5), 1e-12);
  for (const { momentum, optimizer } of KINDS) {
    const values = { lr: 0.4, weight_decay: 1e-10, momentum, optimizer };
    close((0.4 * 3) / equilibrium(3, values), larsRate(0.4, 1e-10, momentum), 1e-8, optimizer);
  }
});

test("equilibrium is (3): |w|⁴ = λc²/(2α(1 − ρ)); without momentum λ²c²/(2λα − λ²α²)", () => {
  for (const optimizer of ["heavy-ball", "nesterov"]) {
    const values = { lr: 0.4, weight_decay: 1e-10, momentum: 0.9, optimizer };
    close(equilibrium(3, values) ** 2, (0.4 * 9) / (2 * 1e-10 * 0.1), 1e-8);
    close(equilibrium(3, { ...values, lr: 6.4 }) / equilibrium(3, values), 4, 1e-7, "sixteen times λ doubles |w|:");
  }
  for (const optimizer of ["sgd", "heavy-ball", "nesterov"]) {
    const values = { lr: 2, weight_decay: 0.3, momentum: 0, optimizer };
    close(equilibrium(3, values) ** 2, (4 * 9) / (2 * 0.6 - 0.6 ** 2), 1e-12, optimizer);
  }
});

test("there is no equilibrium without decay, for LARS, or where decay overshoots", () => {
  for (const optimizer of ["sgd", "heavy-ball", "nesterov", "lars"]) {
    assert.equal(equilibrium(1, { lr: 0.4, weight_decay: 0, momentum: 0, optimizer }), Infinity);
  }
  assert.equal(equilibrium(1, { ...POST, optimizer: "lars" }), Infinity);
  const bounds = [
    ["sgd", 0, 2],
    ["heavy-ball", 0.9, 2 * 1.9],
    ["nesterov", 0.9, (2 * 1.9) / 2.8],
  ];
  for (const [optimizer, momentum, bound] of bounds) {
    const at = (x) => equilibrium(1, { lr: 1, weight_decay: x, momentum, optimizer });
    assert.ok(Number.isFinite(at(0.999 * bound)) && Number.isNaN(at(1.001 * bound)), optimizer);
  }
});

test("the mean of |w|² settles at equilibrium, and there growth is shrink", () => {
  for (const values of KINDS) {
    const lr = constant(4000, values.lr);
    const { w2, growth } = follow(0.5, constant(4000, 9), lr, values);
    const what = JSON.stringify(values);
    close(w2.at(-1), equilibrium(3, values), 1e-9, what);
    close(growth.at(-1), shrink(w2.at(-1), values.lr, values), 1e-9, what);
  }
});

test("without momentum a step changes |w|² by growth less shrink, and Nesterov is SGD", () => {
  const lr = rates(PLAN, 2);
  const c2 = lr.map((_, t) => 1 + 0.5 * Math.sin(t));
  const values = { weight_decay: 0.3, momentum: 0, optimizer: "sgd" };
  const { w2, growth } = follow(3, c2, lr, values);
  for (let t = 0; t < 479; t++) {
    close(growth[t], (lr[t] ** 2 * c2[t]) / w2[t], 1e-12);
    close(w2[t + 1], w2[t] - shrink(w2[t], lr[t], values) + growth[t], 1e-12);
  }
  for (const optimizer of ["heavy-ball", "nesterov"]) {
    const { v2, ...same } = follow(3, c2, lr, { ...values, optimizer });
    assert.deepEqual(same, { w2, growth });
  }
});

test("what a lone gradient adds in all is growth: λ²|g|²/(1 − ρ)²", () => {
  const c2 = constant(3000, 0);
  const lr = constant(3000, 0.4);
  c2[0] = 9;
  for (const optimizer of ["heavy-ball", "nesterov"]) {
    const { w2, growth } = follow(2, c2, lr, { weight_decay: 0, momentum: 0.9, optimizer });
    close(growth[0], (0.4 / 0.1) ** 2 * (9 / 2), 1e-12, optimizer);
    close(w2.at(-1) - w2[0], growth[0], 1e-9, optimizer);
  }
});

test("LARS knows neither the size of gradients nor decay; without momentum |w|² grows by 1 + λ²", () => {
  const lr = rates(PLAN, 0.05);
  const lars = { weight_decay: 0.1, momentum: 0, optimizer: "lars" };
  const { w2, growth } = follow(2, constant(480, NaN), lr, lars);
  for (let t = 0, X = 2; t < 480; X *= 1 + lr[t++] ** 2) {
    close(w2[t], X, 1e-12);
    close(growth[t], lr[t] ** 2 * X, 1e-12);
    assert.equal(shrink(w2[t], lr[t], lars), 0);
  }
});

test("with momentum LARS grows e-fold in |w|² in (1 − ρ)²/λ² steps", () => {
  const lars = { weight_decay: 0, momentum: 0.9, optimizer: "lars" };
  const { w2, growth } = follow(2, constant(4000, NaN), constant(4000, 1e-4), lars);
  close(Math.log(w2[3999] / w2[1000]), 2999 * (1e-4 / 0.1) ** 2, 1e-4);
  close(growth[2000], (1e-4 / 0.1) ** 2 * w2[2000], 1e-12);
});

test("shrink is (2λα − λ²α²)|w|², with momentum 2λα|w|²/(1 − ρ)", () => {
  close(shrink(5, 2, { weight_decay: 0.3, momentum: 0, optimizer: "sgd" }), 5 * (1 - 0.4 ** 2), 1e-12);
  close(shrink(5, 0.4, POST), (5 * 2 * 2e-4) / 0.1, 1e-12);
  close(shrink(5, 0.4, { ...POST, optimizer: "nesterov" }), (5 * 2 * 2e-4) / 0.1, 1e-12);
});

test("the time constant is (1 − ρ)/(4λα): 125 steps in the setting of the post, with and without momentum", () => {
  close(timeConstant(POST), 125, 1e-12);
  close(timeConstant({ lr: 4, weight_decay: 5e-4, momentum: 0, optimizer: "sgd" }), 125, 1e-12);
  assert.equal(timeConstant({ ...POST, weight_decay: 0 }), Infinity);
});

test("|w|⁴ comes e times closer to equilibrium in a time constant", () => {
  for (const values of [
    { lr: 4, weight_decay: 5e-4, momentum: 0, optimizer: "sgd" },
    { lr: 0.4, weight_decay: 5e-5, momentum: 0.9, optimizer: "heavy-ball" },
    { lr: 0.4, weight_decay: 5e-5, momentum: 0.9, optimizer: "nesterov" },
  ]) {
    const limit = equilibrium(3, values);
    const tau = Math.round(timeConstant(values));
    const { w2 } = follow(2 * limit, constant(4 * tau, 9), constant(4 * tau, values.lr), values);
    const far = w2.map((X) => X ** 2 - limit ** 2);
    close(far[2 * tau] / far[tau], Math.exp(-1), 0.02, values.optimizer);
  }
});

test("heavy ball rings where 4λα > (1 − √ρ)², with the damping 2/ln(1/ρ)", () => {
  const edge = (1 - Math.sqrt(0.9)) ** 2 / 4;
  const at = (x, more = {}) => ({ ...POST, lr: 1, weight_decay: x, ...more });
  assert.equal(ringing(at(0.999 * edge)), null);
  close(ringing(at(1.001 * edge)).damping, 2 / Math.log(1 / 0.9), 1e-12);
  close(timeConstant(at(1.001 * edge)), 2 / Math.log(1 / 0.9), 1e-12);
  assert.equal(Math.round(ringing({ ...POST, lr: 0.04, momentum: 0.99 }).period), 846);
  assert.equal(ringing(POST), null);
  assert.equal(ringing(at(0.1, { optimizer: "nesterov" })), null);
  assert.equal(ringing(at(0.1, { optimizer: "lars" })), null);
  for (const optimizer of ["sgd", "heavy-ball"]) assert.equal(ringing(at(0.1, { momentum: 0, optimizer })), null);
});

test("the mean of |w|² swings with the period of ringing, and dies out with its damping", () => {
  const values = { lr: 0.1, weight_decay: 2e-3, momentum: 0.995, optimizer: "heavy-ball" };
  const limit = equilibrium(3, values);
  const { period, damping } = ringing(values);
  const { w2 } = follow(1.05 * limit, constant(6000, 9), constant(6000, 0.1), values);
  const crossings = [...w2.keys()].filter((t) => t > 0 && w2[t - 1] > limit && w2[t] <= limit);
  close((crossings[4] - crossings[1]) / 3, period, 0.02);
  const top = (from) => Math.max(...w2.slice(from, from + Math.round(period))) - limit;
  close(Math.log(top(1000) / top(2000)), 1000 / damping, 0.1);
});

const file = process.env.EXPLORER_CASES;
const cases = file ? JSON.parse(readFileSync(file, "utf8")) : [];
const skip = file ? false : "EXPLORER_CASES names no file: run pytest tests/test_explorer_module.py";

/** Compare what `actual(case)` returns, a number or many, with the case's own, to 1e-9 of it. */
function agrees(what, actual) {
  test(`${what} is that of Python in every case`, { skip }, () => {
    assert.ok(cases.length >= 200);
    cases.forEach((one, i) => {
      const expected = [one[what]].flat();
      const found = actual(one);
      const numbers = typeof found === "object" ? [...found] : [found];
      assert.equal(numbers.length, expected.length);
      for (const [t, number] of numbers.entries()) {
        close(number, expected[t] ?? Infinity, 1e-9, `case ${i}, ${what}[${t}]:`);
      }
    });
  });
}
const path = ({ values, plan, start, c2 }) => {
  const lr = rates(plan, values.lr);
  const { weight_decay, momentum, optimizer } = values;
  return follow(start, c2, optimizer === "lars" ? lr.map((v) => larsRate(v, weight_decay, momentum)) : lr, values);
};

agrees("rates", ({ values, plan }) => rates(plan, values.lr));
agrees("lars_rates", ({ values: { lr, weight_decay, momentum }, plan }) =>
  rates(plan, lr).map((v) => larsRate(v, weight_decay, momentum)),
);
agrees("w2", (one) => path(one).w2);
agrees("growth", (one) => path(one).growth);
agrees("shrink", (one) => rates(one.plan, one.values.lr).map((lr, t) => shrink(one.w2[t], lr, one.values)));
agrees("equilibrium", ({ values, c }) => equilibrium(c, values));
agrees("time_constant", ({ values }) => timeConstant(values));
agrees("turn", ({ values }) => turn(values));
agrees("ringing", ({ values }) => Object.values(ringing(values) ?? {}));

test("the steps until it has settled are those of Python's memory", { skip }, () => {
  const some = cases.filter(({ settled }) => settled !== undefined);
  assert.ok(some.length >= 50);
  for (const { values, plan, settled } of some) assert.equal(settledAfter(values, plan), settled ?? Infinity);
});
