/** The worker of `Workers`: runs one call after another for the port that it is sent first. */
import { Runner } from "./guest.js";

const runners = new Map();

function serve(port) {
  port.onmessage = async ({ data: { key, module, limits, direction, ports, names } }) => {
    try {
      if (module) runners.set(key, new Runner(module, limits));
      const outputs = await runners.get(key).run(direction, ports, names);
      port.postMessage(
        { outputs },
        Object.values(outputs).map(({ buffer }) => buffer),
      );
    } catch ({ name, message }) {
      port.postMessage({ failure: { name, message } });
    }
  };
  port.postMessage("ready");
}

if (globalThis.postMessage) {
  globalThis.onmessage = ({ data }) => serve(data);
} else {
  const { parentPort } = await import("node:worker_threads");
  parentPort.once("message", serve);
}
