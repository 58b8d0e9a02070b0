// Links: a fragment of an address holds the setting of each element of a page. Pure.
//
//   #explorer?lr=4&weight_decay=5e-4;live?lr=0.1      one part an element, its name before the "?"
//
// A fragment without "?" is a heading's, and none of ours.

import { exact, numeric, SYMBOLS } from "./words.js";

const parts = (fragment) =>
  fragment
    .replace(/^#/, "")
    .split(";")
    .filter((part) => part.includes("?"));
const nameOf = (part) => part.slice(0, part.indexOf("?"));

/** What a fragment says of an element, {name: text}, or null. */
export function read(fragment, name) {
  const part = parts(fragment).find((one) => nameOf(one) === name);
  return part === undefined ? null : Object.fromEntries(new URLSearchParams(part.slice(part.indexOf("?") + 1)));
}

/** The fragment with other values of an element; those of the others stay. */
export function write(fragment, name, values) {
  const text = (value) => (Array.isArray(value) ? value.join(",") : typeof value === "number" ? exact(value) : value);
  const pairs = Object.entries(values).map(([key, value]) => `${key}=${encodeURIComponent(text(value))}`);
  const others = parts(fragment).filter((one) => nameOf(one) !== name);
  return `#${[...others, `${name}?${pairs.join("&").replaceAll("%2C", ",")}`].join(";")}`;
}

/** The values that a link gives, {values, complaints}: those that are allowed, and of each other one a sentence that
 *  names it. `allowed` has of a name: [low, high, "in words"] of a number, a list of choices, {list: choices} of which
 *  a list is made, or {count, of: [low, high, "in words"]} of so many numbers. */
export function taken(texts, allowed) {
  const values = {};
  const complaints = [];
  for (const [key, text] of Object.entries(texts)) {
    const name = SYMBOLS[key] ?? key;
    if (!Object.hasOwn(allowed, key)) {
      complaints.push(`In the link, ${key}: must be one of ${Object.keys(allowed).join(", ")}.`);
      continue;
    }
    const value = understood(text, allowed[key]);
    if (value === null) complaints.push(`In the link, ${name} = ${text}: must be ${wanted(allowed[key])}.`);
    else values[key] = value;
  }
  return { values, complaints };
}

/** "sgd" with momentum is heavy ball, as in the package and in torch; without a word of momentum it has none. */
export const ballNamed = (values) => {
  if (values.optimizer !== "sgd") return values;
  return values.momentum > 0 ? { ...values, optimizer: "heavy-ball" } : { ...values, momentum: 0 };
};

/** The value that a text is, or null. */
function understood(text, allowed) {
  if (allowed.list) {
    const list = text.split(",");
    return list.every((part) => allowed.list.includes(part)) && new Set(list).size === list.length ? list : null;
  }
  if (allowed.count) {
    const list = text.split(",").map((part) => understood(part, allowed.of));
    return list.length === allowed.count && !list.includes(null) ? list : null;
  }
  if (!isRange(allowed)) return allowed.includes(text) ? text : null;
  const value = numeric(text);
  return value >= allowed[0] && value <= allowed[1] ? value : null;
}

const isRange = ([low]) => typeof low === "number";

function wanted(allowed) {
  if (allowed.list) return `some of ${allowed.list.join(", ")}`;
  if (allowed.count) return `${allowed.count} numbers ${allowed.of[2]}, with commas between them`;
  return isRange(allowed) ? `a number ${allowed[2]}` : `one of ${allowed.join(", ")}`;
}
