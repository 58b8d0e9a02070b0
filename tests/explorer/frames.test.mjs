// frames.js: axes stand still while something moves; moves.js: movements from a setting.

import assert from "node:assert/strict";
import test from "node:test";

import { extent, framed } from "../../src/explorer/frames.js";
import { moved } from "../../src/explorer/moves.js";

const LOG = { log: true };
const line = (...ys) => ({ kind: "line", layer: "prep", ys });
const dots = (kind, ...ys) => ({ kind, layer: "prep", ys });

test("a frame has room, and stands still while what is shown moves in it", () => {
  const first = framed(null, [2.6, 31], LOG);
  assert.ok(first[0] <= 2.6 / 3 && first[1] >= 31 * 10);
  for (const factor of [0.5, 1, 2, 5.9, 9]) {
    for (const moving of [true, false])
      assert.deepEqual(framed(first, [2.6, 31 * factor], { ...LOG, moving }), first, `${factor}`);
  }
});

test("it grows at once, on the side where it must, and never shrinks in a movement", () => {
  const first = framed(null, [3, 30], LOG);
  const grown = framed(first, [3, 1e5], { ...LOG, moving: true });
  assert.ok(grown[0] === first[0] && grown[1] > 1e5);
  assert.deepEqual(framed(grown, [3, 30], { ...LOG, moving: true }), grown);
});

test("at rest a frame of which little is used is made anew", () => {
  const first = framed(null, [3, 30], LOG);
  const grown = framed(first, [3, 1e11], { ...LOG, moving: true });
  assert.deepEqual(framed(grown, [3, 30], LOG), first);
  const linear = framed(null, [0, 0.9], {});
  assert.deepEqual(linear, [0, 1]);
  const wide = framed(linear, [0, 9], { moving: true });
  assert.deepEqual(
    [wide, framed(wide, [0, 6], {}), framed(wide, [0, 0.9], {})],
    [
      [0, 10],
      [0, 10],
      [0, 1],
    ],
  );
});

test("the range is of theory; one run that explodes or dies does not flatten it", () => {
  assert.deepEqual(extent([line(3, 30), { ...line(1e9), class: "ghost" }], LOG), [3, 30]);
  const [low, high] = extent([line(3, 30), dots("mine", 1e9, 1e-9)], LOG);
  assert.ok(high < 300 && low > 0.3);
  assert.deepEqual(extent([line(0.1, 0.2), dots("mine", 25000)], { log: false }), [0, 0.2 * 3]);
  assert.deepEqual(extent([line(3, 30), dots("dots", 2, 40)], LOG), [2, 40], "dots that are near are all seen");
  assert.deepEqual(extent([dots("dots", 2, 4)], LOG), [2, 4], "without theory the dots are all there is");
});

test("what cannot be drawn has no range, and no range has a frame", () => {
  assert.equal(extent([line(NaN, 0, -1, Infinity)], LOG), null);
  assert.equal(extent([], LOG), null);
  assert.deepEqual(
    [framed(null, null, LOG), framed(null, null, {}), framed([2, 5], null, LOG)],
    [
      [1, 10],
      [0, 1],
      [2, 5],
    ],
  );
  assert.deepEqual(extent([line(1, 1e13)], LOG), [1, 1], "beyond the cap");
  assert.deepEqual(extent([line(1e-9, 1)], { log: true, decades: 4 }), [1e-4, 1]);
});

test("a movement multiplies and divides what it names, of 1 − ρ too", () => {
  const values = { lr: 0.1, weight_decay: 0.002, momentum: 0.9, optimizer: "heavy-ball", plan: "short" };
  const at = (move) => Object.values(moved(values, move)).slice(0, 3);
  assert.deepEqual(at("λ × 4, 1−ρ × 4"), [0.4, 0.002, 0.6]);
  assert.deepEqual(at("λ × 4, α ÷ 4"), [0.4, 5e-4, 0.9]);
  assert.deepEqual(at("1−ρ ÷ 2.5"), [0.1, 0.002, 0.96]);
  assert.deepEqual(at("1−ρ × 40, α × 1000000, λ × 1000000"), [1000, 1, 0], "no further than the sliders go");
  assert.equal(moved(values, "λ × 4").optimizer, "heavy-ball");
});
