// A deck: formulas are set, each slide is made to fit, and reveal.js takes over.

window.MathJax = {
  startup: { typeset: false },
  options: { enableMenu: false, enableAssistiveMml: false },
  // In the window for the speaker a formula stands without this page: each has its own letters.
  svg: { fontCache: "none" },
};

// Pixels: words begin with the first and end with the last if a slide is full, formulas as well.
const WORDS = [30, 28, 26, 24, 22];
const FORMULAS = [46, 42, 38, 34, 30, 28, 26];

const full = (slide) => {
  const body = slide.querySelector(".body");
  const wide = [...body.querySelectorAll(".formula, table, pre")].some(
    (one) => Math.max(one.scrollWidth, one.firstElementChild?.scrollWidth ?? 0) > body.clientWidth,
  );
  return wide || body.scrollHeight > body.clientHeight || body.scrollWidth > body.clientWidth;
};

// Formulas shrink first, down to the middle of their sizes, then words, and then formulas again.
const fit = (slide) => {
  const half = FORMULAS.length >> 1;
  const steps = [
    ...FORMULAS.slice(0, half).map((size) => [WORDS[0], size]),
    ...WORDS.map((size) => [size, FORMULAS[half]]),
    ...FORMULAS.slice(half).map((size) => [WORDS.at(-1), size]),
  ];
  for (const [words, formulas] of steps) {
    slide.style.setProperty("--words", `${words}px`);
    slide.style.setProperty("--formulas", `${formulas}px`);
    if (!full(slide)) return;
  }
};

addEventListener("load", async () => {
  await MathJax.startup.promise;
  await MathJax.typesetPromise();
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
    controlsTutorial: false,
    plugins: [RevealNotes],
  });
  document.documentElement.classList.add("ready");
});
