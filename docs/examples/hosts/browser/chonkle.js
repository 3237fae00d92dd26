// Runs chonkle codecs in browsers, node and deno. `chonkle.d.ts` describes what it exports, and
// chonkle's reference what it keeps to: the pages on the core ABI and the signature.
const url = new URL("#worker", import.meta.url); // this module, as the script of a worker
const threads = "Worker" in globalThis ? globalThis : await import("node:worker_threads");
const { Worker, parentPort = globalThis, workerData = import.meta.url } = threads;
const [fromUtf8, toUtf8] = [new TextDecoder(), new TextEncoder()];
export class ChonkleError extends Error {}

/** Throw an error of this name, or of that of its cause, if that is one of ours. */
export function fail(name, message, cause) {
  const found = cause instanceof ChonkleError ? cause.name : name;
  throw Object.assign(new ChonkleError(message, { cause }), { name: found });
}

/** View any buffer as bytes; text is encoded as UTF-8. */
function bytesOf(data) {
  if (typeof data === "string") return toUtf8.encode(data);
  const size = data?.byteLength ?? fail("ParameterError", `expected a buffer, got ${typeof data}`);
  return new Uint8Array(data.buffer ?? data, data.byteOffset ?? 0, size);
}

export async function open(source, { integrity, limits = {}, workers } = {}) {
  const isUrl = typeof source === "string" || source instanceof URL;
  try {
    const response = isUrl ? await fetch(source) : new Response(bytesOf(source));
    if (!response.ok) fail("ChonkleError", `HTTP status ${response.status}`);
    const wasm = new Uint8Array(await response.arrayBuffer());
    const hash = integrity !== undefined && (await crypto.subtle.digest("SHA-256", wasm));
    const hex = Array.from(new Uint8Array(hash), (n) => n.toString(16).padStart(2, "0")).join("");
    const message = `wrong digest, expected \`${integrity}\`, got \`sha256:${hex}\``;
    if (hash && integrity !== `sha256:${hex}`) fail("DigestMismatchError", message);
    const { memoryBytes = 1 << 30, outputBytes = 1 << 30 } = limits;
    const module = await WebAssembly.compile(withMemoryLimit(wasm, memoryBytes));
    return new Codec(module, outputBytes, workers);
  } catch (failure) {
    return fail("ChonkleError", `${isUrl ? source : "the module"}: ${failure.message}`, failure);
  }
}

/** Replace the memory of a module by one with this maximum, which the engine enforces. */
function withMemoryLimit(wasm, limitBytes) {
  let at = 8;
  const read = (factor = 1) => {
    const byte = wasm[at++]; // of a number in LEB128
    return (byte & 127) * factor + (byte & 128 ? read(factor * 128) : 0);
  };
  const written = (pages) => [(pages & 127) | 128, ((pages >> 7) & 127) | 128, pages >> 14];
  for (let end; at < wasm.length; at = end) {
    const [start, id, size] = [at, wasm[at++], read()];
    end = at + size;
    if (id !== 5) continue;
    const [, , minimum] = [read(), read(), read()]; // count and flags come before
    const maximum = Math.min(1 << 16, Math.floor(limitBytes / (1 << 16)));
    const section = [5, 8, 1, 1, ...written(minimum), ...written(maximum)];
    return new Uint8Array([...wasm.subarray(0, start), ...section, ...wasm.subarray(end)]);
  }
  return wasm;
}

export class Codec {
  constructor(module, outputBytes, workers) {
    const [section, ...more] = WebAssembly.Module.customSections(module, "chonkle:signature");
    if (!section || more.length) fail("ChonkleError", "expected one section `chonkle:signature`");
    const signature = JSON.parse(fromUtf8.decode(section));
    const { codec_id: id, implementation = id, version = "", inputs } = signature;
    const label = `codec \`${id}\` (${implementation}${version && `@${version}`})`;
    const isParameter = ([, { type, parameter = type !== "bytes" }]) => parameter;
    this.parameters = Object.entries(inputs).filter(isParameter);
    Object.assign(this, { signature, label, key: Math.random(), module, outputBytes, workers });
  }
  async call(direction, ports, constants = []) {
    try {
      const parts = Object.entries(ports).flat().map(bytesOf);
      return await (this.workers ?? this).run(direction, [...parts, ...constants], this);
    } catch (failure) {
      return fail("CodecTrap", `${this.label}, ${direction}: ${failure.message}`, failure);
    }
  }
  /** Pass names and data of ports, in turn, to the one instance in this thread. */
  run(direction, parts) {
    const isFirst = !this.exports;
    try {
      this.exports ??= new WebAssembly.Instance(this.module).exports;
      if (isFirst) this.exports._initialize?.();
      return this.exchange(direction, parts, this.exports);
    } catch (failure) {
      if (failure.name !== "CodecError") this.exports = undefined; // it trapped, or is full
      if (failure.name !== "LimitExceeded" || isFirst) fail("CodecTrap", failure.message, failure);
      return this.run(direction, parts); // a new instance has all the memory that is allowed
    }
  }
  /** Call a function with the parts of a port-map. Any error of the engine is a trap. */
  exchange(direction, parts, { memory, alloc, dealloc, ...functions }) {
    const size = parts.reduce((sum, part) => sum + 4 + part.length, 4);
    const address = alloc(size) >>> 0;
    if (address === 0) fail("LimitExceeded", "out of memory; hint: raise the limit `memoryBytes`");
    let at = address;
    const next = (n) => new Uint8Array(memory.buffer, (at += n) - n, n);
    const write = (n) => new DataView(memory.buffer).setUint32((at += 4) - 4, n, true) ?? n;
    const read = () => new DataView(memory.buffer).getUint32((at += 4) - 4, true);
    write(parts.length / 2);
    for (const part of parts) next(write(part.length)).set(part);
    const result = functions[direction](address, size);
    const pair = result || (functions.last_error?.() ?? 0n);
    const [start, length] = [pair >> 32n, pair].map((each) => Number(BigInt.asUintN(32, each)));
    at = start;
    if (result === 0n) {
      const words = fromUtf8.decode(next(Math.min(length, 4096))).trim();
      const name = words.startsWith("out of memory") ? "LimitExceeded" : "CodecError";
      fail(name, words || "the codec failed and gave no message");
    }
    if (length > this.outputBytes) fail("LimitExceeded", `output over ${this.outputBytes} bytes`);
    const port = () => [String.fromCharCode(...next(read())), next(read()).slice()];
    const found = Array.from({ length: Math.min(read(), 1000) }, port); // no codec has as many
    if (at !== start + length) fail("CodecTrap", "the output is no port-map");
    dealloc(start, length);
    return Object.fromEntries(found);
  }
  bind(parameters = {}, array = {}) {
    const [values, missing, parts] = [{ __proto__: null }, [], { encode: [], decode: [] }];
    for (const [name, port] of this.parameters) {
      let value = parameters[name] ?? array[port.from_array];
      if (Object.hasOwn(port.values ?? {}, value)) value = port.values[value];
      if (port.json_text && typeof value !== "string") value = JSON.stringify(value);
      // With a default, encoding an array and decoding without it would not use one value.
      if (!port.from_array || port.encode_only) value ??= port.default;
      const isShared = port.from_array && !port.decode_only;
      const isNeeded = !port.encode_only && (isShared || port.required !== false);
      if (value === undefined && isNeeded) missing.push(`\`${name}\``);
      values[name] = value;
      if (value === undefined) continue;
      const part = [name, port.type === "bytes" ? value : JSON.stringify(value)].map(bytesOf);
      if (!port.decode_only) parts.encode.push(...part);
      if (!port.encode_only) parts.decode.push(...part);
    }
    const unknown = Object.keys(parameters).find((name) => !(name in values));
    if (unknown) fail("ParameterError", `${this.label}: unknown parameter \`${unknown}\``);
    const isEqual = ([name, value]) => values[name] === value;
    const isIdentity = this.signature.identity?.some((each) => Object.entries(each).every(isEqual));
    if (missing[0] && !isIdentity) fail("ParameterError", `${this.label}: needs ${missing}`);
    const run = async (direction, data) => {
      if (isIdentity) return bytesOf(data);
      const { bytes } = await this.call(direction, { bytes: data }, parts[direction]);
      return bytes ?? fail("CodecTrap", `${this.label}, ${direction}: no output \`bytes\``);
    };
    return { values, encode: (data) => run("encode", data), decode: (data) => run("decode", data) };
  }
  encode = async (data, ...given) => this.bind(...given).encode(data);
  decode = async (data, ...given) => this.bind(...given).decode(data);
}

export class Workers {
  constructor({ size = globalThis.navigator?.hardwareConcurrency ?? 2, timeoutMs = 30_000 } = {}) {
    const seats = Array.from({ length: size }, () => ({}));
    Object.assign(this, { timeoutMs, seats, idle: [...seats], waiting: [] });
  }
  /** Run a call of a codec in a worker that is idle, or as soon as one is. */
  async run(direction, parts, { key, module, outputBytes }) {
    const seat = this.idle.pop() ?? (await new Promise((resolve) => this.waiting.push(resolve)));
    const worker = (seat.worker ??= startWorker());
    const answer = new Promise((resolve) => Object.assign(worker, { answer: resolve }));
    const copies = parts.map((part) => part.slice()); // a clone of a view would have all its buffer
    worker.postMessage({ key, module, outputBytes, direction, parts: copies });
    const late = { name: "LimitExceeded", message: `ran longer than ${this.timeoutMs} ms` };
    const timer = setTimeout(worker.answer, this.timeoutMs, late);
    const { outputs, name, message } = await answer;
    clearTimeout(timer);
    if (!outputs && name !== "CodecError") seat.worker = void worker.terminate();
    (this.waiting.shift() ?? ((free) => this.idle.push(free)))(seat);
    return outputs ?? fail(name, message);
  }
  close() {
    const closed = { name: "CodecTrap", message: "the workers were closed" };
    for (const { worker } of this.seats) worker?.answer(closed, worker.terminate());
  }
}

function startWorker() {
  const worker = new Worker(url, { type: "module", workerData: url.href, execArgv: [] });
  const listen = (worker.addEventListener ?? worker.on).bind(worker);
  listen("message", (event) => worker.answer(event.data ?? event));
  listen("error", ({ message }) => worker.answer({ name: "CodecTrap", message }));
  return worker;
}

if (workerData === url.href) {
  const codecs = [];
  parentPort.onmessage = ({ data: { key, module, outputBytes, direction, parts } }) => {
    try {
      codecs[key] ??= new Codec(module, outputBytes);
      const outputs = codecs[key].run(direction, parts);
      const buffers = Object.values(outputs).map(({ buffer }) => buffer);
      parentPort.postMessage({ outputs }, buffers);
    } catch ({ name, message }) {
      parentPort.postMessage({ name, message });
    }
  };
}
