/** Reads arrays through chonkle's codecs, and writes them again, in any host. */
import * as zarrita from "zarrita";
import { registerAll } from "./reads.js";
import { readBytes } from "./vectors.js";

/** Copy arrays; the result has the digest of the values and the files of each copy. */
export async function copyAll({ arrays, codecs }) {
  const Transpose = await zarrita.registry.get("transpose")(); // zarrita's own
  const unregister = await registerAll(codecs);
  const rows = [];
  for (const { name, url } of arrays) {
    try {
      rows.push({ name, ...(await copy(url, Transpose)) });
    } catch (failure) {
      rows.push({
        name,
        error: [failure.message, failure.cause?.message].filter(Boolean).join(": "),
      });
    }
  }
  unregister();
  return rows;
}

async function copy(url, Transpose) {
  const store = url.startsWith("file:")
    ? new FileStore(url)
    : new zarrita.FetchStore(new URL(url, globalThis.location));
  const array = await zarrita.open(store, { kind: "array" });
  const values = await zarrita.get(array);
  const { data } = Transpose.fromConfig({ order: "C" }, values).encode(values);
  const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  const sha256 = [...digest].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  const metadata = await store
    .get("/zarr.json")
    .then((data) => data && JSON.parse(new TextDecoder().decode(data)));
  // zarrita writes only Zarr 3, without shards.
  if (!metadata || metadata.codecs.some((codec) => codec.name === "sharding_indexed"))
    return { sha256 };
  const files = new Map();
  const copied = await zarrita.create(files, {
    shape: array.shape,
    chunkShape: array.chunks,
    dtype: array.dtype,
    codecs: metadata.codecs,
    fillValue: metadata.fill_value,
  });
  await zarrita.set(copied, null, values);
  const toBase64 = (data) => btoa(Array.from(data, (byte) => String.fromCharCode(byte)).join(""));
  return {
    sha256,
    files: Object.fromEntries([...files].map(([key, data]) => [key, toBase64(data)])),
  };
}

/** A folder of the disk as a store, with the ranges that shards need. */
class FileStore {
  constructor(url) {
    this.url = url;
  }

  async get(key) {
    return readBytes(`${this.url}${key}`).catch(() => undefined);
  }

  async getRange(key, { offset = 0, length, suffixLength }) {
    const data = await this.get(key);
    return suffixLength ? data?.slice(-suffixLength) : data?.slice(offset, offset + length);
  }
}
