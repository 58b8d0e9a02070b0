// One chart: axes, curves and dots in SVG, with a cursor that all charts share.

import { axisBottom, axisLeft } from "d3-axis";
import { format } from "d3-format";
import { scaleLinear, scaleLog } from "d3-scale";
import { select } from "d3-selection";
import { line } from "d3-shape";

const MARGIN = { left: 54, right: 14, top: 8, bottom: 36 };
const POINTS = 400; // of a curve: more than the eye, or a screen, can tell apart
const superscript = (n) => String(n).replace(/./g, (c) => "⁰¹²³⁴⁵⁶⁷⁸⁹"[c] ?? "⁻");

export function tick(value) {
  const power = Math.floor(Math.log10(Math.abs(value)) + 1e-9);
  if (value === 0 || (Math.abs(value) >= 0.001 && Math.abs(value) < 1e5)) return format("~g")(value);
  const digit = value / 10 ** power;
  return (Math.abs(digit - 1) < 1e-6 ? "10" : `${+digit.toPrecision(2)}·10`) + superscript(power);
}

/** Make the chart in `host`. Returns draw({steps, log, series, label, nothing, …}) and at(step). */
export function chart(host, name, onStep, onPick) {
  const one = { host, ...skeleton(host, name), x: scaleLinear(), y: null, width: null };
  listen(one, onStep, onPick);
  return {
    draw: (drawing) => draw(one, drawing),
    at(step) {
      if (one.y) one.cursor.attr("x1", one.x(step)).attr("x2", one.x(step)).attr("y1", 0).attr("y2", 1000);
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
    curves: plot.append("g"),
    dots: plot.append("g"),
    cursor: plot.append("line").attr("class", "cursor"),
    xAxis: axes.append("g"),
    yAxis: axes.append("g"),
    xLabel: axes.append("text").attr("class", "label").attr("text-anchor", "end").text("step"),
    empty: svg.append("text").attr("class", "empty").attr("text-anchor", "middle"),
  };
}

/** A pointer moves the cursor of all charts; a click picks a value. */
function listen(one, onStep, onPick) {
  const box = () => one.svg.node().getBoundingClientRect();
  const step = (event) => {
    if (event.pointerType === "mouse" || event.buttons)
      onStep(Math.round(one.x.invert(event.clientX - box().left - MARGIN.left)));
  };
  one.svg.on("pointermove", step).on("pointerdown", step);
  one.svg.on("click", (event) => onPick?.(one.y.invert(event.clientY - box().top - MARGIN.top)));
}

function draw(one, drawing) {
  const { log, series, label, nothing } = drawing;
  const shown = series.map(thin);
  const inner = fit(one);
  setScales(one, shown, inner, drawing);
  drawAxes(one, inner, log);
  one.empty
    .attr("x", MARGIN.left + inner.w / 2)
    .attr("y", MARGIN.top + inner.h / 2)
    .text(series.length ? "" : nothing);
  drawCurves(one, shown, log);
  drawDots(one, shown, log);
  one.svg.attr("aria-label", label);
}

/** Take the width that there is; returns the size inside the margins. */
function fit(one) {
  const width = Math.max(260, one.host.clientWidth || 340);
  const height = Math.round(Math.min(250, 0.62 * width + 20));
  const inner = { w: width - MARGIN.left - MARGIN.right, h: height - MARGIN.top - MARGIN.bottom };
  if (one.width !== width) {
    one.width = width;
    one.svg.attr("viewBox", `0 0 ${width} ${height}`).attr("width", width).attr("height", height);
  }
  one.plot.attr("x", MARGIN.left).attr("y", MARGIN.top).attr("width", inner.w).attr("height", inner.h);
  one.axes.attr("transform", `translate(${MARGIN.left},${MARGIN.top})`);
  return inner;
}

/** From `low` to `high`, or as far as what is shown, of which `decades` below its top and what is under `cap`. */
function setScales(one, shown, inner, { steps, log, low, high, decades = 12, cap = 1e12 }) {
  one.x.domain([0, steps]).range([0, inner.w]);
  const fixed = low !== undefined;
  const domain = fixed ? [low, high] : extent(shown, log, decades, cap);
  one.y = (log ? scaleLog() : scaleLinear()).domain(domain).range([inner.h, 0]);
  if (fixed) return;
  if (log) pad(one.y);
  else one.y.nice(4);
}

function drawAxes({ x, y, xAxis, yAxis, xLabel }, inner, log) {
  const bottom = axisBottom(x)
    .ticks(Math.min(6, inner.w / 60))
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

function drawCurves({ x, y, curves }, shown, log) {
  const path = line(
    (p) => x(p[0]),
    (p) => y(p[1]),
  ).defined((p) => drawable(p[1], log));
  curves
    .selectAll("path")
    .data(shown.filter((one) => one.kind === "line"))
    .join("path")
    .attr("class", (one) => `curve ${one.class ?? ""}`)
    .style("stroke", (one) => one.color)
    .attr("stroke-dasharray", (one) => one.dash ?? null)
    .attr("d", (one) => path(one.points));
}

/** All dots of a series are one path of little circles: a tenth of the cost of as many elements. */
function drawDots({ x, y, dots }, shown, log) {
  dots
    .selectAll("path")
    .data(shown.filter((one) => one.kind !== "line"))
    .join("path")
    .attr("class", (one) => `dots ${one.kind}`)
    .style("stroke", (one) => one.color)
    .style("fill", (one) => (one.kind === "dots" ? one.color : "none"))
    .attr("d", (one) => circles(one, x, y, log));
}

function thin(one) {
  const stride = one.kind === "line" ? Math.max(1, Math.floor(one.ys.length / POINTS)) : 1;
  const points = [];
  for (let i = 0; i < one.ys.length; i += stride) points.push([one.xs ? one.xs[i] : i, one.ys[i]]);
  return { ...one, points };
}

/** The range of what is shown. What explodes leaves the picture, so that the rest of it can be read. */
function extent(shown, log, decades, cap) {
  let low = Infinity;
  let high = -Infinity;
  for (const { points } of shown) {
    for (const [, v] of points) {
      if (drawable(v, log) && v < cap) {
        if (v < low) low = v;
        if (v > high) high = v;
      }
    }
  }
  if (low > high) return log ? [1, 10] : [0, 1];
  if (log) return [Math.max(low, high / 10 ** decades), Math.max(high, low * 1.0001)];
  return [Math.min(0, low), high === low ? high + 1 : high];
}

/** Room above and below on a log scale, and at least a factor of two in all. */
function pad(y) {
  const [low, high] = y.domain().map(Math.log10);
  const room = Math.max(0.06 * (high - low), (0.4 - (high - low)) / 2, 0.02);
  y.domain([10 ** (low - room), 10 ** (high + room)]);
}

export function logTicks(y) {
  const [low, high] = y.domain();
  const out = [];
  const decades = Math.log10(high / low);
  const digits = decades > 3 ? [1] : decades > 1.2 ? [1, 3] : [1, 2, 5];
  const every = Math.ceil(decades / 6);
  for (let p = Math.floor(Math.log10(low)); p <= Math.log10(high); p++) {
    if (p % every === 0) for (const d of digits) if (d * 10 ** p >= low && d * 10 ** p <= high) out.push(d * 10 ** p);
  }
  return out.length > 1 ? out : y.ticks(4);
}

function circles({ points, kind }, x, y, log) {
  const r = kind === "dots" ? 1.6 : kind === "faint" ? 1.6 : 2.6;
  let d = "";
  for (const [step, v] of points) {
    if (drawable(v, log)) {
      d += `M${(x(step) - r).toFixed(1)},${y(v).toFixed(1)}a${r},${r} 0 1 0 ${2 * r},0a${r},${r} 0 1 0 ${-2 * r},0`;
    }
  }
  return d;
}
