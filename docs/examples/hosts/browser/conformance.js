/**
 * Runs golden vectors in node, or in headless Chromium.
 *
 *     node conformance.js VECTORS.jsonl CODEC_DIR [--chromium]
 *
 * `chonkle vectors export` writes the vectors. Prints a line of JSON for each, and exits with 1 if
 * any of them failed.
 */
import { dirname, basename, resolve } from "node:path";
import process from "node:process";
import { pathToFileURL } from "node:url";
import { callInChromium } from "./dev/chromium.js";
import { runVectors } from "./dev/vectors.js";

const [vectors, codecs, option] = process.argv.slice(2);
const isUsed = codecs && [undefined, "--chromium"].includes(option);
if (!isUsed) {
  console.error("usage: node conformance.js VECTORS.jsonl CODEC_DIR [--chromium]");
  process.exit(2);
}
const toUrl = (path) => pathToFileURL(resolve(path)).href;
const rows = option
  ? await callInChromium({ vectors: dirname(vectors), codecs }, "dev/vectors.js", "runVectors", {
      host: "chromium",
      vectors: `/vectors/${basename(vectors)}`,
      codecs: "/codecs",
    })
  : await runVectors({ host: "node", vectors: toUrl(vectors), codecs: toUrl(codecs) });
for (const row of rows) console.log(JSON.stringify(row));
process.exitCode = rows.length > 0 && rows.every(({ ok }) => ok) ? 0 : 1;
