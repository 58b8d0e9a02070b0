// A lab in a Web Worker. The first message brings the WebAssembly of the kernels; all others are commands.

import { fastest } from "./fastest.js";
import { Lab } from "./lab.js";
import { runner } from "./runner.js";

const SLICE = 12; // ms

/** Make a lab of the worker whose global object this is. It says {type: "ready"} when it will hear commands. */
export function work(scope) {
  const post = (message) => scope.postMessage(message, transferred(message));
  scope.onmessage = async ({ data }) => {
    const kernels = await fastest(data.binary);
    const lab = new Lab({ kernels, where: "worker" });
    const { receive } = runner(lab, { post, later: afterMessages(), slice: SLICE });
    scope.onmessage = (event) => receive(event.data);
    post({ type: "ready" });
  };
}

/** A function that calls act() when the messages that are there have been heard, or after `wait` ms. A timer of 0 ms
 *  would sleep for 4. */
function afterMessages() {
  const channel = new MessageChannel();
  return (act, wait) => {
    if (wait > 4) return setTimeout(act, wait);
    channel.port1.onmessage = act;
    channel.port2.postMessage(null);
  };
}

/** The arrays of a report: they are handed over, not copied. */
function transferred({ networks = [] }) {
  const arrays = networks.flatMap((network) => Object.values(network)).filter((value) => value instanceof Float32Array);
  return arrays.map((array) => array.buffer);
}
