// The images: ten classes of drawn shapes, 16 × 16, without end, in the spirit of resnet_dynamics.synthetic.

import { CLASSES, SIZE } from "./model.js";
import { random } from "./random.js";

export const NAMES = ["disk", "ring", "square", "triangle", "cross", "stripes", "checks", "dots", "zigzag", "ripples"];
export const TEST_IMAGES = 512;
const TEST_SEED = 2018;
const PIXELS = SIZE * SIZE;

/** Distance from outline `kind` in units of its frame, negative inside. */
function distance(kind, x, y) {
  const u = Math.abs(x);
  const v = Math.abs(y);
  if (kind === 0) return Math.sqrt(x * x + y * y) - 0.9;
  if (kind === 1) return Math.abs(Math.sqrt(x * x + y * y) - 0.7) - 0.26;
  if (kind === 2) return Math.max(u, v) - 0.8;
  if (kind === 3) return Math.max(y - 0.55, 0.866 * u - 0.5 * y - 0.55);
  return Math.min(Math.max(u - 0.95, v - 0.3), Math.max(v - 0.95, u - 0.3));
}

/** Pattern `kind`: one ink where it is below 1/2, the other where it is above; the period is 1. */
function pattern(kind, x, y) {
  if (kind === 5) return wave(x);
  if (kind === 6) return 0.5 + 2 * (wave(x) - 0.5) * (wave(y) - 0.5);
  if (kind === 7) return 1.6 - 2 * Math.sqrt((1 - wave(x)) ** 2 + (1 - wave(y)) ** 2);
  if (kind === 8) return wave(x + wave(y));
  return wave(Math.sqrt(x * x + y * y));
}

/** A triangle wave: 0 at the integers, 1 halfway between them. */
const wave = (t) => 1 - Math.abs(2 * (t - Math.floor(t)) - 1);

/** A source of batches: next({images, labels}) draws as many as there are labels; images [3, 16, 16, N] of mean about 0
 *  and size about 1. Classes follow one another, so that a batch has as many of each as it can. */
export function source(seed) {
  const draws = random(seed, 1);
  let drawn = 0;
  return {
    next({ images, labels }) {
      for (let n = 0; n < labels.length; n++) {
        labels[n] = drawn++ % CLASSES;
        draw(images, n, labels.length, labels[n], draws);
      }
    },
  };
}

/** Room for so many batches [{images, labels}] of `size` images, in arrays of `kernels`. */
export function batches({ floats }, count, size) {
  return Array.from({ length: count }, () => ({ images: floats(3 * PIXELS * size), labels: new Uint8Array(size) }));
}

/** Draw the test set, the same for every seed of a lab. */
export function drawTestSet(tests) {
  const from = source(TEST_SEED);
  for (const batch of tests) from.next(batch);
}

/** Draw image n of N. A plain shape belongs to the class of its outline, a patterned one (of any outline) to that of
 *  its pattern. Colors, size, place, angle, the slope of the background, clutter and noise vary. */
function draw(images, n, batch, label, { uniform, triangular, integer }) {
  const any = integer(5);
  const [outline, figure] = label < 5 ? [label, NONE] : [any, label];
  const dark = () => color(uniform, 0, 0.6);
  const bright = () => color(uniform, 0.6, 1);
  new Layer(uniform, [16, 24, 4], NONE, NONE, dark(), dark()).paint(picture);
  for (let i = 0; i < 2; i++) {
    const ink = color(uniform, 0.2, 0.8);
    new Layer(uniform, [1, 2, 7.5], integer(5), NONE, ink, ink).paint(picture);
  }
  new Layer(uniform, [5, 7, 1.5], outline, figure, bright(), figure === NONE ? bright() : dark()).paint(picture);
  const noise = uniform(0.02, 0.06);
  for (let p = 0; p < 3 * PIXELS; p++) {
    const value = picture[(p % PIXELS) * 3 + Math.floor(p / PIXELS)] + noise * triangular();
    images[p * batch + n] = (clip(value) - 0.3) / 0.22; // mean about 0, size about 1
  }
}

const NONE = -1;
const picture = new Float64Array(3 * PIXELS); // [16, 16, 3], what is being drawn

/** Something of two inks within an outline (NONE: everywhere), in a pattern (NONE: from one to the other), in a frame
 *  of its own: where its middle is, how it is turned, and its unit in pixels. */
class Layer {
  constructor(uniform, [smallest, largest, spread], outline, figure, first, second) {
    const t = uniform(-0.4, 0.4); // the tangent of half the angle: ±44 degrees
    [this.cos, this.sin] = [(1 - t * t) / (1 + t * t), (2 * t) / (1 + t * t)];
    [this.x, this.y] = [uniform(-spread, spread), uniform(-spread, spread)];
    this.unit = uniform(smallest, largest);
    this.reach = outline === NONE ? SIZE + 4 : 1.5 * this.unit + 1; // no outline goes farther
    Object.assign(this, { outline, figure, first, second });
    [this.periods, this.phase] = [this.unit / uniform(3, 4.5), uniform()];
  }

  /** Lay it over a picture: its ink where its outline covers a pixel, mixed in at the edge. */
  paint(picture) {
    const { x, y, cos, sin, unit, reach, first, second, outline, figure, periods, phase } = this;
    const within = (place) => Math.min(SIZE, Math.max(0, Math.ceil(place + SIZE / 2 - 0.5)));
    const [top, bottom, left, right] = [y - reach, y + reach, x - reach, x + reach].map(within);
    for (let row = top; row < bottom; row++)
      for (let column = left; column < right; column++) {
        const u = (cos * (column - 7.5 - x) + sin * (row - 7.5 - y)) / unit;
        const v = (cos * (row - 7.5 - y) - sin * (column - 7.5 - x)) / unit;
        const cover = outline === NONE ? 1 : clip(0.5 - unit * distance(outline, u, v));
        if (cover === 0) continue;
        const share = figure === NONE ? 0.5 + 0.5 * u : 3 * pattern(figure, u * periods + phase, v * periods) - 1;
        mix(picture, 3 * (SIZE * row + column), first, second, clip(share), cover);
      }
  }
}

/** Put a mixture of two inks on a pixel, as much of it as `cover` says. */
function mix(picture, at, first, second, share, cover) {
  for (let c = 0; c < 3; c++) {
    const ink = first[c] + (second[c] - first[c]) * share;
    picture[at + c] += (ink - picture[at + c]) * cover;
  }
}

/** A color of any hue [R, G, B], more or less pale, of a brightness in a range. */
function color(uniform, low, high) {
  const [hue, bright, pale] = [uniform(0, 6), uniform(low, high), uniform(0.2, 1)];
  return [0, 4, 2].map((shift) => bright * (1 - pale * (1 - clip(Math.abs(((hue + shift) % 6) - 3) - 1))));
}

const clip = (share) => Math.min(1, Math.max(0, share));
