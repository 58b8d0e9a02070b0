// What commands a lab understands, and what their values may be.

import { LAYERS } from "./model.js";
import { OPTIMIZERS } from "./optim.js";

const LARGEST = 1e30;
const number = (v) => typeof v === "number" && Number.isFinite(v);
const positive = [(v) => number(v) && v > 0 && v <= LARGEST, "a number in (0, 1e30]"];
const nonnegative = [(v) => number(v) && v >= 0 && v <= LARGEST, "a number in [0, 1e30]"];
const whole = (low, high) => [
  (v) => Number.isInteger(v) && v >= low && v <= high,
  `a whole number in [${low}, ${high}]`,
];
const oneOf = (...names) => [(v) => names.includes(v), names.map((name) => JSON.stringify(name)).join(", ")];

const share = [(v) => number(v) && v >= 0 && v < 1, "a number in [0, 1)"];

const MOVING = {
  lr: nonnegative,
  weight_decay: nonnegative,
  momentum: share,
  optimizer: oneOf(...OPTIMIZERS),
};
const SETTING = {
  ...MOVING,
  init_scale: positive,
  no_norm: oneOf(null, ...LAYERS),
  rest_lr_scale: nonnegative,
  rest_weight_decay_scale: nonnegative,
  rest_lr: nonnegative,
  rest_weight_decay: nonnegative,
  rest_momentum: share,
  eps: positive,
};

/** Command → its values and what they may be. Those whose name ends with "!" must be there. */
const ALLOWED = {
  start: {
    id: whole(0, Number.MAX_SAFE_INTEGER), // whoever sends it knows by it which reports are of this start
    "seed!": whole(0, Number.MAX_SAFE_INTEGER),
    batch_size: [(v) => Number.isInteger(v) && v >= 4 && v <= 256 && v % 4 === 0, "a multiple of 4 in [4, 256]"],
    "networks!": [(v) => Array.isArray(v) && [1, 2].includes(v.length), "a list of one or two settings"],
  },
  set: MOVING,
  kick: { "layer!": oneOf("all", ...LAYERS), "factor!": positive },
  no_norm: { "layer!": oneOf(null, ...LAYERS) },
  play: { until: whole(1, Number.MAX_SAFE_INTEGER) }, // it rests before this step, for what is to be done there
  pause: {},
  step: { count: whole(1, 1e6) },
  speed: { "steps_per_second!": [(v) => v === null || positive[0](v), "null or a positive number"] },
};
const ACTS_ON_ONE = ["set", "kick", "no_norm"];

/** Say what is wrong with a command for a lab of so many networks, by a RangeError. */
export function check(command, count) {
  const { type, ...values } = command;
  if (!Object.hasOwn(ALLOWED, type)) refuse("type", type, Object.keys(ALLOWED).join(", "));
  if (ACTS_ON_ONE.includes(type)) {
    if (!count) refuse("type", type, '"start" at first');
    const { network } = values;
    delete values.network;
    if (network !== undefined && !(Number.isInteger(network) && network >= 0 && network < count))
      refuse("network", network, `absent or a whole number in [0, ${count - 1}]`);
  }
  checkValues(values, ALLOWED[type]);
  if (type === "start") for (const setting of values.networks) checkValues(setting, SETTING);
}

function checkValues(values, allowed) {
  for (const [key, [ok, what]] of Object.entries(allowed)) {
    const name = key.replace("!", "");
    const absent = values[name] === undefined;
    if (absent ? key !== name : !ok(values[name])) refuse(name, values[name], what);
  }
  for (const name of Object.keys(values))
    if (!Object.hasOwn(allowed, name) && !Object.hasOwn(allowed, `${name}!`))
      throw new RangeError(`${name}: unknown; there are ${Object.keys(allowed).join(", ").replaceAll("!", "")}`);
}

function refuse(name, value, what) {
  throw new RangeError(`${name}=${JSON.stringify(value)}: must be ${what}`);
}
