// Predict first: the answer is hidden until the reader has said a number.

import { question } from "./captions.js";
import { button, element, field, say } from "./dom.js";
import { numeric, plain } from "./words.js";

/** `act` has change(values), place(guess) and reveal(guess); NaN is no guess. */
export function guess(act) {
  const all = elements();
  const { wish, label, typed, show, asks, score, box } = all;
  listen(all, act);
  return {
    box,
    wish: label,
    focus: () => typed.focus(),
    write: (value) => {
      typed.value = plain(value);
    },
    say: (text) => {
      score.textContent = text;
    },
    /** It is another question. */
    anew({ predict }) {
      if (predict) typed.value = "";
      typed.setAttribute("aria-invalid", "false");
      score.textContent = "";
    },
    show(state, computed) {
      label.hidden = state.small && !state.predict;
      box.hidden = !state.predict;
      show.disabled = state.revealed;
      wish.checked = state.predict;
      say(asks, question(state, computed));
    },
  };
}

function elements() {
  const wish = element("input", { type: "checkbox", "data-predict": true });
  const typed = field("your guess for |w|²", { "data-guess": true });
  const show = button("show", "Show the answer");
  const asks = element("span", {});
  const score = element("p", { class: "score", role: "status", "aria-live": "polite" });
  const answer = element("div", { class: "wd-row predict" }, asks, typed, show);
  const label = element("label", { class: "choice controls" }, wish, " predict first");
  return { wish, label, typed, show, asks, score, box: element("div", { class: "controls" }, answer, score) };
}

function listen({ wish, typed, show, score }, act) {
  const said = () => numeric(typed.value);
  const good = () => {
    const allowed = said() > 0 && said() < Infinity;
    typed.setAttribute("aria-invalid", String(!allowed));
    if (!allowed) say(score, `|w|² = ${typed.value}: must be a number above 0.`);
    return allowed;
  };
  const reveal = () => act.reveal(said());
  wish.addEventListener("change", () => act.change({ predict: wish.checked }));
  typed.addEventListener("change", () => good() && act.place(said()));
  typed.addEventListener("keydown", (event) => event.key === "Enter" && good() && reveal());
  show.addEventListener("click", () => (typed.value === "" || good()) && reveal());
}
