// A lab for tests in place of the network: eight layers of random numbers, whose gradients are random, orthogonal to w
// and of the length c/|w|. The recurrence of theory.js is exact for their means: what the page says can be checked.
// Commands and reports are those of network/lab.js; there is no loss to lower, it is 1.

import { forgets } from "../../src/explorer/live/optimizers.js";
import { DIRECTIONS, memories, move } from "../../src/explorer/network/directions.js";
import { wideKernels } from "./networks.mjs";

const ROLES = ["w", "g", "prev", "v", "u"];
const SIZE = 300; // numbers in a layer
export const SHAPE = [15, 20]; // as a matrix
const kernels = wideKernels();

function generator(seed) {
  let s = seed >>> 0;
  const uniform = () => {
    s = (s + 0x6d2b79f5) >>> 0;
    let t = Math.imul(s ^ (s >>> 15), 1 | s);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
  return () => Math.sqrt(-2 * Math.log(1 - uniform())) * Math.cos(2 * Math.PI * uniform());
}

const dot = (a, b) => a.reduce((sum, x, i) => sum + x * b[i], 0);

export function randomLab(layers, size = SIZE) {
  let [networks, normal, t, events, state] = [[], null, 0, [], "paused"];
  const draw = (length) => {
    const x = Float64Array.from({ length: size }, normal);
    const by = length / Math.sqrt(dot(x, x));
    return x.map((v) => by * v);
  };
  const layer = (name, l, scale) => {
    const w = draw(scale * Math.sqrt(1 + l));
    const [memory] = memories(kernels, [{ w, shape: { cOut: SHAPE[0] } }]);
    return { name, c: 0.3 * (1 + l), w, v: w.map(() => 0), memory };
  };
  const send = (command) => {
    const { type } = command;
    if (type === "play") state = "running";
    else if (type === "pause") state = "paused";
    else if (type === "start") {
      normal = generator(command.seed);
      t = 0;
      networks = command.networks.map((one) => ({
        ...one,
        layers: layers.map((name, l) => layer(name, l, one.init_scale ?? 1)),
      }));
    } else {
      for (const [n, network] of networks.entries()) {
        if (command.network !== undefined && command.network !== n) continue;
        if (type === "set" && forgets(network.optimizer, command.optimizer ?? network.optimizer)) forget(network);
        if (type === "set") Object.assign(network, { ...command, type: network.type });
        for (const one of network.layers) {
          if (type === "kick" && (command.layer === "all" || command.layer === one.name)) {
            one.w = one.w.map((x) => command.factor * x);
          }
        }
      }
    }
    if (!["play", "pause", "speed"].includes(type)) events.push({ t, ...command });
  };
  const run = (n) => {
    const t0 = t;
    const told = networks.map(() => ({ lr: [], weight_decay: [], momentum: [], products: [], loss: [], accuracy: [] }));
    for (let i = 0; i < n; i++, t++) for (const [k, network] of networks.entries()) advance(network, told[k], draw);
    const arrays = ({ ...one }) =>
      Object.fromEntries(Object.entries(one).map(([key, list]) => [key, Float32Array.from(list)]));
    const reports = told.map((one, k) => ({
      ...arrays(one),
      optimizer: networks[k].optimizer,
      tests: [],
      diverged_at: -1,
    }));
    const report = { type: "report", t0, t, layers, state, networks: reports, events };
    events = [];
    return { ...report, steps_per_second: 100, kernels: "plain", where: "node" };
  };
  return { send, run };
}

function forget({ layers }) {
  for (const { v, memory } of layers) {
    for (const one of [v, memory.m, memory.s]) one.fill(0);
    memory.steps = 0;
  }
}

function advance(network, told, draw) {
  const { lr, weight_decay, momentum, optimizer } = network;
  for (const [key, value] of Object.entries({ lr, weight_decay, momentum, loss: 1, accuracy: 0.5 }))
    told[key].push(value);
  for (const layer of network.layers) {
    const { w, c } = layer;
    const prev = layer.v;
    let g = draw(1);
    const along = dot(g, w) / dot(w, w);
    g = g.map((x, i) => x - along * w[i]);
    const by = c / Math.sqrt(dot(g, g) * dot(w, w));
    g = g.map((x) => by * x);
    const next = { w: w.slice(), g, v: prev.slice(), shape: { cOut: SHAPE[0] } };
    if (optimizer in DIRECTIONS) move(kernels, next, layer.memory, network);
    else next.v = g.map((x, i) => momentum * prev[i] + x + weight_decay * w[i]);
    const { v } = next;
    const u = optimizer in DIRECTIONS ? next.w.map((x, i) => x - w[i]) : v.map((x) => -lr * x);
    const of = { w, g, prev, v, u };
    for (const [i, a] of ROLES.entries()) for (const b of ROLES.slice(i)) told.products.push(dot(of[a], of[b]));
    layer.w = w.map((x, i) => x + u[i]);
    layer.v = v;
  }
}
