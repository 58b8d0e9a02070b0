// The figure of shrink and growth: λ through its points, the path, and what is said of it.

import assert from "node:assert/strict";
import test from "node:test";

import {
  amounts,
  crossing,
  drawn,
  moved,
  nearest,
  path,
  ranges,
  sentence,
  stroked,
  TOP,
} from "../../src/explorer/crossing/path.js";

const GIVEN = { lr: 4, weight_decay: 5e-4, steps: 2328, w2_0: 21, c: 2.3, schedules: {} };
const CONSTANT = Array(13).fill(1);
const near = (a, b, rtol) => assert.ok(Math.abs(a - b) <= rtol * Math.abs(b), `${a}, not ${b}`);

test("λ goes in straight lines through its points, at the middle of a step", () => {
  const lr = drawn([0, 1, 0.5], { lr: 2, steps: 8 });
  const wanted = [0.25, 0.75, 1.25, 1.75, 1.875, 1.625, 1.375, 1.125];
  lr.forEach((one, t) => {
    near(one, wanted[t], 1e-12);
  });
});

test("where shrink and growth cross they are equal, and growth is larger below", () => {
  const at = crossing(4, GIVEN);
  const [taken, added] = amounts(at, 4, GIVEN);
  near(taken, added, 1e-12);
  const [less, more] = amounts(at / 2, 4, GIVEN);
  near(more / less, 4, 1e-12);
});

test("with a constant λ |w|² comes to the crossing from both sides, from below first", () => {
  const ends = [0.1, 10].map((factor) => {
    const given = { ...GIVEN, w2_0: factor * crossing(4, GIVEN) };
    const { w2, target, root } = path(CONSTANT, given);
    near(w2.at(-1), target.at(-1), factor < 1 ? 2e-3 : 5e-3);
    near(root[0], 1 / factor, 1e-12);
    return w2.findIndex((one) => Math.abs(one / target[0] - 1) < 0.1);
  });
  assert.ok(ends[0] > 0 && ends[0] < ends[1], `${ends}`);
});

test("|w|⁴ relaxes as e to the −4λαt, to leading order", () => {
  const { w2, target } = path(CONSTANT, GIVEN);
  const far = (t) => w2[t] ** 2 - target[t] ** 2;
  near(far(250) / far(0), Math.exp(-4 * 4 * 5e-4 * 250), 0.03);
});

test("a step takes and adds what the path does, beyond leading order aside", () => {
  const { w2, lr } = path([0, 1, 1], GIVEN);
  for (const t of [400, 1200, 2000]) {
    const [taken, added] = amounts(w2[t], lr[t], GIVEN);
    const left = w2[t + 1] - w2[t] - (added - taken);
    assert.ok(Math.abs(left) < 2 * 4 * 5e-4 * taken, `${left} of ${taken}`);
  }
});

test("a point stays on the chart, and the others where they are", () => {
  const points = [0.2, 0.4, 0.6];
  assert.deepEqual(moved(points, 1, 9), [0.2, TOP, 0.6]);
  assert.deepEqual(moved(points, 2, -1), [0.2, 0.4, 0]);
  assert.deepEqual(points, [0.2, 0.4, 0.6]);
  assert.deepEqual(
    [-1, 0.3, 0.8, 2].map((x) => nearest(x, points)),
    [0, 1, 2, 2],
  );
});

test("whatever is drawn, |w|² is on its axis, which does not depend on it", () => {
  const {
    w2: [low, high],
  } = ranges(GIVEN);
  for (const points of [CONSTANT, CONSTANT.map(() => TOP), [0, 1, 0], [TOP, 0, TOP, 0, TOP]]) {
    const { w2, target } = path(points, GIVEN);
    for (const one of [...w2, ...target]) assert.ok(one >= low && one <= high, `${one}`);
  }
});

test("the sentence says which way |w|² goes, and that without λ it goes nowhere", () => {
  const given = { ...GIVEN, w2_0: 2 * crossing(4, GIVEN) };
  assert.match(sentence(0, path(CONSTANT, given), given), /^Step 0: λ = 4, .*shrinks\. √z = 0\.5\.$/);
  assert.match(sentence(2000, path(CONSTANT, given), given), /stands\. √z = (0\.999|1)\.$/);
  const below = { ...GIVEN, w2_0: crossing(4, GIVEN) / 2 };
  assert.match(sentence(0, path(CONSTANT, below), below), /grows\. √z = 2\.$/);
  assert.match(sentence(5, path([0, 0], given), given), /With λ = 0 nothing moves/);
});

test("a fast stroke leaves a straight line, in both directions", () => {
  const points = [0, 0, 0, 0, 0, 0];
  assert.deepEqual(stroked(points, { i: 1, value: 0.2 }, { i: 4, value: 0.8 }), [0, 0, 0.4, 0.6, 0.8, 0]);
  assert.deepEqual(stroked(points, { i: 4, value: 0.8 }, { i: 1, value: 0.2 }), [0, 0.2, 0.4, 0.6, 0, 0]);
  assert.deepEqual(stroked(points, { i: 3, value: 0.5 }, { i: 3, value: 2 }), [0, 0, 0, TOP, 0, 0]);
});
