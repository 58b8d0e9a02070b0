// Train, Stop and Forget, of a kernel that answers or of the page itself, and what is heard of it.

import { button, element, say } from "./dom.js";

const ANSWER = 8000; // ms until a kernel that was asked is said to be silent
const NEWS = 20000; // ms until a run that goes on is: it is heard of every few seconds
const SILENT = "The kernel does not answer. Another cell may keep it busy; if it was restarted, run the cell again.";

/** `values()` are what a run is asked with; `announce(text)` says a change of its state aloud. */
export function training(link, values, announce) {
  const row = {
    train: button("train", link?.page ? "Train a small network here" : "Train"),
    stop: button("stop", "Stop", { disabled: true }),
    forget: button("forget", "Forget my runs", { disabled: true }),
    bar: element("progress", { max: 1, value: 0, "aria-label": "training" }),
    news: element("span", { class: "news" }),
    busy: false,
    timer: 0,
    state: undefined, // what Python says of the run: "loading", "training", "done", …
  };
  const { train, stop, forget, bar, news } = row;
  const box = element("div", { class: "wd-row training", hidden: true }, train, stop, forget, bar, news);
  train.addEventListener("click", () => ask(row, link.train(values())) && busy(row, true));
  stop.addEventListener("click", () => ask(row, link.stop(values())));
  forget.addEventListener("click", () => link?.forget());
  return {
    box,
    heard: () => expect(row),
    progress(news) {
      if (news.state !== row.state) announce(news.text ?? "");
      progress(row, news);
    },
    show({ kernel, curves, small }) {
      box.hidden = !kernel && (small || !link?.page);
      forget.disabled = !curves.length;
    },
    dispose: () => clearTimeout(row.timer),
  };
}

/** The kernel was asked for something, or could not be `told`: say so if it does not answer. Returns `told`. */
function ask(row, told) {
  const silence = () => say(row.news, SILENT);
  clearTimeout(row.timer);
  if (told) row.timer = setTimeout(silence, ANSWER);
  else silence();
  return told;
}

/** A run goes on, or none: one of two buttons works, and has the focus if the other had it. */
function busy(row, on) {
  row.busy = on;
  const [from, to] = on ? [row.train, row.stop] : [row.stop, row.train];
  to.disabled = false;
  if (document.activeElement === from) to.focus(); // before it goes
  from.disabled = true;
}

function progress(row, { state, fraction, text }) {
  row.state = state;
  busy(row, ["loading", "training"].includes(state));
  row.bar.hidden = !row.busy;
  row.bar.value = fraction ?? 0;
  say(row.news, text ?? "");
  row.news.classList.toggle("error", ["failed", "diverged"].includes(state));
  expect(row);
}

/** Wait for news of a run that goes on; if none comes, both buttons work, and the reader knows why. */
function expect(row) {
  clearTimeout(row.timer);
  if (!row.busy) return;
  row.timer = setTimeout(() => {
    say(row.news, `${row.news.textContent}. No news for 20 s. If the kernel was restarted, run the cell again.`);
    row.train.disabled = false;
  }, NEWS);
}
