// A deck: formulas are set, each slide is made to fit, and reveal.js takes over. The notes' formulas come last.

window.MathJax = {
  startup: { typeset: false },
  options: { enableMenu: false },
  // In the window for the speaker a formula stands without this page: each has its own letters.
  svg: { fontCache: "none" },
};

// Pixels: each begins with the largest, and shrinks until the slide is not full. Beside a picture words are narrow.
const WORDS = [36, 34, 32, 30, 28, 26, 24, 22];
const FORMULAS = [60, 54, 48, 44, 40, 36, 32, 28];

const full = (slide) => {
  const body = slide.querySelector(".body");
  const parts = [body, ...body.querySelectorAll(".formula, table, pre, p, li")];
  return body.scrollHeight > body.clientHeight || parts.some((one) => one.scrollWidth > one.clientWidth);
};

const fit = (slide) => {
  const first = slide.matches(".picture") ? 4 : 0;
  for (let step = 0; step < WORDS.length; step++) {
    slide.style.setProperty("--words", `${WORDS[Math.max(step, first)]}px`);
    slide.style.setProperty("--formulas", `${FORMULAS[step]}px`);
    if (!full(slide)) return;
  }
};

addEventListener("load", async () => {
  await MathJax.startup.promise;
  await MathJax.typesetPromise([...document.querySelectorAll("h2, .body")]);
  await document.fonts.ready;
  document.querySelectorAll(".slides > section").forEach(fit);
  document.documentElement.classList.add("fitted");
  await Reveal.initialize({
    width: 1280,
    height: 720,
    margin: 0,
    center: false,
    display: "flex",
    hash: true,
    slideNumber: true,
    transition: "none",
    controls: false,
    plugins: [RevealNotes],
  });
  document.documentElement.classList.add("ready");
  await MathJax.typesetPromise([...document.querySelectorAll(".notes")]);
  // The words for screen readers are hidden by this page's style, which the other window does not have.
  for (const words of document.querySelectorAll(".notes mjx-assistive-mml")) words.remove();
  document.documentElement.classList.add("noted");
});
