// The explorer's place in the address of the page: what a link to it may say, and when the address follows.

import { address } from "./address.js";
import { ballNamed, taken } from "./links.js";
import * as states from "./state.js";
import { OPTIMIZERS, PANELS, RANGES } from "./words.js";

/** `self` is the explorer; `change(values)` sets what the address says. */
export function located(host, self, change) {
  const restore = (texts) => {
    const { values: all, complaints } = taken(texts, allowed(self.evidence));
    const values = withHeld(ballNamed(all));
    const predict = values.predict === "true" || (!("predict" in values) && self.state.opening.predict);
    change({ ...values, predict });
    self.ui.sliders.complain(complaints.join(" "));
  };
  const here = address(host.id || "explorer", restore);
  return {
    link: () => here.link(states.linked(self.state)),
    dispose: here.dispose,
    /** Take what the link says that led here, and show it. */
    begin() {
      const texts = here.here();
      if (!texts) return;
      restore(texts);
      host.scrollIntoView?.({ block: "start" });
    },
    changed(how, before) {
      if (how === "moves") here.hold(states.linked(self.state));
      if (how === "jump") here.push(states.linked(self.state), states.linked(before));
    },
  };
}

/** The values, with those of where c was taken as one, or without them where some are missing. */
function withHeld(values) {
  const rest = Object.entries(values).filter(([key]) => !key.startsWith("held_"));
  const held = Object.entries(values).filter(([key]) => key.startsWith("held_"));
  const heldAt = Object.fromEntries(held.map(([key, value]) => [key.slice("held_".length), value]));
  return { ...Object.fromEntries(rest), ...(held.length === 4 && { heldAt }) };
}

function allowed({ layers, plans }) {
  const setting = { ...RANGES, optimizer: Object.keys(OPTIMIZERS) };
  return {
    ...setting,
    ...Object.fromEntries(Object.entries(setting).map(([key, range]) => [`held_${key}`, range])),
    plan: Object.keys(plans).filter((key) => plans[key].set !== null || plans[key].here),
    layer: ["all", ...layers],
    gradient: ["recorded", "correlated", "constant"],
    panels: { list: Object.keys(PANELS) },
    predict: ["true"],
  };
}
