// The network: ResNet-9 of width 4 on images of 16 × 16, forward and backward, wired and named as in models.py.
//
// Activations are [C, H, W, N], see kernels.js. An object that has a forward(x) keeps what its backward(dy) needs.

export const WIDTH = 4;
export const SIZE = 16;
export const CLASSES = 10;

/** Convolutions from image to classifier: channels in and out, height and width of what they read, max-pool or none. */
const CONVS = [
  ["prep", 3, 1, 16, false],
  ["layer1", 1, 2, 16, true],
  ["layer1.res1", 2, 2, 8, false],
  ["layer1.res2", 2, 2, 8, false],
  ["layer2", 2, 4, 8, true],
  ["layer3", 4, 8, 4, true],
  ["layer3.res1", 8, 8, 2, false],
  ["layer3.res2", 8, 8, 2, false],
].map(([name, from, to, size, pool]) => ({ name, cIn: from === 3 ? 3 : WIDTH * from, cOut: WIDTH * to, size, pool }));

export const LAYERS = CONVS.map(({ name }) => name);

/** A network whose numbers lie in the arena of `kernels`, all zero until initialize().
 *
 *  convs, rest  {w, g, v}: all weights of convolutions in one array, with gradients and momenta; and all that is left,
 *               the gains and offsets of batch norms and the linear layer
 *  layers       the eight convolutions, each with views of its part: w, g, v
 */
export class ResNet9 {
  constructor(kernels, batch) {
    this.batch = batch;
    this.convs = group(kernels, sum(CONVS.map(weightsOf)));
    this.rest = group(kernels, sum(CONVS.map(({ cOut }) => 2 * cOut)) + CLASSES * 8 * WIDTH);
    const [convs, rest] = [parts(this.convs), parts(this.rest)];
    this.layers = CONVS.map((conv) => new ConvNorm(kernels, conv, batch, convs, rest));
    const [prep, layer1, res11, res12, layer2, layer3, res31, res32] = this.layers;
    this.chain = [
      prep,
      layer1,
      new Residual(kernels, res11, res12),
      layer2,
      layer3,
      new Residual(kernels, res31, res32),
    ];
    this.pool = new GlobalMax(kernels, 8 * WIDTH, batch);
    this.linear = new Linear(kernels, 8 * WIDTH, batch, rest);
  }

  /** As PyTorch draws them: uniform in ±1/√(numbers that an output is a sum of). Gains are 1, offsets 0. */
  initialize(random, { init_scale = 1, eps = 1e-5 } = {}) {
    for (const layer of [...this.layers, this.linear]) {
      const bound = 1 / Math.sqrt(layer.inputs);
      for (let i = 0; i < layer.w.length; i++) layer.w[i] = random.uniform(-bound, bound);
    }
    for (const layer of this.layers) {
      for (let i = 0; i < layer.w.length; i++) layer.w[i] *= init_scale;
      layer.gain.w.fill(1);
      layer.running.variance.fill(1);
      layer.eps = eps;
    }
  }

  /** Images [3, 16, 16, N] → logits [10, N]. training: batch norm by the batch, else by the running statistics. */
  forward(images, training = true) {
    for (const layer of this.layers) layer.training = training;
    let x = images;
    for (const part of this.chain) x = part.forward(x);
    return this.linear.forward(this.pool.forward(x));
  }

  /** Gradients of all weights from ∂L/∂logits [10, N]. */
  backward(dlogits) {
    let dy = this.pool.backward(this.linear.backward(dlogits));
    for (const part of [...this.chain].reverse()) dy = part.backward(dy);
  }

  /** Let the running statistics follow those of the batch: `share` is PyTorch's momentum. */
  follow(share) {
    for (const layer of this.layers) if (layer.normalized) layer.follow(share);
  }
}

/** Convolution 3 × 3, batch norm, max-pool where there is one, ReLU. Batch norm can be taken out. */
class ConvNorm {
  constructor(kernels, { name, cIn, cOut, size, pool }, batch, convs, rest) {
    Object.assign(this, { kernels, name, pool, inputs: 9 * cIn, normalized: true, training: true, eps: 1e-5 });
    this.shape = { cIn, cOut, height: size, width: size, batch };
    Object.assign(this, convs(9 * cIn * cOut)); // w, g, v
    [this.gain, this.offset] = [rest(cOut), rest(cOut)];
    const [full, left] = [cOut * size * size * batch, (cOut * size * size * batch) / (pool ? 4 : 1)];
    const floats = kernels.floats;
    Object.assign(this, { z: floats(full), normal: floats(full), y: floats(left), dy: floats(left) });
    this.dz = pool ? floats(full) : this.dy;
    this.place = pool ? kernels.ints(left) : null;
    this.dx = name === "prep" ? null : floats(cIn * size * size * batch); // nobody asks for the gradient of an image
    this.statistics = { mean: floats(cOut), variance: floats(cOut) };
    this.running = { mean: floats(cOut), variance: floats(cOut) };
    Object.assign(this, { scale: floats(cOut), slope: floats(cOut), shift: floats(cOut) });
  }

  forward(x) {
    const { kernels, shape } = this;
    this.x = x;
    kernels.convolve(this.z, x, this.w, shape);
    const normal = this.normalized ? this.normalize() : this.z;
    if (this.pool) kernels.maxPool(this.y, this.place, normal, shape);
    kernels.relu(this.y, this.pool ? this.y : normal); // the two commute, and so ReLU has a quarter of the work
    return this.y;
  }

  /** γ(z − μ)/√(σ² + ε) + β, as slope · z + shift. */
  normalize() {
    const { kernels, scale, slope, shift } = this;
    if (this.training) kernels.moments(this.statistics.mean, this.statistics.variance, this.z);
    const { mean, variance } = this.training ? this.statistics : this.running;
    for (let c = 0; c < scale.length; c++) {
      scale[c] = 1 / Math.sqrt(variance[c] + this.eps);
      slope[c] = this.gain.w[c] * scale[c];
      shift[c] = this.offset.w[c] - mean[c] * slope[c];
    }
    kernels.affine(this.normal, this.z, slope, shift);
    return this.normal;
  }

  /** ∂L/∂x, and on the way the gradients of the weights. */
  backward(dy) {
    const { kernels, shape, dz } = this;
    kernels.reluInput(this.dy, dy, this.y);
    if (this.pool) kernels.maxPoolInput(dz, this.dy, this.place, shape);
    if (this.normalized) {
      const { mean } = this.statistics;
      kernels.normSums(this.offset.g, this.gain.g, dz, this.z, mean, this.scale);
      kernels.normInput(dz, dz, this.z, mean, this.scale, this.slope, this.offset.g, this.gain.g);
    } else {
      this.gain.g.fill(0);
      this.offset.g.fill(0);
    }
    kernels.convolveWeights(this.g, dz, this.x, shape);
    if (this.dx) kernels.convolveInput(this.dx, dz, this.w, shape);
    return this.dx;
  }

  /** Running statistics, as in PyTorch with the unbiased variance. */
  follow(share) {
    const { statistics, running, shape, z } = this;
    const count = z.length / shape.cOut;
    for (let c = 0; c < shape.cOut; c++) {
      running.mean[c] += share * (statistics.mean[c] - running.mean[c]);
      running.variance[c] += share * ((statistics.variance[c] * count) / (count - 1) - running.variance[c]);
    }
  }
}

/** x + second(first(x)). */
class Residual {
  constructor(kernels, first, second) {
    Object.assign(this, {
      kernels,
      first,
      second,
      y: kernels.floats(second.y.length),
      dx: kernels.floats(second.y.length),
    });
  }

  forward(x) {
    this.kernels.add(this.y, x, this.second.forward(this.first.forward(x)));
    return this.y;
  }

  backward(dy) {
    this.kernels.add(this.dx, dy, this.first.backward(this.second.backward(dy)));
    return this.dx;
  }
}

/** The largest of the last 2 × 2 pixels: [C, 2, 2, N] → [C, N]. Where all are 0, PyTorch shares the gradient among
 *  them; no matter, the ReLU before it lets none of that through. */
class GlobalMax {
  constructor(kernels, channels, batch) {
    this.kernels = kernels;
    this.shape = { cOut: channels, height: 2, width: 2, batch };
    this.y = kernels.floats(channels * batch);
    this.dx = kernels.floats(4 * channels * batch);
    this.place = kernels.ints(channels * batch);
  }

  forward(x) {
    this.kernels.maxPool(this.y, this.place, x, this.shape);
    return this.y;
  }

  backward(dy) {
    this.kernels.maxPoolInput(this.dx, dy, this.place, this.shape);
    return this.dx;
  }
}

/** logits = 0.125 · W x: [C, N] → [10, N]. */
class Linear {
  constructor(kernels, inputs, batch, rest) {
    Object.assign(this, { inputs, batch }, rest(CLASSES * inputs));
    this.y = kernels.floats(CLASSES * batch);
    this.dx = kernels.floats(inputs * batch);
  }

  forward(x) {
    this.x = x;
    this.y.fill(0);
    this.each((o, c, weight) => {
      const factor = 0.125 * this.w[weight];
      for (let n = 0; n < this.batch; n++) this.y[o + n] += factor * x[c + n];
    });
    return this.y;
  }

  backward(dy) {
    const { x, dx, w, g, batch } = this;
    dx.fill(0);
    this.each((o, c, weight) => {
      let product = 0;
      for (let n = 0; n < batch; n++) {
        product += dy[o + n] * x[c + n];
        dx[c + n] += 0.125 * w[weight] * dy[o + n];
      }
      g[weight] = 0.125 * product;
    });
    return dx;
  }

  /** Call visit(where the row of the output begins, that of the input, the weight between them) for all pairs. */
  each(visit) {
    for (let o = 0, weight = 0; o < CLASSES; o++)
      for (let c = 0; c < this.inputs; c++, weight++) visit(o * this.batch, c * this.batch, weight);
  }
}

/** The mean cross-entropy of logits [10, N] and the share of right answers; writes ∂L/∂logits if asked to. */
export function crossEntropy(logits, labels, dlogits = null) {
  const batch = labels.length;
  let [loss, right] = [0, 0];
  for (let n = 0; n < batch; n++) {
    let best = 0;
    for (let k = 1; k < CLASSES; k++) if (logits[k * batch + n] > logits[best * batch + n]) best = k;
    const top = logits[best * batch + n];
    let total = 0;
    for (let k = 0; k < CLASSES; k++) total += Math.exp(logits[k * batch + n] - top);
    loss += (Math.log(total) + top - logits[labels[n] * batch + n]) / batch;
    if (best === labels[n]) right += 1 / batch;
    if (!dlogits) continue;
    for (let k = 0; k < CLASSES; k++)
      dlogits[k * batch + n] = (Math.exp(logits[k * batch + n] - top) / total - (k === labels[n] ? 1 : 0)) / batch;
  }
  return { loss, accuracy: right };
}

const weightsOf = ({ cIn, cOut }) => 9 * cIn * cOut;
const sum = (numbers) => numbers.reduce((a, b) => a + b, 0);
const group = ({ floats }, length) => ({ w: floats(length), g: floats(length), v: floats(length) });

/** A function that cuts the arrays of a group, one part after the other. */
function parts(group) {
  let begin = 0;
  return (length) => {
    const end = begin + length;
    const cut = Object.fromEntries(Object.entries(group).map(([name, array]) => [name, array.subarray(begin, end)]));
    begin = end;
    return cut;
  };
}
