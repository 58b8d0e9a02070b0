// Whether somebody can see it: in view, in a tab that is not hidden; and whether motion is wanted.

/** Watch `root`: `changed(seen)` when it comes into view or goes. Returns {still, dispose}: still is true where less
 *  motion is preferred. */
export function presence(root, changed) {
  const here = { inView: false, told: null };
  const look = () => {
    const seen = here.inView && !document.hidden;
    if (seen === here.told) return;
    here.told = seen;
    changed(seen);
  };
  const views = new IntersectionObserver((entries) => {
    here.inView = entries.at(-1).isIntersecting;
    look();
  });
  views.observe(root);
  document.addEventListener("visibilitychange", look);
  return {
    still: globalThis.matchMedia?.("(prefers-reduced-motion: reduce)").matches ?? false,
    dispose() {
      views.disconnect();
      document.removeEventListener("visibilitychange", look);
    },
  };
}
