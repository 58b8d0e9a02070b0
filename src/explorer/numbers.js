// What d3-scale uses of d3-interpolate, for numbers alone, and nothing of d3-format: the scales of the charts have
// nothing else, and their axes write their own numbers (ticks.js). All of both would be an eighth of the bundle.

export const interpolateNumber = (a, b) => (t) => a * (1 - t) + b * t;
export const interpolateRound = (a, b) => (t) => Math.round(a * (1 - t) + b * t);
export { interpolateNumber as interpolate };

const missing = (what) => () => {
  throw new Error(`${what}: not in the bundle, see numbers.js`);
};
export const piecewise = missing("diverging scales");
const format = missing("tickFormat of a scale");

export {
  format,
  format as formatPrefix,
  format as formatSpecifier,
  format as precisionFixed,
  format as precisionPrefix,
  format as precisionRound,
};
