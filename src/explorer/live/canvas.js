// One chart that is drawn many times a second: axes in SVG, which change seldom, and what moves on a canvas.

import { element } from "../dom.js";
import { scaleLinear, scaleLog } from "../scales.js";
import { axes, drawn, set } from "../svg.js";

const MARGIN = { left: 46, right: 24, top: 16, bottom: 32 };
const WIDTHS = { line: 1.6, past: 1.3, level: 4, bold: 2.6, curve: 1.6 };
const FAINT = 0.14; // opacity of what is not in the light

/** Make the chart in `host`. Returns draw({...}), see there; `onPoint(step, layer)` is told what the pointer is at, or
 *  null. */
export function canvas(host, name, onPoint) {
  const box = element("div", { class: "moving", "data-panel": name });
  const svg = drawn(box, "svg", { role: "img" });
  const surface = element("canvas", { "aria-hidden": "true" });
  const one = { host, box, svg, axes: axes(svg, MARGIN), surface, key: "", drawing: null };
  box.append(surface);
  host.append(box);
  listen(one, onPoint);
  return { draw: (drawing) => draw(one, drawing) };
}

/** Draw {x: [from, to], y: {low, high}, log, series, marks, now, at, label, lit, ink}: `now` is the present step,
 *  `at` the step under the cursor, `lit` the layer in the light, both null without; `ink(color)` resolves a colour
 *  of the style. */
function draw(one, drawing) {
  one.drawing = drawing;
  const size = fit(one);
  const { x, y, log, label } = drawing;
  const scales = {
    x: scaleLinear().domain(x).range([0, size.w]),
    y: (log ? scaleLog() : scaleLinear()).domain([y.low, y.high]).range([size.h, 0]),
  };
  Object.assign(one, scales);
  drawAxes(one, size, [...x, y.low, y.high, size.w, log].join());
  if (label) set(one.svg, { "aria-label": label });
  paint(one, size, drawing);
}

/** Take the width that there is; returns the size inside the margins. */
function fit(one) {
  const width = Math.max(240, one.host.clientWidth || 320);
  const height = Math.round(Math.min(230, 0.5 * width + 40));
  const sharp = globalThis.devicePixelRatio || 1;
  const size = { w: width - MARGIN.left - MARGIN.right, h: height - MARGIN.top - MARGIN.bottom, width, height, sharp };
  const key = `${width} ${height} ${sharp}`;
  if (one.size === key) return size;
  one.size = key;
  set(one.svg, { width, height, viewBox: `0 0 ${width} ${height}` });
  Object.assign(one.surface, { width: Math.round(width * sharp), height: Math.round(height * sharp) });
  one.surface.style.width = `${width}px`;
  one.surface.style.height = `${height}px`;
  return size;
}

function drawAxes(one, { w }, key) {
  if (one.key === key) return;
  one.key = key;
  one.axes({ x: one.x, y: one.y, log: one.drawing.log, count: Math.min(5, w / 70), over: "step" });
}

function paint(one, size, { series, marks, now, at, log, lit, ink }) {
  const pen = one.surface.getContext("2d");
  pen.setTransform(size.sharp, 0, 0, size.sharp, 0, 0);
  pen.clearRect(0, 0, size.width, size.height);
  pen.translate(MARGIN.left, MARGIN.top);
  drawMarks(pen, one, size, marks, ink);
  pen.save();
  pen.beginPath();
  pen.rect(0, -2, size.w, size.h + 4);
  pen.clip();
  for (const step of [now, at]) if (step !== null) upright(pen, one.x(step), size.h, ink("currentColor"), step === at);
  for (const each of series) {
    pen.globalAlpha =
      lit !== null && each.layer !== null && each.layer !== lit ? FAINT : each.kind === "past" ? 0.6 : 1;
    const color = ink(each.color);
    if (each.kind === "dots" || each.kind === "tests") dots(pen, one, each, color, log);
    else stroke(pen, one, each, color, log);
  }
  pen.restore();
}

/** A movement: a line, and what it was, where there is room. */
function drawMarks(pen, { x }, { w, h }, marks, ink) {
  pen.fillStyle = pen.strokeStyle = ink("currentColor");
  pen.font = `11px ${ink("font")}`;
  let free = -Infinity;
  for (const { t, text } of marks) {
    const left = x(t);
    if (left < 0 || left > w) continue;
    pen.globalAlpha = 0.45;
    pen.lineWidth = 1;
    pen.beginPath();
    pen.moveTo(left, 0);
    pen.lineTo(left, h);
    pen.stroke();
    const width = pen.measureText(text).width;
    const begin = Math.min(left, w - width);
    if (begin < free) continue;
    pen.globalAlpha = 0.9;
    pen.fillText(text, begin, -5);
    free = begin + width + 8;
  }
  pen.globalAlpha = 1;
}

function upright(pen, left, h, color, strong) {
  pen.strokeStyle = color;
  pen.globalAlpha = strong ? 0.8 : 0.35;
  pen.lineWidth = 1;
  pen.setLineDash(strong ? [] : [1, 3]);
  pen.beginPath();
  pen.moveTo(left, 0);
  pen.lineTo(left, h);
  pen.stroke();
  pen.setLineDash([]);
}

const drawable = (v, log) => Number.isFinite(v) && (!log || v > 0);

function stroke(pen, { x, y }, { xs, ys, kind, dash, network }, color, log) {
  pen.strokeStyle = color;
  pen.lineWidth = WIDTHS[kind];
  pen.setLineDash(kind === "level" ? [] : (dash ?? "").split(" ").filter(Boolean).map(Number));
  if (network && kind !== "curve") pen.lineWidth *= 0.7;
  pen.beginPath();
  let open = false;
  for (let i = 0; i < xs.length; i++) {
    const there = drawable(ys[i], log);
    if (there) pen[open ? "lineTo" : "moveTo"](x(xs[i]), y(ys[i]));
    open = there;
  }
  pen.stroke();
  pen.setLineDash([]);
}

/** Dots of the first network are filled, of the second one open; of tests they are larger. */
function dots(pen, { x, y }, { xs, ys, kind, network }, color, log) {
  const r = kind === "tests" ? 3 : 1.5;
  pen.fillStyle = pen.strokeStyle = color;
  pen.lineWidth = 1;
  pen.beginPath();
  for (let i = 0; i < xs.length; i++) {
    if (!drawable(ys[i], log)) continue;
    const [left, top] = [x(xs[i]), y(ys[i])];
    if (kind === "tests" || network) {
      pen.moveTo(left + r + (network ? 0.5 : 0), top);
      pen.arc(left, top, r + (network ? 0.5 : 0), 0, 2 * Math.PI);
    } else pen.rect(left - r, top - r, 2 * r, 2 * r);
  }
  if (network) pen.stroke();
  else pen.fill();
}

/** The step and the layer that a pointer is nearest to. */
function listen(one, onPoint) {
  const told = (event) => {
    if (!one.drawing || (event.pointerType !== "mouse" && !event.buttons && event.type !== "pointerdown")) return;
    const box = one.box.getBoundingClientRect();
    const [left, top] = [event.clientX - box.left - MARGIN.left, event.clientY - box.top - MARGIN.top];
    onPoint({ step: one.x.invert(left), layer: nearest(one, left, top) });
  };
  one.box.addEventListener("pointermove", told);
  one.box.addEventListener("pointerdown", told);
  one.box.addEventListener("pointerleave", () => onPoint(null));
}

function nearest({ x, y, drawing }, left, top) {
  let [found, least] = [null, 400];
  for (const { kind, layer, xs, ys } of drawing.series) {
    if (kind !== "dots" || layer === null) continue;
    const step = x.invert(left);
    let i = xs.findIndex((at) => at >= step);
    if (i < 0) i = xs.length - 1;
    const far = Math.abs(y(ys[i]) - top);
    if (far < least) [found, least] = [layer, far];
  }
  return found;
}
