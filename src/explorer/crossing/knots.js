// The points of λ(t): each a slider for keys, and all of them a surface to draw on. A finger that goes up or down
// beside them scrolls the page; on a point, or to the side, it draws.

import { asMany, drawn, set } from "../svg.js";
import { written } from "../words.js";
import { moved, nearest, stroked, TOP } from "./path.js";

const KEYS = { ArrowUp: 0.05, ArrowDown: -0.05, PageUp: 0.25, PageDown: -0.25, Home: -9, End: 9 };

const SLIGHT = 8; // px that a finger goes to the side before it draws

/** Points on the chart `svg`. `act` has begin(), before a stroke or a key, change(points) and moveTo(share of the
 *  training). Returns show(points, lr). */
export function knots(svg, act) {
  const plot = svg.querySelector(".plot");
  const size = (name) => +plot.getAttribute(name);
  const layer = drawn(svg, "g"); // above the plot, which clips what is at its edge
  const self = { points: [], began: null, last: null };
  svg.setAttribute("role", "group");
  const drag = (event) => {
    const box = svg.getBoundingClientRect();
    const share = (event.clientX - box.left - size("x")) / size("width");
    const y = 1 - (event.clientY - box.top - size("y")) / size("height");
    const to = { i: nearest(share, self.points), value: TOP * y };
    act.change(stroked(self.points, self.last ?? to, to));
    act.moveTo(share);
    self.last = to;
  };
  const draws = (event) => {
    act.begin();
    svg.setPointerCapture(event.pointerId);
    drag(self.began);
    if (event !== self.began) drag(event);
    self.began = null;
  };
  svg.addEventListener("pointerdown", (event) => {
    self.last = null;
    self.began = event;
    if (event.pointerType === "touch" && !event.target.closest(".knot")) return;
    event.preventDefault();
    draws(event);
  });
  svg.addEventListener("pointermove", (event) => {
    if (self.began && event.buttons) {
      if (Math.abs(event.clientX - self.began.clientX) >= SLIGHT) draws(event);
    } else if (self.last && event.buttons) drag(event);
  });
  for (const end of ["pointerup", "pointercancel"])
    svg.addEventListener(end, () => Object.assign(self, { began: null, last: null }));
  return {
    show(points, lr) {
      const last = points.length - 1;
      self.points = points;
      set(layer, { transform: `translate(${size("x")},${size("y")})` });
      const show = (node, p, i) =>
        set(node, {
          cx: (i / last) * size("width"),
          cy: (1 - p / TOP) * size("height"),
          "aria-label": `λ at ${Math.round((100 * i) / last)} % of the training`,
          "aria-valuemax": TOP * lr,
          "aria-valuenow": p * lr,
          "aria-valuetext": written(p * lr),
        });
      asMany(layer, "circle", points, show, (node, i) => keys(node, i, self, act));
    },
  };
}

/** Up and down move a point, left and right lead to the next one; one of them is in the order of Tab. */
function keys(node, i, self, act) {
  set(node, { class: "knot", r: 6, role: "slider", tabindex: i ? -1 : 0, "aria-valuemin": 0 });
  node.addEventListener("focus", () => {
    for (const one of node.parentNode.children) set(one, { tabindex: one === node ? 0 : -1 });
    act.moveTo(i / (self.points.length - 1));
  });
  node.addEventListener("keydown", (event) => {
    const next = { ArrowLeft: node.previousSibling, ArrowRight: node.nextSibling }[event.key];
    if (next) next.focus();
    else if (event.key in KEYS) {
      act.begin();
      act.change(moved(self.points, i, self.points[i] + KEYS[event.key]));
    } else return;
    event.preventDefault();
  });
}
