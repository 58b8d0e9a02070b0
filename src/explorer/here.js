// Train on a page without a kernel: the page's small network trains, and what comes of it is the reader's own run.

import { connect } from "./live/remote.js";
import { begin, HERE, shown, take } from "./own.js";
import { written } from "./words.js";

const PAUSE = 330; // ms between two looks at a run
const KEPT = 6; // runs
const SEED = 0;

/** `tell` has curves(list), progress(news) and chosen(), which shows the training that a page can make. Returns what
 *  Train, Stop and Forget do: train(values), stop(), forget(), as of a kernel, and dispose(). */
export function here(layers, tell) {
  const self = { tell, runs: [], run: null, remote: null, looked: 0, ids: 0 };
  return {
    page: true,
    train(values) {
      self.remote?.dispose();
      tell.chosen();
      self.run = begin(values, layers, ++self.ids);
      tell.progress({ state: "loading", fraction: 0, text: "the page's small network begins" });
      self.remote = connect({
        onReport: (report) => heard(self, report),
        onError: (text) => end(self, "failed", text),
      });
      const { lr, weight_decay, momentum, optimizer } = values;
      const networks = [{ lr, weight_decay, momentum, optimizer }];
      self.remote.send({ type: "start", seed: SEED, batch_size: HERE.batch_size, networks });
      self.remote.send({ type: "step", count: HERE.steps });
      return true;
    },
    stop() {
      if (self.run) end(self, "stopped", `stopped after ${written(self.run.t)} of ${written(HERE.steps)} steps`);
      return true;
    },
    forget() {
      self.runs = [];
      tell.curves(self.runs);
      return true;
    },
    dispose: () => self.remote?.dispose(),
  };
}

function heard(self, report) {
  const { run } = self;
  if (!run) return;
  take(run, report);
  if (run.diverged_at >= 0)
    return end(self, "diverged", `the loss is no longer finite at step ${written(run.diverged_at)}`);
  if (run.t >= HERE.steps && run.tests.length === HERE.epochs) {
    return end(self, "done", `test accuracy ${(100 * run.tests.at(-1).accuracy).toFixed(1)} %`);
  }
  if (performance.now() - self.looked < PAUSE) return;
  self.looked = performance.now();
  show(self, "training");
  const left = report.steps_per_second ? `, ${Math.ceil((HERE.steps - run.t) / report.steps_per_second)} s left` : "";
  const text = `step ${written(run.t)} of ${written(HERE.steps)}${left}`;
  self.tell.progress({ state: "training", fraction: run.t / HERE.steps, text });
}

/** Show the run in place of what was known of it, and of an earlier one of the same values. */
function show(self, state) {
  const one = shown(self.run, state);
  if (!one) return;
  const same = (run) => ["lr", "weight_decay", "momentum", "optimizer"].every((key) => run[key] === one[key]);
  self.runs = [...self.runs.filter((run) => run.id !== one.id && !same(run)), one].slice(-KEPT);
  self.tell.curves(self.runs);
}

function end(self, state, text) {
  self.remote?.dispose();
  self.remote = null;
  show(self, state);
  self.run = null;
  self.tell.progress({ state, fraction: 1, text });
}
