// Record a run of every story of the live network, for pages without JavaScript: "make live" writes what Python draws.
// The network, the theory and what the stories do are those of the page.

import { createHash } from "node:crypto";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { along } from "./live/forecast.js";
import { HOMES } from "./live/optimizers.js";
import { picture } from "./live/picture.js";
import { begin, heard } from "./live/run.js";
import { LAYERS } from "./live/state.js";
import { due, falls, STORIES, scene, sets, start } from "./live/stories.js";
import { fastest } from "./network/fastest.js";
import { Lab } from "./network/lab.js";
import binary from "./network/simd.wasm.js";

const FILE = new URL("../resnet_dynamics/live.json", import.meta.url);
const STEPS = 600; // of a story that says nothing else
const AFTER = 400; // steps after the last thing that a story does
const SHOWN = 2; // panels
const kernels = await fastest(binary);

/** What a recording depends on. Whoever changes one of these files records again. */
export function sources() {
  const here = (folder) => readdirSync(new URL(folder, import.meta.url)).map((name) => folder + name);
  const pure = ["forecast", "history", "marks", "optimizers", "picture", "run", "series", "stories"];
  const live = pure.map((name) => `live/${name}.js`);
  const network = here("network/").filter((name) => !/simd|worker/.test(name));
  return ["decoupled.js", "record.js", "theory.js", ...live, ...network].sort();
}

function digest() {
  const sum = createHash("sha256");
  for (const name of sources()) sum.update(`${name}\n`).update(readFileSync(new URL(name, import.meta.url)));
  return sum.digest("hex");
}

/** How long the run of a story is. */
export function length({ acts = [], ramp }) {
  return ramp?.end ?? (acts.length ? acts.at(-1).t + AFTER : STEPS);
}

/** A run of a story, of so many steps at most: what the page knows of it. */
export function recorded(story, steps) {
  const { ramp } = STORIES[story];
  let values = { ...scene(story) };
  const lab = new Lab({ kernels });
  const run = begin(start(values, story), LAYERS, { span: () => steps, correlated: () => false });
  if (ramp) run.ramp = { ...ramp, from: values.lr, to: values.lr / (ramp.end - ramp.start) };
  const change = (changes) => {
    values = { ...values, ...changes };
    for (const command of sets(changes, story, values)) lab.receive(command);
  };
  lab.receive(run.start);
  lab.receive({ type: "play" });
  while (lab.running && lab.t < steps) {
    lab.step();
    heard(run, lab.report());
    for (const { command, times = {}, to } of due(story, lab.t - 1, lab.t)) {
      const multiplied = Object.entries(times).map(([key, by]) => [key, by * values[key]]);
      if (command) lab.receive(command);
      else change({ ...Object.fromEntries(multiplied), ...to });
    }
    if (falls(run.ramp, lab.t)) change({ lr: along(run.ramp, lab.t) });
  }
  return run;
}

/** Numbers as codes of 16 bits of their logarithm, as Python's page_data.encode makes them. */
export function encode(numbers) {
  const code = (v) => {
    if (v === null || Number.isNaN(v)) return 0;
    const bits = Math.log2(Math.max(0, v));
    if (bits < -63.9) return 1;
    return bits > 63.9 ? 65535 : Math.round(512 * bits) + 32768;
  };
  return Buffer.from(Uint16Array.from(numbers, code).buffer).toString("base64");
}

/** What so small a picture needs of a series; null of what tells nothing: theory that was drawn anew and not because
 *  something was done, or soon. */
function needed({ kind, xs, ys, ...rest }, { t, marks }) {
  if (!xs.length || (kind === "past" && (!marks.length || xs.at(-1) - xs[0] < t / 8))) return null;
  const kept = (list) => (kind === "past" ? list.filter((_, i) => i % 2 === 0 || i === list.length - 1) : list);
  return { kind, ...rest, xs: kept(xs), ys: kept(ys) };
}

/** The series of a panel; those of one kind and with the same steps are one, and their numbers follow each other. */
export function packed(series) {
  const groups = new Map();
  for (const { kind, network = 0, layer, xs, ys } of series) {
    const key = JSON.stringify([kind, network, layer === null, xs]);
    if (!groups.has(key))
      groups.set(key, { kind, ...(network && { network }), ...(layer && { layers: [] }), xs, ys: [] });
    const group = groups.get(key);
    group.layers?.push(LAYERS.indexOf(layer));
    group.ys.push(...ys);
  }
  return [...groups.values()].map((group) => ({ ...group, xs: encode(group.xs), ys: encode(group.ys) }));
}

/** What Python needs of a story. */
function told(story) {
  const { label, look, panels, layer = null } = STORIES[story];
  const steps = length(STORIES[story]);
  const run = recorded(story, steps);
  const shown = picture(run, panels.slice(0, SHOWN), [0, run.t]);
  for (const [name, series] of Object.entries(shown.panels)) {
    shown.panels[name] = packed(series.map((one) => needed(one, run)).filter(Boolean));
  }
  return { label, look, values: { ...scene(story), panels, layer: layer ?? "layer2" }, picture: shown };
}

function main() {
  const stories = {};
  for (const story of Object.keys(STORIES)) {
    stories[story] = told(story);
    console.log(`${story}: ${stories[story].picture.t} steps`);
  }
  const text = JSON.stringify({ made_from: digest(), default: "settle", layers: LAYERS, homes: HOMES, stories });
  writeFileSync(FILE, `${text}\n`);
  console.log(`live.json: ${(text.length / 1000).toFixed(0)} kB`);
}

if (process.argv[1] === new URL(import.meta.url).pathname) main();
