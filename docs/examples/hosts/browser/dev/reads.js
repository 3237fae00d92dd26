/** Reads whole arrays with zarrita's own codecs and with chonkle's, in any host. */
import * as zarrita from "zarrita";
import { open } from "../chonkle.js";
import { registerZarrita } from "../zarrita.js";
import { readBytes } from "./vectors.js";

/** Open modules at these URLs, and put them in zarrita's registry. The result restores it. */
export async function registerAll(urls) {
  const before = new Map(zarrita.registry);
  const codecs = await Promise.all(urls.map(async (url) => open(await readBytes(url))));
  await registerZarrita(zarrita.registry, codecs);
  return () => {
    zarrita.registry.clear();
    before.forEach((entry, name) => zarrita.registry.set(name, entry));
  };
}

/** Measure arrays: `{ url, keys }`, all of whose files are in memory before the clock starts. */
export async function measure({ host, arrays, codecs, repeats }) {
  const rows = [];
  for (const { url, keys } of arrays) {
    const read = async (key) => [`/${key}`, await readBytes(`${url}/${key}`)];
    const store = new Map(await Promise.all(keys.map(read)));
    const native = await openArray(store);
    const unregister = await registerAll(codecs);
    const ours = await openArray(store);
    unregister();
    requireEqual(await zarrita.get(native), await zarrita.get(ours), url);
    const times = { native: [], ours: [] };
    for (let repeat = 0; repeat < repeats; repeat++) {
      for (const [name, array] of Object.entries({ native, ours })) {
        const start = performance.now();
        await zarrita.get(array);
        times[name].push((performance.now() - start) / 1000);
      }
    }
    const [native_s, chonkle_s] = [median(times.native), median(times.ours)];
    const [, name, kib] = /([^/]+)-(\d+)(?:\.zarr)?$/.exec(url);
    rows.push({ host, case: name, chunk_kib: Number(kib), native_s, chonkle_s });
  }
  return rows;
}

/** Open an array and read it once, so that its codecs are loaded and compiled. */
async function openArray(store) {
  const array = await zarrita.open.v3(store, { kind: "array" });
  await zarrita.get(array);
  return array;
}

function requireEqual({ data: one }, { data: other }, what) {
  const isEqual =
    one.length === other.length && one.every((value, index) => Object.is(value, other[index]));
  if (!isEqual) throw new Error(`${what}: zarrita and chonkle read different values`);
}

function median(values) {
  return values.toSorted((one, other) => one - other)[Math.floor(values.length / 2)];
}
