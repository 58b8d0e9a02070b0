// What is seen of a state: the verdict, the charts, and the numbers under the cursor.

import { caption, cell, heads, place, result, sources, spoken } from "./captions.js";
import { chart } from "./charts.js";
import { numbersAt } from "./compute.js";
import { button, element, say } from "./dom.js";
import { drawing, looks } from "./series.js";
import { seen, shown } from "./state.js";
import { PANELS, setting, verdict, written } from "./words.js";

const REST = 700; // ms: a slider that moves is not read aloud

/** What theory says, seen, said aloud when the sliders rest, and on paper with their values. */
export function verdicts() {
  const printed = element("p", { class: "printed" }); // what the sliders say, where there are none
  const says = element("p", { class: "verdict" });
  const aloud = element("p", { class: "aloud", role: "status", "aria-live": "polite" });
  let timer = 0;
  const announce = (text) => {
    clearTimeout(timer);
    timer = setTimeout(() => say(aloud, text), REST);
  };
  return {
    parts: [printed, says, aloud],
    announce,
    show(state, { plan }) {
      say(printed, `${setting(state)}; ${plan.label}.`);
      say(says, seen(state) ? verdict(state, plan) : "The answer is hidden until you have made your guess.");
      if (!state.paper) announce(says.textContent);
    },
    dispose: () => clearTimeout(timer),
  };
}

/** Where the dots and the lines are from, and the way to the values of the dots. */
export function source(onGo) {
  const text = element("span", {});
  const go = button("go", "Go to its values");
  go.addEventListener("click", onGo);
  return {
    box: element("p", { class: "source" }, text, " ", go),
    show(state, computed) {
      say(text, sources(state, computed));
      text.classList.toggle("error", result(state, computed).startsWith("its loss"));
      go.hidden = !computed.found || computed.found.exact;
    },
  };
}

export function legend(names) {
  const box = element("ul", { class: "legend", "aria-hidden": "true" });
  const items = looks(names).map((look, l) => key(names[l], look));
  return {
    box,
    show: (state) => box.replaceChildren(...shown(state, names).map((l) => items[l])),
  };
}

function key(name, { color, dash }) {
  const item = element("li");
  item.innerHTML =
    `<svg width="28" height="10"><line x1="0" x2="28" y1="5" y2="5" style="stroke:${color}" ` +
    `stroke-width="2" ${dash ? `stroke-dasharray="${dash}"` : ""}/></svg>`;
  item.append(name);
  return item;
}

/** The panels. `moveTo(step)` and `place(norm)` are what a pointer does in them. */
export function panels(names, { moveTo, place }) {
  const box = element("div", { class: "charts" });
  const layers = looks(names);
  const all = Object.keys(PANELS).map((name) => {
    const text = element("figcaption", {});
    const figure = element("figure", { class: "panel" }, text);
    box.append(figure);
    return { name, text, figure, chart: chart(figure, name, moveTo, name === "norm" ? place : null) };
  });
  return {
    box,
    show(state, computed) {
      // First all of them, then measure.
      for (const { name, figure } of all) figure.hidden = !state.panels.includes(name);
      for (const one of all) if (!one.figure.hidden) draw(one, state, computed, layers);
    },
    at(t) {
      for (const one of all) one.chart.at(t);
    },
  };
}

function draw({ name, text, chart }, state, computed, looks) {
  text.textContent = caption(name, state, computed);
  const shape = drawing(name, state, computed, looks);
  chart.draw({ ...shape, label: spoken(text.textContent, shape.series) });
}

/** The cursor's slider, and the table of the numbers under it. */
export function reading(moveTo, again, unique, small) {
  const id = `${unique}-step`;
  const cursor = element("input", { type: "range", min: 0, step: 1, id, "data-cursor": true });
  const out = element("span", {});
  const row = element("div", { class: "slider cursor-row" }, element("label", { for: id }, "step"), cursor, out);
  const table = element("table");
  const name = "numbers under the cursor";
  const scroll = element("div", { class: "scroll", role: "region", "aria-label": name, tabindex: 0 }, table);
  const box = element("details", { open: !small }, element("summary", {}, "Numbers under the cursor"), scroll);
  cursor.addEventListener("input", () => moveTo(+cursor.value));
  box.addEventListener("toggle", again);
  return {
    parts: [row, box],
    at(t, state, computed) {
      cursor.max = computed.plan.steps - 1;
      cursor.value = t;
      cursor.setAttribute("aria-valuetext", place(t, computed));
      out.textContent = written(t);
      const read = (box.open || state.paper) && seen(state);
      table.replaceChildren(...(read ? rows(t, state, computed) : []));
    },
  };
}

function rows(t, state, computed) {
  const head = heads(computed).map((text) => element("th", { scope: "col" }, text));
  const body = shown(state, computed.names).map((l) => {
    const cells = numbersAt(t, l, state, computed).map((v, i) => element("td", {}, cell(v, i)));
    return element("tr", {}, element("th", { scope: "row" }, computed.names[l]), ...cells);
  });
  return [
    element("caption", {}, `At ${place(t, computed)}: λ = ${written(computed.lr[t])}`),
    element("thead", {}, element("tr", {}, ...head)),
    element("tbody", {}, ...body),
  ];
}
