// What the tests of live/ share: a lab of random layers with what the page makes of it, and a comparison.

import assert from "node:assert/strict";
import { span } from "../../src/explorer/live/axis.js";
import { ask, begin, heard } from "../../src/explorer/live/run.js";
import * as states from "../../src/explorer/live/state.js";
import { scene, start } from "../../src/explorer/live/stories.js";
import { randomLab, SHAPE } from "./random_layers.js";

export const LAYERS = states.LAYERS;
export const near = (a, b, relative) =>
  assert.ok(Math.abs(a / b - 1) <= relative, `${a} is not within ${relative} of ${b}`);

/** A lab and what the page makes of it. */
export function started(story = "settle", changes = {}, more = {}) {
  const values_ = { ...scene(story), ...changes };
  const command = { ...start(values_, story), ...more };
  const lab = randomLab(LAYERS);
  const shapes = LAYERS.map(() => SHAPE);
  const run = begin(command, LAYERS, { span: () => span(values_), correlated: () => more.correlated ?? false, shapes });
  lab.send(command);
  const go = (n) => {
    const report = lab.run(n);
    heard(run, report);
    return report;
  };
  const act = (one) => {
    lab.send(one);
    ask(run, one);
  };
  return { lab, run, go, act };
}
