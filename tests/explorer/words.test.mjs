// words.js: what the explorer says is what theory.js has.

import assert from "node:assert/strict";
import test from "node:test";

import { equilibrium, follow, larsRate, rates, ringing, timeConstant } from "../../src/explorer/theory.js";
import {
  name,
  OPTIMIZERS,
  outcome,
  SETTLED,
  setting,
  settledAfter,
  verdict,
  written,
} from "../../src/explorer/words.js";

const SHORT = { steps: 2400, steps_per_epoch: 48, epochs: 50, warmup: 0, schedule: "constant" };
const BOOK = { steps: 2328, steps_per_epoch: 97, epochs: 24, warmup: 5, schedule: "triangular" };
const POST = { lr: 0.4, weight_decay: 5e-4, momentum: 0.9, optimizer: "heavy-ball" };

test("numbers have three digits, as one would write them", () => {
  const table = {
    0: "0",
    0.4: "0.4",
    23.1: "23.1",
    23.14: "23.1",
    5e-4: "5e-4",
    1.25e-4: "1.25e-4",
    1.5e-4: "1.5e-4",
    1: "1",
    100: "100",
    0.001: "0.001",
    0.9999: "1",
    99.96: "100",
    999.4: "999",
    999.6: "1,000",
    1240: "1,240",
    123456: "123,456",
    1e6: "1e6",
    999999.7: "1e6",
    1.239e7: "1.24e7",
    2e20: "2e20",
    1e100: "1e100",
    1e-10: "1e-10",
    2.05e-7: "2.05e-7",
  };
  for (const [value, text] of Object.entries(table)) assert.equal(written(Number(value)), text);
  assert.equal(written(-0.25), "-0.25");
  assert.equal(written(-1240), "-1,240");
  assert.deepEqual([written(Infinity), written(NaN), written(undefined)], ["∞", "–", "–"]);
});

test("what is written is right to three digits, and can be read again", () => {
  for (let k = -60; k <= 80; k++) {
    const value = 1.37 ** k;
    const read = Number(written(value).replace(",", ""));
    assert.ok(Math.abs(read / value - 1) <= 5e-3, `${value}: ${written(value)}`);
  }
});

test("it has settled after three time constants, or not in this training", () => {
  assert.ok(Math.abs(settledAfter(POST, SHORT) - SETTLED * 125) < 1e-9);
  assert.equal(SETTLED, 3);
  const rings = { lr: 0.1, weight_decay: 2e-3, momentum: 0.99, optimizer: "heavy-ball" };
  assert.equal(settledAfter(rings, SHORT), 3 * ringing(rings).damping);
  assert.equal(settledAfter({ ...POST, weight_decay: 0 }, SHORT), Infinity);
  const slow = { lr: 0.1, weight_decay: 1.25e-4, momentum: 0, optimizer: "sgd" };
  assert.equal(3 * timeConstant(slow), 60000);
  assert.ok(
    [59000, 61000]
      .map((steps) => settledAfter(slow, { ...SHORT, steps }))
      .every((steps, i) => (i ? Math.abs(steps - 60000) < 1e-6 : steps === Infinity)),
  );
});

test("5 % of the distance in |w|⁴ is left then", () => {
  const values = { lr: 0.4, weight_decay: 5e-3, momentum: 0, optimizer: "sgd" };
  const limit = equilibrium(2, values);
  const { w2 } = follow(3 * limit, new Float64Array(2400).fill(4), rates(SHORT, 0.4), values);
  const left = w2.map((X) => (X ** 2 - limit ** 2) / (8 * limit ** 2));
  assert.ok(Math.abs(left[Math.round(settledAfter(values, SHORT))] - 0.05) < 0.002);
});

test("on the rise of λ, Σ4λα/(1 − ρ) is a square: settled after √(6(1 − ρ)S·warmup/(4λα)) steps", () => {
  for (const values of [
    { lr: 0.4, weight_decay: 2e-3, momentum: 0.9, optimizer: "nesterov" },
    { lr: 3, weight_decay: 2e-3, momentum: 0, optimizer: "sgd" },
  ]) {
    const steps = Math.ceil(Math.sqrt((6 * (1 - values.momentum) * 97 * 5) / (4 * values.lr * values.weight_decay)));
    assert.ok(steps < 97 * 5);
    assert.equal(settledAfter(values, BOOK), steps);
  }
});

test("in a whole training Σ4λα/(1 − ρ) is 2λα·steps/(1 − ρ): settled or not", () => {
  const values = { lr: 0.4, momentum: 0, optimizer: "sgd" };
  const enough = 3 / (2 * 0.4 * BOOK.steps);
  assert.equal(settledAfter({ ...values, weight_decay: 0.999 * enough }, BOOK), Infinity);
  const late = settledAfter({ ...values, weight_decay: 1.001 * enough }, BOOK);
  assert.ok(late <= BOOK.steps && late > 0.9 * BOOK.steps);
});

test("settings and optimizers have names", () => {
  assert.equal(setting(POST), "λ = 0.4, α = 5e-4, ρ = 0.9, heavy ball");
  const names = Object.keys(OPTIMIZERS).map((optimizer) => name({ optimizer }));
  assert.deepEqual(names, ["SGD", "heavy ball", "Nesterov", "LARS"]);
});

test("verdict: equilibrium, its rate, when it is reached and when it is lost", () => {
  const constant = verdict(POST, SHORT);
  assert.match(constant, /^Equilibrium: λ\|g\|\/\|w\| = √\(2λα\(1−ρ\)\) = 0\.00632 in every layer; /);
  assert.match(constant, /settled after 375 steps \(7\.81 epochs\) if gradients keep their size\. Time constant /);
  assert.match(constant, / Time constant \(1−ρ\)\/\(4λα\) = 125 steps\.$/);
  const book = verdict(POST, BOOK);
  const slope = 0.4 / (19 * 97);
  const lost = Math.sqrt(0.1 / (4 * slope * 5e-4));
  assert.match(book, /^Equilibrium at the highest λ: .* = 0\.00632 in every layer; settled after /);
  const after = settledAfter(POST, BOOK);
  assert.ok(
    book.includes(
      `after ${written(after)} steps (${written(after / 97)} epochs) if gradients keep their size, lost again `,
    ),
  );
  assert.ok(book.includes(`lost again ${written(lost)} steps before the end`));
  assert.equal(written(lost), "480");
  assert.ok(!verdict(POST, { ...BOOK, warmup: 24 }).includes("lost again"), "λ never falls");
});

test("verdict: not in this training", () => {
  const slow = { lr: 0.025, weight_decay: 1.25e-4, momentum: 0, optimizer: "sgd" };
  assert.match(verdict(slow, SHORT), /it would need 240,000 steps \(5,000 epochs\), and this training has 2,400\. /);
  assert.match(verdict(slow, BOOK), /not reached: λ falls before 3 time constants have passed\. /);
});

test("verdict: ringing, with its period", () => {
  const rings = { lr: 0.1, weight_decay: 2e-3, momentum: 0.99, optimizer: "heavy-ball" };
  const { period, damping } = ringing(rings);
  const text = verdict(rings, SHORT);
  assert.ok(text.includes(`The norms ring: period ${written(period)} steps; `));
  assert.ok(text.includes(`settled after ${written(3 * damping)} steps (`));
  assert.ok(!text.includes("Time constant"));
});

test("verdict: a swing that dies out within its period is no ringing; Nesterov swings as heavy ball does", () => {
  const faint = { lr: 0.1, weight_decay: 8e-3, momentum: 0.9, optimizer: "heavy-ball" };
  const { period, damping } = ringing(faint);
  assert.ok(period / 2 > 3 * damping);
  assert.match(verdict(faint, SHORT), /dies out within its period\.$/);
  const nesterov = { lr: 0.4, weight_decay: 5e-4, momentum: 0.99, optimizer: "nesterov" };
  assert.equal(settledAfter(nesterov, SHORT), settledAfter({ ...nesterov, optimizer: "heavy-ball" }, SHORT));
  assert.match(verdict(nesterov, SHORT), /The norms ring: period 2\d\d steps/);
});

test("verdict: no decay, and decay that overshoots", () => {
  for (const optimizer of ["sgd", "heavy-ball", "nesterov"]) {
    const values = { lr: 0.4, weight_decay: 0, momentum: optimizer === "sgd" ? 0 : 0.9, optimizer };
    for (const plan of [SHORT, BOOK]) assert.match(verdict(values, plan), /^No decay: nothing balances growth\./);
  }
  for (const [momentum, optimizer, bound] of [
    [0, "sgd", 2],
    [0.9, "heavy-ball", 3.8],
    [0.9, "nesterov", 3.8 / 2.8],
  ]) {
    const values = (x) => ({ lr: 20, weight_decay: x / 20, momentum, optimizer });
    assert.ok(Number.isNaN(equilibrium(1, values(1.01 * bound))) && equilibrium(1, values(0.99 * bound)) > 0);
    assert.match(verdict(values(1.01 * bound), SHORT), /decay alone overshoots, \|w\| has no equilibrium\.$/);
    assert.match(verdict(values(0.99 * bound), SHORT), /a step replaces most of the weights/);
    assert.match(verdict(values(0.49), SHORT), /^Equilibrium/);
  }
});

test("verdict: LARS, its rate, and how it grows", () => {
  const lars = { ...POST, optimizer: "lars" };
  const text = verdict(lars, SHORT);
  assert.match(text, /^LARS: every step has λ_LARS = √\(2λα\(1−ρ\)\) = 0\.00632, whatever \|w\| is\. /);
  assert.match(text, /grows e-fold in \|w\|² in about 250 steps \(5\.21 epochs\)\.$/);
  assert.match(verdict(lars, BOOK), /0\.00632 at the highest λ, whatever/);
  assert.match(verdict({ ...lars, weight_decay: 0 }, SHORT), /^LARS .* with α = 0 the convolutions stand still\.$/);
  const lr = new Float64Array(2400).fill(larsRate(0.4, 5e-4, 0.9));
  const { w2 } = follow(1, lr, lr, lars);
  assert.ok(Math.abs(Math.log(w2[1250] / w2[1000]) - 1) < 0.1, "e-fold in about 250 steps");
});

test("outcome: a loss that is not finite, one that explodes, or the last test", () => {
  const run = { diverged_at: -1, loss: [2, 1, NaN], test_accuracy: [0.5, 0.914, NaN] };
  assert.equal(outcome(run), "test accuracy 91.4 %");
  assert.equal(outcome({ ...run, loss: [2, 1234, NaN] }), "its loss exploded, to 1,234");
  assert.equal(outcome({ ...run, diverged_at: 7 }), "its loss was not finite from step 7 on");
  assert.equal(outcome({ ...run, test_accuracy: [NaN, NaN] }), "");
  assert.equal(outcome({ ...run, diverged_at: 0 }), "its loss was not finite from step 0 on");
});
