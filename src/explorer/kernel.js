// What widgets share where there is a kernel: telling it something, and keeping a notebook's keys from them.

/** Tell the kernel something, and return whether it could be told: of a kernel that was restarted a model may throw. */
export function tell(act) {
  try {
    act();
    return true;
  } catch {
    return false;
  }
}

/** A notebook has shortcuts on plain keys: it would take the arrows from a slider, and Enter from a button. Returns
 *  what leaves them to it again. */
export function keepKeys(el) {
  const plain = (event) => !(event.ctrlKey || event.metaKey || event.altKey);
  const keep = (event) => {
    if (el.contains(event.target) && !event.target.matches(":read-write") && plain(event)) event.stopPropagation();
  };
  window.addEventListener("keydown", keep, true);
  return () => window.removeEventListener("keydown", keep, true);
}
