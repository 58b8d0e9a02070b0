// The live network: a network that trains in the page, the theory of what it will do, and the reader who changes it
// while it runs.
//
//   state.js     what is set, and its transitions        controls.js, presence.js    what the reader does
//   run.js       what the lab has reported, and theory   view.js, canvas.js          what the reader sees
//   stories.js   scenes and what they do                 remote.js                   the way to the lab
//
// `self` ties them: {state, run, remote, ui, …}. What a reader does is a transition of the state and a command to the
// lab; reports change the run; the next frame shows both.

import { address, copyLink } from "../address.js";
import { element } from "../dom.js";
import { STYLE as EXPLORER } from "../style.js";
import { surroundings } from "../surroundings.js";
import { span } from "./axis.js";
import { kicked, takenOver, withoutNorm } from "./captions.js";
import * as controls from "./controls.js";
import { along } from "./forecast.js";
import { presence } from "./presence.js";
import { connect } from "./remote.js";
import { ask, begin, heard, redraw } from "./run.js";
import * as states from "./state.js";
import { due, falls, next, STORIES, sets, start } from "./stories.js";
import { STYLE } from "./style.js";
import * as views from "./view.js";

/** Build it in `host`. `link`, where a kernel may answer: {changed(values), report(report)}. */
export function mount(host, given, link = null) {
  const self = { state: null, link, given, frame: 0, id: 0, began: false, run: null, address: null };
  self.picture = printedUntilItRuns(host);
  if (!link) self.address = address("live", (texts) => restored(self, texts));
  const { values, complaints } = states.linkedTo(self.address?.here() ?? {});
  self.state = { ...states.opening(given, values), held: false, kept: null };
  const unique = `wd${Math.random().toString(36).slice(2, 8)}`;
  self.ui = parts(self, unique);
  self.root = element("div", { class: "wd-explorer wd-live", role: "group", "aria-label": "A network that trains" });
  self.root.append(element("style", {}, EXPLORER + STYLE), self.picture, ...laidOut(self.ui));
  host.append(self.root);
  self.around = surroundings(host, self.root, self.ui.panels.box, {
    resized: () => schedule(self),
    paper: () => update(self),
  });
  self.around.look();
  self.remote = connect({ onReport: (report) => take(self, report), onError: (text) => fail(self, text) });
  restart(self);
  self.ui.kicks.say(complaints.join(" "));
  self.presence = presence(self.root, (seen) => become(self, { seen }));
  update(self);
  return {
    change: (changes) => receive(self, changes),
    dispose() {
      cancelAnimationFrame(self.frame);
      for (const part of [self.remote, self.presence, self.around, self.address]) part?.dispose();
      self.root.remove();
    },
  };
}

/** What stood in the host before: the picture of this story, as it was recorded. On paper it stands in for charts that
 *  are empty, as those of a network that nobody has scrolled to. */
function printedUntilItRuns(host) {
  const copies = [...host.children].filter(({ tagName }) => tagName !== "SCRIPT").map((part) => part.cloneNode(true));
  const box = element("div", { class: "recorded" }, ...copies);
  for (const one of box.querySelectorAll("[id]")) one.removeAttribute("id");
  for (const one of box.querySelectorAll("img")) Object.assign(one, { loading: "eager", fetchPriority: "low" });
  return box;
}

function parts(self, unique) {
  const act = {
    tell: (story) => tell(self, story),
    change: (changes) => change(self, changes),
    play: () => become(self, { wish: !states.plays(self.state, self.presence.still) }),
    step: () => step(self),
    restart: () => restart(self),
    seed: (seed) => sow(self, seed),
    speed: (speed) => {
      become(self, { speed });
      self.remote.send({ type: "speed", steps_per_second: speed });
    },
    kick: (factor) => command(self, { type: "kick", layer: self.state.layer, factor }),
    noNorm: (out) => command(self, { type: "no_norm", layer: out ? self.state.layer : null }),
    hold: (held) => self.state.held !== held && become(self, { held }),
    show: (changes) => shared(self, changes),
    correlate: (correlated) => {
      become(self, { correlated });
      redraw(self.run);
    },
    point: (at) =>
      become(self, at ? { cursor: at.step, lit: at.layer ?? self.state.kept } : { cursor: null, lit: self.state.kept }),
    light: (layer, keep) => light(self, layer, keep),
  };
  return {
    stories: controls.stories(act),
    driving: controls.driving(act),
    settings: controls.settings(act, unique),
    panels: views.panels(act),
    legend: views.legend(act),
    kicks: controls.kicks(act),
    sentences: views.sentences(),
    choices: controls.choices(act),
    table: views.table(),
    copy: self.address && copyLink(() => self.address.link(states.linked(self.state))),
  };
}

function laidOut({ stories, driving, settings, panels, legend, kicks, sentences, choices, table, copy }) {
  const more = element("details", {}, element("summary", {}, "What is drawn"), ...choices.parts);
  if (copy) driving.row.append(copy.box);
  return [
    ...stories.parts,
    driving.row,
    settings.box,
    panels.box,
    legend.box,
    ...kicks.parts,
    ...sentences.parts,
    more,
    table.box,
  ];
}

// What happens

function become(self, changes) {
  self.state = { ...self.state, ...changes };
  run(self);
  schedule(self);
}

/** Let the lab run or wait, if that is news. */
function run(self) {
  const playing = states.plays(self.state, self.presence?.still ?? true);
  if (playing === self.playing) return;
  self.playing = playing;
  self.remote.send(playing ? play(self) : { type: "pause" });
}

/** Play, as far as to the step at which the story has something to do. */
function play({ state, run }) {
  const until = next(state.story, run.t, run.ramp);
  return until < Infinity ? { type: "play", until } : { type: "play" };
}

/** Values that a link and Python know. */
function shared(self, changes) {
  become(self, changes);
  self.link?.changed(states.values(self.state));
  self.address?.hold(states.linked(self.state));
}

/** The address says something else: the reader went back, or opened a link. */
function restored(self, texts) {
  const { values, complaints } = states.linkedTo(texts);
  const { speed, all, correlated, seen } = self.state;
  self.state = { ...states.opening(self.given, values), speed, all, correlated, seen, held: false, kept: null };
  restart(self);
  self.ui.kicks.say(complaints.join(" "));
}

/** The reader moves λ, α, ρ or chooses an optimizer, or a story does so by itself. */
function change(self, changes, after = states.moving) {
  const next = after(self.state, changes);
  const moved = states.moved(self.state, next);
  const carries = !("lr" in changes) && "lr" in moved;
  const news = moved.optimizer && takenOver(self.state.optimizer, next, carries);
  self.ui.settings.accept(changes);
  if ("lr" in changes) self.run.ramp = null; // the reader has taken λ over
  self.state = next;
  if (Object.keys(moved).length) for (const one of sets(moved, next.story, next)) command(self, one);
  if (news) self.ui.kicks.say(news);
  shared(self, {});
}

/** Values from a link or from Python, of which some may be as they are. */
function receive(self, changes) {
  states.check(changes);
  const news = Object.fromEntries(Object.entries(changes).filter(([key, value]) => differs(value, self.state[key])));
  const { story, seed, panels, layer, ...moved } = news;
  const given = (values) => Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined));
  if (story) tell(self, story);
  if (seed !== undefined) sow(self, seed);
  if (panels || layer) shared(self, given({ panels, layer }));
  if (Object.keys(moved).length) change(self, moved);
}

const differs = (a, b) => JSON.stringify(a ?? null) !== JSON.stringify(b ?? null);

/** A command to the lab; theory answers at once. */
function command(self, one) {
  self.remote.send(one);
  ask(self.run, one);
  if (one.type === "kick") self.ui.kicks.say("");
  if (one.type === "no_norm") self.ui.kicks.say(withoutNorm(one.layer, self.state.optimizer));
  schedule(self);
}

function tell(self, story) {
  const was = states.linked(self.state);
  self.state = { ...self.state, ...states.told(self.state, story), wish: null, kept: null };
  self.address?.push(states.linked(self.state), was);
  restart(self);
  self.ui.sentences.announce(STORIES[story].look);
}

/** Another seed, as a number or as somebody typed it. */
function sow(self, seed) {
  try {
    states.check({ seed });
  } catch ({ message }) {
    self.ui.kicks.say(message);
    return schedule(self);
  }
  self.state = { ...self.state, seed: +seed };
  restart(self);
  shared(self, {});
}

/** Begin again, with the values that the reader has chosen. */
function restart(self) {
  self.state = states.anew(self.state);
  const { state } = self;
  self.ui.settings.accept(state); // of what was typed and refused nothing is left
  const first = { ...start(state, state.story), id: ++self.id };
  self.began = false;
  self.remote.send(first);
  self.run = begin(first, states.LAYERS, {
    span: () => span(self.state.own ?? states.setting(self.state)), // a λ that falls by itself moves no axis
    correlated: () => self.state.correlated,
  });
  const { ramp } = STORIES[state.story] ?? {};
  if (ramp) self.run.ramp = { ...ramp, from: state.lr, to: state.lr / (ramp.end - ramp.start) };
  self.done = 0;
  self.playing = undefined;
  self.ui.panels.forget();
  self.ui.kicks.say("");
  become(self, {});
  self.link?.changed(states.values(state));
}

function step(self) {
  become(self, { wish: false });
  self.remote.send({ type: "step", count: 1 });
}

function light(self, layer, keep) {
  if (!keep) become(self, { lit: layer ?? self.state.kept });
  else {
    const kept = self.state.kept === layer ? null : layer;
    become(self, { kept, lit: kept });
  }
}

/** The lab reports. What it still says of a run before is not heard. */
function take(self, report) {
  const { run } = self;
  const { events = [] } = report;
  self.began ||= events.some(({ type, id }) => type === "start" && id === self.id);
  if (!self.began) return;
  heard(run, report);
  const kick = events.findLast(({ type }) => type === "kick");
  if (kick) self.ui.kicks.say(kicked(kick));
  self.link?.report(report);
  script(self);
  if (report.state === "paused" && self.playing) self.remote.send(play(self)); // it came to that step
  schedule(self);
}

/** What a story does by itself. The lab rests before these steps, so the same seed gives the same run. */
function script(self) {
  const { run, state } = self;
  for (const { command: one, times = {}, to } of due(state.story, self.done, run.t)) {
    const multiplied = Object.entries(times).map(([key, by]) => [key, by * state[key]]);
    if (!one) change(self, { ...Object.fromEntries(multiplied), ...to }, states.acting);
    else command(self, one);
  }
  self.done = run.t;
  if (falls(run.ramp, run.t)) fall(self);
}

/** λ falls along its ramp; at its end the network rests. */
function fall(self) {
  const { ramp, t } = self.run;
  const lr = along(ramp, t);
  if (lr !== self.state.lr) {
    self.state = states.acting(self.state, { lr });
    for (const one of sets({ lr }, self.state.story, self.state)) self.remote.send(one);
  }
  if (t < ramp.end) return;
  self.run.ramp = null;
  become(self, { wish: false });
}

function fail(self, text) {
  self.failed = text;
  self.ui.kicks.say(`The network cannot run here: ${text}`);
  schedule(self);
}

function schedule(self) {
  cancelAnimationFrame(self.frame);
  self.frame = requestAnimationFrame(() => update(self));
}

/** Show everything. */
function update(self) {
  const { state, run, ui } = self;
  const without = run.networks[0].no_norm;
  const lost = run.state === "diverged";
  const plays = states.plays(state, self.presence?.still ?? true);
  if (run.t > 0) self.picture.remove();
  ui.stories.show(state);
  ui.driving.show(state, plays, lost);
  ui.settings.show(state);
  ui.kicks.show(state, without, lost);
  ui.choices.show(state);
  ui.panels.show(state, run, inks(self));
  ui.legend.show(state, run);
  ui.sentences.show(state, run, plays);
  ui.table.show(run);
}

/** Colours of the style as a canvas takes them, looked up again when the page turns dark or light. */
function inks(self) {
  const { root } = self;
  const key = `${root.className} ${document.documentElement.dataset.theme ?? ""}`;
  if (self.inks?.key === key) return self.inks.ink;
  const style = getComputedStyle(root);
  const known = { currentColor: style.color, font: style.fontFamily };
  const ink = (color) => (known[color] ??= style.getPropertyValue(color.slice(4, -1)).trim() || style.color);
  self.inks = { key, ink };
  return ink;
}
