// compute.js: the curves of a state for evidence that is known, against closed forms.

import assert from "node:assert/strict";
import test from "node:test";

import { compute, measured, middles, numbersAt, predicted, score, starts } from "../../src/explorer/compute.js";
import { fromPython, recordings } from "../../src/explorer/evidence.js";
import { changed, holding, initial, kept } from "../../src/explorer/state.js";
import { equilibrium, larsRate, rates } from "../../src/explorer/theory.js";

const LAYERS = ["prep", "layer2"];
const EDGES = [0, 1, 2, 4, 8, 16, 24, 32, 40];
const plan = { steps: 40, steps_per_epoch: 10, epochs: 4, warmup: 1, schedule: "constant" };
const PLANS = {
  book: { ...plan, set: 1, schedule: "triangular" },
  short: { ...plan, set: 0 },
  smoke: { ...plan, set: null, steps: 20, epochs: 2 },
};
const EVIDENCE = { layers: LAYERS, plans: PLANS };

function close(actual, expected, rtol, what = "") {
  const far = Math.abs(actual - expected);
  assert.ok(actual === expected || far <= rtol * Math.abs(expected), `${what} ${actual}, not ${expected}`);
}
const same = (value) => EDGES.slice(1).map(() => value);

/** A run of which every window is alike: |w|² = 10 and 20, c² = 4 and 9, and the drive half as much again. */
function recorded(values, changes = {}) {
  const run = { lr: 0.4, weight_decay: 5e-4, momentum: 0.9, optimizer: "heavy-ball", ...values };
  return {
    ...run,
    ...plan,
    what: "known",
    edges: EDGES,
    lr_t: rates(plan, run.lr),
    w2: [same(10), same(20)],
    c2: [same(4), same(9)],
    drive: [same(6), same(13.5)],
    growth: [same(0.01), same(0.02)],
    loss: same(1),
    accuracy: same(0.5),
    test_loss: [1, 1, 1, 1],
    test_accuracy: [0.5, 0.5, 0.5, 0.6],
    diverged_at: -1,
    ...changes,
  };
}
const SHORT = [recorded({}), recorded({ lr: 1.6 }, { c2: [same(16), same(16)] }), recorded({ weight_decay: 0 })];
const BOOK = [recorded({}, { c2: [same(25), same(25)] }), recorded({ weight_decay: 0 })];
const SETS = [SHORT, BOOK];
const computed = (given = {}) => shownBy(initial(given));
const shownBy = (state) => compute(state, EVIDENCE, SETS);

test("without decay |w|⁴ grows by 2λ²c² a step: X' = X + λ²c²/X", () => {
  const { layers } = computed({ optimizer: "sgd", lr: 0.1, weight_decay: 0 });
  for (const [l, [start, c2]] of [
    [10, 4],
    [20, 9],
  ].entries()) {
    const { w2, growth, limit } = layers[l];
    assert.equal(limit, Infinity);
    for (const t of [0, 1, 39]) {
      const rest = (t * (0.01 * c2) ** 2) / start ** 2; // at most: the square of what a step adds
      const grown = start ** 2 + 2 * t * 0.01 * c2;
      assert.ok(w2[t] ** 2 >= grown * (1 - 1e-12) && w2[t] ** 2 <= (grown + rest) * (1 + 1e-12), `${l} ${t}`);
      close(growth[t], (0.01 * c2) / w2[t], 1e-12);
    }
  }
});

test("at equilibrium nothing moves: growth is shrink, and the rate that of the closed form", () => {
  const values = { optimizer: "sgd", lr: 0.5, weight_decay: 0.02, momentum: 0 };
  const limit = 2 * Math.sqrt(0.25 / (2 * 0.01 - 0.01 ** 2)); // c √(λ²/(2λα − λ²α²))
  const start = [same(limit), same(20)];
  const state = initial(values);
  const found = compute(state, EVIDENCE, [[recorded(values, { w2: start })], BOOK]);
  close(found.layers[0].limit, limit, 1e-12);
  const rate = predicted("rate", 0, state, found);
  for (const t of [0, 20, 39]) {
    close(found.layers[0].w2[t], limit, 1e-12, `step ${t}:`);
    close(predicted("balance", 0, state, found)[t], 1, 1e-12);
    close(predicted("growth", 0, state, found)[t], predicted("shrink", 0, state, found)[t], 1e-12);
    close(rate[t], Math.sqrt(2 * 0.01 - 0.01 ** 2), 1e-12);
  }
  close(rate[0], larsRate(0.5, 0.02, 0), 0.003, "to leading order");
});

test("LARS has its own rate, and |w|² grows by 1 + 2λα a step", () => {
  const state = initial({ optimizer: "lars", lr: 2, weight_decay: 1e-3, momentum: 0 });
  const found = shownBy(state);
  for (const t of [0, 17, 39]) {
    close(found.used[t], Math.sqrt(0.004), 1e-12);
    close(found.layers[0].w2[t], 10 * 1.004 ** t, 1e-12);
  }
  assert.equal(predicted("rate", 1, state, found), found.used);
  assert.ok(found.lr.every((v) => v === 2));
});

test("the dots are the nearest run of the training; between runs gradients are so too, in ln λ", () => {
  assert.deepEqual([computed().found, computed().sizes], [{ run: SHORT[0], exact: true }, SHORT[0]]);
  const near = computed({ lr: 1.5 });
  assert.deepEqual(near.found, { run: SHORT[1], exact: false });
  const share = Math.log(1.5 / 0.4) / Math.log(4);
  for (const v of near.layers[0].c2) close(v, 4 ** (1 + share), 1e-12, "4 at λ = 0.4, 16 at 1.6:");
  assert.equal(near.sizes.parts, 2);
  assert.equal(computed({ lr: 6.4 }).sizes, SHORT[1], "beyond the last there is the last");
  assert.equal(computed({ plan: "book" }).found.run, BOOK[0]);
});

test("what was not recorded has no dots and borrows gradients: a training the book's, an optimizer SGD's", () => {
  const training = computed({ plan: "smoke" });
  assert.deepEqual([training.found, training.sizes], [null, BOOK[0]]);
  assert.deepEqual([training.layers[0].c2.length, training.layers[0].c2[7]], [20, 25]);
  const optimizer = computed({ optimizer: "nesterov" });
  assert.deepEqual([optimizer.found, optimizer.sizes], [null, SHORT[0]]);
});

test("correlated, the curve follows the drive, and the rate is still that of c", () => {
  const state = initial({ gradient: "correlated" });
  const found = shownBy(state);
  const { w2, growth, c2, push, limit } = found.layers[1];
  assert.ok(push.every((v) => v === 13.5) && c2.every((v) => v === 9));
  close(limit, equilibrium(Math.sqrt(13.5), state), 1e-12);
  close(growth[0], 4 ** 2 * (13.5 / 20 + 5e-4 ** 2 * 20), 1e-12, "(λ/(1 − ρ))²|d|²");
  close(predicted("rate", 1, state, found)[5], (0.4 * 3) / w2[5], 1e-12);
});

test("held constant, c stays what it was late in the run it was taken from, wherever the sliders go", () => {
  const late = EDGES.slice(1).map((edge) => (edge > 30 ? 36 : 1)); // 36 in the last quarter
  const sets = [[recorded({}, { c2: [late, late] }), SHORT[1]], BOOK];
  const at = (state) => compute(state, EVIDENCE, sets);
  const before = initial({ gradient: "constant" });
  const state = holding(before, at(before).sizes);
  const moved = at(changed(state, { lr: 1.6 }));
  assert.deepEqual([moved.found.run, moved.sizes], [SHORT[1], sets[0][0]]);
  for (const v of moved.layers[0].c2) close(v, 36, 1e-12);
  assert.equal(at(changed(state, { lr: 1.6, gradient: "recorded" })).sizes, SHORT[1]);
});

test("a run of the reader's gives theory its start, and, if asked, its gradients", () => {
  const first = recorded({ lr: 3 }, { plan: "short", w2: [same(7), same(7)], c2: [same(1), same(1)] });
  const other = { ...first, plan: "book", w2: [same(8), same(8)] };
  const state = kept(initial({}), [first]);
  assert.deepEqual([shownBy(state).layers[0].w2[0], shownBy(state).sizes], [7, SHORT[0]]);
  const mine = shownBy({ ...state, gradient: "mine" });
  assert.deepEqual([mine.sizes, mine.last, mine.layers[0].c2[3]], [first, first, 1]);
  assert.equal(shownBy(kept(state, [first, other])).layers[0].w2[0], 7, "of this training");
});

test("measured: norms at the start of a window, the rest with |w|² in its middle, gaps as NaN", () => {
  const w2 = [16, 4, 1, 1, 1, 1, 1, 25];
  const run = recorded({ momentum: 0, optimizer: "sgd", weight_decay: 0.25 }, { w2: [w2, w2] });
  run.growth = [[2, undefined, ...same(2).slice(2)], same(2)];
  assert.deepEqual(measured("norm", 0, run), w2);
  const shrunk = (x) => (2 * 0.1 - 0.01) * x; // (2λα − λ²α²)|w|²
  const [first, ...rest] = measured("shrink", 0, run);
  close(first, shrunk(8), 1e-12, "√(16·4)");
  close(rest.at(-1), shrunk(25), 1e-12, "the last has no next");
  close(measured("balance", 0, run)[0], 2 / shrunk(8), 1e-12);
  close(measured("rate", 0, run)[0], (0.4 * 2) / 8, 1e-12);
  assert.deepEqual(measured("growth", 0, run).slice(0, 3), [2, NaN, 2]);
  const lars = measured("rate", 1, recorded({ optimizer: "lars" }));
  assert.ok(lars.every((v) => v === larsRate(0.4, 5e-4, 0.9)));
  assert.deepEqual([starts(run), middles(run)], [EDGES.slice(0, -1), [0.5, 1.5, 3, 6, 12, 20, 28, 36]]);
});

test("numbers under the cursor: theory at the step, the dot of its window, equilibrium at the step's λ", () => {
  const w2 = [1, 2, 3, 4, 5, 6, 7, 8];
  const state = initial({ plan: "book" });
  const found = compute(state, EVIDENCE, [SHORT, [recorded({}, { w2: [w2, w2] })]]);
  const dots = (t) => numbersAt(t, 0, state, found)[1];
  assert.deepEqual([0, 1, 3, 4, 15, 16, 39].map(dots), [1, 2, 3, 4, 5, 6, 8]);
  const { lr, layers } = found;
  const [theory, , limit, shrinks, grows, rate] = numbersAt(25, 0, state, found);
  close(limit, equilibrium(2, { ...state, lr: lr[25] }), 1e-12);
  assert.deepEqual([theory, grows], [layers[0].w2[25], layers[0].growth[25]]);
  close(shrinks, (2 * lr[25] * 5e-4 * theory) / 0.1, 1e-12);
  close(rate, (lr[25] * 2) / theory, 1e-12);
  const constant = initial({ plan: "smoke" });
  const rising = recorded({}, { c2: [same(4), [1, 1, 1, 1, 1, 4, 9, 9]] });
  const borrowed = compute(constant, EVIDENCE, [SHORT, [rising]]);
  assert.equal(numbersAt(3, 1, constant, borrowed)[1], null, "no dots");
  assert.equal(numbersAt(3, 1, constant, borrowed)[2], equilibrium(3, constant), "of late c, where λ is constant");
});

test("a guess is scored by its factor, against equilibrium where that is reached, else against the end", () => {
  const slow = initial({ layer: "prep" });
  const end = shownBy(slow).layers[0].w2[39];
  assert.deepEqual(score(2 * end, slow, shownBy(slow)), { guess: 2 * end, theory: end, measured: 10, factor: 2 });
  close(score(end / 2, slow, shownBy(slow)).factor, 2, 1e-12);
  const fast = initial({ optimizer: "sgd", lr: 1, weight_decay: 0.02 }); // three time constants are 37.5 steps
  const { theory, measured: dots } = score(5, fast, shownBy(fast));
  const { limit, w2 } = shownBy(fast).layers[1];
  assert.deepEqual([theory, w2.at(-1) === limit], [limit, false], "of layer2, where all are shown");
  assert.equal(dots, null, "no run has exactly these values");
});

test("a run comes from Python with NaN for None and λ of every step; a packed one is of its own plan", () => {
  const series = {
    w2: [[1, null]],
    c2: [[2, 2]],
    drive: [[3, 3]],
    growth: [[null, 4]],
    loss: [5, null],
    accuracy: [6, 6],
  };
  const run = fromPython({ ...plan, lr: 0.4, optimizer: "sgd", ...series, test_loss: [null], test_accuracy: [7] });
  assert.deepEqual([run.w2, run.growth, run.loss], [[[1, NaN]], [[NaN, 4]], [5, NaN]]);
  assert.deepEqual([run.test_loss, run.test_accuracy, run.optimizer], [[NaN], [7], "sgd"]);
  assert.deepEqual(run.lr_t, rates(plan, 0.4));
  const codes = Buffer.alloc(2 * (4 * 2 * 8 + 2 * 8 + 2 * 4)).toString("base64");
  const set = { codes, runs: [{ lr: 1.6 }], edges: EDGES, epochs: 4, what: "packed" };
  const [short, book] = recordings({ ...EVIDENCE, sets: [set, set] }).map(([one]) => one.opened());
  assert.deepEqual([short.lr_t, book.lr_t], [rates(PLANS.short, 1.6), rates(PLANS.book, 1.6)]);
  assert.deepEqual([short.steps, short.steps_per_epoch, short.what, short.w2[1].length], [40, 10, "packed", 8]);
});
