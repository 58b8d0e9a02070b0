// series.js and captions.js: what the panels draw and say of a state.

import assert from "node:assert/strict";
import test from "node:test";

import {
  caption,
  cell,
  heads,
  place,
  question,
  result,
  sources,
  spoken,
  verdictOn,
} from "../../src/explorer/captions.js";
import { compute } from "../../src/explorer/compute.js";
import { drawing, looks, range, series } from "../../src/explorer/series.js";
import { changed, departing, guessed, initial, kept, printing } from "../../src/explorer/state.js";
import { larsRate, rates } from "../../src/explorer/theory.js";
import { PANELS } from "../../src/explorer/words.js";

const LAYERS = ["prep", "layer1", "layer1.res", "layer2"];
const EDGES = [0, 1, 2, 4, 8, 16, 24, 32, 40];
const PLAN = { steps: 40, steps_per_epoch: 10, epochs: 4, warmup: 1, schedule: "constant", label: "short", set: 0 };
const EVIDENCE = { layers: LAYERS, plans: { short: PLAN, book: { ...PLAN, set: 1, schedule: "triangular" } } };
const same = (value) => EDGES.slice(1).map(() => value);
const RUN = {
  ...PLAN,
  ...{ lr: 0.4, weight_decay: 5e-4, momentum: 0.9, optimizer: "heavy-ball" },
  what: "known",
  edges: EDGES,
  lr_t: rates(PLAN, 0.4),
  ...Object.fromEntries(["w2", "c2", "drive", "growth"].map((key) => [key, LAYERS.map(() => same(4))])),
  ...{ loss: same(1), accuracy: same(0.5), test_loss: [3, 2, 1, 1], test_accuracy: [0.2, 0.4, 0.5, 0.6] },
  diverged_at: -1,
};
const MINE = { ...RUN, plan: "short", steps: 60, edges: [...EDGES, 60] };

function at(state, panel) {
  const computed = compute(state, EVIDENCE, [[RUN, { ...RUN, weight_decay: 0 }], [RUN]]);
  return { computed, series: panel && series(panel, state, computed, looks(LAYERS)) };
}
const kinds = (list) => list.map((one) => one.class ?? one.kind);
const of = (list, kind) => list.filter((one) => (one.class ?? one.kind) === kind);

test("a layer has the color of its stage and a dash in it", () => {
  const found = looks(LAYERS);
  assert.deepEqual(
    found.map((look) => look.color),
    ["var(--c0)", "var(--c1)", "var(--c1)", "var(--c2)"],
  );
  assert.deepEqual(
    found.map((look) => look.dash),
    [null, null, "6 2.5", null],
  );
});

test("norms: a curve, its equilibrium if λ is constant and there is one, and the dots, layer by layer", () => {
  const one = ["line", "level", "dots"];
  const state = initial({});
  const { series: found, computed } = at(state, "norm");
  assert.deepEqual(kinds(found), [...one, ...one, ...one, ...one]);
  assert.equal(found[0].ys, computed.layers[0].w2);
  assert.deepEqual(found[1].ys, [computed.layers[0].limit, computed.layers[0].limit]);
  assert.deepEqual(found[2].xs, EDGES.slice(0, -1));
  assert.deepEqual(kinds(at(initial({ plan: "book", layer: "prep" }), "norm").series), ["line", "dots"]);
  assert.deepEqual(kinds(at(initial({ weight_decay: 0, layer: "prep" }), "norm").series), ["line", "dots"]);
});

test("of one layer shrink and growth are drawn apart; of all of them growth / shrink, with a line at 1", () => {
  const [shrinks, , grows, ...dots] = at(initial({ layer: "prep" }), "balance").series;
  assert.deepEqual(kinds(dots), ["dots"]);
  assert.deepEqual([shrinks.color, grows.color], ["var(--shrink)", "var(--growth)"]);
  const all = at(initial({}), "balance").series;
  assert.deepEqual([of(all, "line").length, all.at(-1).ys, all.at(-1).class], [5, [1, 1], "line"]);
});

test("the bold line of rates is λ_LARS at each step, and there is none without decay", () => {
  const bold = at(initial({ plan: "book" }), "rate").series.at(-1);
  assert.deepEqual(
    [...bold.ys],
    [...rates(EVIDENCE.plans.book, 0.4)].map((lr) => larsRate(lr, 5e-4, 0.9)),
  );
  assert.ok(!at(initial({ weight_decay: 0 }), "rate").series.some((one) => one.class));
});

test("the setting before stands behind as ghosts, layer by layer, and belongs to its layer", () => {
  const first = initial({ layer: "prep" });
  const state = changed(departing(first, at(first).computed), { lr: 1.6 });
  const found = at(state, "norm").series;
  assert.deepEqual(kinds(found), ["ghost", "line", "level", "dots"]);
  assert.equal(found[0].ys, state.before.computed.layers[0].w2);
  assert.ok(found.every((one) => one.layer === "prep"));
  assert.deepEqual(of(at(state, "rate").series, "ghost").length, 1);
});

test("runs of the reader's stand beside the recorded one: the newest as mine, the others faint", () => {
  const state = kept(initial({ layer: "prep" }), [MINE, { ...MINE, plan: "book" }, MINE, { ...MINE }]);
  assert.deepEqual(kinds(at(state, "norm").series), ["line", "level", "dots", "faint", "faint", "mine"]);
  assert.equal(drawing("norm", state, at(state).computed, looks(LAYERS)).steps, 60, "the longest");
  const tests = at(state, "accuracy").series;
  assert.deepEqual(kinds(tests.slice(0, 3)), ["line", "line", "dots"]);
  assert.deepEqual([tests[1].xs, tests[1].ys], [[10, 20, 30, 40], RUN.test_accuracy]);
  assert.equal(tests.length, 3 * 4);
});

test("before a guess nothing of theory is seen and of runs their first eight steps; on paper everything", () => {
  const asking = guessed(initial({ predict: true }), 30);
  const hidden = at(asking, "norm").series;
  assert.deepEqual(kinds(hidden), ["dots", "guess"]);
  assert.deepEqual(hidden[0].ys.map(Number.isFinite), [true, true, true, true, true, false, false, false]);
  assert.deepEqual(hidden[1].ys, [30, 30]);
  for (const panel of Object.keys(PANELS)) {
    assert.equal(of(at(asking, panel).series, "line").length, 0, panel);
    assert.ok(of(at(printing(asking, true), panel).series, "line").length > 0, panel);
  }
  const { low, high } = range("norm", asking, at(asking).computed);
  assert.deepEqual([low, high], [0.4, 200], "room for a guess around 4");
  assert.deepEqual(range("norm", initial({}), at(initial({})).computed), {});
  assert.deepEqual(kinds(at(changed(asking, { predict: false }), "norm").series).slice(0, 3), [
    "line",
    "level",
    "dots",
  ]);
});

test("without decay, and for LARS, the panel of the balance is growth alone, and says so", () => {
  for (const values of [{ weight_decay: 0 }, { optimizer: "lars" }]) {
    const state = initial({ ...values, layer: "prep" });
    const { computed } = at(state);
    const drawn = drawing("balance", state, computed, looks(LAYERS));
    assert.equal(of(drawn.series, "line")[0].ys, computed.layers[0].growth);
    assert.match(caption("balance", state, computed), /^growth of \|w\|² a step \(u²\): /);
  }
});

test("axes: shares of all are from 0 to 1, a λ that falls has a linear axis of rates, an explosion is left out", () => {
  const drawn = (panel, given) => drawing(panel, initial(given), at(initial(given)).computed, looks(LAYERS));
  assert.deepEqual([drawn("accuracy", {}).low, drawn("accuracy", {}).high, drawn("accuracy", {}).log], [0, 1, false]);
  assert.deepEqual([drawn("rate", {}).log, drawn("rate", { plan: "book" }).log], [true, false]);
  assert.equal(drawn("rate", {}).cap, 100 * ((0.4 * 2) / 4), "a hundred times the first step's λ|g|/|w|");
  assert.equal(drawn("norm", {}).cap, undefined);
});

test("captions say what is there", () => {
  const said = (panel, given) => caption(panel, initial(given), at(initial(given)).computed);
  assert.match(said("norm", {}), /equilibrium$/);
  for (const given of [{ plan: "book" }, { weight_decay: 0 }, { predict: true }])
    assert.equal(said("norm", given), "|w|² (u²)", JSON.stringify(given));
  assert.match(said("balance", { layer: "prep" }), /solid.*dashed/);
  assert.match(said("balance", {}), /bold: balance$/);
  assert.match(said("rate", {}), /bold/);
  for (const given of [{ weight_decay: 0 }, { predict: true }]) assert.equal(said("rate", given), "λ|g|/|w|");
  assert.equal(said("rate", { optimizer: "lars" }), "λ_LARS (prescribed)");
  assert.match(said("rate", { plan: "book" }), /; the axis is linear$/);
});

test("a chart is told by the ends of its curves", () => {
  const line = (...ys) => ({ kind: "line", ys });
  const bar = { kind: "line", class: "level", ys: [9, 9] };
  assert.equal(spoken("x", [{ kind: "dots", ys: [1, 2] }, bar]), "x.");
  assert.equal(spoken("x", [line(1, 5, 2), bar]), "x. Theory: from 1 at the first step to 2 at the last, 1 curve.");
  const two = "x. Theory: from 1 to 3 at the first step to 2 to 4 at the last, 2 curves.";
  assert.equal(spoken("x", [line(3, 4), line(1, 2)]), two);
});

test("dots and lines say where they are from", () => {
  const said = (given) => sources(initial(given), at(initial(given)).computed);
  assert.match(
    said({}),
    /^Dots: recorded at exactly these values; known; test accuracy 60\.0 %\. .*gradients in it\.$/,
  );
  assert.match(said({ lr: 0.5 }), /^Dots: the nearest recorded run, λ = 0\.4, .* gradients in the run with λ = 0\.4,/);
  const between = sources(initial({}), { found: { run: RUN, exact: false }, sizes: { ...RUN, parts: 4 } });
  assert.match(between, /the size of the gradients, interpolated between the 4 recorded runs around\.$/);
  assert.match(
    said({ gradient: "constant", lr: 0.5 }),
    /gradients, held at what it is, late, in the run with λ = 0\.4,/,
  );
  assert.match(said({ optimizer: "nesterov" }), /^No recorded run of Nesterov .* gradients in the run with λ = 0\.4,/);
  assert.match(
    sources({ ...initial({ optimizer: "lars" }) }, { found: null, last: MINE }),
    /gradients in my last run\.$/,
  );
  const mine = { ...initial({ lr: 0.8 }), curves: [{ ...MINE, plan: initial({}).plan, id: 1 }] };
  assert.match(sources(mine, at(mine).computed), / Open dots: my last run, λ = \S+, α = \S+, ρ = \S+, /);
  assert.doesNotMatch(sources({ ...mine, plan: "other" }, { found: null, sizes: RUN }), /Open dots/);
  const small = sources({ ...initial({}), plan: "here" }, { found: null, sizes: RUN });
  assert.match(small, /the size of the gradients of the book's network on CIFAR-10 in the run with/);
  const hidden = initial({ predict: true });
  assert.equal(result(hidden, at(hidden).computed), "", "how it came out is a part of the answer");
});

test("a question names its layer, its start and its end; a score has the factor", () => {
  const asks = (given) => question(initial(given), at(initial(given)).computed);
  assert.match(
    asks({ layer: "prep" }),
    /^\|w\|² of prep starts at 4; late in training c = \|g\|\|w\| is 2 nat\. Where will it be at the end\?/,
  );
  assert.match(asks({ lr: 2, weight_decay: 0.1, optimizer: "sgd" }), /of layer2 .* Where will it settle\?/);
  const found = { guess: 30, theory: 15, measured: 16, factor: 2 };
  assert.match(verdictOn(found, true), /^You said 30\. Theory, equilibrium: 15; .* factor of 2\. .* ends at 16\.$/);
  assert.match(
    verdictOn({ ...found, measured: null }, false),
    /^You said 30\. Theory, at the end: 15; .* factor of 2\.$/,
  );
});

test("the table says what is missing, endless or beyond the codes, and of which λ equilibrium is", () => {
  assert.deepEqual(
    [cell(null, 1), cell(Infinity, 2), cell(Infinity, 0), cell(2e19, 1)],
    ["", "none", "over 1e19", "over 1e19"],
  );
  assert.equal(cell(12.34, 2), "12.3");
  assert.equal(heads({ plan: PLAN })[3], "equilibrium");
  assert.equal(heads({ plan: EVIDENCE.plans.book })[3], "equilibrium at this λ");
  assert.equal(place(25, { plan: PLAN }), "step 25, epoch 2.50");
});
