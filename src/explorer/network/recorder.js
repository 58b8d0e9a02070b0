// The recorder: all inner products of w, g, v_prev, v and u of every layer, as resnet_dynamics.Recorder keeps them.

/** Pairs of vectors in the order of resnet_dynamics.recording.PRODUCTS. w, v_prev: before the step. v: after it. */
export const ROLES = ["w", "g", "v_prev", "v", "u"];
export const PRODUCTS = ROLES.flatMap((a, i) => ROLES.slice(i).map((b) => [a, b]));

/** Two lines in the step, around the one that moves the weights: before(), after(). */
export class Recorder {
  constructor(kernels, model) {
    Object.assign(this, { kernels, model });
    const [own, { length }] = [kernels.floats, model.convs.w];
    this.rows = { w: own(length), v_prev: own(length), u: own(length) };
    this.products = kernels.floats(model.layers.length * PRODUCTS.length); // [L, 15] of the last step
  }

  /** Keep the weights and the momentum; the gradient stays where it is. */
  before() {
    this.rows.w.set(this.model.convs.w);
    this.rows.v_prev.set(this.model.convs.v);
  }

  /** The update is measured, new weights minus old; then all products. */
  after() {
    const { kernels, model, rows, products } = this;
    rows.u.set(model.convs.w);
    kernels.combine(rows.u, -1, rows.w, 1);
    const { g, v } = model.convs;
    let begin = 0;
    model.layers.forEach((layer, l) => {
      const end = begin + layer.w.length;
      const cut = (row) => row.subarray(begin, end);
      kernels.gram(products.subarray(15 * l, 15 * l + 15), cut(rows.w), cut(g), cut(rows.v_prev), cut(v), cut(rows.u));
      begin = end;
    });
    return products;
  }
}
