// One chart: axes, curves and dots in SVG, with a cursor that all charts share, and the number at the pointer.

import { say } from "./dom.js";
import { extent, framed } from "./frames.js";
import { scaleLinear, scaleLog } from "./scales.js";
import { asMany, axes, drawn, set } from "./svg.js";
import { written } from "./words.js";

const MARGIN = { left: 46, right: 20, top: 8, bottom: 34 };
const POINTS = 400; // of a curve: more than the eye, or a screen, can tell apart
const REACH = 30; // px from a curve within which the pointer is at it

/** Make the chart in `host`. Returns draw({steps, log, series, label, nothing, over, key, moving, …}), at(step),
 *  light(layer) and veil(step). `act` has moveTo(step), place(value) for a click, and light(layer). */
export function chart(host, name, act) {
  const one = { host, ...skeleton(host, name), x: scaleLinear(), y: null, width: null, frame: null, shown: [] };
  listen(one, act);
  return {
    draw: (drawing) => draw(one, drawing),
    at(step) {
      if (one.y) set(one.cursor, { x1: one.x(step), x2: one.x(step), y1: 0, y2: 1000 });
    },
    /** One layer stands out, or with null none does. */
    light(layer) {
      one.lit = layer;
      light(one);
    },
    /** What comes after a step is pale; with null nothing is. */
    veil(step) {
      set(one.veil, { x: one.x(step ?? 0), display: step === null ? "none" : null });
    },
  };
}

/** The elements that stay. */
function skeleton(host, name) {
  const svg = drawn(host, "svg", { role: "img", "data-panel": name });
  const drawAxes = axes(svg, MARGIN);
  const plot = drawn(svg, "svg", { class: "plot" }); // clips what lies outside
  return {
    svg,
    drawAxes,
    plot,
    ghosts: drawn(plot, "g"),
    curves: drawn(plot, "g"),
    dots: drawn(plot, "g"),
    veil: drawn(plot, "rect", { class: "veil", width: "100%", height: "100%", display: "none" }),
    cursor: drawn(plot, "line", { class: "cursor" }),
    empty: drawn(svg, "text", { class: "empty", "text-anchor": "middle" }),
    tip: drawn(svg, "text", { class: "tip", display: "none" }),
  };
}

/** A pointer moves the cursor of all charts, and is told what it is at; a click picks a value. */
function listen(one, { moveTo, place, light }) {
  const inside = (event) => {
    const box = one.svg.getBoundingClientRect();
    const scale = box.width / one.width;
    return [(event.clientX - box.left) / scale - MARGIN.left, (event.clientY - box.top) / scale - MARGIN.top];
  };
  const at = (event) => {
    if (!one.y || (event.pointerType !== "mouse" && !event.buttons && event.type === "pointermove")) return;
    const [x, y] = inside(event);
    moveTo(Math.round(one.x.invert(x)));
    light(point(one, x, y));
  };
  const away = () => {
    set(one.tip, { display: "none" });
    light(null);
  };
  for (const kind of ["pointermove", "pointerdown"]) one.svg.addEventListener(kind, at);
  one.svg.addEventListener("pointerleave", away);
  one.svg.addEventListener("click", (event) => place?.(one.y.invert(inside(event)[1])));
}

/** Show the number of the curve that is nearest to a place, and return its layer; null where there is none. */
function point(one, x, y) {
  const step = Math.round(one.x.invert(x));
  let found = null;
  for (const { kind, layer, ys, xs, class: name } of one.shown) {
    const v = kind === "line" && layer && !xs && !name ? ys[Math.max(0, Math.min(ys.length - 1, step))] : NaN;
    const far = Math.abs(one.y(v) - y);
    if (far <= (found?.far ?? REACH)) found = { far, v, layer };
  }
  const right = x > one.x.range()[1] / 2;
  set(one.tip, {
    display: found ? null : "none",
    x: MARGIN.left + x + (right ? -8 : 8),
    y: MARGIN.top + Math.max(12, (found ? one.y(found.v) : 0) - 8),
    "text-anchor": right ? "end" : "start",
  });
  say(one.tip, found ? `${found.layer}: ${written(found.v)}` : "");
  return found?.layer ?? null;
}

function draw(one, drawing) {
  const { log, series, label, nothing, over = "step" } = drawing;
  one.shown = series;
  const inner = fit(one);
  setScales(one, series, inner, drawing);
  one.key = `${one.y.domain()} ${one.x.domain()} ${inner.w} ${inner.h}`; // the same place for the same numbers
  one.drawAxes({ x: one.x, y: one.y, log, count: Math.min(6, inner.w / 60), over });
  set(one.empty, { x: MARGIN.left + inner.w / 2, y: MARGIN.top + inner.h / 2 });
  say(one.empty, series.length ? "" : nothing);
  const [ghosts, lines] = [true, false].map((is) =>
    series.filter((s) => s.kind === "line" && (s.class === "ghost") === is),
  );
  drawCurves(one, one.ghosts, ghosts, log);
  drawCurves(one, one.curves, lines, log);
  drawDots(one, series, log);
  light(one);
  set(one.svg, { "aria-label": label });
}

function light({ svg, curves, dots, lit }) {
  svg.classList.toggle("lit", Boolean(lit));
  for (const path of [...curves.children, ...dots.children]) path.classList.toggle("on", path.dataset.layer === lit);
}

/** Take the width that there is; returns the size inside the margins. */
function fit(one) {
  const width = Math.max(260, one.host.clientWidth || 340);
  const height = Math.round(Math.min(260, 0.52 * width + 45));
  const inner = { w: width - MARGIN.left - MARGIN.right, h: height - MARGIN.top - MARGIN.bottom };
  if (one.width !== width) {
    one.width = width;
    set(one.svg, { viewBox: `0 0 ${width} ${height}`, width, height });
  }
  set(one.plot, { x: MARGIN.left, y: MARGIN.top, width: inner.w, height: inner.h });
  return inner;
}

/** From `low` to `high`, or what the frame is; with another `key` it is a new one. */
function setScales(one, shown, inner, { steps, log, low, high, key, moving, decades, cap }) {
  one.x.domain([0, steps]).range([0, inner.w]);
  if (one.of !== key) one.frame = null;
  one.of = key;
  if (low === undefined) one.frame = framed(one.frame, extent(shown, { log, decades, cap }), { log, moving });
  const domain = low === undefined ? one.frame : [low, high];
  one.y = (log ? scaleLog() : scaleLinear()).domain(domain).range([inner.h, 0]);
}

/** Whether a value has a place on an axis. */
const drawable = (v, log) => Number.isFinite(v) && (!log || v > 0);

function drawCurves({ x, y, key }, group, list, log) {
  const shape = remembered(key, (one) => path(thin(one), x, y, log));
  asMany(group, "path", list, (node, one) => {
    set(node, { class: `curve ${one.class ?? ""}`, "data-layer": one.layer, "stroke-dasharray": one.dash });
    node.style.stroke = one.color;
    reshape(node, shape(one));
  });
}

const shapes = new WeakMap(); // numbers → {key, d}: dots and ghosts stay where they are while a slider moves

function remembered(key, make) {
  return (one) => {
    const mine = `${key} ${one.kind}`;
    const known = shapes.get(one.ys);
    if (known?.key === mine) return known.d;
    const d = make(one);
    shapes.set(one.ys, { key: mine, d });
    return d;
  };
}

/** Give a path its shape, if it has another. */
function reshape(node, d) {
  if (node.shape !== d) node.setAttribute("d", d);
  node.shape = d;
}

/** All dots of a series are one path of little circles: a tenth of the cost of as many elements. */
function drawDots({ x, y, dots, key }, shown, log) {
  const shape = remembered(key, (one) => circles(one, x, y, log));
  const those = shown.filter((one) => one.kind !== "line");
  asMany(dots, "path", those, (node, one) => {
    set(node, { class: `dots ${one.kind}`, "data-layer": one.layer });
    node.style.stroke = one.color;
    node.style.fill = one.kind === "dots" ? one.color : "none";
    reshape(node, shape(one));
  });
}

function thin({ xs, ys }) {
  const stride = Math.max(1, Math.floor(ys.length / POINTS));
  const points = [];
  for (let i = 0; i < ys.length; i += stride) points.push([xs ? xs[i] : i, ys[i]]);
  return points;
}

/** Straight lines from point to point; where there is none, a gap. */
function path(points, x, y, log) {
  let d = "";
  let pen = "M";
  for (const [step, v] of points) {
    const there = drawable(v, log);
    if (there) d += `${pen}${x(step).toFixed(1)},${y(v).toFixed(1)}`;
    pen = there ? "L" : "M";
  }
  return d;
}

function circles({ xs, ys, kind, r = kind === "mine" ? 2.6 : 1.6 }, x, y, log) {
  let d = "";
  for (let i = 0; i < ys.length; i++) {
    const [step, v] = [xs[i], ys[i]];
    if (drawable(v, log)) {
      d += `M${(x(step) - r).toFixed(1)},${y(v).toFixed(1)}a${r},${r} 0 1 0 ${2 * r},0a${r},${r} 0 1 0 ${-2 * r},0`;
    }
  }
  return d;
}
