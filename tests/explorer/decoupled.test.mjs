// decoupled.js and what theory.js has of SGDW and Adam, against the Python that they repeat.
//
// EXPLORER_DIRECTED names a file of settings with what resnet_dynamics.theory makes of them;
// tests/test_explorer_module.py writes it.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import test from "node:test";

import {
  angle,
  DIRECTED,
  foreseen,
  lags,
  level,
  line,
  overlap,
  relaxation,
  square,
  wander,
} from "../../src/explorer/decoupled.js";
import { BETA2, DIRECTIONS } from "../../src/explorer/network/directions.js";
import { follow, ringing } from "../../src/explorer/theory.js";

const file = process.env.EXPLORER_DIRECTED;
const cases = file ? JSON.parse(readFileSync(file, "utf8")) : [];
const skip = file ? false : "EXPLORER_DIRECTED names no file: run pytest tests/test_explorer_module.py";

test("the optimizers are those of the network, and β₂ too", () => {
  assert.deepEqual([...DIRECTED].sort(), Object.keys(DIRECTIONS).sort());
  assert.deepEqual(BETA2, { adam: 0.999, adamw: 0.999, lion: 0.99 });
});

/** Compare what `actual(case)` returns, a number or many, with the case's own, to 1e-9 of it. */
function agrees(what, actual) {
  test(`${what} is that of Python in every case`, { skip }, () => {
    const some = cases.filter((one) => one[what] !== undefined);
    assert.ok(some.length >= 20);
    for (const one of some) {
      const expected = [one[what]].flat();
      const found = [actual(one)].flat();
      assert.equal(found.length, expected.length);
      for (const [t, number] of found.entries())
        assert.ok(
          Math.abs(number - expected[t]) <= 1e-9 * Math.abs(expected[t]),
          `${one.values.optimizer}, ${what}[${t}]: ${number}, not ${expected[t]}`,
        );
    }
  });
}

agrees("w2", ({ values, shape, start, c2, lr }) => {
  const { optimizer, momentum, weight_decay } = values;
  if (optimizer !== "lion" && optimizer !== "muon")
    return [...follow(start.w2, c2, lr, values, start, shape[0] * shape[1]).w2];
  const ahead = foreseen(lags(optimizer, momentum, ...shape), lr, weight_decay);
  return [...wander(start.w2, start.wv, square(values, shape), lr, weight_decay, ahead)];
});
agrees("overlap", ({ values, shape }) => overlap(values, shape));
agrees("line", ({ values, shape }) => line(values, shape));
agrees("square", ({ values, shape }) => square(values, shape));
agrees("level", ({ values, shape, size }) => level(values, shape, { ...size, v2: square(values, shape) }));
agrees("angle", ({ values, shape }) => angle(values, shape));
agrees("relaxation", ({ values }) => relaxation(values));
agrees("ringing", ({ values }) => Object.values(ringing(values) ?? {}));
