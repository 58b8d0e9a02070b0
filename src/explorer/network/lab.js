// The lab: one or two networks that train on the same batches, commands that act on them between steps, and reports.
//
// A seed and the commands with the steps at which they came determine every number, bit for bit on one machine.

import { counter } from "./arena.js";
import { check } from "./commands.js";
import { batches, drawTestSet, source, TEST_IMAGES } from "./images.js";
import { LAYERS } from "./model.js";
import { momentumOf } from "./optim.js";
import { random } from "./random.js";
import { Network } from "./step.js";

export const TEST_EVERY = 250; // steps
const RECENT = 8; // batches that are kept, whose statistics a test takes

/** A setting that learns, and whose norms settle within a few hundred steps: 1/(4λα) is 50. */
export const DEFAULT = {
  lr: 0.5,
  weight_decay: 0.01,
  momentum: 0,
  optimizer: "sgd",
  init_scale: 1,
  no_norm: null,
  rest_lr_scale: 1,
  rest_weight_decay_scale: 0,
  rest_lr: 0.5, // and what follows: beside an optimizer of the convolutions alone
  rest_weight_decay: 0,
  rest_momentum: 0,
  eps: 1e-5,
};
export const BATCH_SIZE = 32;

const OF_STEPS = ["lr", "weight_decay", "momentum", "products", "loss", "accuracy"];

/** Whoever owns a lab lets it receive() commands, calls step() again and again while it is `running`, no faster than
 *  `speed` steps a second, and sends report() on. */
export class Lab {
  /** kernels(bytes): kernels with an arena, at once. where: "worker", "page" or "node", for the reports. */
  constructor({ kernels, where = "node" }) {
    Object.assign(this, { make: kernels, where, state: "paused", speed: null, left: Infinity, t: 0 });
    Object.assign(this, { networks: [], series: [], events: [], log: [] });
  }

  get running() {
    return this.state === "running";
  }

  /** Do what a command says. Throws a RangeError that says what is wrong with it. */
  receive(command) {
    check(command, this.networks.length);
    const event = COMMANDS[command.type](this, command);
    this.log.push({ t: this.t, command });
    if (event) this.events.push({ ...event, t: this.t });
  }

  /** The batch of the next step. */
  get batch() {
    return this.recent[this.t % RECENT];
  }

  /** One step of every network on the batch that lies ready, and the next batch. */
  step() {
    for (const [n, network] of this.networks.entries()) keep(this.series[n], network, this.batch, this.t);
    this.t++;
    this.draw();
    if (this.t % TEST_EVERY === 0) this.test();
    if (this.series.every(({ diverged_at }) => diverged_at >= 0)) this.state = "diverged";
    else if (--this.left <= 0) this.state = "paused";
  }

  draw() {
    this.images.next(this.batch);
  }

  /** Test every network that has not diverged. */
  test() {
    const recent = this.recent.slice(0, this.t + 1);
    this.networks.forEach((network, n) => {
      const { diverged_at, tests } = this.series[n];
      if (diverged_at < 0) tests.push({ t: this.t, ...network.test(this.tests, recent) });
    });
  }

  /** What has happened since the last report; null where nothing has. */
  report() {
    const { t, state, where, events, series } = this;
    const steps = series.length ? series[0].loss.length : 0;
    if (!events.length && !steps && state === this.told) return null;
    const networks = series.map((one) => ({
      ...one,
      ...Object.fromEntries(OF_STEPS.map((name) => [name, Float32Array.from(one[name])])),
    }));
    this.told = state;
    this.forget();
    const kernels = this.kernels?.name;
    return { type: "report", t0: t - steps, t, layers: LAYERS, state, networks, events, kernels, where };
  }

  /** Begin new series, empty. */
  forget() {
    const diverged = this.series.map(({ diverged_at }) => diverged_at);
    this.series = this.networks.map(({ setting }, n) => ({
      ...Object.fromEntries(OF_STEPS.map((name) => [name, []])),
      ...{ optimizer: setting.optimizer, tests: [], diverged_at: diverged[n] ?? -1 },
    }));
    this.events = [];
  }
}

/** Make a step of a network and add what is reported of it. One that has diverged stands still. */
function keep(series, network, { images, labels }, t) {
  const { lr, weight_decay, optimizer } = network.setting;
  const going = series.diverged_at < 0;
  const { loss, accuracy } = going ? network.step(images, labels) : { loss: NaN, accuracy: NaN };
  if (going && !Number.isFinite(loss)) series.diverged_at = t;
  const row = { lr, weight_decay, momentum: momentumOf(network.setting), loss, accuracy };
  for (const [name, value] of Object.entries(row)) series[name].push(value);
  for (const product of network.recorder.products) series.products.push(series.diverged_at < 0 ? product : NaN);
  series.optimizer = optimizer;
}

/** What commands do to a lab. Returned is what the next report has among its events. */
const COMMANDS = {
  start(lab, { id, seed, batch_size = BATCH_SIZE, networks }) {
    lay(lab, batch_size, networks.length);
    const settings = networks.map((setting) => ({ ...DEFAULT, ...setting }));
    for (const [n, network] of lab.networks.entries()) network.begin(random(seed), settings[n]); // the same seed
    Object.assign(lab, { t: 0, state: "paused", left: Infinity, log: [], series: [], images: source(seed) });
    lab.forget();
    lab.draw();
    lab.test();
    return { type: "start", id, seed, batch_size, networks: lab.networks.map(({ setting }) => ({ ...setting })) };
  },
  set(lab, { type, network, ...values }) {
    for (const one of chosen(lab, network)) one.change(values);
    return { type, network, ...values };
  },
  kick(lab, { type, network, layer, factor }) {
    const changes = chosen(lab, network).map((one) => one.kick(layer, factor, lab.batch.images));
    const most = (name) => Math.max(...changes.map((one) => one[name]));
    const [logits_change, logits_change_no_eps] = [most("logits_change"), most("logits_change_no_eps")];
    return { type, network, layer, factor, logits_change, logits_change_no_eps };
  },
  no_norm(lab, { type, network, layer }) {
    for (const one of chosen(lab, network)) one.withoutNorm(layer);
    return { type, network, layer };
  },
  play: (lab, { until }) => run(lab, until > lab.t ? until - lab.t : Infinity),
  step: (lab, { count = 1 }) => run(lab, count),
  pause(lab) {
    if (lab.running) lab.state = "paused";
  },
  speed(lab, { steps_per_second }) {
    lab.speed = steps_per_second;
  },
};

function run(lab, left) {
  if (lab.state !== "diverged" && lab.networks.length) Object.assign(lab, { left, state: "running" });
}

const chosen = ({ networks }, n) => (n === undefined ? networks : [networks[n]]);

/** Give a lab the arrays of so many networks, the batch and the test set, all in one new arena of the right size. */
function lay(lab, batch, count) {
  const fill = (kernels) => ({
    recent: batches(kernels, RECENT, batch),
    tests: batches(kernels, Math.floor(TEST_IMAGES / batch), batch),
    networks: Array.from({ length: count }, () => new Network(kernels, batch)),
  });
  const size = counter();
  fill(size);
  lab.kernels = lab.make(size.used());
  Object.assign(lab, fill(lab.kernels));
  drawTestSet(lab.tests);
}
