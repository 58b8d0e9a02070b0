// The doors: of each part a widget where there is a kernel, and a custom element on a page.

import { mount as mountCrossing } from "./crossing/crossing.js";
import { define, withEvidence } from "./element.js";
import { mount } from "./explorer.js";
import { keepKeys, tell } from "./kernel.js";
import { mount as mountLive } from "./live/live.js";
import { render as renderLive } from "./live/widget.js";
import { VALUES } from "./words.js";

/** What the explorer tells the kernel. */
function linkTo(model) {
  const send = (message) => tell(() => model.send(message));
  const save = (values) =>
    tell(() => {
      for (const [key, value] of Object.entries(values)) model.set(key, value);
      model.save_changes();
    });
  return {
    changed: save,
    guesses: model.get("guesses"),
    train: ({ lr, weight_decay, momentum, optimizer, plan }) =>
      send({ type: "train", lr, weight_decay, momentum, optimizer, plan }),
    stop: () => send({ type: "stop" }),
    forget: () => send({ type: "forget" }),
    guessed: (guesses) => save({ guesses }),
    greet: () => send({ type: "ping" }),
  };
}

/** Let the explorer hear what the kernel changes and says; returns what ends that. */
function hear(model, ui) {
  const acts = [
    ...VALUES.map((key) => [`change:${key}`, () => ui.change({ [key]: model.get(key) })]),
    ["change:curves", () => ui.curves(model.get("curves"))],
    ["change:progress", () => ui.progress(model.get("progress"))],
    ["msg:custom", ({ type }) => (type === "pong" ? ui.kernel() : ui.heard())],
  ];
  for (const [event, act] of acts) model.on(event, act);
  return () => {
    for (const [event, act] of acts) model.off(event, act);
  };
}

function render({ model, el }) {
  const link = linkTo(model);
  const values = Object.fromEntries(VALUES.map((key) => [key, model.get(key)]));
  const ui = mount(el, values, model.get("evidence"), link);
  const undo = [hear(model, ui), keepKeys(el)];
  ui.curves(model.get("curves"), false);
  ui.progress(model.get("progress"));
  link.greet(); // Train appears when a kernel answers: without one nobody does
  return () => {
    for (const act of undo) act();
    ui.dispose();
  };
}

define("weight-decay-explorer", mount, withEvidence);

define("weight-decay-live", (host, given) => mountLive(host, given));

define("weight-decay-crossing", (host, given) => mountCrossing(host, given));

export const explorer = { render };
export const live = { render: renderLive };
const GIVEN = ["schedule", "schedules", "lr", "weight_decay", "steps", "w2_0", "c"];
export const crossing = {
  render({ model, el }) {
    const ui = mountCrossing(el, Object.fromEntries(GIVEN.map((name) => [name, model.get(name)])), false);
    return () => ui.dispose();
  },
};
/** The way to a network, for pages of one's own: connect({onReport, onError}), see live/remote.js. */
export { connect } from "./live/remote.js";
