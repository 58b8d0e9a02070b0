// MathJax makes every formula a stop of the Tab key, for its menu: hundreds on a page. The menu stays on the right
// mouse button, and screen readers find the formulas as they read.
addEventListener("load", async () => {
  await window.MathJax?.startup?.promise;
  for (const formula of document.querySelectorAll("mjx-container[tabindex]")) formula.removeAttribute("tabindex");
});
