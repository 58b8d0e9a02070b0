// The step under the cursor: a slider, a button that plays the training, and the table of the numbers there.

import { cell, heads, place } from "./captions.js";
import { numbersAt } from "./compute.js";
import { button, element, say } from "./dom.js";
import { seen, shown } from "./state.js";
import { written } from "./words.js";

const LASTS = 8000; // ms that a training plays
const JUMPS = 10; // in as many jumps, where less motion is wanted

/** `act` has moveTo(step), again(), and veil(step): what comes after it is pale, null for nothing. */
export function cursor(act, unique, small) {
  const id = `${unique}-step`;
  const range = element("input", { type: "range", min: 0, step: 1, id, "data-cursor": true });
  const play = button("play", "Play", { "aria-label": "Play the training" });
  const out = element("span", { class: "at" });
  const row = element("div", { class: "slider cursor-row" }, element("label", { for: id }, "step"), range, out, play);
  const table = element("table");
  const name = "numbers under the cursor";
  const scroll = element("div", { class: "scroll", role: "region", "aria-label": name, tabindex: 0 }, table);
  const box = element("details", { open: !small }, element("summary", {}, "Numbers under the cursor"), scroll);
  const plays = player(range, play, act);
  range.addEventListener("input", () => {
    plays.stop();
    act.moveTo(+range.value);
  });
  box.addEventListener("toggle", act.again);
  return {
    row,
    box,
    stop: plays.stop,
    dispose: plays.stop,
    show(state) {
      box.hidden = !seen(state);
    },
    at(t, state, computed) {
      range.max = computed.plan.steps - 1;
      range.value = t;
      range.setAttribute("aria-valuetext", place(t, computed));
      out.textContent = written(t);
      if (box.open || state.paper) table.replaceChildren(...(seen(state) ? rows(t, state, computed) : []));
    },
  };
}

/** Let the cursor run from where it is, or from the start if it is at the end. */
export function player(range, play, { moveTo, veil }) {
  let timer = 0;
  const still = globalThis.matchMedia?.("(prefers-reduced-motion: reduce)").matches;
  const stop = () => {
    clearInterval(timer);
    if (timer) veil(null);
    timer = 0;
    say(play, "Play");
  };
  const start = () => {
    const steps = +range.max;
    const from = +range.value >= steps ? 0 : +range.value;
    const began = performance.now();
    say(play, "Pause");
    timer = setInterval(
      () => {
        const t = Math.min(steps, Math.round(from + (steps * (performance.now() - began)) / LASTS));
        moveTo(t);
        veil(t);
        if (t === steps) stop();
      },
      still ? LASTS / JUMPS : 40,
    );
  };
  play.addEventListener("click", () => (timer ? stop() : start()));
  return { stop };
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
