// Bundle the explorer into the one file that the package carries. Its first line names what it was made from.

import { createHash } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const SOURCES = [
  "LICENSE-d3",
  "address.js",
  "build.js",
  "captions.js",
  "charts.js",
  "compute.js",
  "controls.js",
  "dom.js",
  "element.js",
  "evidence.js",
  "explorer.js",
  "guess.js",
  "links.js",
  "main.js",
  "package-lock.json",
  "package.json",
  "series.js",
  "settings.js",
  "state.js",
  "style.js",
  "surroundings.js",
  "theory.js",
  "training.js",
  "view.js",
  "words.js",
];
const digest = createHash("sha256");
for (const name of SOURCES) digest.update(`${name}\n`).update(readFileSync(new URL(name, import.meta.url)));

const { outputFiles } = await build({
  absWorkingDir: fileURLToPath(new URL(".", import.meta.url)),
  entryPoints: ["main.js"],
  bundle: true,
  format: "iife",
  globalName: "weightDecay",
  minify: true,
  target: "es2022",
  charset: "utf8",
  write: false,
  legalComments: "none",
});
const license = readFileSync(new URL("LICENSE-d3", import.meta.url), "utf8").trim();
const text = `// Made by "make explorer" from src/explorer, sha256 ${digest.digest("hex")}.
/* Contains d3 and internmap:
${license}
*/
${outputFiles[0].text}`;
writeFileSync(new URL("../resnet_dynamics/explorer.js", import.meta.url), text);
console.log(`explorer.js: ${(new TextEncoder().encode(text).length / 1000).toFixed(0)} kB`);
