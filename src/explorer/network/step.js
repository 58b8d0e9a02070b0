// One step of training, and a test: a screen.

import { memories } from "./directions.js";
import { crossEntropy, LAYERS, ResNet9 } from "./model.js";
import { descend, memoryOf } from "./optim.js";
import { Recorder } from "./recorder.js";

/** A network with all that a step of it needs, in the arena of `kernels`; its weights are zero until begin(). */
export class Network {
  constructor(kernels, batch) {
    this.kernels = kernels;
    this.model = new ResNet9(kernels, batch);
    this.memories = memories(kernels, this.model.layers);
    this.recorder = new Recorder(kernels, this.model);
    this.dlogits = kernels.floats(this.model.linear.y.length);
  }

  begin(random, setting) {
    this.setting = { ...setting };
    this.model.initialize(random, setting);
    this.withoutNorm(setting.no_norm);
  }

  /** Make a step with the images and labels of a batch. Returns the loss and accuracy of the batch before the step. */
  step(images, labels) {
    const { model, recorder } = this;
    const measured = crossEntropy(model.forward(images), labels, this.dlogits);
    model.backward(this.dlogits);
    recorder.before();
    descend(this.kernels, model, this.memories, this.setting);
    recorder.after();
    return measured;
  }

  /** Loss and accuracy on test batches, a mean. Batch norm takes the statistics of the present weights, a mean over
   *  some batches of training: those that were collected on the way are of other weights, as every step turns them. */
  test(batches, recent) {
    recent.forEach(({ images }, n) => {
      this.model.forward(images);
      this.model.follow(1 / (n + 1));
    });
    const each = batches.map(({ images, labels }) => crossEntropy(this.model.forward(images, false), labels));
    const mean = (name) => each.reduce((sum, one) => sum + one[name], 0) / each.length;
    return { loss: mean("loss"), accuracy: mean("accuracy") };
  }

  /** Multiply the weights of a convolution, or of all, by a factor. Returns max |Δlogit| / max |logit| of a batch; the
   *  same where the ε of batch norm, which does depend on the length of the weights, is next to nothing. */
  kick(layer, factor, images) {
    const before = this.outputs(images);
    for (const { w } of this.layersOf(layer)) for (let i = 0; i < w.length; i++) w[i] *= factor;
    const after = this.outputs(images);
    const [logits_change, logits_change_no_eps] = before.map((logits, n) => apart(logits, after[n]));
    return { logits_change, logits_change_no_eps };
  }

  /** The logits of a batch; the same with an ε of 1e-30. */
  outputs(images) {
    const eps = this.model.layers.map((layer) => layer.eps);
    const usual = this.model.forward(images).slice();
    for (const layer of this.model.layers) layer.eps = 1e-30;
    const without = this.model.forward(images).slice();
    for (const [n, layer] of this.model.layers.entries()) layer.eps = eps[n];
    return [usual, without];
  }

  /** Take batch norm out of one convolution, and put it back everywhere else. null: it is everywhere. A layer that
   *  another optimizer moves from then on begins without a memory. */
  withoutNorm(name) {
    this.setting.no_norm = name ?? null;
    for (const [l, layer] of this.model.layers.entries()) {
      const before = layer.normalized;
      layer.normalized = layer.name !== name;
      if (before !== layer.normalized && memoryOf(this.setting.optimizer) !== "gradients") this.forget(l);
    }
  }

  /** A new optimizer takes over what the old one remembers if both measure it in the same units, and else nothing. */
  change(values) {
    const { optimizer } = this.setting;
    Object.assign(this.setting, values);
    if (memoryOf(optimizer) === memoryOf(this.setting.optimizer)) return;
    this.model.rest.v.fill(0);
    for (const l of this.memories.keys()) this.forget(l);
  }

  forget(l) {
    const { m, s } = this.memories[l];
    for (const memory of [this.model.layers[l].v, m, s]) memory.fill(0);
    this.memories[l].steps = 0;
  }

  layersOf(name) {
    return name === "all" ? this.model.layers : [this.model.layers[LAYERS.indexOf(name)]];
  }
}

/** max |Δ| / max |before| */
function apart(before, after) {
  const most = (values) => values.reduce((largest, value) => Math.max(largest, Math.abs(value)), 0);
  return most(before.map((value, i) => after[i] - value)) / most(before);
}
