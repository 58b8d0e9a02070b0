// evidence.js: how recorded runs are packed, found and laid on the steps of a plan.

import assert from "node:assert/strict";
import test from "node:test";

import { decode, lateSize, nearest, smooth, spread, unpack } from "../../src/explorer/evidence.js";

function close(actual, expected, rtol, what = "") {
  const far = Math.abs(actual - expected);
  assert.ok(actual === expected || far <= rtol * Math.abs(expected), `${what} ${actual}, not ${expected}`);
}
const encode = (value) => Math.round(32768 + 512 * Math.log2(value));

test("codes are log2 in steps of 1/512; 0 is missing, 1 is zero", () => {
  assert.ok(Number.isNaN(decode(0)));
  assert.equal(decode(1), 0);
  assert.deepEqual([decode(32768), decode(32768 + 512), decode(32768 - 1024)], [1, 2, 0.25]);
  for (let k = -280; k <= 280; k++) close(decode(encode(1.17 ** k)), 1.17 ** k, 7e-4);
  assert.ok(decode(65535) > 2 ** 63.9 && decode(2) < 2 ** -63.9 && decode(2) > 0);
});

test("a set is unpacked in the order in which it was packed", () => {
  const layers = ["a", "b", "c"];
  const edges = [0, 1, 2, 4, 8];
  const epochs = 2;
  const runs = [
    { name: "one", lr: 1 },
    { name: "two", lr: 2 },
  ];
  const numbers = Array.from({ length: 2 * (4 * 3 * 4 + 2 * 4 + 2 * 2) }, (_, i) => (i % 7 === 3 ? 0 : 300 * i + 2));
  const bytes = Buffer.alloc(2 * numbers.length);
  for (const [i, code] of numbers.entries()) bytes.writeUInt16LE(code, 2 * i);
  const more = (run) => ({ twice: 2 * run.lr });
  const packed = unpack({ codes: bytes.toString("base64"), runs, edges, epochs, what: "small" }, layers, more);
  const found = packed.map((run) => run.opened());
  assert.equal(packed[1].opened(), found[1], "decoded once");
  let at = 0;
  const take = (n) => {
    at += n;
    return numbers.slice(at - n, at).map(decode);
  };
  for (const [i, run] of found.entries()) {
    for (const name of ["w2", "c2", "drive", "growth"])
      assert.deepEqual(
        run[name],
        layers.map(() => take(4)),
        name,
      );
    for (const name of ["loss", "accuracy"]) assert.deepEqual(run[name], take(4), name);
    for (const name of ["test_loss", "test_accuracy"]) assert.deepEqual(run[name], take(2), name);
    assert.deepEqual(
      [run.name, run.lr, run.edges, run.what, run.twice],
      [runs[i].name, runs[i].lr, edges, "small", 2 * run.lr],
    );
  }
  assert.equal(at, numbers.length);
  assert.deepEqual(unpack({ codes: "", runs: [], edges, epochs, what: "" }, layers), []);
});

const GRID = [];
for (const lr of [0.1, 0.4, 1.6]) {
  for (const weight_decay of [0, 1.25e-4, 5e-4, 2e-3]) {
    for (const momentum of [0, 0.9, 0.99]) {
      GRID.push({ lr, weight_decay, momentum, optimizer: momentum ? "heavy-ball" : "sgd" });
    }
  }
}
GRID.push({ lr: 0.4, weight_decay: 5e-4, momentum: 0.9, optimizer: "nesterov" });
GRID.push({ lr: 0.4, weight_decay: 5e-4, momentum: 0.9, optimizer: "lars" });

test("a recorded setting is its own nearest, and exact", () => {
  for (const run of GRID) assert.deepEqual(nearest(GRID, { ...run }), { run, exact: true });
});

test("nearest is so in ln λ, ln α and ln(1 − ρ)", () => {
  const found = (lr, weight_decay, momentum, optimizer = "heavy-ball") =>
    nearest(GRID, { lr, weight_decay, momentum, optimizer });
  const values = ({ run }) => [run.lr, run.weight_decay, run.momentum];
  assert.deepEqual(values(found(0.79, 5e-4, 0.9)), [0.4, 5e-4, 0.9]); // 0.8 is half-way
  assert.deepEqual(values(found(0.81, 5e-4, 0.9)), [1.6, 5e-4, 0.9]);
  assert.deepEqual(values(found(0.4, 2.6e-4, 0.9)), [0.4, 5e-4, 0.9]); // 2.5e-4 is
  assert.deepEqual(values(found(0.4, 2.4e-4, 0.9)), [0.4, 1.25e-4, 0.9]);
  assert.deepEqual(values(found(0.4, 5e-4, 1 - 0.032)), [0.4, 5e-4, 0.9]); // 1 − ρ = 0.0316 is
  assert.deepEqual(values(found(0.4, 5e-4, 1 - 0.031)), [0.4, 5e-4, 0.99]);
  assert.deepEqual(values(found(0.4, 5e-4, 0.5)), [0.4, 5e-4, 0]); // of heavy ball, too, as its ρ = 0
  assert.equal(found(0.41, 5e-4, 0.9).exact, false);
  assert.equal(found(0.4 * (1 + 1e-9), 5e-4, 0.9).exact, true);
});

test("of equals it is the first", () => {
  const [first, second] = [0.2, 0.8].map((lr) => ({ lr, weight_decay: 5e-4, momentum: 0.9, optimizer: "heavy-ball" }));
  for (const runs of [
    [first, second],
    [second, first],
  ]) {
    assert.deepEqual(nearest(runs, { ...first, lr: 0.4 }), { run: runs[0], exact: false });
  }
});

test("optimizers do not stand in for each other; SGD is heavy ball with ρ = 0", () => {
  const nesterov = { lr: 0.4, weight_decay: 5e-4, momentum: 0.9, optimizer: "nesterov" };
  assert.equal(nearest(GRID, { ...nesterov, lr: 25 }).run.optimizer, "nesterov");
  assert.equal(nearest(GRID, { ...nesterov, optimizer: "lars", momentum: 0 }).run.optimizer, "lars");
  for (const optimizer of ["sgd", "heavy-ball"]) {
    const plain = nearest(GRID, { ...nesterov, momentum: 0, optimizer });
    assert.deepEqual([plain.run.optimizer, plain.exact], ["sgd", true]);
  }
  assert.equal(
    nearest(
      GRID.filter(({ optimizer }) => optimizer !== "lars"),
      { ...nesterov, optimizer: "lars" },
    ),
    null,
  );
  assert.equal(nearest([], nesterov), null);
});

test("no run with decay stands in for one without, or the other way around", () => {
  for (const weight_decay of [0, 1e-9]) {
    const { run } = nearest(GRID, { lr: 0.4, weight_decay, momentum: 0.9, optimizer: "heavy-ball" });
    assert.equal(run.weight_decay, weight_decay === 0 ? 0 : 1.25e-4);
  }
  const decays = GRID.filter(({ weight_decay }) => weight_decay > 0);
  assert.equal(nearest(decays, { lr: 0.4, weight_decay: 0, momentum: 0.9, optimizer: "heavy-ball" }), null);
});

test("smooth is the mean of five windows of one length, of those that are there", () => {
  const edges = [0, 1, 2, 4, 8, 16, 24, 32, 40, 48, 56, 64];
  const values = [1, 3, 50, 60, 1, 2, 3, 4, 5, NaN, 7];
  const expected = [2, 2, 50, 60, 2, 2.5, 3, 3.5, 4.75];
  for (const [i, value] of smooth(values, edges).slice(0, 7).entries()) {
    close(value, expected[i], 1e-12, `window ${i}:`);
  }
  const [before, missing, last] = smooth(values, edges).slice(8);
  close(before, (3 + 4 + 5 + 7) / 4, 1e-12);
  close(missing, (4 + 5 + 7) / 3, 1e-12);
  close(last, (5 + 7) / 2, 1e-12);
  const flat = Array(11).fill(3);
  assert.deepEqual(smooth(flat, edges), flat);
  assert.ok(smooth(Array(11).fill(NaN), edges).every(Number.isNaN));
});

test("spread draws a straight line between the middles of windows", () => {
  const edges = [0, 1, 2, 4, 8, 16, 24];
  const line = (at) => 5 + 0.25 * at;
  const values = edges.slice(1).map((to, i) => line((edges[i] + to) / 2));
  for (const [t, value] of spread(values, edges, 24).entries()) {
    close(value, line(Math.min(20, Math.max(0.5, t + 0.5))), 1e-12, `step ${t}:`);
  }
});
test("a run of the reader that ended early stays at its own steps", () => {
  const [half, whole] = [spread([1, 2], [0, 8, 16], 32, 32), spread([1, 2, NaN, NaN], [0, 8, 16, 24, 32], 32)];
  assert.deepEqual([...half], [...whole]);
});

test("where run and plan differ in length, spread keeps the share of the training", () => {
  const edges = [0, 8, 16, 24, 32];
  const values = [1, 4, 2, 8];
  const own = spread(values, edges, 32);
  const longer = spread(values, edges, 96);
  for (const [t, value] of own.entries()) close(longer[3 * t + 1], value, 1e-12, `step ${t}:`);
  assert.equal(longer.length, 96);
});

test("spread keeps what a run had last, and bridges what is missing", () => {
  const edges = [0, 8, 16, 24, 32];
  const ended = spread([1, 4, NaN, NaN], edges, 32);
  assert.ok(ended.slice(12).every((value) => value === 4) && ended[11] < 4);
  close(spread([1, NaN, 3, 3], edges, 32)[11], 1 + (2 * (11.5 - 4)) / 16, 1e-12);
  assert.deepEqual([...spread([NaN, 2, NaN, NaN], edges, 3)], [2, 2, 2]);
  assert.ok(spread([NaN, NaN, NaN, NaN], edges, 5).every(Number.isNaN));
});

test("the late size is the rms over the last quarter, of as much as there is", () => {
  const edges = [0, 1, 2, 4, 8, 16, 24, 32];
  close(lateSize(Array(7).fill(9), edges), 3, 1e-12);
  close(lateSize([1, 1, 1, 1, 1, 1, 16], edges), 4, 1e-12);
  close(lateSize([100, 4, 16, NaN], [0, 8, 16, 20, 40]), Math.sqrt((4 + 4 * 16) / 5), 1e-12); // 15 to 20
  close(lateSize([1, 4, 16], [0, 10, 14, 16]), Math.sqrt((2 * 4 + 2 * 16) / 4), 1e-12); // 12 to 16
  assert.ok(Number.isNaN(lateSize([NaN, NaN], [0, 1, 2])));
});
