// What is seen of a run: the charts, the layers with their numbers, the sentences, and a table.

import { directed } from "../decoupled.js";
import { button, element, say } from "../dom.js";
import { looks } from "../series.js";
import { written } from "../words.js";
import { settle, steps } from "./axis.js";
import { canvas } from "./canvas.js";
import * as captions from "./captions.js";
import { agreement, expected, overLine } from "./forecast.js";
import { at, column, mean } from "./history.js";
import { LAWS } from "./optimizers.js";
import { extent, PANELS, series, WINDOW } from "./series.js";
import { LAYERS } from "./state.js";

const RARELY = 8000; // ms between two sentences that are read aloud
const SECOND = 1000; // ms
const OFTEN = 250; // ms between two looks at a sentence that changes with every step
const columns = (own) => {
  const rates = own ? ["λ|v|/|w|", "over √(2λα/S)"] : ["λ|g|/|w|", "over √(2λα(1−ρ))"];
  return ["layer", "|w|²", "theory", "dots / line", ...rates, "cos(w, g)", "angle"];
};

/** The panels. `act.point({step, layer})` is told where the pointer is. */
export function panels(act) {
  const box = element("div", { class: "charts" });
  const all = Object.keys(PANELS).map((name) => {
    const text = element("figcaption", {});
    const figure = element("figure", { class: "panel" }, text);
    box.append(figure);
    return { name, text, figure, range: null, labelled: -SECOND, chart: canvas(figure, name, act.point) };
  });
  return {
    box,
    forget() {
      for (const one of all) one.range = null;
    },
    show(state, run, ink) {
      for (const { name, figure } of all) figure.hidden = !state.panels.includes(name);
      const x = steps(run.t, run.span(), state.all);
      for (const one of all) if (!one.figure.hidden) draw(one, state, run, x, ink);
    },
  };
}

function draw(one, state, run, x, ink) {
  const { name, text, chart } = one;
  const { log } = PANELS[name];
  const shown = series(name, run, x);
  one.range = settle(one.range, extent(name, shown), { log, held: state.held });
  say(text, captions.caption(name, ...run.networks.map(({ settings }) => settings)));
  const y = name === "accuracy" ? { low: 0, high: 100 } : one.range;
  const { cursor, lit } = state;
  const now = performance.now();
  const label = now - one.labelled > SECOND ? captions.spoken(text.textContent, shown) : null;
  if (label) one.labelled = now;
  chart.draw({ x, y, log, series: shown, marks: run.marks, now: run.t || null, at: cursor, lit, ink, label });
}

/** The layers: a key, a light, and the |w|² of each under the cursor or now. */
export function legend(act) {
  const styles = looks(LAYERS);
  const box = element("div", { class: "legend", role: "group", "aria-label": "Layers" });
  const items = LAYERS.map((name, l) => {
    const { color, dash } = styles[l];
    const item = button("layer", "", { "data-layer": name });
    item.innerHTML =
      `<svg width="30" height="10" aria-hidden="true"><line x1="0" x2="30" y1="5" y2="5" style="stroke:${color}" ` +
      `stroke-width="2" ${dash ? `stroke-dasharray="${dash}"` : ""}/></svg>`;
    const number = element("span", { class: "number" });
    const theory = element("span", { class: "theory" });
    item.append(`${name} `, number, theory);
    item.addEventListener("pointerenter", () => act.light(l, false));
    item.addEventListener("pointerleave", () => act.light(null, false));
    item.addEventListener("click", () => act.light(l, true));
    box.append(item);
    return { item, number, theory };
  });
  let looked = 0;
  return {
    box,
    show(state, run) {
      const fresh = state.cursor !== null || run.state !== "running" || performance.now() - looked >= OFTEN;
      if (fresh) looked = performance.now();
      for (const [l, { item, number, theory }] of items.entries()) {
        item.setAttribute("aria-pressed", String(state.kept === l));
        item.classList.toggle("lit", state.lit === l);
        if (!fresh) continue;
        const [seen, expects] = read(run, l, state.cursor);
        say(number, seen);
        say(theory, expects);
      }
    },
  };
}

/** |w|² of a layer at a step, or now, and under the cursor what theory has: two texts. */
function read({ networks: [{ past, line, lines }] }, l, cursor) {
  if (!past.steps) return ["", ""];
  const t = Math.max(0, Math.round(cursor ?? past.steps - 1));
  if (t >= past.steps) {
    const value = line ? expected(line, l, t) : NaN;
    return [Number.isFinite(value) ? `→ ${written(value)}` : "", ""];
  }
  const theory = [line, ...lines.toReversed()].find((one) => one && one.t <= t);
  const value = theory ? expected(theory, l, t) : NaN;
  const seen = written(at(past, column("w2", l), t));
  return [seen, cursor !== null && Number.isFinite(value) ? `theory ${written(value)}` : ""];
}

/** The sentences: what theory says of the setting, how well it agrees, what a kick did, and how it runs. */
export function sentences() {
  const law = element("p", { class: "law" });
  const verdict = element("p", { class: "verdict" });
  const agrees = element("p", { class: "agrees" });
  const runs = element("p", { class: "runs" });
  const aloud = element("p", { class: "aloud", role: "status", "aria-live": "polite" });
  const printed = element("p", { class: "printed" });
  const told = { looked: 0, spoken: 0, state: "" };
  return {
    parts: [printed, law, verdict, agrees, runs, aloud],
    /** Say something at once. */
    announce(text) {
      told.spoken = performance.now();
      say(aloud, text);
    },
    show(state, run, plays) {
      const now = performance.now();
      law.hidden = state.small;
      say(law, LAWS[state.optimizer]);
      say(verdict, captions.verdict(state, run.networks[0].line));
      say(printed, captions.setting(state));
      if (now - told.looked < OFTEN && run.state === told.state && run.state === "running") return;
      told.looked = now;
      const news = captions.agrees(run);
      const two = run.networks.length > 1 && (run.twins ? captions.twins(run.twins) : captions.beside(run));
      say(agrees, two ? `${news} ${two}` : news);
      say(runs, captions.runs(run, plays));
      agrees.classList.toggle("error", run.state === "diverged");
      const urgent = run.state !== told.state;
      told.state = run.state;
      if (urgent || (run.state === "running" && now - told.spoken > RARELY)) this.announce(`Step ${run.t}. ${news}`);
    },
  };
}

/** The numbers of every layer, for who wants to read them; written once a second while it is open. */
export function table() {
  const body = element("tbody");
  const heads = columns().map(() => element("th", { scope: "col" }));
  const head = element("tr", {}, ...heads);
  const made = element("table", {}, element("thead", {}, head), body);
  const scroll = element("div", { class: "scroll", role: "region", "aria-label": "numbers of now", tabindex: 0 }, made);
  const box = element("details", {}, element("summary", {}, "Numbers"), scroll);
  let written_at = 0;
  box.addEventListener("toggle", () => (written_at = 0));
  return {
    box,
    show(run) {
      if (!box.open || performance.now() - written_at < SECOND) return;
      written_at = performance.now();
      const texts = columns(directed(run.networks[0].settings.optimizer));
      for (const [k, head] of heads.entries()) say(head, texts[k]);
      body.replaceChildren(...LAYERS.map((name, l) => row(name, l, run)));
    },
  };
}

function row(name, l, run) {
  const [network] = run.networks;
  const { past, line, settings } = network;
  const from = Math.max(0, past.steps - WINDOW);
  const over = overLine(past, from, settings, 1, line?.layers, run.shapes);
  const rms = (key) => Math.sqrt(mean(past, column(key, l), from));
  const t = past.steps - 1;
  const now = [mean(past, column("w2", l), t), line ? expected(line, l, t) : NaN, agreement(past, line)?.ratios[l]];
  const cells = [...now, rms("rate2"), over?.[l], rms("cos2"), rms("angle2")];
  const texts = cells.map((v) => element("td", {}, Number.isFinite(v) ? written(v) : "–"));
  return element("tr", {}, element("th", { scope: "row" }, name), ...texts);
}
