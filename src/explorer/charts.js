// One chart: axes, curves and dots in SVG, with a cursor that all charts share.

import { axisBottom, axisLeft } from "d3-axis";
import { format } from "d3-format";
import { scaleLinear, scaleLog } from "d3-scale";
import { select } from "d3-selection";
import { line } from "d3-shape";

const MARGIN = { left: 54, right: 14, top: 8, bottom: 36 };
const POINTS = 400; // of a curve: more than the eye, or a screen, can tell apart
const superscript = (n) => String(n).replace(/./g, (c) => "⁰¹²³⁴⁵⁶⁷⁸⁹"[c] ?? "⁻");

function tick(value) {
  const power = Math.floor(Math.log10(Math.abs(value)) + 1e-9);
  if (value === 0 || (Math.abs(value) >= 0.001 && Math.abs(value) < 1e5)) return format("~g")(value);
  const digit = value / 10 ** power;
  return (Math.abs(digit - 1) < 1e-6 ? "10" : `${+digit.toPrecision(2)}·10`) + superscript(power);
}

/** Make the chart in `host`. Returns draw({...}) and at(step). */
export function chart(host, name, onStep, onPick) {
  const svg = select(host).append("svg").attr("role", "img").attr("data-panel", name);
  const axes = svg.append("g").attr("class", "axes");
  const x = scaleLinear();
  const plot = svg.append("svg").attr("class", "plot"); // clips what lies outside
  const curves = plot.append("g");
  const dots = plot.append("g");
  const cursor = plot.append("line").attr("class", "cursor");
  const xAxis = axes.append("g");
  const yAxis = axes.append("g");
  const xLabel = axes.append("text").attr("class", "label").attr("text-anchor", "end").text("step");
  const empty = svg.append("text").attr("class", "empty").attr("text-anchor", "middle");
  let size = null;
  let last = null;

  const pick = (event) => {
    if (event.pointerType === "mouse" || event.buttons) {
      const box = svg.node().getBoundingClientRect();
      onStep(Math.round(x.invert(event.clientX - box.left - MARGIN.left)));
    }
  };
  svg.on("pointermove", pick).on("pointerdown", pick);
  svg.on("click", (event) =>
    onPick?.(last.y.invert(event.clientY - svg.node().getBoundingClientRect().top - MARGIN.top)),
  );

  function draw({ steps, log, series, label, nothing, low, high, decades = 12, cap = 1e12 }) {
    const width = Math.max(260, host.clientWidth || 340);
    const height = Math.round(Math.min(250, 0.62 * width + 20));
    if (size !== width) {
      size = width;
      svg.attr("viewBox", `0 0 ${width} ${height}`).attr("width", width).attr("height", height);
    }
    const inner = { w: width - MARGIN.left - MARGIN.right, h: height - MARGIN.top - MARGIN.bottom };
    x.domain([0, steps]).range([0, inner.w]);
    const shown = series.map(thin);
    let [bottom, top] = extent(shown, log, decades, cap);
    if (low !== undefined) [bottom, top] = [low, high];
    const y = (log ? scaleLog() : scaleLinear()).domain([bottom, top]).range([inner.h, 0]);
    if (low === undefined) log ? pad(y) : y.nice(4);
    last = { y };

    plot.attr("x", MARGIN.left).attr("y", MARGIN.top).attr("width", inner.w).attr("height", inner.h);
    axes.attr("transform", `translate(${MARGIN.left},${MARGIN.top})`);
    xAxis.attr("transform", `translate(0,${inner.h})`).call(
      axisBottom(x)
        .ticks(Math.min(6, inner.w / 60))
        .tickSizeOuter(0),
    );
    yAxis.call(
      axisLeft(y)
        .tickValues(log ? logTicks(y) : y.ticks(5))
        .tickFormat(tick)
        .tickSizeInner(-inner.w)
        .tickSizeOuter(0),
    );
    xLabel.attr("x", inner.w).attr("y", inner.h + 31);
    empty
      .attr("x", MARGIN.left + inner.w / 2)
      .attr("y", MARGIN.top + inner.h / 2)
      .text(series.length ? "" : nothing);

    const path = line(
      (p) => x(p[0]),
      (p) => y(p[1]),
    ).defined((p) => Number.isFinite(p[1]) && (!log || p[1] > 0));
    const lines = shown.filter((one) => one.kind === "line");
    curves
      .selectAll("path")
      .data(lines)
      .join("path")
      .attr("class", (one) => `curve ${one.class ?? ""}`)
      .style("stroke", (one) => one.color)
      .attr("stroke-dasharray", (one) => one.dash ?? null)
      .attr("d", (one) => path(one.points));
    // All dots of a series are one path of little circles: a tenth of the cost of as many elements.
    const marks = shown.filter((one) => one.kind !== "line");
    dots
      .selectAll("path")
      .data(marks)
      .join("path")
      .attr("class", (one) => `dots ${one.kind}`)
      .style("stroke", (one) => one.color)
      .style("fill", (one) => (one.kind === "dots" ? one.color : "none"))
      .attr("d", (one) => circles(one, x, y, log));
    svg.attr("aria-label", label);
  }

  return {
    draw,
    at(step) {
      if (last) cursor.attr("x1", x(step)).attr("x2", x(step)).attr("y1", 0).attr("y2", 1000);
    },
  };
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
      if (Number.isFinite(v) && (!log || v > 0) && v < cap) {
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

function logTicks(y) {
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
    if (Number.isFinite(v) && (!log || v > 0)) {
      d += `M${(x(step) - r).toFixed(1)},${y(v).toFixed(1)}a${r},${r} 0 1 0 ${2 * r},0a${r},${r} 0 1 0 ${-2 * r},0`;
    }
  }
  return d;
}
