/**
 * Measures whole reads of arrays, with chonkle's codecs and with zarrita's own, in turn.
 *
 *     node bench.js ARRAYS_DIR CODEC_DIR [--chromium]
 *
 * Each folder in ARRAYS_DIR is an array of Zarr 3. Prints a line of JSON for each.
 */
import { readdir } from "node:fs/promises";
import { join, resolve } from "node:path";
import process from "node:process";
import { pathToFileURL } from "node:url";
import { callInChromium } from "./dev/chromium.js";
import { measure } from "./dev/reads.js";

const REPEATS = 7;
const [arraysFolder, codecFolder, option] = process.argv.slice(2);
if (!codecFolder || ![undefined, "--chromium"].includes(option)) {
  console.error("usage: node bench.js ARRAYS_DIR CODEC_DIR [--chromium]");
  process.exit(2);
}

async function filesIn(folder, suffix = "") {
  const found = await readdir(folder, { recursive: true, withFileTypes: true });
  const files = found.filter((each) => each.isFile() && each.name.endsWith(suffix));
  return files
    .map((each) => join(each.parentPath ?? each.path, each.name).slice(resolve(folder).length + 1))
    .sort();
}

const [arrays, codecs] = [resolve(arraysFolder), resolve(codecFolder)];
const base = option
  ? { arrays: "/arrays", codecs: "/codecs" }
  : { arrays: pathToFileURL(arrays).href, codecs: pathToFileURL(codecs).href };
const names = (await readdir(arrays)).sort();
const options = {
  host: option ? "chromium" : "node",
  arrays: await Promise.all(
    names.map(async (name) => ({
      url: `${base.arrays}/${name}`,
      keys: await filesIn(join(arrays, name)),
    })),
  ),
  codecs: (await filesIn(codecs, ".core.wasm")).map((file) => `${base.codecs}/${file}`),
  repeats: REPEATS,
};
const rows = option
  ? await callInChromium({ arrays, codecs }, "dev/reads.js", "measure", options)
  : await measure(options);
for (const row of rows) console.log(JSON.stringify(row));
