/** Runs golden vectors, the lines of `chonkle vectors export`, in any host. */
import { open } from "../chonkle.js";

const OTHER = { decode: "encode", encode: "decode" };

/** Run all vectors in Chromium or node; the result has a row for each. */
export async function runVectors({ host, vectors, codecs }) {
  const opened = new Map();
  const rows = [];
  for (const text of (await readText(vectors)).split("\n").filter(Boolean)) {
    const vector = JSON.parse(text);
    const { module, sha256, codec_id, case: name, direction } = vector;
    let error = null;
    try {
      const key = `${module} ${sha256}`;
      if (!opened.has(key)) {
        const wasm = await readBytes(`${codecs}/${module}`);
        opened.set(key, await open(wasm, { integrity: `sha256:${sha256}` }));
      }
      error = await check(opened.get(key), vector);
    } catch (failure) {
      error = failure.message;
    }
    rows.push({ host, codec_id, case: name, direction, ok: error === null, error });
  }
  return rows;
}

async function check(codec, { direction, inputs, outputs, then }) {
  const found = await codec.call(direction, toPorts(inputs));
  if (outputs) return difference(found, toPorts(outputs));
  const restored = await codec.call(OTHER[direction], { ...found, ...toPorts(then.inputs) });
  return difference(restored, toPorts(then.outputs));
}

function difference(found, expected) {
  const [names, wanted] = [found, expected].map((each) => Object.keys(each).sort().join());
  if (names !== wanted) return `expected the ports ${wanted}, got ${names}`;
  for (const [name, data] of Object.entries(expected)) {
    const got = found[name];
    if (got.length !== data.length)
      return `port \`${name}\`: expected ${data.length} bytes, got ${got.length}`;
    const at = data.findIndex((byte, index) => byte !== got[index]);
    if (at >= 0) return `port \`${name}\`, byte ${at}: expected ${data[at]}, got ${got[at]}`;
  }
  return null;
}

function toPorts(written) {
  const toBytes = (base64) => Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
  return Object.fromEntries(Object.entries(written).map(([name, data]) => [name, toBytes(data)]));
}

/** Read a file: of a URL, as everywhere, and in node also of the disk. */
export async function readBytes(url) {
  if (!url.startsWith("file:")) {
    const response = await fetch(url);
    if (!response.ok) throw new Error(`${url}: HTTP status ${response.status}`);
    return new Uint8Array(await response.arrayBuffer());
  }
  const { readFile } = await import("node:fs/promises");
  return new Uint8Array(await readFile(new URL(url)));
}

export async function readText(url) {
  return new TextDecoder().decode(await readBytes(url));
}
