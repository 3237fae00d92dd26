/**
 * Calls hostile modules: `node attack.js MODULES_DIR GOOD_MODULE [--chromium]`.
 *
 * Prints a line of JSON for each file in MODULES_DIR.
 */
import { readdir } from "node:fs/promises";
import { basename, dirname, resolve } from "node:path";
import process from "node:process";
import { pathToFileURL } from "node:url";
import { attackAll } from "./attacks.js";
import { callInChromium } from "./chromium.js";

const [modules, good, option] = process.argv.slice(2);
const base = (name, folder) => (option ? `/${name}` : pathToFileURL(resolve(folder)).href);
const given = {
  modules: (await readdir(modules))
    .sort()
    .map((name) => ({ name, url: `${base("modules", modules)}/${name}` })),
  good: `${base("good", dirname(good))}/${basename(good)}`,
  timeoutMs: 2000,
  memoryBytes: 64 << 20,
};
const folders = { modules, good: dirname(good) };
const rows = option
  ? await callInChromium(folders, "dev/attacks.js", "attackAll", given)
  : await attackAll(given);
for (const row of rows) console.log(JSON.stringify(row));
