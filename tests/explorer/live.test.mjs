// live/: history, forecast, axes and the run, with layers for which the recurrence is exact.

import assert from "node:assert/strict";
import test from "node:test";
import { angle } from "../../src/explorer/decoupled.js";
import { round, settle, span, steps } from "../../src/explorer/live/axis.js";
import {
  agreement,
  along,
  drive,
  expected,
  forecast,
  horizon,
  overLine,
  recent,
} from "../../src/explorer/live/forecast.js";
import {
  after,
  at,
  before,
  CAPACITY,
  column,
  history,
  mean,
  running,
  take,
  values,
  windows,
} from "../../src/explorer/live/history.js";
import { mark, merged } from "../../src/explorer/live/marks.js";
import { HOMES } from "../../src/explorer/live/optimizers.js";
import { redraw } from "../../src/explorer/live/run.js";
import { DEFAULT, STORIES, scene, start } from "../../src/explorer/live/stories.js";
import { equilibrium, follow, turn } from "../../src/explorer/theory.js";
import { LAYERS, near, started } from "./live_lab.js";
import { randomLab } from "./random_layers.js";

test("history: windows merge in pairs, first values are first ones and means are means", () => {
  const past = history(2);
  const steps_ = 1000;
  const network = {
    lr: Float32Array.from({ length: steps_ }, (_, t) => t),
    weight_decay: new Float32Array(steps_).fill(0.01),
    momentum: new Float32Array(steps_),
    loss: Float32Array.from({ length: steps_ }, (_, t) => t),
    accuracy: new Float32Array(steps_),
    products: new Float32Array(30 * steps_).fill(1),
  };
  take(past, network);
  assert.equal(past.steps, steps_);
  for (const { width, count } of past.levels) assert.equal(count, Math.floor(steps_ / width));
  const view = windows(past, 0, 8);
  assert.equal(view.width, 8);
  assert.deepEqual([...values(view, column("lr"))].slice(0, 3), [0, 8, 16]);
  assert.deepEqual([...values(view, column("loss"))].slice(0, 3), [3.5, 11.5, 19.5]);
  assert.equal(mean(past, column("loss"), 990), 994.5);
  assert.equal(at(past, column("lr"), 999), 999);
  assert.equal(at(past, column("lr"), 401), 400); // of windows of two steps
});

test("history: memory stays as it is while the run goes on, but for a level at each doubling", () => {
  const { go, run } = started();
  go(600);
  const numbers = () => run.networks[0].past.levels.reduce((sum, { data }) => sum + data.length, 0);
  const level = CAPACITY * run.networks[0].past.stride;
  assert.equal(numbers(), 10 * level); // 2⁹ < 600 < 2¹⁰
  for (let i = 0; i < 4; i++) go(100);
  assert.equal(numbers(), 10 * level);
  go(100);
  assert.equal(numbers(), 11 * level);
});

test("history: a running mean looks back, also before the view, and is over what there is at the start", () => {
  const past = history(1);
  const arrays = (list) => ({ lr: list, weight_decay: list, momentum: list, accuracy: list, loss: list });
  take(past, { ...arrays(Float32Array.from([1, 2, 3, 4, 5, 6])), products: new Float32Array(90).fill(1) });
  assert.deepEqual([...running(windows(past, 0), column("loss"), 3)], [1, 1.5, 2, 3, 4, 5]);
  assert.deepEqual([...running(windows(past, 4), column("loss"), 3)], [4, 5]);
  assert.deepEqual([...running(windows(past, 0, 2), column("loss"), 4)], [1.5, 2.5, 4.5]);
  assert.deepEqual([...running(windows(past, 0), column("loss"), 3, [0, 2, 5])], [1, 1.5, 3, 3.5, 4, 6]);
  assert.deepEqual([...running(windows(past, 0, 2), column("loss"), 4, [3])], [1.5, 3.5, 5.5], "2, 3 was changed in");
});

test("the state after the last step of a report is the one before the first of the next", () => {
  const lab = randomLab(LAYERS);
  lab.send(start({ ...DEFAULT, momentum: 0.9, optimizer: "heavy-ball" }, null));
  const last = after(lab.run(40).networks[0], 8);
  const first = before(lab.run(1).networks[0], 0, 8);
  for (const [l, { w2, wv, v2 }] of first.entries()) {
    near(last[l].w2, w2, 1e-5);
    near(last[l].v2, v2, 1e-5);
    assert.ok(Math.abs(last[l].wv - wv) < 1e-5 * Math.sqrt(w2 * v2));
  }
});

test("recent sizes are those of the lab, and unknown at first", () => {
  const { go, run } = started();
  go(5);
  assert.equal(recent(run.networks[0].past), null);
  go(100);
  for (const [l, { c2, gv }] of recent(run.networks[0].past).entries()) {
    near(c2, (0.3 * (1 + l)) ** 2, 1e-5);
    assert.ok(Math.abs(gv) < 0.5 * c2);
  }
});

test("theory that runs ahead: dots arrive on the lines after a movement of λ, α, ρ, and after a kick", () => {
  const moves = [
    { type: "set", lr: 1.5 },
    { type: "set", weight_decay: 0.05 },
    { type: "set", momentum: 0.8, optimizer: "heavy-ball", lr: 0.1 },
    { type: "kick", layer: "layer2", factor: 3 },
    { type: "kick", layer: "all", factor: 1 / 3 },
  ];
  for (const move of moves) {
    const { go, act, run } = started();
    go(300);
    act(move);
    const seen = run.networks[0].line;
    assert.equal(seen.t, 300, "shown at once");
    for (let i = 0; i < 40; i++) go(5);
    const { steps: n, ratios } = agreement(run.networks[0].past, run.networks[0].line);
    assert.equal(n, 199);
    for (const ratio of ratios) near(ratio, 1, move.momentum ? 0.25 : 0.01); // of 300 numbers
    for (const l of [0, 4]) near(expected(seen, l, 350), expected(run.networks[0].line, l, 350), 0.01);
  }
});

test("AdamW and its like: dots arrive after λ has moved, after a kick, and after a change of the optimizer", () => {
  const from = (optimizer) => ({ optimizer, ...HOMES[optimizer] });
  const { lr, weight_decay, momentum } = HOMES.adamw;
  for (const [optimizer, move, within] of [
    ["sgdw", { type: "set", lr: 0.1 }, 0.12],
    ["adamw", { type: "set", lr: 2 * lr }, 0.12],
    ["adamw", { type: "kick", layer: "all", factor: 2 }, 0.12],
    ["adam", { type: "set", lr: 2 * lr }, 0.12],
    ["lion", { type: "set", lr: 2 * HOMES.lion.lr }, 0.25], // of 300 numbers, alike for a hundred steps
    ["muon", { type: "set", lr: 2 * HOMES.muon.lr }, 0.2],
    ["sgd", { type: "set", optimizer: "adamw", lr, weight_decay, momentum }, 0.12],
    ["muon", { type: "set", ...from("lion") }, 0.3],
  ]) {
    const { go, act, run } = started("settle", optimizer === "sgd" ? {} : from(optimizer));
    for (let i = 0; i < 3; i++) go(100);
    act(move);
    assert.equal(run.networks[0].line.t, 300, "shown at once");
    for (let i = 0; i < 20; i++) go(5);
    const { steps: n, ratios } = agreement(run.networks[0].past, run.networks[0].line);
    assert.ok(n > 30, `${n}`);
    for (const ratio of ratios) near(ratio, 1, within);
    const size = run.networks[0].line.layers[3];
    if (optimizer === "sgd") near(size.v2[50], (300 * 0.1) / 1.9, 0.3);
  }
});

test("settled layers of AdamW and its like lie on √(2λα/S), turn by its angle, and grow as much as they shrink", () => {
  for (const optimizer of ["sgdw", "adamw", "muon"]) {
    const { go, run } = started("settle", { optimizer, ...HOMES[optimizer] });
    for (let i = 0; i < 6; i++) go(100);
    const { past, settings, line } = run.networks[0];
    const mean_ = (name) => run.layers.reduce((sum, _, l) => sum + mean(past, column(name, l), 300) / 8, 0);
    const over = overLine(past, 300, settings, 32, line.layers, run.shapes);
    near(
      over.reduce((sum, one) => sum + one / 8, 0),
      1,
      0.05,
    );
    near(Math.sqrt(mean_("angle2")), angle(settings, run.shapes[0]), 0.05);
    near(mean_("balance"), 1, 0.1);
  }
});

test("a line that is drawn with a momentum under way starts from it", () => {
  const { go, act, run } = started("rings");
  go(200);
  act({ type: "set", lr: 0.1 });
  go(60);
  const { w2 } = run.networks[0].line.layers[3];
  const { past } = run.networks[0];
  for (const t of [210, 220, 230]) near(w2[t - 200], at(past, column("w2", 3), t), 0.06);
});

test("drive: without correlation c² itself; with it c² + 2ρ g·v, Nesterov ρ²; never below a hundredth of c²", () => {
  const size = { c2: 4, gv: 1 };
  const values_ = { momentum: 0.5, optimizer: "heavy-ball" };
  assert.equal(drive(size, values_, false), 4);
  assert.equal(drive(size, values_, true), 5);
  assert.equal(drive(size, { ...values_, optimizer: "nesterov" }, true), 4.5);
  assert.equal(drive({ c2: 4, gv: -100 }, values_, true), 0.04);
});

test("forecast is the recurrence; along a ramp λ falls and there is no equilibrium", () => {
  const state = [{ w2: 2, wv: 0.1, v2: 0.3 }];
  const sizes = [{ c2: 1, gv: 0 }];
  const values_ = { lr: 0.5, weight_decay: 0.01, momentum: 0.5, optimizer: "heavy-ball" };
  const one = forecast({ t: 10, state, sizes, values: values_, steps: 50 });
  const { w2 } = follow(2, new Float64Array(51).fill(1), new Float64Array(51).fill(0.5), values_, state[0]);
  near(one.layers[0].w2[50], w2[50], 1e-6);
  assert.equal(one.layers[0].limit, equilibrium(1, values_));
  const ramp = { from: 0.5, to: 0, start: 20, end: 40 };
  const falls = forecast({ t: 10, state, sizes, values: values_, steps: 50, ramp });
  assert.deepEqual([falls.lr[0], falls.lr[10], falls.lr[20], falls.lr[50]], [0.5, 0.5, 0.25, 0]);
  assert.equal(falls.layers[0].limit, Infinity);
  assert.equal(along(ramp, 30), 0.25);
});

test("lines reach four time constants ahead, or twice the axis", () => {
  assert.equal(horizon({ lr: 0.5, weight_decay: 0.01, momentum: 0, optimizer: "sgd" }, 500), 1000);
  assert.equal(horizon({ lr: 0.05, weight_decay: 0.01, momentum: 0, optimizer: "sgd" }, 500), 2000);
  assert.equal(horizon({ lr: 0.5, weight_decay: 0, momentum: 0, optimizer: "sgd" }, 500), 1000);
});

test("settled layers lie on the bold line, and turn by the angle that belongs to it", () => {
  const { go, run } = started();
  for (let i = 0; i < 8; i++) go(100);
  const { past, settings } = run.networks[0];
  for (const ratio of overLine(past, 400, settings)) near(ratio, 1, 0.01);
  for (let l = 0; l < 8; l++) near(Math.sqrt(mean(past, column("angle2", l), 400)), turn(settings), 0.01);
  for (let l = 0; l < 8; l++) assert.ok(mean(past, column("cos2", l), 400) < 1e-10);
  assert.equal(overLine(past, 790, settings), null, "too few steps");
  assert.equal(overLine(past, 400, { ...settings, weight_decay: 0 }), null);
});

test("a run: movements are marked, a dragged slider once; lines before stay until they are short", () => {
  const { go, act, run } = started();
  go(200);
  for (const lr of [0.6, 0.7, 0.8]) {
    act({ type: "set", lr });
    go(4);
  }
  assert.deepEqual(
    run.marks.map(({ text }) => text),
    ["λ = 0.8"],
  );
  assert.equal(run.networks[0].settings.lr, 0.8);
  assert.ok(run.networks[0].lines.length <= 5);
  act({ type: "kick", layer: "layer2", factor: 1 / 3 });
  go(4);
  assert.equal(run.marks.at(-1).text, "layer2 ÷ 3");
  act({ type: "no_norm", layer: "layer3" });
  go(4);
  assert.equal(run.networks[0].no_norm, "layer3");
  assert.equal(run.marks.at(-1).text, "layer3 without batch norm");
  const before_ = run.networks[0].line;
  redraw(run);
  assert.notEqual(run.networks[0].line, before_);
});

test("while it waits theory answers, too, from where the network stands", () => {
  const { go, act, run } = started();
  go(300);
  const { w2 } = run.networks[0].state[4];
  act({ type: "kick", layer: "layer2", factor: 3 });
  near(run.networks[0].line.layers[4].w2[0], 9 * w2, 1e-6);
  near(run.networks[0].line.layers[3].w2[0], run.networks[0].state[3].w2, 1e-6);
});

test("a ramp that the page moves makes no marks, and theory knows of it", () => {
  const { go, lab, run } = started("decay");
  run.ramp = { ...STORIES.decay.ramp, from: 0.5, to: 0.001 };
  for (let t = 0; t < 1200; t += 20) {
    if (t > 600) lab.send({ type: "set", lr: along(run.ramp, t) });
    go(20);
  }
  assert.deepEqual(run.marks, []);
  const found = agreement(run.networks[0].past, run.networks[0].line);
  for (const ratio of found.ratios) near(ratio, 1, 0.02);
});

test("marks: those of one slider that follow each other are one, those of others are not", () => {
  const marks = [];
  for (const [t, lr] of [
    [10, 1],
    [12, 2],
    [90, 3],
  ])
    merged(marks, mark({ t, type: "set", lr }), 20);
  merged(marks, mark({ t: 91, type: "set", weight_decay: 0.1 }), 20);
  merged(marks, mark({ t: 92, type: "kick", layer: "all", factor: 3 }), 20);
  merged(marks, mark({ t: 93, type: "kick", layer: "all", factor: 3 }), 20);
  assert.deepEqual(
    marks.map(({ t, text }) => [t, text]),
    [
      [12, "λ = 2"],
      [90, "λ = 3"],
      [91, "α = 0.1"],
      [92, "w × 3"],
      [93, "w × 3"],
    ],
  );
});

test("axes: steps move on in jumps, and what lies ahead is three to six tenths", () => {
  assert.deepEqual(steps(0, 1000, false), [0, 1000]);
  const ends = new Set();
  for (let t = 0; t < 5000; t += 10) {
    const [from, to] = steps(t, 1000, false);
    assert.equal(to - from, 1000);
    if (from > 0) assert.ok((to - t) / 1000 >= 0.3 && (to - t) / 1000 <= 0.56);
    ends.add(to);
  }
  assert.ok(ends.size < 22);
  assert.deepEqual(steps(5000, 1000, true), [0, 10000]);
});

test("axes: a range grows at once, shrinks after a while, and not while a slider is held", () => {
  const log = { log: true };
  let range = settle(null, [3, 40], log);
  near(range.low, 2, 1e-9);
  assert.equal(range.high, 50);
  range = settle(range, [3, 4000], log);
  assert.equal(range.high, 5000);
  for (let i = 0; i < 500; i++) range = settle(range, [3, 40], { ...log, held: true });
  assert.equal(range.high, 5000);
  for (let i = 0; i < 30; i++) range = settle(range, [3, 40], log);
  assert.equal(range.high, 5000);
  for (let i = 0; i < 60; i++) range = settle(range, [3, 40], log);
  assert.equal(range.high, 50);
  assert.deepEqual(settle(range, [Infinity, 0], log), range, "nothing to show");
  assert.deepEqual([1, 1.1, 4.9, 7, 0.03].map(round), [1, 2, 5, 10, 0.05]);
});

test("axes: some twelve time constants, five of the damping where it rings, and never without end", () => {
  assert.equal(span({ lr: 0.5, weight_decay: 0.01, momentum: 0, optimizer: "sgd" }), 1000);
  assert.equal(span({ lr: 0.5, weight_decay: 0, momentum: 0, optimizer: "sgd" }), 10000);
  assert.equal(span(scene("rings")), 1000);
});
