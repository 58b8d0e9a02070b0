// AdamW and its like in the live network: what the page takes over, draws and says of them, also beside SGD.

import assert from "node:assert/strict";
import test from "node:test";
import * as captions from "../../src/explorer/live/captions.js";
import { forgets, HOMES, LAWS, OPTIMIZERS } from "../../src/explorer/live/optimizers.js";
import { series } from "../../src/explorer/live/series.js";
import * as states from "../../src/explorer/live/state.js";
import { due, scene, sets, start } from "../../src/explorer/live/stories.js";
import { memoryOf, OPTIMIZERS as NETWORK } from "../../src/explorer/network/optim.js";
import { near, started } from "./live_lab.js";

test("beside SGD, AdamW has the same λα and ρ, whatever is moved, and stays AdamW", () => {
  const [sgd, adamw] = start(scene("beside"), "beside").networks;
  const { momentum, ...home } = HOMES.adamw;
  assert.deepEqual([sgd.optimizer, adamw], ["sgd", { ...home, momentum: 0, optimizer: "adamw" }]);
  let state = states.initial({ story: "beside" });
  for (const changes of [{ lr: 2 }, { weight_decay: 0.5 }, { momentum: 0.9 }, { optimizer: "muon" }, { lr: 1000 }]) {
    const next = states.changed(state, changes);
    const [first, second] = sets(states.moved(state, next), "beside", next);
    const setting = states.setting(next);
    assert.deepEqual({ ...setting, ...first }, { type: "set", network: 0, ...setting });
    near(second.lr * second.weight_decay, next.lr * next.weight_decay, 1e-12);
    assert.ok(second.optimizer === "adamw" && second.weight_decay <= 100);
    assert.equal(second.momentum, first.momentum, "ρ is left alone where it is not moved");
    state = next;
  }
  const [, none] = sets({ weight_decay: 0 }, "beside", { ...state, weight_decay: 0 });
  assert.deepEqual([none.weight_decay, none.lr], [0, HOMES.adamw.lr]);
});

test("beside: the second network has its own bold line, mark and sentence, and no losses are compared", () => {
  const { go, act, run } = started("beside");
  for (let i = 0; i < 6; i++) go(100);
  assert.equal(run.twins, null);
  const bold = () => series("rate", run, [0, 1000]).filter(({ kind }) => kind === "bold");
  const last = () => bold().map(({ ys }) => ys.at(-1));
  for (const y of last()) near(y, 0.1, 1e-6);
  const said = captions.beside(run);
  assert.match(said, /^Open: λ = 0\.005, α = 1, ρ = 0, AdamW, dashed line at 0\.1\. .*λ\|v\|\/\|w\| is (0\.9|1\.0)\d/);
  const [{ command }] = due("beside", 599, 600);
  act(command);
  go(100);
  near(last()[0], 0.1, 1e-6);
  near(last()[1], Math.sqrt(0.01 / ((1 + 0.995 * 0.9) / (1 - 0.995 * 0.9))), 1e-6);
  assert.deepEqual(
    run.marks.map(({ text }) => text),
    ["ρ = 0.9 of network 2"],
  );
  act({ type: "set", network: 0, lr: 1 });
  act({ type: "set", network: 1, lr: 0.007 });
  go(10);
  assert.deepEqual([run.marks.length, run.marks.at(-1).text], [2, "λ = 1 of network 1"]);
  const [first, second] = run.networks.map(({ settings }) => settings);
  assert.match(
    captions.caption("rate", first, second),
    /√\(2λα\(1−ρ\)\); open: AdamW, λ\|v\|\/\|w\|; dashed: √\(2λα\/S\)$/,
  );
  assert.match(captions.caption("loss", first, second), /; dashed: AdamW$/);
  assert.match(captions.caption("norm", first, second), /; open: AdamW$/);
});

test("each optimizer's law is said, with where λ|v|/|w| or λ|g|/|w| comes to rest", () => {
  assert.deepEqual(Object.keys(LAWS).sort(), [...OPTIMIZERS].sort());
  for (const [name, law] of Object.entries(LAWS)) {
    const rest = name === "adam" ? "a level of its own" : name in HOMES ? "√(2λα/S)" : "√(2λα";
    assert.ok(law.includes(rest) && law.includes("w ← "), name);
  }
});

test("state: AdamW and its like have λ and α of their own, with the same λα; on the way back it is as before", () => {
  const sgd = states.initial();
  const to = (state, optimizer) => states.changed(state, { optimizer });
  for (const [optimizer, home] of Object.entries(HOMES)) {
    const there = to(sgd, optimizer);
    assert.deepEqual(states.setting(there), { ...home, optimizer });
    assert.deepEqual(states.setting(to(there, "sgd")), states.setting(sgd));
    assert.deepEqual(states.setting(states.initial({ optimizer })), { ...home, optimizer });
  }
  const ball = states.initial({ optimizer: "heavy-ball", lr: 0.1, weight_decay: 0.005, momentum: 0.9 });
  const adamw = to(ball, "adamw");
  assert.deepEqual([adamw.lr, adamw.weight_decay, adamw.momentum], [0.005, 1, 0.9]); // λα/(1 − ρ)
  const back = to(adamw, "heavy-ball");
  assert.deepEqual([back.lr, back.weight_decay, back.momentum], [0.05, 0.01, 0.9]);
  const muon = to(states.changed(sgd, { lr: 2 }), "muon");
  assert.deepEqual([muon.lr, muon.weight_decay], [0.025, 0.8]);
  assert.equal(to(states.changed(sgd, { weight_decay: 0 }), "lion").weight_decay, 0);
  assert.equal(states.changed(sgd, { optimizer: "adamw", lr: 0.01 }).lr, 0.01, "as it is said");
  assert.equal(to(to(ball, "lars"), "sgdw").momentum, 0.9);
  assert.deepEqual(states.setting(states.initial({ story: "kick", optimizer: "lion" })).lr, HOMES.lion.lr);
});

test("which optimizers begin without a memory the page knows as the network does", () => {
  for (const from of OPTIMIZERS) {
    for (const to of OPTIMIZERS) assert.equal(forgets(from, to), memoryOf(from) !== memoryOf(to), `${from} → ${to}`);
  }
  assert.deepEqual([...OPTIMIZERS].sort(), [...NETWORK].sort());
});

test("sentences of AdamW and its like: λ|v|/|w| and √(2λα/S), what is as measured, and what Adam cannot tell", () => {
  const at_ = (optimizer) => ({ optimizer, ...HOMES[optimizer] });
  const say = (optimizer, changes) => captions.verdict({ ...at_(optimizer), ...changes });
  assert.match(
    say("adamw"),
    /time constant 100 steps; in equilibrium λ\|v\|\/\|w\| = 0\.0235 in every layer .*, if batches are independent/,
  );
  assert.match(say("adam"), /where layers settle depends on the size of their gradients/);
  assert.match(say("sgdw", { lr: 0.02, weight_decay: 0.25, momentum: 0.99 }), /rings, period 5\d\d steps/);
  assert.match(say("muon", { lr: 10 }), /λα = 4: decay alone makes/);
  assert.match(say("lion", { weight_decay: 0 }), /No decay/);
  assert.match(captions.caption("rate", at_("lion")), /^λ\|v\|.*√\(2λα\/S\)$/);
  assert.match(captions.caption("rate", at_("adam")), /a level of its own/);
  assert.match(captions.caption("norm", at_("muon")), /with \|v\|² as measured/);
  assert.match(captions.caption("balance", at_("adam")), /both in one step/);
  assert.match(
    captions.sizes({ optimizer: "lion", correlated: true }),
    /K, the number of weights\. The growth .* measured/,
  );
  assert.match(captions.sizes({ optimizer: "sgdw", correlated: false }), /c² = \|g\|²\|w\|² of each layer/);
  assert.match(captions.takenOver("sgd", at_("adamw"), true), /without a memory.* 0\.005, 1 and 0\.9: .* as before/);
  assert.match(captions.takenOver("sgd", at_("adam"), true), / 0\.005, 0\.01 and 0\.9\.$/);
  assert.equal(captions.takenOver("adam", at_("adamw"), false), "AdamW goes on with what Adam remembers.");
  const { go, run } = started("settle", at_("adamw"));
  for (let i = 0; i < 8; i++) go(100);
  assert.match(captions.agrees(run), / λ\|v\|\/\|w\| is (0\.\d\d|1\.\d\d).* times the bold line/);
  assert.match(captions.withoutNorm("layer2", "adamw"), /SGD moves it/);
});

test("the bold line and the dots change with the optimizer, from the step on at which it is another", () => {
  const { go, act, run } = started();
  for (let i = 0; i < 3; i++) go(100);
  act({ type: "set", optimizer: "adamw", ...HOMES.adamw });
  go(100);
  const { xs, ys } = series("rate", run, [0, 1000]).find(({ kind }) => kind === "bold");
  const values_ = xs.map((x, i) => [x, ys[i]]);
  for (const [x, y] of values_) near(y, x < 300 ? 0.1 : 0.02348, 0.01);
  const [dots] = series("rate", run, [0, 1000]).filter(({ kind }) => kind === "dots");
  assert.ok(dots.ys.at(-1) < 0.05 && dots.ys[Math.floor(dots.xs.length / 2)] > 0.05);
});
