// What is seen of a state: the verdict and the charts.

import { caption, result, sources, spoken } from "./captions.js";
import { chart } from "./charts.js";
import { button, element, say } from "./dom.js";
import { drawing, looks } from "./series.js";
import { PRESETS } from "./settings.js";
import { seen, story } from "./state.js";
import { broken, formula, verdict } from "./verdict.js";
import { PANELS, setting } from "./words.js";

const REST = 700; // ms: a slider that moves is not read aloud

/** What happens, in plain words and in a formula: seen, said aloud when the sliders rest, on paper with the values. */
export function verdicts() {
  const printed = element("p", { class: "printed" }); // what the sliders say, where there are none
  const tells = element("p", { class: "story" });
  const says = element("p", { class: "verdict" });
  const small = element("p", { class: "formula" });
  const aloud = element("p", { class: "aloud", role: "status", "aria-live": "polite" });
  let timer = 0;
  const announce = (text) => {
    clearTimeout(timer);
    timer = setTimeout(() => say(aloud, text), REST);
  };
  return {
    parts: [printed, element("div", { class: "verdicts" }, tells, says), aloud],
    formula: small,
    announce,
    show(state, computed) {
      const open = seen(state);
      say(printed, `${setting(state)}; ${computed.plan.label}.`);
      say(tells, (open && PRESETS[story(state)]?.story) || "");
      say(says, open ? plain(state, computed) : "The answer is hidden until you have made your guess.");
      say(small, open ? formula(state, computed.plan) : "");
      if (!state.paper)
        announce(
          [tells, says]
            .map((part) => part.textContent)
            .filter(Boolean)
            .join(" "),
        );
    },
    dispose: () => clearTimeout(timer),
  };
}

/** What became of the recorded run, where it broke, goes before what theory says of the norms. */
function plain(state, { plan, found }) {
  const broke = found?.exact ? broken(found.run) : "";
  return broke ? `${broke} Theory for the norms: ${verdict(state, plan)}` : verdict(state, plan);
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

/** The panels. `act` has what a pointer does in them: moveTo(step), place(norm), light(layer). */
export function panels(names, { moveTo, place, light }) {
  const box = element("div", { class: "charts" });
  const layers = looks(names);
  const all = Object.keys(PANELS).map((name) => {
    const text = element("figcaption", {});
    const figure = element("figure", { class: "panel" }, text);
    box.append(figure);
    const acts = { moveTo, light, place: name === "norm" ? place : null };
    return { name, text, figure, chart: chart(figure, name, acts) };
  });
  const shown = () => all.filter(({ figure }) => !figure.hidden).map((one) => one.chart);
  return {
    box,
    show(state, computed) {
      // First all of them, then measure.
      for (const { name, figure } of all) figure.hidden = !state.panels.includes(name);
      for (const one of all) if (!one.figure.hidden) draw(one, state, computed, layers);
    },
    at(t) {
      for (const one of shown()) one.at(t);
    },
    light(layer) {
      for (const one of shown()) one.light(layer);
    },
    veil(t) {
      for (const one of shown()) one.veil(t);
    },
  };
}

function draw({ name, text, chart }, state, computed, looks) {
  say(text, caption(name, state, computed));
  const shape = drawing(name, state, computed, looks);
  chart.draw({ ...shape, label: spoken(text.textContent, shape.series) });
}
