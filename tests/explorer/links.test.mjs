// links.js: a setting in the address, and what of it may be taken.

import assert from "node:assert/strict";
import test from "node:test";

import { read, taken, write } from "../../src/explorer/links.js";
import { RANGES } from "../../src/explorer/words.js";

const SETTING = { lr: 0.4, weight_decay: 5e-4, momentum: 0.9, optimizer: "heavy-ball", panels: ["norm", "rate"] };
const ALLOWED = { ...RANGES, optimizer: ["sgd", "heavy-ball"], panels: { list: ["norm", "rate", "loss"] } };

test("what is written is read again, to the last digit", () => {
  const fragment = write("", "explorer", SETTING);
  assert.equal(fragment, "#explorer?lr=0.4&weight_decay=0.0005&momentum=0.9&optimizer=heavy-ball&panels=norm,rate");
  assert.deepEqual(taken(read(fragment, "explorer"), ALLOWED), { values: SETTING, complaints: [] });
  for (const lr of [1 / 3, 1e-7, 123.456789, 1e-300]) {
    assert.equal(taken(read(write("", "explorer", { lr }), "explorer"), ALLOWED).values.lr, lr);
  }
});

test("elements do not disturb each other, and a heading is none of them", () => {
  const both = write(write("", "explorer", { lr: 1 }), "live", { lr: 2 });
  assert.deepEqual([read(both, "explorer"), read(both, "live")], [{ lr: "1" }, { lr: "2" }]);
  const moved = write(both, "explorer", { lr: 3 });
  assert.deepEqual([read(moved, "explorer"), read(moved, "live")], [{ lr: "3" }, { lr: "2" }]);
  assert.deepEqual(
    [read("#how-to-read-it", "explorer"), read("", "explorer"), read(both, "explorer-2")],
    [null, null, null],
  );
  assert.equal(write("#how-to-read-it", "live", { lr: 2 }), "#live?lr=2");
});

test("a value with signs of an address comes back whole", () => {
  const text = "a;b&c=d?e#f %";
  assert.equal(read(write("", "live", { story: text, lr: 1 }), "live").story, text);
});

test("a bad value is named with what is allowed, and the others are taken", () => {
  const { values, complaints } = taken({ lr: "abc", weight_decay: "-3", momentum: "0.5", optimizer: "adam" }, ALLOWED);
  assert.deepEqual(values, { momentum: 0.5 });
  assert.deepEqual(complaints, [
    "In the link, λ = abc: must be a number in (0, 1000].",
    "In the link, α = -3: must be a number in [0, 1].",
    "In the link, optimizer = adam: must be one of sgd, heavy-ball.",
  ]);
  const bad = (texts) => taken(texts, ALLOWED).complaints;
  assert.match(bad({ learning_rate: "1" })[0], /^In the link, learning_rate: must be one of lr, weight_decay, /);
  for (const panels of ["", "norm,norm", "norm,x"])
    assert.match(bad({ panels })[0], /must be some of norm, rate, loss\.$/, panels);
  for (const lr of ["", "NaN", "Infinity", "1e9", "0"]) assert.equal(bad({ lr }).length, 1, lr);
  assert.match(bad({ toString: "1" })[0], /toString/);
});
