/** Calls modules that may be hostile, each in a worker with little time and memory, in any host. */
import { ChonkleError, Workers, open } from "../chonkle.js";
import { readBytes } from "./vectors.js";

/** Open and call each module. After each, the codec `good` must still work in the same worker. */
export async function attackAll({ modules, good, timeoutMs, memoryBytes }) {
  const workers = new Workers({ size: 1, timeoutMs });
  const limits = { memoryBytes, outputBytes: memoryBytes };
  const data = new TextEncoder().encode("sixteen bytes in");
  const trusted = await open(await readBytes(good), { workers });
  const rows = [];
  for (const { name, url } of modules) {
    let [error, message] = [null, null];
    const start = performance.now();
    try {
      const codec = await open(await readBytes(url), { workers, limits });
      await codec.decode(data);
    } catch (failure) {
      ({ name: error, message } = failure);
      if (!(failure instanceof ChonkleError)) error = `not of chonkle: ${error}`;
    }
    const seconds = (performance.now() - start) / 1000;
    const restored = await trusted.decode(await trusted.encode(data));
    rows.push({ name, error, message, seconds, isWell: String(restored) === String(data) });
  }
  workers.close();
  return rows;
}
