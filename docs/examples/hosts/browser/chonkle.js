// Runs chonkle codecs in browsers, node and deno. `chonkle.d.ts` describes what it exports, and
// chonkle's reference what it keeps to: the pages on the core ABI and the signature.
const url = new URL("#worker", import.meta.url); // this module, as the script of a worker
const threads = "Worker" in globalThis ? globalThis : await import("node:worker_threads");
const { Worker, parentPort = globalThis, workerData = import.meta.url } = threads;
const [fromUtf8, toUtf8] = [new TextDecoder(), new TextEncoder()];
const toName = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
export class ChonkleError extends Error {}

/** Throw an error of this name, or of that of its cause, if that is one of ours. */
export function fail(name, message, cause) {
  const found = cause instanceof ChonkleError ? cause.name : name;
  const plain = message.replace(/[\p{Cc}\p{Cf}]/gu, " "); // nothing that controls a terminal
  throw Object.assign(new ChonkleError(plain, { cause }), { name: found });
}

/** Run a function on what nobody has checked: errors that are not ours are of parameters. */
export function guarded(label, run) {
  try {
    return run();
  } catch (failure) {
    if (failure instanceof ChonkleError) throw failure;
    return fail("ParameterError", `${label}: ${failure.message}`, failure);
  }
}

/** View any buffer as bytes; text is encoded as UTF-8. */
function bytesOf(data) {
  if (typeof data === "string") return toUtf8.encode(data);
  const size = data?.byteLength ?? fail("ParameterError", `expected a buffer, got ${typeof data}`);
  return new Uint8Array(data.buffer ?? data, data.byteOffset ?? 0, size);
}

export async function open(source, options = {}) {
  const { integrity, limits = {}, workers } = options;
  const isUrl = typeof source === "string" || source instanceof URL;
  try {
    const response = isUrl ? await fetch(source) : new Response(bytesOf(source));
    if (!response.ok) fail("ChonkleError", `HTTP status ${response.status}`);
    const wasm = new Uint8Array(await response.arrayBuffer());
    // One that is given and undefined, as a lock has none, is not that of the module.
    const hash = "integrity" in options && (await crypto.subtle.digest("SHA-256", wasm));
    const hex = Array.from(new Uint8Array(hash), (n) => n.toString(16).padStart(2, "0")).join("");
    const message = `wrong digest, expected \`${integrity}\`, got \`sha256:${hex}\``;
    if (hash && integrity !== `sha256:${hex}`) fail("DigestMismatchError", message);
    const { memoryBytes = 1 << 30, outputBytes = 1 << 30 } = limits;
    const limited = await new Blob(withLimits(wasm, memoryBytes)).arrayBuffer();
    return new Codec(await WebAssembly.compile(limited), outputBytes, workers);
  } catch (failure) {
    return fail("ChonkleError", `${isUrl ? source : "the module"}: ${failure.message}`, failure);
  }
}

/** Give the parts of a module, with this maximum of its memory, which the engine enforces. */
function withLimits(wasm, limitBytes) {
  let at = 8;
  const read = (factor = 1) => {
    const byte = wasm[at++]; // of a number in LEB128
    return (byte & 127) * factor + (byte & 128 ? read(factor * 128) : 0);
  };
  const isPlain = (n) => wasm.subarray(at, (at += n)).every((type) => type > 0x6e && type < 0x80);
  const written = (pages) => [(pages & 127) | 128, ((pages >> 7) & 127) | 128, pages >> 14];
  for (let end; at < wasm.length; at = end) {
    const [start, id, size] = [at, wasm[at++], read()];
    end = at + size;
    // Arrays and structs would be in no memory: all types are of functions, with plain values.
    for (let count = id === 1 ? read() : 0; count > 0; count--) {
      const isFunction = read() === 0x60 && isPlain(read()) && isPlain(read());
      if (!isFunction) fail("LimitExceeded", "it has types other than of functions");
    }
    // Tables take memory beside it: 1 << 17 elements in all, and each table counts too.
    for (let [count, room] = [id === 4 ? read() : 0, 1 << 17]; count > 0; count--) {
      const [type, flags, , maximum] = [read(), read(), read(), read()];
      room -= type === 0x70 && flags === 1 ? maximum + 1024 : Infinity; // functions, with a maximum
      if (room < 0) fail("LimitExceeded", "its tables are too large, or have no maximum");
    }
    if (id !== 5) continue;
    const [, , minimum] = [read(), read(), read()]; // count and flags come before
    const maximum = Math.min(1 << 16, Math.floor(limitBytes / (1 << 16)));
    const section = [5, 8, 1, 1, ...written(minimum), ...written(maximum)];
    return [wasm.subarray(0, start), new Uint8Array(section), wasm.subarray(end)];
  }
  return [wasm];
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
    let [at, area] = [0, new Uint8Array(memory.buffer, address, size)];
    const next = (n) => area.subarray(at, (at += n)); // nothing of what is behind the area
    const number = () => new DataView(area.buffer, next(4).byteOffset);
    const write = (n) => number().setUint32(0, n, true) ?? n;
    const read = () => number().getUint32(0, true);
    write(parts.length / 2);
    for (const part of parts) next(write(part.length)).set(part);
    const result = functions[direction](address, size);
    const pair = result === 0n ? (functions.last_error?.() ?? 0n) : result;
    const [start, length] = [pair >> 32n, pair].map((each) => Number(BigInt.asUintN(32, each)));
    [at, area] = [0, new Uint8Array(memory.buffer, start, length)];
    if (result === 0n) {
      const words = fromUtf8.decode(next(4096)).trim();
      const name = words.startsWith("out of memory") ? "LimitExceeded" : "CodecError";
      fail(name, words || "the codec failed and gave no message");
    }
    if (!(length <= this.outputBytes)) fail("LimitExceeded", `output over ${this.outputBytes} bytes`);
    const count = read();
    const port = () => [toName.decode(next(read())), next(read()).slice()];
    const found = new Map(Array.from({ length: Math.min(count, 1000) }, port)); // none has as many
    const isWhole = at === length && found.size === count; // no name repeats
    if (!isWhole) fail("CodecTrap", "the output is no port-map");
    dealloc(start, length);
    return Object.fromEntries(found);
  }
  bind = (...given) => guarded(this.label, () => this.#bind(...given));
  #bind(...given) {
    // Without what all objects have, such as a `constructor`.
    const [parameters, array] = [0, 1].map((each) => ({ __proto__: null, ...given[each] }));
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
    const seats = Array.from({ length: size > 1 ? size : 1 }, () => ({}));
    Object.assign(this, { timeoutMs, seats, idle: [...seats], waiting: [] });
  }
  /** Run a call of a codec in a worker that is idle, or as soon as one is. */
  async run(direction, parts, { key, module, outputBytes }) {
    const copies = parts.map((part) => part.slice()); // as they are now, without other bytes
    const seat = this.idle.pop() ?? (await new Promise((resolve) => this.waiting.push(resolve)));
    try {
      if (this.closed) fail(this.closed.name, this.closed.message);
      const worker = (seat.worker ??= startWorker());
      const answer = new Promise((resolve) => Object.assign(worker, { answer: resolve }));
      worker.postMessage({ key, module, outputBytes, direction, parts: copies });
      const late = { name: "LimitExceeded", message: `ran longer than ${this.timeoutMs} ms` };
      const timer = setTimeout(worker.answer, Math.min(this.timeoutMs, 2 ** 31 - 1), late);
      const { outputs, name, message } = await answer;
      clearTimeout(timer);
      if (!outputs && name !== "CodecError") seat.worker = void worker.terminate();
      return outputs ?? fail(name, message);
    } finally {
      (this.waiting.shift() ?? ((free) => this.idle.push(free)))(seat);
    }
  }
  /** End the workers. Calls that wait get their seats, one after another, and fail. */
  close() {
    this.closed = { name: "CodecTrap", message: "the workers were closed" };
    for (const { worker } of this.seats) worker?.answer(this.closed, worker.terminate());
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
