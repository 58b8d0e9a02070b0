// Predict first: the answer is hidden until the reader has said a number.

import { question } from "./captions.js";
import { button, element, field, say } from "./dom.js";
import { numeric, plain } from "./words.js";

/** `act` has change(values), place(guess) and reveal(guess); NaN is no guess. */
export function guess(act) {
  const all = elements();
  const { wish, typed, show, asks, score, answer, box } = all;
  listen(all, act);
  return {
    box,
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
      score.textContent = "";
    },
    show(state, computed) {
      box.hidden = state.small && !state.predict;
      show.disabled = state.revealed;
      wish.checked = state.predict;
      answer.hidden = !state.predict;
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
  const label = element("label", { class: "choice" }, wish, " predict first");
  return { wish, typed, show, asks, score, answer, box: element("div", { class: "controls" }, label, answer, score) };
}

function listen({ wish, typed, show }, act) {
  const said = () => numeric(typed.value);
  const reveal = () => act.reveal(said());
  wish.addEventListener("change", () => act.change({ predict: wish.checked }));
  typed.addEventListener("change", () => said() > 0 && act.place(said()));
  typed.addEventListener("keydown", (event) => event.key === "Enter" && reveal());
  show.addEventListener("click", reveal);
}
