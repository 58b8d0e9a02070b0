// Bundle the explorer into the one file that the package carries. Its first line names what it was made from.
//
// The file is a classic script, "var weightDecay = ...", that works from file://, too. The network's worker stands in it
// as a string, and the WebAssembly of its kernels as base64: a page has one file to load, and no other to look for.

import { createHash } from "node:crypto";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import asc from "assemblyscript/asc";
import { build } from "esbuild";

const HERE = fileURLToPath(new URL(".", import.meta.url));
const KERNELS = "network/simd.wasm.js";
const OPTIONS = { absWorkingDir: HERE, bundle: true, format: "iife", minify: true, target: "es2022", charset: "utf8" };

/** What the bundle is made of: every file of this folder that is code, data or a license, in the order of its name. */
function sources(folder = "") {
  const found = readdirSync(HERE + folder, { withFileTypes: true }).flatMap((entry) => {
    const name = folder + entry.name;
    if (entry.isFile()) return /\.(js|ts|json)$|^LICENSE/.test(entry.name) ? [name] : [];
    return entry.isDirectory() && entry.name !== "node_modules" ? sources(`${name}/`) : [];
  });
  return found.sort((a, b) => (a < b ? -1 : 1));
}

/** Compile the kernels, and keep them in a module. */
async function kernels() {
  const flags = ["network/simd.ts", "--baseDir", HERE, "--outFile", "simd.wasm", "--runtime", "stub", "--importMemory"];
  let binary;
  const { error, stderr } = await asc.main([...flags, "--enable", "simd", "-O3", "--noAssert"], {
    writeFile: (name, data) => {
      if (name.endsWith(".wasm")) binary = Buffer.from(data);
    },
  });
  if (error) throw new Error(`${error.message}\n${stderr}`);
  const text = `// Made by build.js from simd.ts: its WebAssembly, ${binary.length} bytes in base64.\n
// biome-ignore format: one line
export default "${binary.toString("base64")}";\n`;
  writeFileSync(HERE + KERNELS, text);
}

async function bundled(entry, more = {}) {
  const { outputFiles } = await build({
    ...OPTIONS,
    entryPoints: [entry],
    write: false,
    legalComments: "none",
    ...more,
  });
  return outputFiles[0].text;
}

await kernels();
const digest = createHash("sha256");
for (const name of sources()) digest.update(`${name}\n`).update(readFileSync(HERE + name));
const worker = await bundled("network/worker.js");
const code = await bundled("main.js", {
  globalName: "weightDecay",
  define: { WORKER_SOURCE: JSON.stringify(worker) },
});
const license = readFileSync(`${HERE}LICENSE-d3`, "utf8").trim();
const text = `// Made by "make explorer" from src/explorer, sha256 ${digest.digest("hex")}.
/* Contains d3 and internmap:
${license}
*/
${code}`;
writeFileSync(new URL("../resnet_dynamics/explorer.js", import.meta.url), text);
const kB = (string) => (Buffer.byteLength(string) / 1000).toFixed(0);
console.log(`explorer.js: ${kB(text)} kB, the worker ${kB(worker)} kB of them`);
