// live/: what the panels draw, what the sentences say, the stories, the values, and what goes to Python.

import assert from "node:assert/strict";
import test from "node:test";
import { read, write } from "../../src/explorer/links.js";
import * as captions from "../../src/explorer/live/captions.js";
import { settlesAt } from "../../src/explorer/live/forecast.js";
import { picture } from "../../src/explorer/live/picture.js";
import { ARRAYS, joined, packed } from "../../src/explorer/live/reports.js";
import { extent, PANELS, series } from "../../src/explorer/live/series.js";
import * as states from "../../src/explorer/live/state.js";
import { DEFAULT, due, falls, next, STORIES, scene, sets, start } from "../../src/explorer/live/stories.js";
import { plainKernels } from "../../src/explorer/network/kernels.js";
import { Lab } from "../../src/explorer/network/lab.js";
import { LAYERS, near, started } from "./live_lab.js";
import { randomLab } from "./random_layers.js";

test("panels: dots, lines and bars of eight layers; two networks have both; no line where nothing is predicted", () => {
  const { go, run } = started();
  for (let i = 0; i < 5; i++) go(100);
  const kinds = (panel) => {
    const count = {};
    for (const { kind } of series(panel, run, [0, 1000])) count[kind] = (count[kind] ?? 0) + 1;
    return count;
  };
  const norm = kinds("norm");
  assert.deepEqual([norm.dots, norm.line, norm.level], [8, 8, 8]);
  assert.deepEqual([kinds("rate").bold, kinds("angle").bold, kinds("angle").line], [1, 1, undefined]);
  assert.deepEqual(kinds("loss"), { curve: 1, tests: 1 });
  for (const panel of Object.keys(PANELS)) {
    for (const { xs, ys } of series(panel, run, [0, 1000])) {
      assert.equal(xs.length, ys.length);
      assert.ok(xs.length <= 260);
    }
  }
  const twins = started("twins");
  twins.go(100);
  assert.equal(series("norm", twins.run, [0, 1000]).filter(({ kind }) => kind === "dots").length, 16);
});

test("an axis has room for what is measured; a line may leave it, and what explodes does", () => {
  const dots = { kind: "dots", ys: [1, 10, NaN, 1e40] };
  assert.deepEqual(extent("norm", [dots]), [1, 10]);
  assert.deepEqual(extent("norm", [dots, { kind: "line", ys: [20, 1000] }]), [1, 20]);
  assert.deepEqual(extent("rate", [{ kind: "dots", ys: [1e-9, 1] }]), [1e-3, 1]);
});

test("stories: each has a label, two sentences, panels, and values that are allowed", () => {
  for (const [name, story] of Object.entries(STORIES)) {
    assert.ok(story.label.length < 22, name);
    assert.equal(story.look.match(/[.](?= |$)/g).length, 2, `${name}: ${story.look}`);
    assert.ok(story.look.length < 230, name);
    states.check({ ...scene(name), panels: story.panels, story: name, ...(story.layer && { layer: story.layer }) });
  }
  const { networks } = start(scene("twins"), "twins");
  assert.deepEqual(
    networks.map(({ lr, weight_decay, init_scale }) => [lr, weight_decay, init_scale]),
    [
      [0.5, 0.01, undefined],
      [2, 0.0025, 2],
    ],
  );
});

test("of two networks a movement keeps λα the same", () => {
  assert.deepEqual(sets({ lr: 1 }, "settle"), [{ type: "set", lr: 1 }]);
  assert.deepEqual(sets({ lr: 1, weight_decay: 0.02 }, "twins"), [
    { type: "set", network: 0, lr: 1, weight_decay: 0.02 },
    { type: "set", network: 1, lr: 4, weight_decay: 0.005 },
  ]);
  assert.deepEqual(sets({ momentum: 0.5 }, "twins")[1], { type: "set", network: 1, momentum: 0.5 });
});

test("what a story does is done once, at the report that passes its step", () => {
  assert.equal(due("kick", 0, 599).length, 0);
  assert.equal(due("kick", 599, 610).length, 1);
  assert.equal(due("kick", 610, 1000).length, 1);
  assert.equal(due("kick", 1000, 2000).length, 0);
  assert.equal(due(null, 0, 1000).length, 0);
});

test("before these steps the lab rests: those of the acts, and every tenth of a ramp", () => {
  assert.deepEqual(
    [0, 599, 600, 1000].map((t) => next("kick", t)),
    [600, 600, 1000, Infinity],
  );
  const { ramp } = STORIES.decay;
  assert.deepEqual(
    [0, 609, 610, 2395].map((t) => next("decay", t, ramp)),
    [610, 610, 620, 2400],
  );
  assert.equal(next("decay", 700, null), Infinity); // the reader has taken λ over
  assert.equal(next(null, 0), Infinity);
  assert.deepEqual(
    [600, 605, 610, 2400].map((t) => falls(ramp, t)),
    [false, false, true, true],
  );
  assert.equal(falls(null, 610), false);
});

test("state: SGD puts momentum aside, who moves it leaves SGD, who chooses momentum has some", () => {
  const state = states.initial();
  assert.deepEqual(states.setting(state), { lr: 0.5, weight_decay: 0.01, momentum: 0, optimizer: "sgd" });
  const moved = states.changed(state, { momentum: 0.5 });
  assert.equal(moved.optimizer, "heavy-ball");
  const back = states.changed(moved, { optimizer: "sgd" });
  assert.equal(back.momentum, 0);
  assert.equal(states.changed(back, { optimizer: "nesterov" }).momentum, 0.5);
  assert.deepEqual(states.moved(state, moved), { momentum: 0.5, optimizer: "heavy-ball" });
  assert.equal(states.changed(state, { optimizer: "lars" }).momentum, 0);
});

test("state: a story brings its scene, and the seed stays", () => {
  const state = { ...states.initial(), seed: 7 };
  const next = states.told(state, "rings");
  assert.deepEqual([next.momentum, next.seed, next.story], [0.99, 7, "rings"]);
  assert.equal(states.initial({ story: "rings" }).momentum, 0.99);
  assert.equal(states.initial({ story: "rings", momentum: 0.98 }).momentum, 0.98);
});

test("state: it runs when it is seen, unless the reader or less motion is against it", () => {
  assert.equal(states.plays({ seen: true, wish: null }, false), true);
  assert.equal(states.plays({ seen: true, wish: null }, true), false);
  assert.equal(states.plays({ seen: true, wish: true }, true), true);
  assert.equal(states.plays({ seen: true, wish: false }, false), false);
  assert.equal(states.plays({ seen: false, wish: true }, false), false);
});

test("state: a value that is not allowed is named", () => {
  for (const [given, message] of [
    [{ lr: -1 }, /λ = -1: must be a number in \(0, 1000\]/],
    [{ momentum: 1 }, /ρ = 1: must be a number in \[0, 0\.999\]/],
    [{ seed: 1.5 }, /seed = 1.5: must be a whole number/],
    [{ optimizer: "adagrad" }, /optimizer = adagrad: must be one of sgd, .*, adam/],
    [{ weight_decay: 200 }, /α = 200: must be a number in \[0, 100\]/],
    [{ story: "none" }, /story = none: must be one of settle/],
    [{ panels: ["norm", "x"] }, /panels = norm,x: must be some of norm/],
    [{ speed: 1 }, /speed: must be one of lr/],
  ]) {
    assert.throws(() => states.initial(given), message);
  }
});

test("a link holds the setting, and gives it again", () => {
  const state = { ...states.initial({ story: "kick", seed: 12 }), lr: 0.3 };
  const fragment = write("", "live", states.linked(state));
  assert.equal(
    fragment,
    "#live?lr=0.3&weight_decay=0.01&momentum=0&optimizer=sgd&seed=12&story=kick&layer=layer2&panels=norm,rate",
  );
  const { values: found, complaints } = states.linkedTo(read(fragment, "live"));
  assert.deepEqual(complaints, []);
  const bad = states.linkedTo({ seed: "1.5", lr: "0.2" });
  assert.deepEqual(bad.values, { lr: 0.2 });
  assert.match(bad.complaints[0], /^In the link, seed = 1\.5: must be a whole number/);
  assert.deepEqual(states.linked(states.initial(found)), states.linked(state));
});

test("what a story moves by itself is not the reader's: Restart and links have what was", () => {
  const first = states.initial({ story: "double", lr: 0.25 });
  const doubled = states.acting(first, { lr: 0.5 });
  assert.equal(doubled.lr, 0.5);
  assert.deepEqual(states.linked(doubled), states.linked(first));
  assert.equal(states.anew(doubled).lr, 0.25);
  const decay = states.moving(doubled, { weight_decay: 0.02 });
  assert.deepEqual([decay.lr, states.anew(decay).lr, states.anew(decay).weight_decay], [0.5, 0.25, 0.02]);
  const taken = states.moving(states.acting(doubled, { lr: 0.7 }), { lr: 0.1 });
  assert.deepEqual([taken.lr, states.anew(taken).lr, states.linked(taken).lr], [0.1, 0.1, 0.1]);
  assert.equal(states.told(doubled, "kick").own, null);
});

test("a story in a link sets its scene, and values in the link come before it", () => {
  const given = { lr: 0.5, weight_decay: 0.01, small: true };
  const hot = states.opening(given, { story: "hot" });
  assert.ok(hot.lr * hot.weight_decay > 2 && hot.small && hot.story === "hot");
  assert.equal(states.opening(given, { story: "hot", lr: 0.1 }).lr, 0.1);
  assert.equal(states.opening(given, {}).lr, 0.5);
});

test("in a link sgd with momentum is heavy ball, and without one has none", () => {
  const { optimizer, momentum } = states.linkedTo({ optimizer: "sgd", momentum: "0.9" }).values;
  assert.deepEqual([optimizer, momentum], ["heavy-ball", 0.9]);
  const plain = states.opening(
    { optimizer: "heavy-ball", momentum: 0.9 },
    states.linkedTo({ optimizer: "sgd" }).values,
  );
  assert.deepEqual([plain.optimizer, plain.momentum], ["sgd", 0]);
});

test("a story is told as long as its setting stands; what it does by itself is no movement of the reader", () => {
  const first = states.initial({ story: "double" });
  assert.equal(captions.look(first), STORIES.double.look);
  assert.equal(captions.look(states.acting(first, { lr: 1 })), STORIES.double.look);
  assert.match(
    captions.look(states.moving(first, { weight_decay: 0.1 })),
    /^The story “double λ” is told of λ = 0\.5, α = 0\.01, ρ = 0, SGD, and you .* still does .* at step 600\./,
  );
  assert.match(
    captions.look(states.moving(states.initial({ story: "kick" }), { lr: 1 })),
    /at step 600 and step 1,000/,
  );
  assert.doesNotMatch(captions.look(states.moving(states.initial({ story: "hot" }), { lr: 1 })), /by itself/);
  assert.match(captions.look(states.initial()), /^Move λ/);
});

test("story: too hot is lost after some fifty steps", () => {
  const lab = new Lab({ kernels: plainKernels });
  lab.receive(start(scene("hot"), "hot"));
  while (lab.state !== "diverged") {
    lab.receive({ type: "step" });
    lab.step();
  }
  assert.ok(Math.abs(lab.t - 50) <= 10, `${lab.t}`);
});

test("story: λ falls to 1/1,800 of it", () => {
  const { start: from, end } = STORIES.decay.ramp;
  assert.deepEqual([from, end, end - from], [600, 2400, 1800]);
  assert.match(STORIES.decay.look, /step 600 .* 1\/1,800 of it at step 2,400/);
});

test("sentences: a layer that is too short is named and left out; theory is not for it", () => {
  const { go, run } = started();
  for (let i = 0; i < 4; i++) go(100);
  const [network] = run.networks;
  assert.equal(network.eps, 1e-5);
  const order = LAYERS.map((name, l) => [network.state[l].w2, name]).sort(([a], [b]) => a - b);
  network.eps = Math.sqrt(order[0][0] * order[1][0]) / 10; // |w|² of the shortest layer is below ten of them
  const said = captions.agrees(run);
  assert.match(said, /the 7 other layers\. .*, so short that the ε of batch norm counts: .* Restart begins again/);
  assert.ok(said.includes(`In ${order[0][1]} |w|² is below`), said);
  network.eps = 1e9;
  assert.match(captions.agrees(run), /^In prep, layer1, .* and layer3\.res2 \|w\|² is below 1e10, so short/);
});

test("sentences: it runs, also where it rests between two steps of a story", () => {
  const { run } = started();
  const now = { ...run, steps_per_second: 80 };
  assert.match(captions.runs({ ...now, state: "paused" }, true), /80 steps a second/);
  assert.match(captions.runs({ ...now, state: "paused" }), /paused/);
  assert.match(captions.runs({ ...now, state: "diverged" }, true), /stopped/);
});

test("sentences: how well the dots agree, and in which layers", () => {
  const { go, act, run } = started();
  assert.equal(captions.agrees(run), "");
  go(10);
  assert.match(captions.agrees(run), /as soon as/);
  for (let i = 0; i < 8; i++) go(100);
  assert.match(captions.agrees(run), /steps after theory was drawn: \|w\|² is .* times the line in all 8 layers/);
  assert.match(
    captions.agrees(run),
    /λ\|g\|\/\|w\| is (0\.99 to 1\.0\d|1\.00) times the bold line \(rms over 560 steps\)/,
  );
  act({ type: "no_norm", layer: "layer2" });
  for (let i = 0; i < 8; i++) go(10);
  assert.match(captions.agrees(run), /all 8 layers/, "the batch norm of layer3 divides its length out");
  assert.match(captions.withoutNorm("layer2", "sgd"), /still holds: that of layer3/);
  assert.match(captions.withoutNorm("layer2", "lars"), /SGD moves it: theory is not for this layer/);
  act({ type: "no_norm", layer: "layer3.res2" });
  for (let i = 0; i < 8; i++) go(10);
  assert.match(captions.agrees(run), /the 7 other layers\. In layer3\.res2, without batch norm, \d/);
  assert.match(captions.withoutNorm("layer3.res2"), /depends on its length/);
  act({ type: "no_norm", layer: "layer2" });
  act({ type: "set", optimizer: "lars" });
  for (let i = 0; i < 8; i++) go(10);
  assert.match(captions.agrees(run), /the 7 other layers\. In layer2, without batch norm, \d/, "SGD moves it");
  run.state = "diverged";
  run.networks[0].diverged_at = 812;
  assert.match(captions.agrees(run), /no longer finite at step 812.*Restart/);
});

test("sentences: what theory says of a setting", () => {
  const say = (changes) => captions.verdict({ ...DEFAULT, ...changes });
  assert.match(
    say({}),
    /approaches its level with the time constant 50 steps; in equilibrium λ\|g\|\/\|w\| = 0\.1 in every layer/,
  );
  const { go, run } = started();
  go(20);
  const [, at_] = captions
    .verdict(DEFAULT, run.networks[0].line)
    .match(/every line is within 5 % of its bar from step (\d+) on/);
  assert.equal(+at_, settlesAt(run.networks[0].line));
  for (const { w2, limit } of run.networks[0].line.layers) {
    const i = +at_ - run.networks[0].line.t;
    assert.ok(Math.abs(w2[i] / limit - 1) < 0.05 && Math.abs(w2[i + 200] / limit - 1) < 0.05);
  }
  assert.match(say(scene("rings")), /rings, period 2\d\d steps/);
  assert.match(say({ weight_decay: 0 }), /No decay/);
  assert.match(say({ optimizer: "lars" }), /each step has the length 0\.1 \|w\|/);
  assert.match(say({ lr: 100 }), /λα = 1: one step replaces/);
  assert.match(say(scene("hot")), /λα = 3: decay alone/);
  assert.match(
    captions.kicked({ layer: "layer2", factor: 1 / 3, logits_change: 2e-4, logits_change_no_eps: 3e-7 }),
    /layer2 were divided by 3\. .*2e-4 of .*; without the ε of batch norm, by 3e-7\./,
  );
  assert.match(
    captions.kicked({ layer: "all", factor: 3, logits_change: 0.5, logits_change_no_eps: 0.5 }),
    /all layers were multiplied by 3\. .* 0\.5 of/,
  );
  assert.match(captions.twins({ same: 40, most: 0, steps: 40 }), /bit for bit, in all 40 steps/);
  assert.match(captions.twins({ same: 10, most: 0.25, steps: 40 }), /10 of 40 steps; largest difference 0\.25 nat/);
});

test("reports to Python: joined they are one, and every array travels as its bytes", () => {
  const lab = randomLab(LAYERS);
  lab.send(start(DEFAULT, null));
  const [one, two] = [lab.run(3), lab.run(2)];
  const all = joined([one, two]);
  assert.deepEqual([all.t0, all.t, all.events.length], [0, 5, 1]);
  assert.deepEqual(
    [...all.networks[0].products],
    [one, two].flatMap(({ networks }) => [...networks[0].products]),
  );
  const { header, buffers } = packed(all);
  assert.deepEqual(JSON.parse(JSON.stringify(header)).arrays, ARRAYS);
  assert.equal(header.networks[0].optimizer, "sgd");
  assert.deepEqual(
    buffers.map(({ byteLength }) => byteLength / 4),
    [5, 5, 5, 5 * 8 * 15, 5, 5],
  );
  assert.equal(buffers[3].getFloat32(0, true), one.networks[0].products[0]);
});

test("a picture of a run is plain numbers, which JSON keeps", () => {
  const { go, run } = started();
  for (let i = 0; i < 6; i++) go(100);
  const found = picture(run, ["norm", "rate"], [0, 1000]);
  assert.deepEqual(JSON.parse(JSON.stringify(found)), found);
  assert.equal(found.panels.norm.filter(({ kind }) => kind === "dots").length, 8);
  for (const { w2, limit, rate } of found.numbers) {
    near(w2, limit, 0.01);
    near(rate, 0.1, 0.01);
  }
  assert.ok(JSON.stringify(found).length < 60_000);
});
