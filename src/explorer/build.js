// Bundle the explorer into the one file that the package carries. Its first line names what it was made from.
//
// The file is a classic script, "var weightDecay = ...", that works from file://, too. The network that trains in a
// page stands in it as a function, of whose text a worker is made; its WebAssembly in base64. Nothing else is loaded.

import { createHash } from "node:crypto";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { deflateRawSync, inflateRawSync } from "node:zlib";
import asc from "assemblyscript/asc";
import { build, transform } from "esbuild";

const HERE = fileURLToPath(new URL(".", import.meta.url));
const KERNELS = "network/simd.wasm.js";
const WHOLE = "network/whole.js";
const OPTIONS = {
  absWorkingDir: HERE,
  bundle: true,
  charset: "utf8",
  format: "esm",
  legalComments: "none",
  minify: true,
  target: "es2022",
  write: false,
};

/** What the bundle is made of: every file of this folder that is code or data, in the order of its name. */
function sources(folder = "") {
  const found = readdirSync(HERE + folder, { withFileTypes: true }).flatMap((entry) => {
    const name = folder + entry.name;
    if (entry.isFile()) return /\.(js|ts|json)$/.test(entry.name) ? [name] : [];
    return entry.isDirectory() && entry.name !== "node_modules" ? sources(`${name}/`) : [];
  });
  return found.sort((a, b) => (a < b ? -1 : 1));
}

/** Compile the kernels, and keep them in a module if they are not those that it has. */
async function kernels() {
  const flags = ["network/simd.ts", "--baseDir", HERE, "--outFile", "simd.wasm", "--runtime", "stub", "--importMemory"];
  let binary;
  const { error, stderr } = await asc.main([...flags, "--enable", "simd", "-O3", "--noAssert"], {
    writeFile: (name, data) => {
      if (name.endsWith(".wasm")) binary = Buffer.from(data);
    },
  });
  if (error) throw new Error(`${error.message}\n${stderr}`);
  if (binary.equals(kept())) return; // zlib packs differently from version to version
  const packed = deflateRawSync(binary, { level: 9 }).toString("base64");
  const text = `// Made by build.js from simd.ts: its WebAssembly, packed by deflate, in base64.

// biome-ignore format: one line
export default "${packed}";\n`;
  writeFileSync(HERE + KERNELS, text);
}

/** The kernels that are there. */
function kept() {
  try {
    return inflateRawSync(Buffer.from(/"(.*)"/.exec(readFileSync(HERE + KERNELS, "utf8"))[1], "base64"));
  } catch {
    return Buffer.of();
  }
}

/** A module with all that it imports, as a script in which `name` has what it exports: shorter than the bundler's. */
async function bundled(entry, name, plugins = []) {
  const { outputFiles } = await build({ ...OPTIONS, plugins, entryPoints: [entry] });
  const [exported, list] = /export\{([^}]*)\};\s*$/.exec(outputFiles[0].text);
  const pairs = list.split(",").map((one) => one.split(" as ").reverse().join(":"));
  return `var ${name}=(()=>{"use strict";${outputFiles[0].text.replace(exported, `return{${pairs}}`)}})();\n`;
}

/** Let whole.js hold the modules that it imports: a function whose text is all of them. */
const whole = {
  name: "whole",
  setup({ onLoad }) {
    onLoad({ filter: /network\/whole\.js$/ }, async () => {
      const code = await bundled(WHOLE, "whole");
      return { contents: `export function network() { ${code} return whole.network(); }` };
    });
  },
};

/** Let the styles, which stand in modules as text, be as short as the code: also of the class in every selector. */
const CLASS = ".wd-explorer";
const styles = {
  name: "styles",
  setup({ onLoad }) {
    onLoad({ filter: /(style|crossing)\.js$/ }, async ({ path }) => {
      const text = readFileSync(path, "utf8");
      const [written] = /`\n\.wd[^`$]*`/.exec(text) ?? [""];
      const { code } = await transform(written.slice(1, -1), { loader: "css", minify: true, charset: "utf8" });
      const short = `\`${code.trim().replaceAll(CLASS, "~")}\`.replaceAll("~", "${CLASS}")`;
      return { contents: written ? text.replace(written, () => short) : text };
    });
  },
};

await kernels();
const digest = createHash("sha256");
for (const name of sources()) digest.update(`${name}\n`).update(readFileSync(HERE + name));
const code = await bundled("main.js", "weightDecay", [whole, styles]);
const text = `// Made by "make explorer" from src/explorer, sha256 ${digest.digest("hex")}.
${code}`;
writeFileSync(new URL("../resnet_dynamics/explorer.js", import.meta.url), text);
console.log(`explorer.js: ${(Buffer.byteLength(text) / 1000).toFixed(0)} kB`);
