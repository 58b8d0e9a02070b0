// The live network in a notebook. It needs no kernel; where one answers it is told the values and what was measured, so
// that Python has the history. Reports are gathered for PAUSE and go as one.

import { keepKeys, tell } from "../kernel.js";
import { mount } from "./live.js";
import { joined, packed } from "./reports.js";
import { VALUES } from "./state.js";

const FOLLOWED = VALUES.filter((key) => key !== "small");
const PAUSE = 500; // ms

/** Gather reports and send them to the model. */
function sender(model) {
  let waiting = [];
  let timer = 0;
  const flush = () => {
    clearTimeout(timer);
    timer = 0;
    if (!waiting.length) return;
    const { header, buffers } = packed(joined(waiting));
    waiting = [];
    tell(() => model.send(header, undefined, buffers));
  };
  return {
    flush,
    take(report) {
      if (report.events?.some(({ type }) => type === "start")) flush();
      waiting.push(report);
      timer ||= setTimeout(flush, PAUSE);
    },
  };
}

export function render({ model, el }) {
  const reports = sender(model);
  const link = {
    changed: (values) =>
      tell(() => {
        for (const [key, value] of Object.entries(values)) model.set(key, value);
        model.save_changes();
      }),
    report: reports.take,
  };
  const ui = mount(el, Object.fromEntries(VALUES.map((key) => [key, model.get(key)])), link);
  const acts = FOLLOWED.map((key) => [`change:${key}`, () => ui.change({ [key]: model.get(key) })]);
  for (const [event, act] of acts) model.on(event, act);
  const keys = keepKeys(el);
  return () => {
    for (const [event, act] of acts) model.off(event, act);
    keys();
    reports.flush();
    ui.dispose();
  };
}
