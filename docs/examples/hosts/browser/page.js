/**
 * The page: reads an array over HTTP, decodes it in workers, draws it, and compares times.
 *
 * `?array=URL&codecs=URL`: an array of Zarr 3 with two axes, and a folder with a `codecs.lock`.
 */
import * as zarrita from "zarrita";
import { ChonkleError, Workers, open } from "./chonkle.js";
import { registerZarrita } from "./zarrita.js";

const TIMEOUT_MS = 10_000;
const REPEATS = 5;
const TICKS = 5;
// Colours of equal steps in lightness, after viridis.
const COLOURS = [
  "#440154",
  "#472d7b",
  "#3b528b",
  "#2c728e",
  "#21918c",
  "#28ae80",
  "#5ec962",
  "#addc30",
  "#fde725",
].map((each) => [1, 3, 5].map((at) => parseInt(each.slice(at, at + 2), 16)));

const $ = (id) => document.getElementById(id);

function say(text) {
  $("state").textContent = text;
}

function asCode(text) {
  return Object.assign(document.createElement("code"), { textContent: text });
}

function complain(title, failure) {
  const line = document.createElement("p");
  const bold = document.createElement("b");
  bold.textContent = `${title}. `;
  const parts = (
    failure instanceof ChonkleError ? failure : (failure.cause ?? failure)
  ).message.split("`");
  line.append(bold, ...parts.map((part, index) => (index % 2 ? asCode(part) : part)));
  $("problems").append(line);
}

function addRow(table, cells, isOurs = false) {
  const row = $(table).tBodies[0].insertRow();
  row.classList.toggle("ours", isOurs);
  for (const [index, cell] of cells.entries()) {
    const made = row.insertCell();
    made.append(cell);
    made.classList.toggle("number", index > 0);
  }
}

/** Read `codecs.lock`: the file and the digest of each core module, by codec id. */
async function readLock(folder) {
  const text = await (await fetch(new URL("codecs.lock", folder))).text();
  const found = new Map();
  let [id, isCore] = ["", false];
  for (const line of text.split("\n")) {
    const [, key, value] = /^(\w+) = "(.*)"$/.exec(line) ?? [];
    if (line.startsWith("[")) isCore = line.endsWith(".core]");
    if (key === "codec_id") id = value;
    if (key === "codec_id") found.set(id, {});
    else if (isCore && id) found.get(id)[key] = value;
  }
  return found;
}

/** Open the codecs that an array needs, each checked against its digest. */
async function openCodecs(folder, metadata, workers) {
  const lock = await readLock(folder);
  const ids = metadata.codecs
    .map(({ name }) => name.replace("numcodecs.", ""))
    .filter((id) => lock.has(id));
  return Promise.all(
    ids.map(async (id) => {
      const { file, sha256 } = lock.get(id);
      const options = { integrity: `sha256:${sha256}`, limits: { memoryBytes: 256 << 20 } };
      const url = new URL(file.split("/").map(encodeURIComponent).join("/"), folder);
      const wasm = await (await fetch(url)).arrayBuffer();
      const [here, inWorkers] = await Promise.all([
        open(wasm, options),
        open(wasm, { ...options, workers }),
      ]).catch((failure) => {
        throw Object.assign(failure, { message: `${file}: ${failure.message}` });
      });
      return { here, inWorkers, file, sizeBytes: wasm.byteLength };
    }),
  );
}

/** Decode every chunk; those that fail have a `failure` instead of `data`. */
async function decodeAll(store) {
  const array = await zarrita.open.v3(store, { kind: "array" });
  const [rows, columns] = array.shape.map((extent, axis) => Math.ceil(extent / array.chunks[axis]));
  const places = Array.from({ length: rows * columns }, (_, at) => [
    Math.floor(at / columns),
    at % columns,
  ]);
  return Promise.all(
    places.map((place) =>
      array.getChunk(place).then(
        ({ data }) => ({ place, data }),
        (failure) => ({ place, failure }),
      ),
    ),
  );
}

/** Give the median of the seconds that decoding all chunks takes. */
async function measure(store) {
  const times = [];
  for (let repeat = 0; repeat < REPEATS; repeat++) {
    const start = performance.now();
    await decodeAll(store);
    times.push((performance.now() - start) / 1000);
  }
  return times.sort((one, other) => one - other)[Math.floor(REPEATS / 2)];
}

function colourOf(share) {
  const at = Math.min(Math.max(share, 0), 1) * (COLOURS.length - 1);
  const [low, high] = [COLOURS[Math.floor(at)], COLOURS[Math.ceil(at)]];
  return low.map((value, index) => value + (high[index] - value) * (at % 1));
}

const SHADES = Array.from({ length: 256 }, (_, at) => colourOf(at / 255));

function draw(chunks, { shape: [height, width], chunks: [rows, columns] }) {
  let [least, most] = [Infinity, -Infinity];
  for (const { data = [] } of chunks) {
    for (const value of data) {
      if (value < least) least = value;
      if (value > most) most = value;
    }
  }
  const canvas = Object.assign($("picture"), { width, height });
  const context = canvas.getContext("2d");
  for (const { place, data } of chunks) {
    const [top, left] = [place[0] * rows, place[1] * columns];
    if (!data) {
      hatch(context, left, top, columns, rows);
      continue;
    }
    const image = context.createImageData(columns, rows);
    const scale = 255 / (Number(most) - Number(least) || 1);
    for (let index = 0; index < data.length; index++) {
      const isNothing = Number.isNaN(data[index]);
      image.data.set(
        SHADES[isNothing ? 0 : Math.round((Number(data[index]) - Number(least)) * scale)],
        4 * index,
      );
      image.data[4 * index + 3] = isNothing ? 0 : 255;
    }
    context.putImageData(image, left, top);
  }
  return [Number(least), Number(most)];
}

function hatch(context, left, top, width, height) {
  context.save();
  context.beginPath();
  context.rect(left, top, width, height);
  context.clip();
  context.fillStyle = "#fdf1f0";
  context.fill();
  context.strokeStyle = "#a4262c";
  context.lineWidth = Math.max(1, width / 96);
  context.beginPath();
  for (let at = -height; at < width; at += width / 12) {
    context.moveTo(left + at, top + height);
    context.lineTo(left + at + height, top);
  }
  context.stroke();
  context.restore();
}

function drawBar([least, most], { units = "", long_name: title = "" }) {
  $("bar").style.background =
    `linear-gradient(to top, ${COLOURS.map((each) => `rgb(${each})`).join()})`;
  $("bar-title").textContent = units ? `${title} (${units})` : title;
  const digits = Math.max(0, 2 - Math.floor(Math.log10(most - least || 1)));
  for (let tick = TICKS - 1; tick >= 0; tick--) {
    const item = document.createElement("li");
    item.textContent = (least + ((most - least) * tick) / (TICKS - 1)).toFixed(Math.min(digits, 6));
    $("ticks").append(item);
  }
}

function drawTimes(times, sizeBytes) {
  const longest = Math.max(...times.map(({ seconds }) => seconds));
  for (const { title, seconds, isOurs } of times) {
    const label = document.createElement("span");
    const length = document.createElement("span");
    label.textContent = title;
    length.className = "length";
    length.style.width = `${(100 * seconds) / longest}%`;
    const cell = document.createElement("div");
    cell.append(label, length);
    addRow(
      "times",
      [cell, `${(1000 * seconds).toFixed(1)} ms`, `${(sizeBytes / seconds / 1e6).toFixed(0)} MB/s`],
      isOurs,
    );
  }
}

async function show(arrayUrl, codecsUrl) {
  const workers = new Workers({
    size: Math.min(navigator.hardwareConcurrency, 4),
    timeoutMs: TIMEOUT_MS,
  });
  // What was downloaded once stays, so that times are of decoding.
  const files = new Map();
  const remote = new zarrita.FetchStore(arrayUrl);
  const store = {
    async get(key) {
      if (!files.has(key)) files.set(key, await remote.get(key));
      return files.get(key);
    },
  };
  const array = await zarrita.open.v3(store, { kind: "array" });
  const metadata = JSON.parse(new TextDecoder().decode(files.get("/zarr.json")));
  if (array.shape.length !== 2) throw new Error(`expected two axes, got ${array.shape.length}`);
  $("title").textContent = metadata.attributes.title ?? arrayUrl.pathname;
  $("lead").textContent =
    `${array.shape.join(" × ")} of ${array.dtype}, in chunks of ${array.chunks.join(" × ")}`;

  say("Fetching codecs and chunks…");
  const opened = await openCodecs(codecsUrl, metadata, workers);
  for (const { here, sizeBytes } of opened) {
    const { codec_id: id, implementation, version } = here.signature;
    addRow("codecs", [
      `${id}: ${implementation} ${version}`,
      `${(sizeBytes / 1000).toFixed(0)} kB`,
    ]);
  }
  $("verified").textContent =
    "Each module has the digest that codecs.lock says, and imports nothing.";

  const before = [...zarrita.registry];
  await registerZarrita(
    zarrita.registry,
    opened.map(({ inWorkers }) => inWorkers),
  );
  const chunks = await decodeAll(store);
  for (const { place, failure } of chunks) {
    if (failure)
      complain(
        `Chunk ${place.join(", ")} is ${failure.cause?.name === "CodecError" ? "corrupt" : "not decoded"}`,
        failure,
      );
  }
  $("results").hidden = false;
  drawBar(draw(chunks, array), metadata.attributes);
  const encodedBytes = [...files.values()].reduce((sum, data) => sum + (data?.length ?? 0), 0);
  const failed = chunks.filter(({ failure }) => failure).length;
  $("caption").textContent =
    `${chunks.length} chunks, ${(encodedBytes / 1e6).toFixed(1)} MB over HTTP` +
    `${failed ? `; ${failed} could not be decoded` : ""}. ${metadata.attributes.source ?? ""}`;

  say("Measuring…");
  const sizeBytes = chunks.reduce((sum, { data }) => sum + (data?.byteLength ?? 0), 0);
  const size = Math.min(navigator.hardwareConcurrency, 4);
  const times = [
    { title: `chonkle, ${size} workers`, seconds: await measure(store), isOurs: true },
  ];
  await registerZarrita(
    zarrita.registry,
    opened.map(({ here }) => here),
  );
  times.push({ title: "chonkle, this thread", seconds: await measure(store), isOurs: true });
  for (const [name, own] of before) zarrita.registry.set(name, own);
  if (!failed)
    times.push({ title: "zarrita’s own codecs", seconds: await measure(store), isOurs: false });
  drawTimes(times, sizeBytes);
  $("measured").textContent = `Medians of ${REPEATS} reads of all chunks, which are in memory.`;
  workers.close();
  say("");
}

const asked = new URLSearchParams(location.search);
for (const name of ["array", "codecs"]) $("form").elements[name].value = asked.get(name) ?? "";
if (asked.has("array") && asked.has("codecs")) {
  const folder = (name) => new URL(`${asked.get(name).replace(/\/$/, "")}/`, location);
  await show(folder("array"), folder("codecs")).catch((failure) => {
    complain(
      failure.name === "DigestMismatchError" ? "A codec was refused" : "The array cannot be shown",
      failure,
    );
    say("");
  });
  document.body.dataset.done = "true";
}
