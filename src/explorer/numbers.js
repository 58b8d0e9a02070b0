// What d3-scale uses of d3-interpolate, for numbers alone: the scales of the charts have nothing else. The whole of it,
// with its colors and transforms, would be a tenth of the bundle.

export const interpolateNumber = (a, b) => (t) => a * (1 - t) + b * t;
export const interpolateRound = (a, b) => (t) => Math.round(a * (1 - t) + b * t);
export { interpolateNumber as interpolate };

/** For diverging scales, of which there are none. */
export function piecewise() {
  throw new Error("diverging scales: not in the bundle, see numbers.js");
}
