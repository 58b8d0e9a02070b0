// Two doors to the same explorer: a widget where there is a kernel, a custom element on a page.

import { mount } from "./explorer.js";
import { VALUES } from "./words.js";

/** Tell the kernel something, and return whether it could be told: of a kernel that was restarted a model may throw. */
function tell(act) {
  try {
    act();
    return true;
  } catch {
    return false;
  }
}

function render({ model, el }) {
  const send = (message) => tell(() => model.send(message));
  const save = (values) =>
    tell(() => {
      for (const [key, value] of Object.entries(values)) model.set(key, value);
      model.save_changes();
    });
  const ui = mount(el, Object.fromEntries(VALUES.map((key) => [key, model.get(key)])), model.get("evidence"), {
    changed: save,
    guesses: model.get("guesses"),
    train({ lr, weight_decay, momentum, optimizer, plan }) {
      return send({ type: "train", lr, weight_decay, momentum, optimizer, plan });
    },
    stop() {
      return send({ type: "stop" });
    },
    forget() {
      return send({ type: "forget" });
    },
    guessed(guesses) {
      return save({ guesses });
    },
  });
  const undo = [];
  const on = (event, act) => {
    model.on(event, act);
    undo.push(() => model.off(event, act));
  };
  for (const key of VALUES) on(`change:${key}`, () => ui.change({ [key]: model.get(key) }));
  on("change:curves", () => ui.curves(model.get("curves")));
  on("change:progress", () => ui.progress(model.get("progress")));
  on("msg:custom", ({ type }) => (type === "pong" ? ui.kernel() : ui.heard()));
  // A notebook has shortcuts on plain keys: it would take the arrows from a slider, and Enter from a button.
  const keep = (event) => {
    if (
      el.contains(event.target) &&
      !event.target.matches(":read-write") &&
      !(event.ctrlKey || event.metaKey || event.altKey)
    )
      event.stopPropagation();
  };
  window.addEventListener("keydown", keep, true);
  undo.push(() => window.removeEventListener("keydown", keep, true));
  ui.curves(model.get("curves"));
  ui.progress(model.get("progress"));
  send({ type: "ping" }); // Train appears when a kernel answers: without one nobody does
  return () => {
    for (const act of undo) act();
    ui.dispose();
  };
}

class Explorer extends HTMLElement {
  connectedCallback() {
    if (this.ui) return;
    this.given ??= JSON.parse(this.querySelector("script[type='application/json']").textContent);
    const { evidence, ...values } = this.given;
    const fallback = [...this.childNodes];
    try {
      this.ui = mount(this, values, evidence);
    } catch (error) {
      // picture and table stay
      this.querySelector(".wd-explorer")?.remove();
      throw error;
    }
    for (const part of fallback) part.remove();
  }
  disconnectedCallback() {
    this.ui?.dispose();
    this.ui = null;
  }
}
if (globalThis.customElements && !customElements.get("weight-decay-explorer"))
  customElements.define("weight-decay-explorer", Explorer);

export default { render };
