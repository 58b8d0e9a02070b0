// The lab: seeds, commands between two steps, events, reports, memory; and its images.

import assert from "node:assert/strict";
import { test } from "node:test";

import { batches, source } from "../../src/explorer/network/images.js";
import { plainKernels } from "../../src/explorer/network/kernels.js";
import { Lab } from "../../src/explorer/network/lab.js";
import { LAYERS } from "../../src/explorer/network/model.js";
import { series, trained } from "./networks.mjs";

const COMMANDS = [
  [3, { type: "set", lr: 1 }],
  [5, { type: "kick", layer: "layer2", factor: 3 }],
  [6, { type: "set", optimizer: "heavy-ball", momentum: 0.9 }],
  [8, { type: "no_norm", layer: "layer1" }],
];

test("a seed and its commands determine everything, bit for bit", () => {
  const run = (seed) => trained({ steps: 10, seed, commands: COMMANDS }).report;
  assert.deepEqual(run(7), run(7));
  assert.notDeepEqual(run(7).networks[0].loss, run(8).networks[0].loss);
});

test("the log of a lab, played again, gives the same", () => {
  const { lab, report } = trained({ steps: 10, commands: COMMANDS });
  const again = new Lab({ kernels: plainKernels });
  for (const { t, command } of lab.log) {
    while (again.t < t) again.step();
    again.receive(command);
  }
  while (again.t < lab.t) again.step();
  assert.deepEqual(again.report(), report);
});

test("commands act from the step on at which they come, and are among the events", () => {
  const { report } = trained({ steps: 10, commands: COMMANDS });
  const [{ lr, momentum, products, optimizer }] = report.networks;
  assert.deepEqual([...lr], [0.5, 0.5, 0.5, 1, 1, 1, 1, 1, 1, 1]);
  assert.deepEqual([...momentum], [0, 0, 0, 0, 0, 0, ...new Array(4).fill(Math.fround(0.9))]);
  assert.equal(optimizer, "heavy-ball");
  assert.deepEqual(
    report.events.map(({ t, type }) => [t, type]),
    [
      [0, "start"],
      [3, "set"],
      [5, "kick"],
      [6, "set"],
      [8, "no_norm"],
    ],
  );
  assert.equal(products.length, 10 * 8 * 15);
});

test("a kick changes a norm and not the function", () => {
  for (const layer of LAYERS) {
    const { report } = trained({
      steps: 6,
      networks: [{ eps: 1e-12 }],
      commands: [[4, { type: "kick", layer, factor: 3 }]],
    });
    const { logits_change, logits_change_no_eps } = report.events.find(({ type }) => type === "kick");
    assert.ok(logits_change < 2e-5, `${layer}: ${logits_change}`);
    assert.ok(logits_change_no_eps < 2e-5, `${layer}: ${logits_change_no_eps}`);
    const still = trained({ steps: 6, networks: [{ eps: 1e-12 }] }).report;
    const ratio = (l) => series(report.networks[0], 0, l)[4] / series(still.networks[0], 0, l)[4];
    for (const [l, name] of LAYERS.entries()) assert.ok(Math.abs(ratio(l) - (name === layer ? 9 : 1)) < 1e-5);
  }
});

test("what a kick does change is due to the ε of batch norm, but for rounding; the ε comes back", () => {
  const commands = [
    [2, { type: "kick", layer: "all", factor: 1 / 30 }],
    [3, { type: "kick", layer: "all", factor: 1 }],
  ];
  const { events } = trained({ steps: 5, networks: [{ eps: 1e-5 }], commands }).report;
  const [kick, none] = events.filter(({ type }) => type === "kick");
  assert.ok(kick.logits_change > 1e-3, `${kick.logits_change}`);
  assert.ok(kick.logits_change_no_eps < 2e-5, `${kick.logits_change_no_eps}`);
  assert.deepEqual([none.logits_change, none.logits_change_no_eps], [0, 0]);
});

test("a kick of a layer without batch norm does change the function", () => {
  const commands = [
    [2, { type: "no_norm", layer: "layer1" }],
    [3, { type: "kick", layer: "layer1", factor: 3 }],
  ];
  const { report } = trained({ steps: 4, commands });
  assert.ok(report.events.at(-1).logits_change > 0.01);
});

test("of two networks a command can be for one", () => {
  const commands = [[2, { type: "set", network: 1, lr: 2 }]];
  const { report } = trained({ steps: 4, networks: [{}, {}], commands });
  const [one, other] = report.networks;
  assert.deepEqual(
    [[...one.lr], [...other.lr]],
    [
      [0.5, 0.5, 0.5, 0.5],
      [0.5, 0.5, 2, 2],
    ],
  );
  assert.deepEqual(one.loss.slice(0, 3), other.loss.slice(0, 3));
  assert.notEqual(one.loss[3], other.loss[3]);
});

test("what diverges ends there, as a result", () => {
  const { lab, report } = trained({ steps: 400, networks: [{ lr: 1e12, weight_decay: 0 }] });
  const [{ loss, diverged_at }] = report.networks;
  assert.equal(report.state, "diverged");
  assert.ok(!Number.isFinite(loss[diverged_at]) && loss.slice(0, diverged_at).every(Number.isFinite));
  lab.receive({ type: "play" });
  assert.ok(!lab.running);
  lab.receive({ type: "start", seed: 1, networks: [{}] });
  lab.receive({ type: "step", count: 2 });
  while (lab.running) lab.step();
  assert.ok(lab.report().networks[0].loss.every(Number.isFinite));
});

test("of two networks the one that has not diverged goes on", () => {
  const { report } = trained({ steps: 60, networks: [{ lr: 1e30, weight_decay: 0 }, {}] });
  const [one, other] = report.networks;
  assert.equal(report.state, "running");
  assert.ok(one.diverged_at >= 0 && Number.isNaN(one.loss.at(-1)));
  assert.ok(other.diverged_at === -1 && other.loss.every(Number.isFinite));
});

test("reports follow one another without a gap, and there is none where nothing has happened", () => {
  const lab = new Lab({ kernels: plainKernels });
  lab.receive({ type: "start", seed: 1, batch_size: 4, networks: [{}] });
  lab.receive({ type: "step", count: 3 });
  const first = lab.report();
  while (lab.running) lab.step();
  const second = lab.report();
  assert.deepEqual([first.t0, first.t, first.networks[0].loss.length], [0, 0, 0]);
  assert.deepEqual([second.t0, second.t, second.networks[0].loss.length, second.state], [0, 3, 3, "paused"]);
  assert.equal(lab.report(), null);
});

test("it plays until a step, rests before it, and then goes on", () => {
  const lab = new Lab({ kernels: plainKernels });
  lab.receive({ type: "start", seed: 1, batch_size: 4, networks: [{}] });
  lab.receive({ type: "step", count: 2 });
  while (lab.running) lab.step();
  lab.receive({ type: "play", until: 5 });
  while (lab.running) lab.step();
  assert.deepEqual([lab.t, lab.state], [5, "paused"]);
  lab.receive({ type: "play", until: 5 }); // which is over
  for (let i = 0; i < 3; i++) lab.step();
  assert.deepEqual([lab.t, lab.state], [8, "running"]);
  assert.throws(() => lab.receive({ type: "play", until: 0 }), /until=0: must be a whole number in \[1, /);
});

test("a lab takes one piece of memory a start, and none while it trains", () => {
  const sizes = [];
  const kernels = (bytes) => {
    sizes.push(bytes);
    return plainKernels(bytes);
  };
  const lab = new Lab({ kernels });
  for (const networks of [[{}], [{}, {}]]) {
    lab.receive({ type: "start", seed: 1, batch_size: 4, networks });
    const used = lab.kernels.used();
    lab.receive({ type: "step", count: 5 });
    while (lab.running) lab.step();
    lab.receive({ type: "kick", layer: "all", factor: 2 });
    lab.test();
    assert.equal(lab.kernels.used(), used);
    assert.equal(sizes.at(-1), used);
  }
  assert.equal(sizes.length, 2);
});

test("errors name the value and what is allowed", () => {
  const lab = new Lab({ kernels: plainKernels });
  assert.throws(() => lab.receive({ type: "set", lr: 1 }), /"start" at first/);
  assert.throws(() => lab.receive({ type: "start", seed: -1, networks: [{}] }), /seed=-1: must be a whole number/);
  assert.throws(
    () => lab.receive({ type: "start", seed: 1, networks: [{ learning_rate: 1 }] }),
    /learning_rate: unknown/,
  );
  lab.receive({ type: "start", seed: 1, batch_size: 4, networks: [{}] });
  assert.throws(() => lab.receive({ type: "set", momentum: 1 }), /momentum=1: must be a number in \[0, 1\)/);
  assert.throws(() => lab.receive({ type: "set", network: 1, lr: 1 }), /network=1: must be/);
  assert.throws(
    () => lab.receive({ type: "kick", layer: "layer9", factor: 3 }),
    /layer="layer9": must be "all", "prep"/,
  );
  assert.throws(() => lab.receive({ type: "jump" }), /type="jump": must be start, set/);
});

test("images are the same for a seed, others for another, and never come again", () => {
  const draw = (seed, count) => {
    const floats = (length) => new Float32Array(length);
    const from = source(seed);
    const drawn = batches({ floats }, count, 20);
    for (const one of drawn) from.next(one);
    return drawn;
  };
  const [[first, second], [again], [other]] = [draw(1, 2), draw(1, 1), draw(2, 1)];
  assert.deepEqual(first, again);
  assert.notDeepEqual(first.images, second.images);
  assert.notDeepEqual(first.images, other.images);
  assert.deepEqual([...first.labels].sort(), [0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7, 8, 8, 9, 9]);
  const mean = first.images.reduce((sum, x) => sum + x, 0) / first.images.length;
  const size = Math.sqrt(first.images.reduce((sum, x) => sum + x * x, 0) / first.images.length);
  assert.ok(Math.abs(mean) < 0.3 && size > 0.7 && size < 1.3, `${mean}, ${size}`);
});
