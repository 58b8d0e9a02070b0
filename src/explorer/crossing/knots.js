// The points of λ(t): each a slider for keys, and all of them a surface to draw on.

import { select } from "d3-selection";
import { written } from "../words.js";
import { moved, nearest, TOP } from "./path.js";

const KEYS = { ArrowUp: 0.05, ArrowDown: -0.05, PageUp: 0.25, PageDown: -0.25, Home: -9, End: 9 };

/** Points on the chart `svg`. `act` has change(points) and moveTo(share of the training). Returns show(points, lr). */
export function knots(svg, act) {
  const plot = svg.querySelector(".plot");
  const size = (name) => +plot.getAttribute(name);
  const layer = select(svg).append("g"); // above the plot, which clips what is at its edge
  const self = { points: [] };
  svg.setAttribute("role", "group");
  const drag = (event) => {
    if (!event.buttons) return;
    const box = svg.getBoundingClientRect();
    const x = (event.clientX - box.left - size("x")) / size("width");
    const y = 1 - (event.clientY - box.top - size("y")) / size("height");
    act.change(moved(self.points, nearest(x, self.points), TOP * y));
    act.moveTo(x);
  };
  svg.addEventListener("pointermove", drag);
  svg.addEventListener("pointerdown", (event) => {
    event.preventDefault();
    svg.setPointerCapture(event.pointerId);
    drag(event);
  });
  return {
    show(points, lr) {
      const last = points.length - 1;
      self.points = points;
      layer
        .attr("transform", `translate(${size("x")},${size("y")})`)
        .selectAll(".knot")
        .data(points)
        .join((enter) => enter.append("circle").each((_, i, nodes) => keys(nodes, i, self, act)))
        .attr("cx", (_, i) => (i / last) * size("width"))
        .attr("cy", (p) => (1 - p / TOP) * size("height"))
        .attr("aria-label", (_, i) => `λ at ${Math.round((100 * i) / last)} % of the training`)
        .attr("aria-valuemax", TOP * lr)
        .attr("aria-valuenow", (p) => p * lr)
        .attr("aria-valuetext", (p) => written(p * lr));
    },
  };
}

/** Up and down move a point, left and right lead to the next one; one of them is in the order of Tab. */
function keys(nodes, i, self, act) {
  const attributes = { class: "knot", r: 6, role: "slider", tabindex: i ? -1 : 0, "aria-valuemin": 0 };
  for (const [name, value] of Object.entries(attributes)) nodes[i].setAttribute(name, value);
  nodes[i].addEventListener("focus", () => {
    for (const one of nodes) one.setAttribute("tabindex", one === nodes[i] ? 0 : -1);
    act.moveTo(i / (nodes.length - 1));
  });
  nodes[i].addEventListener("keydown", (event) => {
    const next = nodes[i + { ArrowLeft: -1, ArrowRight: 1 }[event.key]];
    if (next) next.focus();
    else if (event.key in KEYS) act.change(moved(self.points, i, self.points[i] + KEYS[event.key]));
    else return;
    event.preventDefault();
  });
}
