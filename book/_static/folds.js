// The switch for all folded code of a page, remembered over pages.
const boxes = [...document.querySelectorAll("details.fold.code")];
const button = document.querySelector(".show-code button");
const remembered = (value) => {
  // a browser may forbid it
  try {
    if (value !== undefined) localStorage.setItem("show-code", value);
    return localStorage.getItem("show-code") === "yes";
  } catch {
    return value === "yes";
  }
};

function show(on) {
  for (const box of boxes) box.open = on;
  button.setAttribute("aria-pressed", String(on));
}

if (button) {
  button.addEventListener("click", () => {
    const on = button.getAttribute("aria-pressed") !== "true";
    const before = button.getBoundingClientRect().top;
    show(on);
    remembered(on ? "yes" : "no");
    scrollBy({ top: button.getBoundingClientRect().top - before, behavior: "instant" });
  });
  if (remembered()) {
    show(true);
    if (location.hash) document.getElementById(decodeURIComponent(location.hash.slice(1)))?.scrollIntoView();
  }
}
