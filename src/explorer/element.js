// The custom elements of a page: each shows its picture and its table until it is drawn, and again where that fails.

/** Evidence is a file of its own, which all pages share: it may come later than the elements, and then it says so. */
const EVIDENCE = "weight-decay-evidence";

/** Act on the evidence, at once or when it is there. Returns what takes that back. */
export function withEvidence(act) {
  if (globalThis.weightDecayEvidence) {
    act(globalThis.weightDecayEvidence);
    return () => {};
  }
  const come = () => act(globalThis.weightDecayEvidence);
  addEventListener(EVIDENCE, come, { once: true });
  return () => removeEventListener(EVIDENCE, come);
}

/** Let `tag` be an element that mount(host, given) draws, and, with `when`, not before when(act) has called
 *  act(found): mount(host, given, found). `given` is the JSON in the element; mount returns {dispose()}. */
export function define(tag, mount, when = (act) => act() ?? (() => {})) {
  class Drawn extends HTMLElement {
    connectedCallback() {
      if (this.forget) return;
      this.given ??= JSON.parse(this.querySelector(":scope > script[type='application/json']").textContent);
      this.forget = when((found) => draw(this, mount, found));
    }
    disconnectedCallback() {
      this.forget?.();
      this.forget = null;
      this.ui?.dispose();
      this.ui = null;
    }
  }
  if (globalThis.customElements && !customElements.get(tag)) customElements.define(tag, Drawn);
}

function draw(host, mount, found) {
  const before = [...host.childNodes];
  try {
    host.ui = mount(host, host.given, found);
  } catch (error) {
    for (const part of [...host.childNodes]) if (!before.includes(part)) part.remove();
    throw error;
  }
  for (const part of before) part.remove();
}
