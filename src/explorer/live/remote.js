// The way to the lab: in a worker, which never disturbs the page, or where there can be none on the page, in slices.

import binary from "../network/simd.wasm.js";
import { network } from "../network/whole.js";

const PATIENCE = 3000; // ms that a worker has to answer
const SLICE = 8; // ms of a frame that the page gives

/** Start a lab. onReport(report) and onError(text) hear of it; it hears send(command), and dispose() ends it. */
export function connect({ onReport, onError }) {
  const self = { onReport, onError, sent: [], lab: null, end: () => {} };
  const refused = () => {
    self.end();
    onPage(self);
  };
  try {
    inWorker(self, refused);
  } catch {
    refused();
  }
  return {
    send(command) {
      if (self.lab) self.lab(command);
      else self.sent.push(command);
    },
    dispose() {
      self.end();
      self.lab = () => {};
    },
  };
}

/** A lab is there: it gets the commands that came before it. */
function ready(self, lab) {
  self.lab = lab;
  for (const command of self.sent.splice(0)) lab(command);
}

function hear(self, message) {
  if (message.type === "report") self.onReport(message);
  else if (message.type === "error") self.onError(message.text);
}

/** A worker made of the text of the network. Throws where workers are forbidden; where one fails to start, or does not
 *  answer in time, refused() is called. */
function inWorker(self, refused) {
  const address = URL.createObjectURL(new Blob([`(${network})().work(self);`], { type: "text/javascript" }));
  const worker = new Worker(address);
  const patience = setTimeout(refused, PATIENCE);
  self.end = () => {
    clearTimeout(patience);
    worker.terminate();
    URL.revokeObjectURL(address);
  };
  worker.onerror = (event) => {
    if (!self.lab) refused();
    else self.onError(`The network stopped: ${event.message}`);
  };
  worker.onmessage = ({ data }) => {
    if (data.type !== "ready") return hear(self, data);
    clearTimeout(patience);
    ready(self, (command) => worker.postMessage(command));
  };
  worker.postMessage({ binary });
}

/** The same on the page: a slice each frame. */
async function onPage(self) {
  let frame = 0;
  let over = false;
  self.end = () => {
    over = true;
    cancelAnimationFrame(frame);
  };
  const { Lab, fastest, runner } = network();
  const kernels = await fastest(binary);
  if (over) return;
  const later = (act) => {
    frame = requestAnimationFrame(act);
  };
  const post = (message) => over || hear(self, message);
  ready(self, runner(new Lab({ kernels, where: "page" }), { post, later, slice: SLICE }).receive);
}
