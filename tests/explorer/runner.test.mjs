// When a lab takes its steps and when it reports, by a clock and a queue of our own; and a real lab through it.

import assert from "node:assert/strict";
import test from "node:test";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

import { fastest } from "../../src/explorer/network/fastest.js";
import { Lab } from "../../src/explorer/network/lab.js";
import { runner } from "../../src/explorer/network/runner.js";
import binary from "../../src/explorer/network/simd.wasm.js";

/** A lab whose step takes `cost` ms, on a clock that only it and waiting move. */
function scene({ cost = 2, between = 1, slice = 12, lab } = {}) {
  const self = { now: 0, posted: [], queue: [], turns: [] };
  const counting = {
    running: false,
    speed: null,
    t: 0,
    told: 0,
    receive({ type, steps_per_second }) {
      if (type === "boom") throw new RangeError("boom: must not be");
      if (type === "speed") this.speed = steps_per_second;
      else this.running = type === "play";
    },
    step() {
      this.t++;
      self.now += cost;
    },
    report() {
      const steps = this.t - this.told;
      this.told = this.t;
      return steps ? { type: "report", steps, t: this.t, at: self.now } : null;
    },
  };
  self.lab = lab ?? counting;
  const later = (act, wait) => self.queue.push({ act, wait });
  const post = (message) => self.posted.push(message);
  self.receive = runner(self.lab, { post, later, slice, clock: () => self.now }).receive;
  /** Let `ms` pass. */
  self.pass = (ms) => {
    for (const end = self.now + ms; self.queue.length && self.now < end; ) {
      const { act, wait } = self.queue.shift();
      self.now += wait;
      const before = self.now;
      act();
      self.turns.push(self.now - before);
      self.now += between;
    }
  };
  return self;
}

test("nothing runs before it is told to, and nothing after a pause", () => {
  const { lab, queue, receive, pass } = scene();
  receive({ type: "speed", steps_per_second: null });
  pass(100);
  assert.deepEqual([lab.t, queue.length], [0, 0]);
  receive({ type: "play" });
  pass(100);
  const { t } = lab;
  assert.ok(t >= 40 && t <= 50, `${t} steps of 2 ms`);
  receive({ type: "pause" });
  pass(100);
  assert.deepEqual([lab.t, queue.length], [t, 0]);
});

test("a slice ends in time, messages come between slices, and reports 25 times a second", () => {
  const { posted, turns, receive, pass } = scene({ cost: 5 });
  receive({ type: "play" });
  pass(2000);
  assert.ok(Math.max(...turns) <= 12 + 5);
  assert.ok(posted.length >= 35 && posted.length <= 51, `${posted.length} reports in 2 s`);
  const gaps = posted.slice(1).map(({ at }, n) => at - posted[n].at);
  assert.ok(Math.min(...gaps) >= 40 - 1);
  assert.equal(
    posted.at(-1).t,
    posted.reduce((sum, { steps }) => sum + steps, 0),
  ); // each step is reported once
});

test("a pause reports at once what is left", () => {
  const { lab, posted, receive, pass } = scene();
  receive({ type: "play" });
  pass(55);
  receive({ type: "pause" });
  pass(5);
  assert.equal(posted.at(-1).t, lab.t);
});

for (const speed of [1, 30, 250])
  test(`${speed} steps a second when that is asked for, and what was slept through is not made up for`, () => {
    const self = scene();
    self.receive({ type: "speed", steps_per_second: speed });
    self.receive({ type: "play" });
    self.pass(4000);
    const took = self.lab.t;
    assert.ok(Math.abs(took - 4 * speed) <= 2 + 0.02 * speed, `${took} steps in 4 s`);
    const { steps_per_second } = self.posted.at(-1);
    assert.ok(Math.abs(steps_per_second / speed - 1) < 0.3, `said: ${steps_per_second}`);
    self.now += 60000;
    self.pass(100);
    assert.ok(self.lab.t - took <= 0.1 * speed + 5);
  });

test("it sleeps while no step is due", () => {
  const { turns, receive, pass } = scene();
  receive({ type: "speed", steps_per_second: 10 });
  receive({ type: "play" });
  pass(1000);
  assert.ok(turns.length <= 50, `awake ${turns.length} times in a second`);
});

test("what is not allowed is an error in words, and the lab goes on", () => {
  const { lab, posted, receive, pass } = scene();
  receive({ type: "play" });
  receive({ type: "boom" });
  assert.deepEqual(posted, [{ type: "error", text: "boom: must not be" }]);
  pass(20);
  assert.ok(lab.t > 5);
});

test("as many steps as asked for, of a network in WebAssembly", async () => {
  const lab = new Lab({ kernels: await fastest(binary) });
  const self = scene({ lab });
  self.receive({ type: "start", seed: 1, networks: [{}] });
  self.receive({ type: "step", count: 3 });
  for (let n = 0; self.queue.length; n++) {
    assert.ok(n < 100);
    self.queue.shift().act();
  }
  const { t, state, kernels, where, networks, events } = self.posted.at(-1);
  assert.deepEqual([t, state, kernels, where, networks.length], [3, "paused", "simd", "node", 1]);
  assert.deepEqual(
    events.map(({ type }) => type),
    ["start"],
  );
});

test("memory stays as it is while networks train", async () => {
  setFlagsFromString("--expose-gc");
  const gc = runInNewContext("gc");
  const lab = new Lab({ kernels: await fastest(binary) });
  lab.receive({ type: "start", seed: 1, networks: [{}, {}] });
  lab.receive({ type: "play" });
  const used = [];
  for (let n = 0; n < 4; n++) {
    for (let step = 0; step < 60; step++) {
      lab.step();
      if (step % 10 === 9) lab.report();
    }
    gc();
    used.push(process.memoryUsage());
  }
  const growth = (name) => used.at(-1)[name] - used[1][name];
  assert.ok(growth("heapUsed") < 3e5, `${growth("heapUsed")} bytes in 120 steps`);
  assert.ok(growth("arrayBuffers") < 1e5, `${growth("arrayBuffers")} bytes in 120 steps`);
});

test("the speed is that of the steps, also where a story lets the lab rest every ten of them", () => {
  const self = scene();
  self.receive({ type: "speed", steps_per_second: 100 });
  for (let i = 0; i < 40; i++) {
    self.receive({ type: "play", until: self.lab.t + 10 });
    self.pass(100);
  }
  assert.ok(Math.abs(self.posted.at(-1).steps_per_second / 100 - 1) < 0.3, `${self.posted.at(-1).steps_per_second}`);
  self.pass(30000);
  self.receive({ type: "play" });
  self.pass(500);
  assert.ok(self.posted.at(-1).steps_per_second > 60, "a long rest is not in it");
});
