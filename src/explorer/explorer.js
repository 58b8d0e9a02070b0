// The explorer: three sliders, the theory at every movement, recorded runs beside it, and Train where a kernel answers.

import { chart } from "./charts.js";
import { lateSize, nearest, smooth, spread, unpack } from "./evidence.js";
import { STYLE } from "./style.js";
import { equilibrium, follow, larsRate, rates, shrink } from "./theory.js";
import {
  GRADIENTS,
  lastOf,
  name,
  OPTIMIZERS,
  outcome,
  PANELS,
  RANGES,
  setting,
  settledAfter,
  VALUES,
  verdict,
  written,
} from "./words.js";

// A factor of 4 is twelve notches of λ and α, and the recorded settings lie on notches.
const NOTCHES = 12;
const LEFT = [
  1, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.25, 0.2, 0.15, 0.12, 0.1, 0.08, 0.06, 0.05, 0.04, 0.03, 0.025, 0.02, 0.015,
  0.012, 0.01, 0.008, 0.006, 0.005, 0.004, 0.003,
]; // 1 − ρ
const round = (value) => +value.toPrecision(3);
const SLIDERS = {
  lr: {
    label: "learning rate λ",
    symbol: "λ",
    from: -36,
    to: 36,
    value: (k) => round(0.4 * 4 ** (k / NOTCHES)),
    notch: (v) => (NOTCHES * Math.log(v / 0.4)) / Math.log(4),
  },
  weight_decay: {
    label: "weight decay α",
    symbol: "α",
    from: -37,
    to: 48,
    value: (k) => (k <= -37 ? 0 : round(5e-4 * 4 ** (k / NOTCHES))),
    notch: (v) => (v === 0 ? -37 : (NOTCHES * Math.log(v / 5e-4)) / Math.log(4)),
  },
  momentum: {
    label: "momentum ρ",
    symbol: "ρ",
    from: 0,
    to: LEFT.length - 1,
    value: (k) => +(1 - LEFT[k]).toFixed(4),
    notch: (v) =>
      LEFT.reduce(
        (best, left, k) => (Math.abs(Math.log(left / (1 - v))) < Math.abs(Math.log(LEFT[best] / (1 - v))) ? k : best),
        0,
      ),
  },
};
const PRESETS = {
  "the post's setting": { plan: "book", optimizer: "heavy-ball", lr: 0.4, weight_decay: 5e-4, momentum: 0.9 },
  "never settles": { plan: "short", optimizer: "sgd", lr: 0.025, weight_decay: 1.25e-4, momentum: 0 },
  rings: { plan: "short", optimizer: "heavy-ball", lr: 0.1, weight_decay: 2e-3, momentum: 0.99 },
  "no decay": { plan: "short", optimizer: "heavy-ball", lr: 0.4, weight_decay: 0, momentum: 0.9 },
  "too hot": { plan: "short", optimizer: "heavy-ball", lr: 6.4, weight_decay: 5e-4, momentum: 0.99 },
};

function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== false) made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children);
  return made;
}

/** Write into a node, if it is news: what listens to it is not to hear the same twice. */
function say(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/** The number that somebody typed: 0.4, 0,4, 5e-4, 1,240; NaN for anything else. */
function numeric(text) {
  const plain = text.trim();
  return plain === ""
    ? NaN
    : Number(/^\d{1,3}(,\d{3})+(\.\d*)?$/.test(plain) ? plain.replaceAll(",", "") : plain.replace(",", "."));
}

/**
 * Build the explorer in `host`. `link`, where a kernel may answer: {changed(values), train(values), stop(), forget(),
 * guessed(list)}; each returns whether the kernel could be told.
 */
export function mount(host, given, evidence, link = null) {
  const layers = evidence.layers;
  const sets = evidence.sets.map((set, i) => {
    const plan = Object.values(evidence.plans).find((one) => one.set === i);
    return unpack(set, layers, (run) => ({
      lr_t: rates(plan, run.lr),
      steps_per_epoch: plan.steps_per_epoch,
      steps: plan.steps,
    }));
  });
  const state = {
    lr: 0.4,
    weight_decay: 5e-4,
    momentum: 0.9,
    optimizer: "heavy-ball",
    plan: "short",
    layer: "all",
    gradient: "recorded",
    panels: ["norm", "rate"],
    small: false,
    predict: false,
    ...given,
    share: 0.75,
    curves: [],
    kernel: false,
    busy: false,
    paper: false,
    guess: null,
    held: null,
    revealed: !given.predict,
    guesses: link?.guesses ?? [],
  };
  if (state.optimizer === "sgd") state.momentum = 0;
  if (state.gradient === "mine") state.gradient = "recorded"; // none there yet
  const root = element("div", { class: "wd-explorer", role: "group", "aria-label": "Explorer of weight norms" });
  root.append(element("style", {}, STYLE));
  const unique = `wd${Math.random().toString(36).slice(2, 8)}`;
  let computed = null;
  let waiting = 0;
  let speaking = 0;
  let frame = 0;

  // --- controls
  const controls = element("div", { class: "controls" });
  const presets = element("div", { class: "wd-row presets", role: "group", "aria-label": "Presets" });
  for (const preset of Object.keys(PRESETS)) {
    const button = element("button", { type: "button" }, preset);
    button.addEventListener("click", () => change({ ...PRESETS[preset] }));
    presets.append(button);
  }
  const sliders = {};
  for (const [key, spec] of Object.entries(SLIDERS)) {
    const range = element("input", {
      type: "range",
      id: `${unique}-${key}`,
      min: spec.from,
      max: spec.to,
      step: 1,
      "data-value": key,
    });
    const typed = element("input", {
      type: "text",
      class: "typed",
      inputmode: "decimal",
      "aria-label": `${spec.label}, typed`,
      "data-typed": key,
    });
    const label = element("label", { for: range.id }, spec.label);
    const row = element("div", { class: "slider" }, label, range, typed);
    range.addEventListener("input", () => change({ [key]: spec.value(+range.value) }));
    typed.addEventListener("input", () => {
      typed.draft = true;
    }); // until it is done nothing else writes there
    typed.addEventListener("change", () => {
      const value = numeric(typed.value);
      const [low, high, allowed] = RANGES[key];
      const good = value >= low && value <= high;
      typed.draft = false;
      typed.setAttribute("aria-invalid", String(!good));
      complain(good ? "" : `${spec.symbol} = ${typed.value}: must be a number ${allowed}.`);
      if (good) change({ [key]: value });
    });
    sliders[key] = { range, typed, label };
    controls.append(row);
  }
  const complaint = element("p", { class: "error", role: "alert", hidden: true });
  const complain = (text) => {
    complaint.textContent = text;
    complaint.hidden = !text;
  };
  const selects = {};
  const choice = (key, label, options) => {
    const select = element("select", { "data-value": key });
    selects[key] = { select, box: element("label", { class: "choice" }, `${label} `, select) };
    fill(select, options);
    select.addEventListener("change", () => change({ [key]: select.value }));
    return selects[key].box;
  };
  function fill(select, options) {
    const key = JSON.stringify(options);
    if (select.dataset.options === key) return; // a list that is open stays open
    select.dataset.options = key;
    select.replaceChildren(...Object.entries(options).map(([value, text]) => element("option", { value }, text)));
  }
  const choices = element(
    "div",
    { class: "wd-row" },
    choice("optimizer", "optimizer", OPTIMIZERS),
    choice("plan", "training", {}),
    choice("layer", "layer", { all: `all ${layers.length}`, ...Object.fromEntries(layers.map((l) => [l, l])) }),
    choice("gradient", "size of gradients, c(t)", GRADIENTS),
  );
  const panelBoxes = element("fieldset", {}, element("legend", {}, "show"));
  for (const [panel, label] of Object.entries(PANELS)) {
    const box = element("input", { type: "checkbox", "data-panel-box": panel });
    box.addEventListener("change", () => {
      const panels = Object.keys(PANELS).filter((p) => panelBoxes.querySelector(`[data-panel-box=${p}]`).checked);
      if (panels.length) change({ panels });
      else box.checked = true; // one stays
    });
    panelBoxes.append(element("label", {}, box, ` ${label}`));
  }
  const train = element("button", { type: "button", class: "train" }, "Train");
  const stop = element("button", { type: "button", class: "stop", disabled: true }, "Stop");
  const forget = element("button", { type: "button", class: "forget", disabled: true }, "Forget my runs");
  const bar = element("progress", { max: 1, value: 0, "aria-label": "training" });
  const news = element("span", { class: "news" });
  const training = element("div", { class: "wd-row training", hidden: true }, train, stop, forget, bar, news);
  train.addEventListener("click", () => ask("train"));
  stop.addEventListener("click", () => ask("stop"));
  forget.addEventListener("click", () => link?.forget());
  const wide = !globalThis.matchMedia?.("(max-width: 30rem)").matches;
  const more = element(
    "details",
    { class: "choices", open: wide },
    element("summary", {}, "Choices"),
    choices,
    panelBoxes,
  );
  controls.prepend(presets);
  controls.append(complaint, more, training);

  // --- predict first
  const wish = element("input", { type: "checkbox", "data-predict": true });
  wish.addEventListener("change", () => change({ predict: wish.checked }));
  const guess = element("input", {
    type: "text",
    class: "typed",
    inputmode: "decimal",
    "aria-label": "your guess for |w|²",
    "data-guess": true,
  });
  const show = element("button", { type: "button", class: "show" }, "Show the answer");
  const question = element("span", {});
  const score = element("p", { class: "score", role: "status", "aria-live": "polite" });
  const answer = element("div", { class: "wd-row predict" }, question, guess, show);
  const place = (value) => {
    state.guess = value;
    guess.value = written(value).replace(",", "");
    schedule();
  };
  guess.addEventListener("change", () => {
    const v = numeric(guess.value);
    if (v > 0 && !state.revealed) place(v);
  });
  guess.addEventListener("keydown", (event) => event.key === "Enter" && reveal());
  show.addEventListener("click", reveal);
  const predicting = element(
    "div",
    { class: "controls" },
    element("label", { class: "choice" }, wish, " predict first"),
    answer,
    score,
  );

  // --- what is seen
  const says = element("p", { class: "verdict" });
  const aloud = element("p", { class: "aloud", role: "status", "aria-live": "polite" }); // says, at rest
  const source = element("p", { class: "source" });
  const sourceText = element("span", {});
  const go = element("button", { type: "button", class: "go" }, "Go to its values");
  source.append(sourceText, " ", go);
  go.addEventListener("click", () => {
    const { lr, weight_decay, momentum, optimizer } = computed.found.run;
    change({ lr, weight_decay, momentum, optimizer });
    sliders.lr.range.focus(); // the button goes away
  });
  const legend = element("ul", { class: "legend", "aria-hidden": "true" });
  const boxes = element("div", { class: "charts" });
  const charts = {};
  for (const [panel] of Object.entries(PANELS)) {
    const caption = element("figcaption", {});
    const figure = element("figure", { class: "panel" }, caption);
    boxes.append(figure);
    charts[panel] = {
      figure,
      caption,
      chart: chart(figure, panel, moveTo, panel === "norm" ? (v) => !state.revealed && place(v) : null),
    };
  }
  const cursor = element("input", { type: "range", min: 0, step: 1, id: `${unique}-step`, "data-cursor": true });
  cursor.addEventListener("input", () => moveTo(+cursor.value));
  const cursorLabel = element("label", { for: cursor.id }, "step");
  const cursorOut = element("span", {});
  const numbers = element("table");
  const reading = element(
    "details",
    { open: !state.small },
    element("summary", {}, "Numbers under the cursor"),
    element("div", { class: "scroll", role: "region", "aria-label": "numbers under the cursor", tabindex: 0 }, numbers),
  );
  const cursorRow = element("div", { class: "slider cursor-row" }, cursorLabel, cursor, cursorOut);
  const printed = element("p", { class: "printed" }); // what the sliders say, where there are none
  root.append(controls, printed, says, aloud, predicting, legend, boxes, source, cursorRow, reading);
  host.append(root);

  // --- what happens
  function change(changes, fromKernel = false) {
    const moved = ["lr", "weight_decay", "momentum", "optimizer", "plan", "layer", "predict"].some(
      (key) => key in changes && changes[key] !== state[key],
    );
    const next = { ...state, ...changes };
    if (next.optimizer === "sgd" && ("optimizer" in changes || fromKernel)) next.momentum = 0;
    else if (next.optimizer === "sgd" && next.momentum > 0) next.optimizer = "heavy-ball";
    Object.assign(state, next);
    if ("lr" in changes || "weight_decay" in changes || "momentum" in changes) {
      complain("");
      for (const { typed } of Object.values(sliders)) typed.setAttribute("aria-invalid", "false");
    }
    if (moved && state.predict) {
      Object.assign(state, { revealed: false, guess: null });
      guess.value = "";
    }
    if (!state.predict) state.revealed = true;
    if ("plan" in changes || "gradient" in changes) state.held = null;
    if (moved) score.textContent = "";
    if (!fromKernel) link?.changed(values());
    schedule();
  }
  const values = () => Object.fromEntries(VALUES.map((key) => [key, state[key]]));
  function schedule() {
    cancelAnimationFrame(frame);
    frame = requestAnimationFrame(update);
  }

  function announce(text) {
    clearTimeout(speaking);
    speaking = setTimeout(() => say(aloud, text), 700);
  }

  function reveal() {
    if (state.revealed) return;
    const typed = numeric(guess.value);
    if (typed > 0) state.guess = typed;
    if (!(state.guess > 0)) {
      guess.focus();
      return;
    }
    const l = layers.indexOf(asked());
    const path = computed.paths[l].w2;
    const limit = computed.limits[l];
    const settles = settling();
    const theory = settles ? limit : path.at(-1);
    const measured = computed.found?.exact ? lastOf(computed.found.run.w2[l]) : null;
    const factor = Math.max(state.guess / theory, theory / state.guess);
    state.revealed = true;
    score.textContent =
      `You said ${written(state.guess)}. Theory${settles ? ", equilibrium" : ", at the end"}: ${written(theory)}; ` +
      `you are off by a factor of ${written(factor)}.` +
      (measured ? ` The recorded run ends at ${written(measured)}.` : "");
    state.guesses = [...state.guesses, { ...values(), layer: asked(), guess: state.guess, theory, measured, factor }];
    link?.guessed(state.guesses);
    schedule();
  }
  const seen = () => state.revealed || state.paper;
  const asked = () => (state.layer === "all" ? "layer2" : state.layer);
  const settling = () =>
    plan().schedule === "constant" &&
    state.optimizer !== "lars" &&
    state.weight_decay > 0 &&
    Number.isFinite(settledAfter(state, plan()));

  /** Ask the kernel for something, and say so if it does not answer. */
  function ask(what) {
    const silence = () => {
      say(news, "The kernel does not answer. Another cell may keep it busy; if it was restarted, run the cell again.");
    };
    clearTimeout(waiting);
    if (!link[what](values())) {
      silence();
      return;
    }
    waiting = setTimeout(silence, 8000);
    if (what === "train") busy(true);
  }
  function busy(on) {
    state.busy = on;
    const from = on ? train : stop;
    const to = on ? stop : train;
    to.disabled = false;
    if (document.activeElement === from) to.focus(); // before it goes
    from.disabled = true;
  }

  /** A run that goes on is heard of every few seconds; if not, both buttons work, and the reader knows why. */
  function expect() {
    clearTimeout(waiting);
    if (!state.busy) return;
    waiting = setTimeout(() => {
      say(news, `${news.textContent}. No news for 20 s. If the kernel was restarted, run the cell again.`);
      train.disabled = false;
    }, 20000);
  }

  const plan = () => evidence.plans[state.plan];
  const own = () => state.curves.filter((run) => run.plan === state.plan);
  const mine = () => state.curves[state.curves.length - 1] ?? null;

  function compute() {
    const chosen = plan();
    // What was not recorded borrows the sizes of its gradients: a training from the book's runs, an optimizer from SGD.
    const pool = sets[chosen.set ?? 1].length ? sets[chosen.set ?? 1] : sets[1];
    const found = nearest(pool, state);
    const lent = found ?? nearest(pool, { ...state, optimizer: "heavy-ball" });
    const last = state.gradient === "mine" ? mine() : null;
    if (state.gradient === "constant") state.held ??= lent.run; // sliders move, c does not
    const sizes = last ?? (state.gradient === "constant" ? state.held : lent.run);
    const lr = rates(chosen, state.lr);
    const used = state.optimizer === "lars" ? lr.map((v) => larsRate(v, state.weight_decay, state.momentum)) : lr;
    const paths = [];
    const limits = [];
    const c2s = [];
    const pushes = [];
    layers.forEach((_, l) => {
      const late = lateSize(sizes.c2[l], sizes.edges);
      const c2 =
        state.gradient === "constant"
          ? new Float64Array(chosen.steps).fill(late ** 2)
          : spread(smooth(sizes.c2[l], sizes.edges), sizes.edges, chosen.steps, sizes.steps);
      const driven = sizes.drive[l];
      const correlated = state.gradient === "correlated";
      const push = correlated ? spread(smooth(driven, sizes.edges), sizes.edges, chosen.steps, sizes.steps) : c2;
      const start = own().pop()?.w2[l][0] ?? sizes.w2[l][0];
      paths.push(follow(start, push, used, state));
      limits.push(equilibrium(correlated ? lateSize(driven, sizes.edges) : late, state));
      c2s.push(c2);
      pushes.push(push);
    });
    const recorded = pool === sets[chosen.set] ? found : null;
    computed = { plan: chosen, lr, used, paths, limits, c2s, pushes, found: recorded, sizes, last };
  }

  /** What a panel shows of a run, window by window, in a layer. */
  function measured(panel, run, l) {
    return run.edges.slice(0, -1).map((t, i) => {
      const start = run.w2[l][i] ?? NaN;
      const next = run.w2[l][i + 1];
      if (panel === "norm") return start;
      if (panel === "growth") return run.growth[l][i] ?? NaN;
      const w2 = next > 0 ? Math.sqrt(start * next) : start; // in the middle of the window, as the means over it
      const lr = run.lr_t[Math.floor((t + run.edges[i + 1]) / 2)];
      if (panel === "shrink") return shrink(w2, lr, run);
      if (panel === "balance") return (run.growth[l][i] ?? NaN) / shrink(w2, lr, run);
      return run.optimizer === "lars"
        ? larsRate(lr, run.weight_decay, run.momentum)
        : (lr * Math.sqrt(run.c2[l][i] ?? NaN)) / w2;
    });
  }
  const starts = (run) => run.edges.slice(0, -1);
  const middles = (run) => starts(run).map((t, i) => (t + run.edges[i + 1]) / 2);
  function predicted(panel, l) {
    const { paths, lr, used, c2s } = computed;
    const { w2, growth } = paths[l];
    if (panel === "norm") return w2;
    if (panel === "shrink") return w2.map((v, t) => shrink(v, lr[t], state));
    if (panel === "growth") return growth;
    if (panel === "balance") return growth.map((v, t) => v / shrink(w2[t], lr[t], state));
    return state.optimizer === "lars" ? used : w2.map((v, t) => (lr[t] * Math.sqrt(c2s[l][t])) / v);
  }

  const stages = [...new Set(layers.map((layer) => layer.split(".")[0]))];
  const looks = layers.map((layer) => ({
    color: `var(--c${stages.indexOf(layer.split(".")[0]) % 4})`,
    dash: [null, "6 2.5", "2 2"][
      layers.filter((other) => other.split(".")[0] === layer.split(".")[0]).indexOf(layer) % 3
    ],
  }));
  const shownLayers = () =>
    state.predict
      ? [layers.indexOf(asked())]
      : state.layer === "all"
        ? layers.map((_, l) => l)
        : [layers.indexOf(state.layer)];

  function panelSeries(panel) {
    const { found, plan: chosen, lr, limits } = computed;
    const series = [];
    const hidden = !seen();
    const runs = own().map((run) => [run, run === mine() ? "mine" : "faint"]);
    if (found) runs.unshift([found.run, "dots"]);
    if (panel === "accuracy" || panel === "loss") {
      if (hidden) return [];
      for (const [run, kind] of runs) {
        const color = kind === "dots" ? "var(--c1)" : "currentColor";
        const ends = run[`test_${panel}`].map((_, e) => Math.min(run.edges.at(-1), (e + 1) * run.steps_per_epoch));
        series.push({ kind: "line", xs: middles(run), ys: run[panel], color, dash: kind === "faint" ? "1 3" : "2 3" });
        series.push({ kind: "line", xs: ends, ys: run[`test_${panel}`], color });
        series.push({ kind: kind === "dots" ? "dots" : "mine", xs: ends, ys: run[`test_${panel}`], color });
      }
      return series;
    }
    const both = panel === "balance" && shownLayers().length === 1;
    for (const part of both ? ["shrink", "growth"] : [panel]) {
      for (const l of shownLayers()) {
        const look = both
          ? { color: part === "shrink" ? "var(--shrink)" : "var(--growth)", dash: part === "shrink" ? null : "6 2.5" }
          : looks[l];
        if (!hidden) {
          series.push({ kind: "line", ys: predicted(part, l), color: look.color, dash: look.dash });
          if (panel === "norm" && Number.isFinite(limits[l]) && chosen.schedule === "constant") {
            series.push({
              kind: "line",
              class: "level",
              xs: [0.95 * chosen.steps, chosen.steps],
              ys: [limits[l], limits[l]],
              color: look.color,
            });
          }
        }
        for (const [run, kind] of runs) {
          let ys = measured(part, run, l);
          if (hidden) ys = ys.map((v, i) => (run.edges[i] <= 8 ? v : NaN));
          series.push({ kind, xs: part === "norm" ? starts(run) : middles(run), ys, color: look.color });
        }
      }
    }
    if (panel === "norm" && state.guess > 0 && state.predict) {
      series.push({
        kind: "line",
        class: "guess",
        xs: [0, chosen.steps],
        ys: [state.guess, state.guess],
        color: "currentColor",
      });
    }
    if (panel === "balance" && !both && !hidden) {
      series.push({ kind: "line", class: "line", xs: [0, chosen.steps], ys: [1, 1], color: "currentColor" });
    }
    if (panel === "rate" && state.weight_decay > 0 && !hidden) {
      series.push({
        kind: "line",
        class: "line",
        ys: lr.map((v) => larsRate(v, state.weight_decay, state.momentum)),
        color: "currentColor",
      });
    }
    return series;
  }

  function captions() {
    const one = shownLayers().length === 1;
    return {
      norm:
        "|w|² (u²)" +
        (computed.plan.schedule === "constant" && seen() && computed.limits.some(Number.isFinite)
          ? "; bars at the right: equilibrium"
          : ""),
      balance:
        state.optimizer === "lars"
          ? "growth of |w|² a step (u²): LARS has no decay"
          : one && state.weight_decay > 0
            ? "shrink (solid) and growth (dashed) of |w|² a step (u²)"
            : state.weight_decay === 0
              ? "growth of |w|² a step (u²): there is no decay"
              : "growth / shrink of |w|²; bold: balance",
      rate:
        state.optimizer === "lars"
          ? "λ_LARS (prescribed)"
          : state.weight_decay > 0 && seen()
            ? "λ|g|/|w|; bold: √(2λα(1−ρ))"
            : "λ|g|/|w|",
      accuracy: "accuracy: training (dotted), test (solid)",
      loss: "loss (nat): training (dotted), test (solid)",
    };
  }

  function update() {
    compute();
    const chosen = computed.plan;
    for (const [key, { range, typed }] of Object.entries(sliders)) {
      range.value = Math.round(SLIDERS[key].notch(state[key]));
      range.setAttribute("aria-valuetext", `${SLIDERS[key].symbol} ${written(state[key])}`);
      if (!typed.draft && typed.getAttribute("aria-invalid") !== "true")
        typed.value = written(state[key]).replace(",", "");
    }
    sliders.momentum.range.disabled = sliders.momentum.typed.disabled = state.optimizer === "sgd";
    say(sliders.momentum.label, SLIDERS.momentum.label + (state.optimizer === "sgd" ? " (SGD has none)" : ""));
    fill(
      selects.plan.select,
      Object.fromEntries(
        Object.entries(evidence.plans)
          .filter(([key, one]) => state.kernel || one.set !== null || key === state.plan)
          .map(([key, one]) => [key, one.label]),
      ),
    );
    fill(
      selects.gradient.select,
      Object.fromEntries(Object.entries(GRADIENTS).filter(([key]) => key !== "mine" || mine())),
    );
    for (const [key, { select }] of Object.entries(selects)) select.value = state[key];
    for (const panel of Object.keys(PANELS)) {
      panelBoxes.querySelector(`[data-panel-box=${panel}]`).checked = state.panels.includes(panel);
    }
    more.hidden = state.small;
    predicting.hidden = state.small && !state.predict;
    show.disabled = state.revealed;
    training.hidden = !state.kernel;
    forget.disabled = !state.curves.length;
    wish.checked = state.predict;
    answer.hidden = !state.predict;
    say(
      question,
      `|w|² of ${asked()} starts at ${written(computed.paths[layers.indexOf(asked())].w2[0])}. ` +
        `Where will it ${settling() ? "settle" : "be at the end"}? Type it, or tap the first chart:`,
    );
    say(printed, `${setting(state)}; ${chosen.label}.`);
    say(says, seen() ? verdict(state, chosen) : "The answer is hidden until you have made your guess.");
    if (!state.paper) announce(says.textContent);

    const { found } = computed;
    const result = found && seen() ? outcome(found.run) : "";
    say(sourceText, found ? sources(found, result) : noSource());
    sourceText.classList.toggle("error", result.startsWith("its loss"));
    go.hidden = !found || found.exact;

    legend.replaceChildren(
      ...shownLayers().map((l) => {
        const item = element("li");
        const dash = looks[l].dash ? `stroke-dasharray="${looks[l].dash}"` : "";
        item.innerHTML =
          `<svg width="28" height="10"><line x1="0" x2="28" y1="5" y2="5" style="stroke:${looks[l].color}" ` +
          `stroke-width="2" ${dash}/></svg>`;
        item.append(layers[l]);
        return item;
      }),
    );
    const caption = captions();
    // First all of them, then measure.
    for (const [panel, { figure }] of Object.entries(charts)) figure.hidden = !state.panels.includes(panel);
    for (const [panel, { figure, caption: text, chart: one }] of Object.entries(charts)) {
      if (figure.hidden) continue;
      text.textContent = caption[panel];
      const flat = state.optimizer === "lars" || state.weight_decay === 0;
      const series = panelSeries(panel === "balance" && flat ? "growth" : panel);
      one.draw({
        steps: Math.max(chosen.steps, ...own().map((run) => run.steps)),
        series,
        log: panel !== "accuracy" && !(panel === "rate" && chosen.schedule !== "constant"),
        ...range(panel),
        nothing: seen() ? "no recorded run" : "hidden",
        label: spoken(caption[panel], series),
      });
    }
    cursor.max = chosen.steps - 1;
    moveTo(Math.round(state.share * (chosen.steps - 1)));
  }

  /** What the dots are, and what the lines were computed from. */
  function sources({ run, exact }, result) {
    const held = state.gradient === "constant";
    const dots = exact ? "recorded at exactly these values" : `the nearest recorded run, ${setting(run)}`;
    const late = held ? `, held at what it is, late, in the run with ${setting(computed.sizes)}` : "";
    return (
      `Dots: ${dots}; ${run.what}${result && `; ${result}`}. Lines: theory, from the norms at the start and the size ` +
      `of the gradients${exact || held ? "" : " in that run"}${late}.`
    );
  }
  function noSource() {
    const whose = computed.last ? "your last run" : `another run (${setting(computed.sizes)})`;
    return `No recorded run of ${name(state)} in this training: lines are theory, with the gradients of ${whose}.`;
  }

  /** Where an axis is not to follow what is shown: room for a guess; four decades of rates and balances, which go to
   *  zero with λ. */
  function range(panel) {
    const start = computed.paths[layers.indexOf(asked())].w2[0];
    if (panel === "accuracy") return { low: 0, high: 1 };
    if (panel === "norm" && !seen()) return { low: start / 10, high: 50 * start };
    if (panel === "balance") return { decades: 4 };
    if (panel !== "rate") return {};
    // A run that explodes must not flatten the rest: what is healthy is the line, and the first step at the full λ.
    const first = layers
      .map((_, l) => (state.lr * Math.sqrt(computed.c2s[l][0])) / computed.paths[l].w2[0])
      .filter(Number.isFinite);
    return { decades: 4, cap: 100 * Math.max(larsRate(state.lr, state.weight_decay, state.momentum), ...first) };
  }

  /** A chart in a sentence, for who cannot see it. */
  function spoken(caption, series) {
    const paths = series.filter((one) => one.kind === "line" && !one.class && !one.xs);
    if (!paths.length) return `${caption}.`;
    const ends = paths.map((one) => one.ys.at(-1));
    const starts = paths.map((one) => one.ys[0]);
    const span = (list) =>
      list.length === 1 ? written(list[0]) : `${written(Math.min(...list))} to ${written(Math.max(...list))}`;
    const curves = `${paths.length} curve${paths.length > 1 ? "s" : ""}`;
    return `${caption}. Theory: from ${span(starts)} at the first step to ${span(ends)} at the last, ${curves}.`;
  }

  function moveTo(step) {
    if (!computed) return;
    const chosen = computed.plan;
    const t = Math.max(0, Math.min(chosen.steps - 1, step));
    state.share = t / (chosen.steps - 1);
    cursor.value = t;
    const where = `step ${written(t)}, epoch ${(t / chosen.steps_per_epoch).toFixed(2)}`;
    cursor.setAttribute("aria-valuetext", where);
    cursorOut.textContent = written(t);
    for (const { chart: one } of Object.values(charts)) one.at(t);
    if (!(reading.open || state.paper) || !seen()) {
      numbers.replaceChildren();
      return;
    }
    const { found, lr, paths, limits, c2s, pushes } = computed;
    const at = (run) => run.edges.filter((edge) => edge <= t).length - 1;
    const rows = shownLayers().map((l) => {
      const { w2, growth } = paths[l];
      const i = found ? Math.min(at(found.run), found.run.edges.length - 2) : -1;
      const rate = state.optimizer === "lars" ? computed.used[t] : (lr[t] * Math.sqrt(c2s[l][t])) / w2[t];
      const limit =
        chosen.schedule === "constant" ? limits[l] : equilibrium(Math.sqrt(pushes[l][t]), { ...state, lr: lr[t] });
      const cells = [w2[t], found ? found.run.w2[l][i] : null, limit, shrink(w2[t], lr[t], state), growth[t], rate];
      return element(
        "tr",
        {},
        element("th", { scope: "row" }, layers[l]),
        ...cells.map((v, i) =>
          element("td", {}, v === null ? "" : i === 2 && v === Infinity ? "none" : v > 1e19 ? "over 1e19" : written(v)),
        ),
      );
    });
    const now = chosen.schedule === "constant" ? "equilibrium" : "equilibrium at this λ";
    const head = ["layer", "|w|² theory", "|w|² dots", now, "shrink", "growth", "λ|g|/|w|"];
    numbers.replaceChildren(
      element("caption", {}, `At ${where}: λ = ${written(lr[t])}`),
      element("thead", {}, element("tr", {}, ...head.map((text) => element("th", { scope: "col" }, text)))),
      element("tbody", {}, ...rows),
    );
  }
  reading.addEventListener("toggle", () => computed && moveTo(Math.round(state.share * (computed.plan.steps - 1))));

  // --- its surroundings: width, and whether ink is light
  const look = () => {
    const [r, g, b] = (getComputedStyle(host).color.match(/[\d.]+/g) ?? [0, 0, 0]).map(Number);
    root.classList.toggle("dark", 0.3 * r + 0.6 * g + 0.1 * b > 140);
  };
  const themes = new MutationObserver(look);
  for (const part of [document.documentElement, document.body]) themes.observe(part, { attributes: true });
  let width = boxes.clientWidth;
  const sizes = new ResizeObserver(() => {
    look();
    if (boxes.clientWidth !== width) {
      width = boxes.clientWidth;
      schedule();
    }
  });
  sizes.observe(boxes);
  const paper = (on) => () => {
    Object.assign(state, { paper: on });
    look();
    update();
  }; // on paper nobody can press a button
  const [printing, done] = [paper(true), paper(false)];
  addEventListener("beforeprint", printing);
  addEventListener("afterprint", done);
  look();
  update();

  return {
    change: (changes) => change(changes, true),
    curves(list) {
      state.curves = list.map(number);
      if (!mine() && state.gradient === "mine") state.gradient = "recorded";
      schedule();
    },
    heard: expect,
    kernel() {
      state.kernel = true;
      schedule();
    },
    progress({ state: what, fraction, text }) {
      if (what !== state.progress) announce(text ?? "");
      state.progress = what;
      busy(["loading", "training"].includes(what));
      bar.hidden = !state.busy;
      bar.value = fraction ?? 0;
      say(news, text ?? "");
      news.classList.toggle("error", ["failed", "diverged"].includes(what));
      expect();
    },
    dispose() {
      removeEventListener("beforeprint", printing);
      removeEventListener("afterprint", done);
      cancelAnimationFrame(frame);
      clearTimeout(waiting);
      clearTimeout(speaking);
      sizes.disconnect();
      themes.disconnect();
      root.remove();
    },
  };
}

/** A curve as it comes from Python, with NaN where it has None. */
function number(curve) {
  const fix = (list) => list.map((v) => (Array.isArray(v) ? fix(v) : (v ?? NaN)));
  const out = { ...curve };
  for (const key of ["w2", "c2", "drive", "growth", "loss", "accuracy", "test_loss", "test_accuracy"])
    out[key] = fix(curve[key]);
  out.lr_t = rates(out, out.lr);
  return out;
}
