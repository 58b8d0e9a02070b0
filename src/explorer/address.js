// The address of the page: it follows what the reader sets, and Back and Forward bring a setting back.

import { button, element } from "./dom.js";
import { read, write } from "./links.js";

const PAUSE = 400; // ms between two changes of the address: browsers refuse many

const names = new Set(); // of the elements that are there

/** Give an element its place in the address: `wished`, or `wished`-2, -3 … where that is taken. `restored(texts)` is
 *  called when the reader goes back or forward, or opens a link to this page, with what the address then says.
 *
 *    here()             what the address says now, {name: text}, or null
 *    hold(values)       the setting has moved: the address follows, without an entry in the history
 *    push(values, was)  it has jumped, by a story or a preset: Back leads to `was`
 *    link(values)       the address of this page with a setting */
export function address(wished, restored) {
  const name = free(wished);
  const one = { name, timer: 0, waiting: null };
  const back = () => {
    const texts = read(location.hash, name) ?? history.state?.[name];
    if (texts) restored(texts);
  };
  addEventListener("popstate", back); // also of a fragment that is typed or clicked
  return {
    name,
    here: () => read(location.hash, name),
    hold(values) {
      one.waiting = values;
      one.timer ||= setTimeout(() => settle(one), PAUSE);
    },
    push(values, was) {
      settle(one);
      const texts = read(write("", name, was), name);
      // An address without our part stays so, and Back still leads to `was`.
      change("replaceState", { ...history.state, [name]: texts }, location.href);
      change("pushState", {}, write(location.hash, name, values));
    },
    link: (values) => location.href.split("#")[0] + write(location.hash, name, values),
    dispose() {
      settle(one);
      names.delete(name);
      removeEventListener("popstate", back);
    },
  };
}

function free(wished) {
  let name = wished;
  for (let i = 2; names.has(name); i++) name = `${wished}-${i}`;
  names.add(name);
  return name;
}

/** Write what waits. */
function settle(one) {
  clearTimeout(one.timer);
  if (one.waiting) change("replaceState", history.state, write(location.hash, one.name, one.waiting));
  [one.timer, one.waiting] = [0, null];
}

/** A browser may refuse: in a frame without an address of its own, or after many changes. Then the address stays. */
function change(how, state, url) {
  try {
    history[how](state, "", url);
  } catch {}
}

/** A button that copies the link to a setting. Where the clipboard is not to be had, the link stands in a field,
 *  selected, to be copied by hand. */
export function copyLink(link) {
  const ask = button("copy", "Copy link");
  const said = element("span", { class: "copied", role: "status" });
  const shown = element("input", { type: "text", class: "link", readonly: true, hidden: true, "aria-label": "link" });
  ask.addEventListener("click", async () => {
    const text = link();
    const done = await copied(text, shown);
    shown.hidden = done;
    said.textContent = done ? "Link copied." : "Copy this link:";
    if (!done) shown.select();
  });
  return { box: element("span", { class: "copy-link" }, ask, said, shown), ask };
}

async function copied(text, field) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    field.value = text;
    field.hidden = false;
    field.select();
    return document.execCommand?.("copy") ?? false; // deprecated, and all there is from file:// in some browsers
  }
}
