// words.js and verdict.js: what the explorer says is what theory.js has.

import assert from "node:assert/strict";
import test from "node:test";

import { equilibrium, follow, larsRate, rates, ringing, timeConstant } from "../../src/explorer/theory.js";
import { broken, formula, SETTLED, settledAfter, verdict } from "../../src/explorer/verdict.js";
import { exact, name, OPTIMIZERS, outcome, setting, written } from "../../src/explorer/words.js";

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

const rounded = (steps) => written(Math.round(steps));

test("verdict: when it settles, and when equilibrium is lost; the formula has the rate and the time constant", () => {
  assert.equal(verdict(POST, SHORT), "It settles after about 375 steps (7.8 epochs), if gradients keep their size.");
  assert.equal(
    formula(POST, SHORT),
    "Equilibrium: λ|g|/|w| = √(2λα(1−ρ)) = 0.00632 in every layer; time constant (1−ρ)/(4λα) = 125 steps.",
  );
  const lost = Math.sqrt(0.1 / (4 * (0.4 / (19 * 97)) * 5e-4));
  const after = settledAfter(POST, BOOK);
  const text = verdict(POST, BOOK);
  assert.ok(
    text.startsWith(`It settles after about ${rounded(after)} steps (${(after / 97).toFixed(1)} epochs), if `),
    text,
  );
  assert.ok(text.endsWith(`; it is lost again ${rounded(lost)} steps before the end, as λ falls.`));
  assert.equal(rounded(lost), "480");
  assert.match(formula(POST, BOOK), / = 0\.00632 at the highest λ in every layer; /);
  assert.ok(!verdict(POST, { ...BOOK, warmup: 24 }).includes("lost again"), "λ never falls");
});

test("verdict: not in this training", () => {
  const slow = { lr: 0.025, weight_decay: 1.25e-4, momentum: 0, optimizer: "sgd" };
  const words = "It does not settle in this training: that would take 240,000 steps, and it has 2,400.";
  assert.equal(verdict(slow, SHORT), words);
  assert.match(
    verdict(slow, BOOK),
    /^It does not settle in this training: λ falls before 3 time constants have passed\.$/,
  );
});

test("verdict: ringing, with its period", () => {
  const rings = { lr: 0.1, weight_decay: 2e-3, momentum: 0.99, optimizer: "heavy-ball" };
  const { period, damping } = ringing(rings);
  const text = verdict(rings, SHORT);
  assert.ok(text.startsWith(`It settles after about ${rounded(3 * damping)} steps (`));
  assert.ok(text.endsWith(` The norms ring, they overshoot and come back, with a period of ${rounded(period)} steps.`));
  assert.ok(formula(rings, SHORT).endsWith(`; time constant 2/ln(1/ρ) = ${written(damping)} steps.`));
});

test("verdict: a swing that dies out within its period is no ringing; Nesterov swings as heavy ball does", () => {
  const faint = { lr: 0.1, weight_decay: 8e-3, momentum: 0.9, optimizer: "heavy-ball" };
  const { period, damping } = ringing(faint);
  assert.ok(period / 2 > 3 * damping);
  assert.match(verdict(faint, SHORT), /overshoot once, by little\.$/);
  const nesterov = { lr: 0.4, weight_decay: 5e-4, momentum: 0.99, optimizer: "nesterov" };
  assert.equal(settledAfter(nesterov, SHORT), settledAfter({ ...nesterov, optimizer: "heavy-ball" }, SHORT));
  assert.match(verdict(nesterov, SHORT), /The norms ring, .* a period of 2\d\d steps/);
});

test("the overshoot of a faint swing is little", () => {
  const faint = { lr: 0.1, weight_decay: 8e-3, momentum: 0.9, optimizer: "heavy-ball" };
  const limit = equilibrium(2, faint);
  const { w2 } = follow(limit / 10, new Float64Array(2400).fill(4), rates(SHORT, 0.1), faint);
  const most = Math.max(...w2) / limit;
  assert.ok(most > 1.001 && most < 1.5, `${most}`);
});

test("verdict: no decay, and decay that overshoots", () => {
  for (const optimizer of ["sgd", "heavy-ball", "nesterov"]) {
    const values = { lr: 0.4, weight_decay: 0, momentum: optimizer === "sgd" ? 0 : 0.9, optimizer };
    for (const plan of [SHORT, BOOK]) assert.match(verdict(values, plan), /^It never settles: without decay /);
    assert.match(formula(values, SHORT), /^No equilibrium/);
  }
  for (const [momentum, optimizer, bound] of [
    [0, "sgd", 2],
    [0.9, "heavy-ball", 3.8],
    [0.9, "nesterov", 3.8 / 2.8],
  ]) {
    const values = (x) => ({ lr: 20, weight_decay: x / 20, momentum, optimizer });
    assert.ok(Number.isNaN(equilibrium(1, values(1.01 * bound))) && equilibrium(1, values(0.99 * bound)) > 0);
    assert.equal(verdict(values(1.01 * bound), SHORT), "It explodes: decay alone makes |w| longer at every step.");
    assert.match(verdict(values(0.99 * bound), SHORT), /one step replaces most of the weights\.$/);
    assert.match(formula(values(0.99 * bound), SHORT), /^λα = .*: theory is for small λα\.$/);
    assert.match(verdict(values(0.49), SHORT), /^It settles/);
  }
});

test("verdict: LARS, its rate, and how it grows", () => {
  const lars = { ...POST, optimizer: "lars" };
  assert.match(verdict(lars, SHORT), /^It never settles: .* grows e-fold in about 250 steps \(5\.2 epochs\)\.$/);
  assert.equal(formula(lars, SHORT), "Every step has λ_LARS = √(2λα(1−ρ)) = 0.00632, whatever |w| is.");
  assert.match(formula(lars, BOOK), /0\.00632 at the highest λ, whatever/);
  assert.match(verdict({ ...lars, weight_decay: 0 }, SHORT), /^With α = 0 LARS does not move /);
  const lr = new Float64Array(2400).fill(larsRate(0.4, 5e-4, 0.9));
  const { w2 } = follow(1, lr, lr, lars);
  assert.ok(Math.abs(Math.log(w2[1250] / w2[1000]) - 1) < 0.1, "e-fold in about 250 steps");
});

test("a run that broke says how, others nothing", () => {
  const run = { diverged_at: -1, loss: [2, 1, NaN], test_accuracy: [] };
  assert.equal(broken(run), "");
  assert.equal(broken({ ...run, loss: [2, 1234, NaN] }), "The recorded run broke: its loss exploded, to 1,234.");
  assert.equal(
    broken({ ...run, diverged_at: 221 }),
    "The recorded run broke: its loss is not finite from step 221 on.",
  );
});

test("a number in a link has all its digits", () => {
  for (const value of [0.1 + 0.2, 5e-4, 1e21, 1e-7, 1000]) assert.equal(Number(exact(value)), value);
});

test("outcome: a loss that is not finite, one that explodes, or the last test", () => {
  const run = { diverged_at: -1, loss: [2, 1, NaN], test_accuracy: [0.5, 0.914, NaN] };
  assert.equal(outcome(run), "test accuracy 91.4 %");
  assert.equal(outcome({ ...run, loss: [2, 1234, NaN] }), "its loss exploded, to 1,234");
  assert.equal(outcome({ ...run, diverged_at: 7 }), "its loss was not finite from step 7 on");
  assert.equal(outcome({ ...run, test_accuracy: [NaN, NaN] }), "");
  assert.equal(outcome({ ...run, diverged_at: 0 }), "its loss was not finite from step 0 on");
});
