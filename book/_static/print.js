// Paper is white: a page that is dark on the screen is printed as a light one. And it cannot be opened: answers are
// printed open. Folded code is printed as the reader has it.
let theme;
let closed = [];
addEventListener("beforeprint", () => {
  theme = document.documentElement.dataset.theme;
  document.documentElement.dataset.theme = "light";
  closed = [...document.querySelectorAll("article details:not([open], .fold.code)")];
  for (const box of closed) box.open = true;
});
addEventListener("afterprint", () => {
  document.documentElement.dataset.theme = theme;
  for (const box of closed) box.open = false;
});
