// One chart: axes, curves and dots in SVG, with a cursor that all charts share, and the number at the pointer.

import { axisBottom, axisLeft } from "d3-axis";
import { scaleLinear, scaleLog } from "d3-scale";
import { select } from "d3-selection";
import { extent, framed } from "./frames.js";
import { grouped, logTicks, tick } from "./ticks.js";
import { written } from "./words.js";

const MARGIN = { left: 46, right: 20, top: 8, bottom: 34 };
const POINTS = 400; // of a curve: more than the eye, or a screen, can tell apart
const REACH = 30; // px from a curve within which the pointer is at it

/** Make the chart in `host`. Returns draw({steps, log, series, label, nothing, over, key, moving, …}), at(step), light(layer)
 *  and veil(step). `act` has moveTo(step), place(value) for a click, and light(layer). */
export function chart(host, name, act) {
  const one = { host, ...skeleton(host, name), x: scaleLinear(), y: null, width: null, frame: null, shown: [] };
  listen(one, act);
  return {
    draw: (drawing) => draw(one, drawing),
    at(step) {
      if (one.y) one.cursor.attr("x1", one.x(step)).attr("x2", one.x(step)).attr("y1", 0).attr("y2", 1000);
    },
    /** One layer stands out, or with null none does. */
    light(layer) {
      one.lit = layer;
      light(one);
    },
    /** What comes after a step is pale; with null nothing is. */
    veil(step) {
      one.veil.attr("x", one.x(step ?? 0)).attr("display", step === null ? "none" : null);
    },
  };
}

/** The elements that stay. */
function skeleton(host, name) {
  const svg = select(host).append("svg").attr("role", "img").attr("data-panel", name);
  const axes = svg.append("g").attr("class", "axes");
  const plot = svg.append("svg").attr("class", "plot"); // clips what lies outside
  return {
    svg,
    axes,
    plot,
    ghosts: plot.append("g"),
    curves: plot.append("g"),
    dots: plot.append("g"),
    veil: plot
      .append("rect")
      .attr("class", "veil")
      .attr("width", "100%")
      .attr("height", "100%")
      .attr("display", "none"),
    cursor: plot.append("line").attr("class", "cursor"),
    xAxis: axes.append("g"),
    yAxis: axes.append("g"),
    xLabel: axes.append("text").attr("class", "label").attr("text-anchor", "end"),
    empty: svg.append("text").attr("class", "empty").attr("text-anchor", "middle"),
    tip: svg.append("text").attr("class", "tip").attr("display", "none"),
  };
}

/** A pointer moves the cursor of all charts, and is told what it is at; a click picks a value. */
function listen(one, { moveTo, place, light }) {
  const inside = (event) => {
    const box = one.svg.node().getBoundingClientRect();
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
    one.tip.attr("display", "none");
    light(null);
  };
  one.svg.on("pointermove", at).on("pointerdown", at).on("pointerleave", away);
  one.svg.on("click", (event) => place?.(one.y.invert(inside(event)[1])));
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
  one.tip
    .attr("display", found ? null : "none")
    .attr("x", MARGIN.left + x + (right ? -8 : 8))
    .attr("y", MARGIN.top + Math.max(12, (found ? one.y(found.v) : 0) - 8))
    .attr("text-anchor", right ? "end" : "start")
    .text(found ? `${found.layer}: ${written(found.v)}` : "");
  return found?.layer ?? null;
}

function draw(one, drawing) {
  const { log, series, label, nothing, over = "step" } = drawing;
  one.shown = series;
  const inner = fit(one);
  setScales(one, series, inner, drawing);
  one.key = `${one.y.domain()} ${one.x.domain()} ${inner.w} ${inner.h}`; // the same place for the same numbers
  drawAxes(one, inner, log);
  one.xLabel.text(over);
  one.empty
    .attr("x", MARGIN.left + inner.w / 2)
    .attr("y", MARGIN.top + inner.h / 2)
    .text(series.length ? "" : nothing);
  const [ghosts, lines] = [true, false].map((is) =>
    series.filter((s) => s.kind === "line" && (s.class === "ghost") === is),
  );
  drawCurves(one, one.ghosts, ghosts, log);
  drawCurves(one, one.curves, lines, log);
  drawDots(one, series, log);
  light(one);
  one.svg.attr("aria-label", label);
}

function light({ svg, curves, dots, lit }) {
  svg.classed("lit", Boolean(lit));
  for (const group of [curves, dots]) group.selectAll("path").classed("on", (one) => one.layer === lit);
}

/** Take the width that there is; returns the size inside the margins. */
function fit(one) {
  const width = Math.max(260, one.host.clientWidth || 340);
  const height = Math.round(Math.min(260, 0.52 * width + 45));
  const inner = { w: width - MARGIN.left - MARGIN.right, h: height - MARGIN.top - MARGIN.bottom };
  if (one.width !== width) {
    one.width = width;
    one.svg.attr("viewBox", `0 0 ${width} ${height}`).attr("width", width).attr("height", height);
  }
  one.plot.attr("x", MARGIN.left).attr("y", MARGIN.top).attr("width", inner.w).attr("height", inner.h);
  one.axes.attr("transform", `translate(${MARGIN.left},${MARGIN.top})`);
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

function drawAxes({ x, y, xAxis, yAxis, xLabel }, inner, log) {
  const bottom = axisBottom(x)
    .ticks(Math.min(6, inner.w / 60))
    .tickFormat(grouped)
    .tickSizeOuter(0);
  const left = axisLeft(y)
    .tickValues(log ? logTicks(y) : y.ticks(5))
    .tickFormat(tick)
    .tickSizeInner(-inner.w)
    .tickSizeOuter(0);
  xAxis.attr("transform", `translate(0,${inner.h})`).call(bottom);
  yAxis.call(left);
  xLabel.attr("x", inner.w).attr("y", inner.h + 31);
}

/** Whether a value has a place on an axis. */
const drawable = (v, log) => Number.isFinite(v) && (!log || v > 0);

function drawCurves({ x, y, key }, group, list, log) {
  const shape = remembered(key, (one) => path(thin(one), x, y, log));
  group
    .selectAll("path")
    .data(list)
    .join("path")
    .attr("class", (one) => `curve ${one.class ?? ""}`)
    .attr("data-layer", (one) => one.layer ?? null)
    .style("stroke", (one) => one.color)
    .attr("stroke-dasharray", (one) => one.dash ?? null)
    .each(reshape(shape));
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
function reshape(shape) {
  return function (one) {
    const d = shape(one) ?? "";
    if (this.shape !== d) this.setAttribute("d", d);
    this.shape = d;
  };
}

/** All dots of a series are one path of little circles: a tenth of the cost of as many elements. */
function drawDots({ x, y, dots, key }, shown, log) {
  const shape = remembered(key, (one) => circles(one, x, y, log));
  dots
    .selectAll("path")
    .data(shown.filter((one) => one.kind !== "line"))
    .join("path")
    .attr("class", (one) => `dots ${one.kind}`)
    .attr("data-layer", (one) => one.layer ?? null)
    .style("stroke", (one) => one.color)
    .style("fill", (one) => (one.kind === "dots" ? one.color : "none"))
    .each(reshape(shape));
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
