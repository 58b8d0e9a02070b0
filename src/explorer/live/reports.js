// Reports of the lab on their way to Python: {type: "report", arrays, …} is plain JSON, the arrays themselves are
// buffers of float32, in the order of ARRAYS, of one network after the other. A report whose events have a "start"
// begins a history. Pure.

export const ARRAYS = ["lr", "weight_decay", "momentum", "products", "loss", "accuracy"];

/** Reports that follow each other, as one. */
export function joined(reports) {
  const last = reports.at(-1);
  const networks = last.networks.map((network, n) => {
    const all = reports.map((one) => one.networks[n]);
    const arrays = ARRAYS.map((key) => [key, Float32Array.from(all.flatMap((one) => [...one[key]]))]);
    return { ...network, ...Object.fromEntries(arrays), tests: all.flatMap(({ tests }) => tests ?? []) };
  });
  return { ...last, t0: reports[0].t0, networks, events: reports.flatMap(({ events }) => events ?? []) };
}

/** A report as it travels: a header that is plain JSON, and the bytes of its arrays. */
export function packed({ networks, ...report }) {
  const bare = (network) => Object.fromEntries(Object.entries(network).filter(([key]) => !ARRAYS.includes(key)));
  const bytes = (array) => new DataView(array.buffer, array.byteOffset, array.byteLength);
  const buffers = networks.flatMap((network) => ARRAYS.map((key) => bytes(network[key])));
  return { header: { ...report, type: "report", arrays: ARRAYS, networks: networks.map(bare) }, buffers };
}
