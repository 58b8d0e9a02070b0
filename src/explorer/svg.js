// Elements of SVG: made, given attributes, as many as there are data; and the two axes of a chart.

import { say } from "./dom.js";
import { grouped, logTicks, tick } from "./ticks.js";

/** Give a node its attributes; null or undefined takes one away. */
export function set(node, attributes) {
  for (const [name, value] of Object.entries(attributes)) {
    if ((value ?? null) === null) node.removeAttribute(name);
    else node.setAttribute(name, value);
  }
  return node;
}

/** A new element at the end of `parent`. */
export function drawn(parent, tag, attributes = {}) {
  return parent.appendChild(set(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes));
}

/** Let `parent` have as many children of a kind as there are data: begin(node, i) is for new ones, show(node, one, i)
 *  for all of them. */
export function asMany(parent, tag, data, show, begin) {
  const there = [...parent.children].filter((node) => node.tagName === tag);
  for (const node of there.slice(data.length)) node.remove();
  while (there.length < data.length) {
    const node = drawn(parent, tag);
    begin?.(node, there.length);
    there.push(node);
  }
  data.forEach((one, i) => {
    show(there[i], one, i);
  });
}

const TEXT = { fill: "none", "font-size": 10, "font-family": "sans-serif" };

/** The axes inside the margins of `svg`. Returns draw({x, y, log, count, over}): about `count` numbers below, of what
 *  is written `over` all; at the left the grid, too. */
export function axes(svg, { left, top, bottom }) {
  const group = drawn(svg, "g", { class: "axes", transform: `translate(${left},${top})` });
  const below = axis(group, "middle");
  const beside = axis(group, "end");
  const label = drawn(group, "text", { class: "label", "text-anchor": "end" });
  return ({ x, y, log, count, over }) => {
    const [w, h] = [x.range()[1], y.range()[0]];
    const half = globalThis.devicePixelRatio > 1 ? 0 : 0.5; // where a line of one pixel is sharp
    set(below, { transform: `translate(0,${h})` });
    set(below.firstChild, { d: `M${half},${half}H${w + half}` });
    ticks(below, x.ticks(count), grouped, (v) => `${x(v) + half},0`, { y2: 6 }, { y: 9, dy: "0.71em" });
    set(beside.firstChild, { d: `M${half},${h + half}V${half}` });
    const values = log ? logTicks(y) : y.ticks(5);
    ticks(beside, values, tick, (v) => `0,${y(v) + half}`, { x2: w }, { x: -3, dy: "0.32em" });
    say(set(label, { x: w, y: h + bottom - 3 }), over);
  };
}

function axis(group, anchor) {
  const made = drawn(group, "g", { ...TEXT, "text-anchor": anchor });
  drawn(made, "path", { class: "domain", stroke: "currentColor" });
  return made;
}

/** A line and a number at each value's place. */
function ticks(group, values, written, place, line, text) {
  const show = (node, value) => {
    set(node, { transform: `translate(${place(value)})` });
    set(node.firstChild, line);
    say(node.lastChild, written(value));
  };
  asMany(group, "g", values, show, (node) => {
    set(node, { class: "tick", opacity: 1 });
    drawn(node, "line", { stroke: "currentColor" });
    drawn(node, "text", { fill: "currentColor", ...text });
  });
}
