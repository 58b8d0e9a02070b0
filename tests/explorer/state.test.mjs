// state.js: how the explorer's state changes; settings.js: what its sliders can be set to.

import assert from "node:assert/strict";
import test from "node:test";

import { PRESETS, SLIDERS } from "../../src/explorer/settings.js";
import * as states from "../../src/explorer/state.js";
import { numeric, plain, RANGES, VALUES } from "../../src/explorer/words.js";

const NAMES = ["prep", "layer1", "layer2", "layer3"];
const SHORT = { steps: 2400, steps_per_epoch: 48, epochs: 50, warmup: 0, schedule: "constant" };
const OTHER = { lr: 1.6, weight_decay: 0.01, momentum: 0.5, optimizer: "lars", plan: "book", layer: "prep" };

/** A state that throws if a transition writes into it. */
function frozen(given = {}, guesses = []) {
  return Object.freeze(states.initial(given, Object.freeze(guesses)));
}
/** A run in a plan, as far as the state looks at it. */
const run = (plan, id) => ({ plan, id });

test("a state begins with what is given, and the answer is seen unless it is to be predicted", () => {
  const state = frozen({ lr: 0.1, panels: ["loss"], predict: true }, [{ guess: 3 }]);
  assert.deepEqual([state.lr, state.panels, state.weight_decay], [0.1, ["loss"], 5e-4]);
  assert.deepEqual([state.revealed, state.guess, state.guesses, state.curves], [false, null, [{ guess: 3 }], []]);
  assert.equal(frozen().revealed, true);
  assert.deepEqual(Object.keys(states.values(state)), VALUES);
  assert.equal(frozen({ optimizer: "sgd", momentum: 0.9 }).momentum, 0);
  assert.equal(frozen({ gradient: "mine" }).gradient, "recorded", "there is no run yet");
});

test("SGD has no momentum: who chooses it loses momentum, who moves momentum leaves it", () => {
  const sgd = states.changed(frozen(), { optimizer: "sgd" });
  assert.deepEqual([sgd.optimizer, sgd.momentum], ["sgd", 0]);
  const ball = states.changed(sgd, { momentum: 0.5 });
  assert.deepEqual([ball.optimizer, ball.momentum], ["heavy-ball", 0.5]);
  const told = states.changed(sgd, { momentum: 0.5 }, true);
  assert.deepEqual([told.optimizer, told.momentum], ["sgd", 0], "Python's word on the optimizer stands");
  assert.equal(states.changed(sgd, { momentum: 0 }).optimizer, "sgd");
  assert.equal(states.changed(frozen({ optimizer: "nesterov" }), { momentum: 0 }).optimizer, "nesterov");
});

test("a change of λ, α, ρ, optimizer, training or layer asks anew; gradients, panels and no change do not", () => {
  const answered = Object.freeze({ ...frozen({ predict: true }), revealed: true, guess: 7 });
  for (const [key, value] of Object.entries(OTHER)) {
    const next = states.changed(answered, { [key]: value });
    assert.deepEqual([next.revealed, next.guess], [false, null], key);
    assert.ok(states.asksAnew(answered, { [key]: value }), key);
  }
  for (const changes of [{ gradient: "constant" }, { panels: ["loss"] }, { small: true }, { lr: 0.4 }, {}]) {
    const next = states.changed(answered, changes);
    assert.deepEqual([next.revealed, next.guess], [true, 7], JSON.stringify(changes));
    assert.ok(!states.asksAnew(answered, changes));
  }
  const off = states.changed(states.guessed(frozen({ predict: true }), 30), { predict: false });
  assert.deepEqual([off.revealed, off.guess], [true, null], "without a question nothing is hidden, and no guess drawn");
  assert.ok(!states.changed(frozen(), { predict: true }).revealed);
});

test("a guess counts until the answer is seen, and is kept with its score and the values it was made for", () => {
  const asking = Object.freeze(states.guessed(frozen({ predict: true, lr: 0.1 }, [{ guess: 1 }]), 30));
  assert.deepEqual([asking.guess, asking.revealed], [30, false]);
  const score = { guess: 40, theory: 20, measured: null, factor: 2 };
  const seen = Object.freeze(states.revealed(asking, score));
  assert.deepEqual([seen.guess, seen.revealed, asking.guesses.length], [40, true, 1]);
  assert.deepEqual(seen.guesses, [{ guess: 1 }, { ...states.values(asking), layer: "layer2", ...score }]);
  assert.equal(states.guessed(seen, 50), seen);
});

test("on paper everything is seen, and afterwards what was seen before", () => {
  const hidden = frozen({ predict: true });
  assert.deepEqual([hidden, states.printing(hidden, true)].map(states.seen), [false, true]);
  assert.deepEqual(states.printing(states.printing(hidden, true), false), hidden);
});

test("c is held of the run it was taken from, while it is constant and the training the same", () => {
  const first = run("short", 1);
  assert.equal(states.holding(frozen(), first).held, null, "c is not constant");
  const held = Object.freeze(states.holding(frozen({ gradient: "constant" }), first));
  assert.equal(states.changed(held, { lr: 1.6, optimizer: "lars" }).held, first);
  assert.equal(states.changed(held, { plan: "book" }).held, null);
  assert.equal(states.changed(held, { gradient: "recorded" }).held, null);
});

test("the reader's runs: the newest is mine, those of the training are shown, gradients need one", () => {
  const runs = [run("short", 1), run("book", 2), run("short", 3)];
  const state = Object.freeze(states.kept(frozen(), runs));
  assert.deepEqual(states.own(state), [runs[0], runs[2]]);
  assert.equal(states.mine(state), runs[2]);
  assert.equal(states.kept(state, runs.slice(0, 1)).gradient, "mine");
  const none = states.kept(state, []);
  assert.deepEqual([none.gradient, states.mine(none), states.own(none)], ["recorded", null, []]);
  assert.equal(states.kept({ ...state, gradient: "constant" }, []).gradient, "constant");
});

test("of a new run of the reader's theory takes the gradients, and of none that was there before", () => {
  const [first, second] = [run("short", 1), run("short", 2)];
  const trained = Object.freeze(states.kept(frozen(), [first]));
  assert.equal(trained.gradient, "mine");
  const chosen = Object.freeze(states.changed(trained, { gradient: "recorded" }));
  assert.equal(states.kept(chosen, [first]).gradient, "recorded", "the same run goes on");
  assert.equal(states.kept(chosen, [first, second]).gradient, "mine");
  assert.equal(states.kept(frozen(), [first], false).gradient, "recorded", "it was there when the page was opened");
});

test("a movement leaves a ghost of the setting where it began, and of no other training", () => {
  const [there, curves] = [frozen(), { layers: [] }];
  const left = Object.freeze(states.moving(states.departing(there, curves), true));
  const on = Object.freeze(states.departing(states.changed(left, { lr: 1.6 }), { layers: [1] }));
  assert.equal(on.before.computed, curves, "a movement that goes on has its ghost");
  assert.equal(states.ghost(on).state.lr, 0.4);
  assert.equal(states.ghost(states.changed(on, { plan: "book" })), null);
  const next = states.departing(states.moving(on, false), { layers: [2] });
  assert.deepEqual([next.before.state.lr, next.before.state.before], [1.6, null]);
  const hidden = states.changed(states.departing(frozen({ predict: true }), curves), { lr: 1.6 });
  assert.equal(states.ghost(states.revealed(hidden, { guess: 1 })), null, "what was not seen has none");
});

test("movements start from the first setting, and the one that was made is known", () => {
  const moves = ["λ × 4, α ÷ 4", "λ × 4"];
  const state = frozen({ lr: 0.1, weight_decay: 2e-3, moves });
  assert.equal(states.move(state), null);
  assert.equal(states.move(states.changed(state, { lr: 0.4 })), moves[1]);
  assert.equal(states.move(states.changed(state, { lr: 0.4, weight_decay: 5e-4 })), moves[0]);
  assert.equal(states.move(states.changed(state, { lr: 0.4, plan: "book" })), null);
});

test("a link has the setting and what is shown of it, but no run of the reader's", () => {
  const state = states.kept(frozen({ lr: 1.6, panels: ["loss"] }), [run("short", 1)]);
  assert.deepEqual(states.linked(state), {
    ...{ lr: 1.6, weight_decay: 5e-4, momentum: 0.9, optimizer: "heavy-ball", plan: "short", layer: "all" },
    ...{ gradient: "recorded", panels: ["loss"] },
  });
  assert.equal(states.linked(frozen({ predict: true })).predict, "true");
});

test("the cursor comes back to its step, stays inside, and keeps its share in another training", () => {
  for (let t = 0; t < SHORT.steps; t++) assert.equal(states.stepOf(states.cursorAt(frozen(), t, SHORT), SHORT), t);
  for (const [asked, at] of Object.entries({ "-5": 0, 2400: 2399, 1e9: 2399 }))
    assert.equal(states.stepOf(states.cursorAt(frozen(), +asked, SHORT), SHORT), at);
  assert.equal(states.stepOf(frozen(), SHORT), Math.round(0.75 * 2399));
  assert.equal(states.stepOf(states.cursorAt(frozen(), 2399, SHORT), { steps: 11 }), 10);
});

test("all layers are shown or the one that is chosen; of a question, the layer that is asked for", () => {
  assert.deepEqual(states.shown(frozen(), NAMES), [0, 1, 2, 3]);
  assert.deepEqual(states.shown(frozen({ layer: "layer3" }), NAMES), [3]);
  assert.deepEqual(states.shown(frozen({ predict: true }), NAMES), [2]);
  assert.deepEqual(states.shown(frozen({ predict: true, layer: "prep" }), NAMES), [0]);
});

test("|w|² settles at a constant λ, with decay, in time, and never with LARS", () => {
  // Three time constants (1 − ρ)/(4λα) are 150 steps at the first of these.
  const strong = frozen({ lr: 1, weight_decay: 5e-3, momentum: 0, optimizer: "sgd" });
  assert.ok(states.settling(strong, SHORT) && states.settling(strong, { ...SHORT, steps: 150 }));
  assert.ok(!states.settling(strong, { ...SHORT, steps: 149 }));
  assert.ok(!states.settling(strong, { ...SHORT, schedule: "triangular", warmup: 5 }));
  assert.ok(!states.settling({ ...strong, weight_decay: 0 }, SHORT));
  assert.ok(!states.settling({ ...strong, optimizer: "lars" }, SHORT));
});

test("every notch has a value in its range, larger than the one before, and is the notch of that value", () => {
  for (const [key, { from, to, value, notch }] of Object.entries(SLIDERS)) {
    const [low, high] = RANGES[key];
    let last = -Infinity;
    for (let k = from; k <= to; k++) {
      assert.equal(Math.round(notch(value(k))), k, `${key} ${k}`);
      assert.ok(value(k) > last && value(k) >= low && value(k) <= high, `${key} ${value(k)}`);
      last = value(k);
    }
  }
  const { lr, weight_decay, momentum } = SLIDERS;
  assert.deepEqual([lr.value(0), lr.value(12), lr.value(-12)], [0.4, 1.6, 0.1], "twelve notches are a factor of 4");
  assert.deepEqual([weight_decay.value(0), weight_decay.value(-37)], [5e-4, 0]);
  assert.deepEqual([momentum.value(0), momentum.value(12), momentum.notch(0.9)], [0, 0.9, 12]);
});

test("a preset is on the notches, and is what the state has after it", () => {
  for (const [name, { values: preset }] of Object.entries(PRESETS)) {
    for (const [key, { value, notch }] of Object.entries(SLIDERS))
      assert.equal(value(Math.round(notch(preset[key]))), preset[key], `${name}: ${key}`);
    for (const before of [frozen(), frozen({ optimizer: "sgd" }), frozen(OTHER)]) {
      const after = states.changed(before, preset);
      assert.deepEqual({ ...after, ...preset }, after, name);
      assert.equal(states.story(after), name, "it is marked");
      assert.equal(states.story(states.changed(after, { lr: 0.123 })), null, "and left");
    }
  }
});

test("what is typed is a number as one writes it, in either notation, and a field has no comma", () => {
  const table = {
    0.4: 0.4,
    "0,4": 0.4,
    "5e-4": 5e-4,
    "1,240": 1240,
    "1,240.5": 1240.5,
    "1,240,000": 1240000,
    "1,24": 1.24,
    " 2 ": 2,
    "-1": -1,
  };
  for (const [text, value] of Object.entries(table)) assert.equal(numeric(text), value, text);
  for (const text of ["", "  ", "x", "1,2,3", "0.4 λ"]) assert.ok(Number.isNaN(numeric(text)), text);
  for (const value of [0, 0.4, 5e-4, 1240, 23.1, 999000]) assert.equal(numeric(plain(value)), value);
  assert.equal(plain(1240), "1240");
});
