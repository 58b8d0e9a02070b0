// Elements of the page, and what is written into them.

export function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== false) made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children);
  return made;
}

export const button = (name, text, attributes = {}) =>
  element("button", { type: "button", class: name, ...attributes }, text);

/** A field for a number that is typed. */
export const field = (label, attributes) =>
  element("input", { type: "text", class: "typed", inputmode: "decimal", "aria-label": label, ...attributes });

/** Write into a node, if it is news: what listens to it is not to hear the same twice. */
export function say(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/** Give a select its options, value → text, if they are news: a list that is open stays open. */
export function fill(select, options) {
  const key = JSON.stringify(options);
  if (select.dataset.options === key) return;
  select.dataset.options = key;
  select.replaceChildren(...Object.entries(options).map(([value, text]) => element("option", { value }, text)));
}
