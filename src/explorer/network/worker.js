// A lab in a Web Worker. The first message brings the WebAssembly of the kernels; all others are commands.

import { fastest } from "./fastest.js";
import { Lab } from "./lab.js";
import { runner, transferred } from "./runner.js";

const SLICE = 12; // ms

const channel = new MessageChannel(); // a timer would sleep for 4 ms
let next = null;
channel.port1.onmessage = () => next();
const later = (act) => {
  next = act;
  channel.port2.postMessage(null);
};

const post = (message) => self.postMessage(message, transferred(message));

self.onmessage = async ({ data }) => {
  const kernels = await fastest(data.binary);
  const { receive } = runner(new Lab({ kernels, where: "worker" }), { post, later, slice: SLICE });
  self.onmessage = (event) => receive(event.data);
  post({ type: "ready" });
};
