/**
 * Copies arrays through chonkle's codecs: `node copy.js ARRAYS_DIR CODEC_DIR COPIES_DIR [--chromium]`.
 *
 * Each folder in ARRAYS_DIR is an array. Prints a line of JSON for each, with the digest of its
 * values in C order.
 */
import { mkdir, readdir, writeFile } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import process from "node:process";
import { pathToFileURL } from "node:url";
import { callInChromium } from "./chromium.js";
import { copyAll } from "./copies.js";

const [arrays, codecs, copies, option] = process.argv.slice(2);
const base = (name, folder) => (option ? `/${name}` : pathToFileURL(resolve(folder)).href);
const modules = (await readdir(codecs, { recursive: true })).filter((each) =>
  each.endsWith(".core.wasm"),
);
const given = {
  arrays: (await readdir(arrays))
    .sort()
    .map((name) => ({ name, url: `${base("arrays", arrays)}/${name}` })),
  codecs: modules.map((file) => `${base("codecs", codecs)}/${file}`),
};
const rows = option
  ? await callInChromium({ arrays, codecs }, "dev/copies.js", "copyAll", given)
  : await copyAll(given);
for (const { files = {}, ...row } of rows) {
  for (const [key, data] of Object.entries(files)) {
    const path = join(copies, row.name, key);
    await mkdir(dirname(path), { recursive: true });
    await writeFile(path, Buffer.from(data, "base64"));
  }
  console.log(JSON.stringify(row));
}
