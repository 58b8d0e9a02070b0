// What is around the explorer: a width, light or dark ink, and paper.

/** Watch them: `resized()` where the charts have another width, `paper(on)` before and after printing. Returns look(),
 *  which sees whether ink is light, and dispose(). */
export function surroundings(host, root, charts, { resized, paper }) {
  const look = () => root.classList.toggle("dark", light(getComputedStyle(host).color));
  const themes = new MutationObserver(look);
  for (const part of [document.documentElement, document.body]) themes.observe(part, { attributes: true });
  const sizes = new ResizeObserver(watchWidth(charts, look, resized));
  sizes.observe(charts);
  const print = (on) => () => {
    look();
    paper(on);
  };
  const undo = [listen("beforeprint", print(true)), listen("afterprint", print(false))];
  return {
    look,
    dispose() {
      for (const act of undo) act();
      sizes.disconnect();
      themes.disconnect();
    },
  };
}

function listen(event, act) {
  addEventListener(event, act);
  return () => removeEventListener(event, act);
}

function watchWidth(box, look, resized) {
  let width = box.clientWidth;
  return () => {
    look();
    if (box.clientWidth === width) return;
    width = box.clientWidth;
    resized();
  };
}

function light(color) {
  const [r, g, b] = (color.match(/[\d.]+/g) ?? [0, 0, 0]).map(Number);
  return 0.3 * r + 0.6 * g + 0.1 * b > 140;
}
