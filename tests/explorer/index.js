// For node 21 and later, which take the folder in "node --test tests/explorer/" for a module.
const { readdirSync } = require("node:fs");

for (const name of readdirSync(__dirname)) if (name.endsWith(".test.mjs")) import(`./${name}`);
