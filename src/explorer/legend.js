// Which line is which: a button for each layer, which makes it stand out, and a key to what is drawn.

import { element } from "./dom.js";
import { looks } from "./series.js";
import { ghost, mine, own, seen, shown } from "./state.js";

/** `light(layer)` is told what the reader points at, null for nothing; `keep(layer)` what was clicked. */
export function legend(names, { light, keep }) {
  const box = element("ul", { class: "legend", "aria-label": "Layers" });
  const items = looks(names).map((look, l) => item(names[l], look, light, keep));
  const marks = element("p", { class: "key" });
  let drawn = "";
  return {
    parts: [box, marks],
    show(state, computed) {
      const now = shown(state, names).map((l) => items[l].li);
      if (now.length !== box.children.length || now[0] !== box.firstChild) box.replaceChildren(...now);
      for (const { layer, button } of items) button.setAttribute("aria-pressed", String(state.lit === layer));
      const html = key(state, computed);
      if (html !== drawn) marks.innerHTML = html;
      drawn = html;
    },
  };
}

function item(layer, { color, dash }, light, keep) {
  const button = element("button", { type: "button", "aria-pressed": "false", "data-layer-key": layer });
  button.innerHTML = sample(`<line x2="28" y1="5" y2="5" style="stroke:${color}" stroke-width="2.4"
    ${dash ? `stroke-dasharray="${dash}"` : ""}/>`);
  button.append(layer);
  for (const event of ["pointerenter", "focus"]) button.addEventListener(event, () => light(layer));
  for (const event of ["pointerleave", "blur"]) button.addEventListener(event, () => light(null));
  button.addEventListener("click", () => keep(layer));
  return { layer, button, li: element("li", {}, button) };
}

const sample = (inside) => `<svg width="28" height="10" aria-hidden="true">${inside}</svg>`;
const stroke = (width, more = "") =>
  `<line x2="28" y1="5" y2="5" stroke="currentColor" stroke-width="${width}" ${more}/>`;
const circle = (r, style) => `<circle cx="14" cy="5" r="${r}" style="${style}"/>`;

const KEY = {
  theory: stroke(1.7),
  "theory, the setting before": stroke(1.2, 'opacity=".4"'),
  equilibrium: stroke(3.4, 'stroke-dasharray="0 14 14"'),
  "recorded run": circle(2, "fill:currentColor"),
  "my last run": circle(3, "fill:none;stroke:currentColor;stroke-width:1.3"),
  "my earlier runs": circle(2, "fill:none;stroke:currentColor;stroke-width:.8"),
};

/** Of what is drawn, what each mark means. */
function key(state, { found, layers, plan }) {
  const there = {
    theory: seen(state),
    "theory, the setting before": ghost(state),
    equilibrium: seen(state) && plan.schedule === "constant" && layers.some(({ limit }) => Number.isFinite(limit)),
    "recorded run": found,
    "my last run": own(state).includes(mine(state)),
    "my earlier runs": own(state).some((run) => run !== mine(state)),
  };
  const names = Object.keys(KEY).filter((name) => there[name]);
  const units = "<span>u: unit of the weights, nat: unit of the loss</span>";
  return [...names.map((name) => `<span>${sample(KEY[name])} ${name}</span>`), units].join(" ");
}
