// scales.js: places and back, and round numbers.

import assert from "node:assert/strict";
import { test } from "node:test";
import { scaleLinear, scaleLog, ticks } from "../../src/explorer/scales.js";

test("a scale brings the ends of its domain to those of its range, and back", () => {
  for (const [make, domain, middle] of [
    [scaleLinear, [0, 500], 250],
    [scaleLog, [0.01, 100], 1],
  ]) {
    const scale = make().domain(domain).range([200, 0]);
    assert.deepEqual(domain.map(scale), [200, 0]);
    assert.ok(Math.abs(scale(middle) - 100) < 1e-9 && Math.abs(scale.invert(100) / middle - 1) < 1e-12);
    assert.deepEqual([scale.domain(), scale.range()], [domain, [200, 0]]);
  }
  assert.ok(Number.isNaN(scaleLog().domain([1, 10])(-1)));
});

test("ticks are round, inside, and about as many as asked for", () => {
  assert.deepEqual(ticks(0, 1, 5), [0, 0.2, 0.4, 0.6, 0.8, 1]);
  assert.deepEqual(ticks(0, 2000, 4), [0, 500, 1000, 1500, 2000]);
  assert.deepEqual(ticks(-0.3, 0.31, 3), [-0.2, 0, 0.2]);
  for (let k = 0; k < 200; k++) {
    const [low, count] = [Math.sin(k), 5 + (k % 6)];
    const high = low + 10 ** (3 * Math.cos(k));
    const found = ticks(low, high, count);
    const step = found[1] - found[0];
    assert.ok(found[0] >= low - 1e-6 * step && found.at(-1) <= high + 1e-6 * step);
    assert.ok(found.length >= count / 2 && found.length <= 2 * count + 1, `${low} ${high} ${count}: ${found}`);
    const digit = step / 10 ** Math.floor(Math.log10(step) + 1e-6);
    assert.ok(
      [1, 2, 5].some((one) => Math.abs(digit - one) < 1e-4),
      `${step}`,
    );
  }
});
