/** Calls codecs as the page on the core ABI says: instances, port-maps and limits. */
import { join } from "./bytes.js";
import { ChonkleError, CodecError, CodecTrap, LimitExceeded, requireThat } from "./errors.js";

const PAGE_BYTES = 1 << 16;
const ERROR_TEXT_MAX_BYTES = 4096;
const NAME_MAX_BYTES = 64;
// An instance with a larger memory is not kept for the next call.
const KEPT_MAX_BYTES = 256 << 20;
// The functions with their number of parameters. The engine checks each value that is passed.
const REQUIRED = { alloc: 1, dealloc: 2, encode: 2, decode: 2 };
const OPTIONAL = { _initialize: 0, last_error: 0 };
const [utf8, toUtf8] = [new TextDecoder(), new TextEncoder()];

/** Compile a module, with the limit as the maximum of its memory, so that the engine enforces it. */
export async function compile(wasm, limitBytes) {
  const module = await WebAssembly.compile(withMemoryLimit(wasm, limitBytes)).catch((cause) => {
    throw new ChonkleError(cause.message, { cause });
  });
  const [imported] = WebAssembly.Module.imports(module);
  requireThat(!imported, ChonkleError, `expected no imports, got ${JSON.stringify(imported)}`);
  const kinds = new Map(WebAssembly.Module.exports(module).map((each) => [each.name, each.kind]));
  for (const name of ["memory", ...Object.keys(REQUIRED), ...Object.keys(OPTIONAL)]) {
    const [expected, got] = [name === "memory" ? name : "function", kinds.get(name)];
    const isFine = got === expected || (name in OPTIONAL && got === undefined);
    requireThat(
      isFine,
      ChonkleError,
      `expected an export \`${name}\`, a ${expected}, got ${got ?? "none"}`,
    );
  }
  return module;
}

function withMemoryLimit(wasm, limitBytes) {
  const isCore = `${wasm.subarray(0, 8)}` === "0,97,115,109,1,0,0,0";
  requireThat(
    isCore,
    ChonkleError,
    "expected a WebAssembly core module, which begins with `\\0asm` and 1",
  );
  let at = 8;
  const leb = () => {
    // a byte behind the end is undefined, which is as if it were the last
    for (let value = 0, factor = 1; ; factor *= 128) {
      const byte = wasm[at++];
      value += (byte & 127) * factor;
      if (!(byte & 128)) return value;
    }
  };
  const toLeb = (value) => (value < 128 ? [value] : [(value & 127) | 128, ...toLeb(value >>> 7)]);
  for (let start = at; at < wasm.length; start = at) {
    const [id, size] = [wasm[at++], leb()];
    const end = at + size;
    if (id === 5) {
      // { count, { flags, minimum, maximum? }* }
      const [count, flags, minimum] = [leb(), leb(), leb()];
      requireThat(
        count === 1 && flags < 2,
        ChonkleError,
        "expected one memory, with 32-bit addresses, not shared",
      );
      const maximum = Math.min(flags ? leb() : PAGE_BYTES, Math.floor(limitBytes / PAGE_BYTES));
      const needs = `needs ${minimum * PAGE_BYTES} bytes of memory, expected at most ${limitBytes}`;
      requireThat(minimum <= maximum, LimitExceeded, needs);
      const memory = [1, 1, ...toLeb(minimum), ...toLeb(maximum)];
      return join([wasm.subarray(0, start), [5, memory.length, ...memory], wasm.subarray(end)]);
    }
    at = end;
  }
  return wasm;
}

/** Runs calls in this thread. One instance serves all, because no call interrupts another. */
export class Runner {
  constructor(module, limits) {
    Object.assign(this, { module, limits });
  }

  /** Run one call; of its outputs, give those of these names. */
  async run(direction, ports, names) {
    for (;;) {
      this.starting ??= WebAssembly.instantiate(this.module).then(
        ({ exports }) => new Guest(exports, this.limits),
      );
      const guest = await this.starting.catch((failure) => {
        this.starting = undefined;
        throw asTrap(failure);
      });
      if (guest.isLost) continue; // in a call that had waited for the same instance
      const isFirst = guest.calls++ === 0;
      try {
        return guest.call(direction, ports, names);
      } catch (failure) {
        // A new instance has all of the memory that is allowed.
        if (!guest.isFull || isFirst) throw asTrap(failure);
      } finally {
        if (guest.isLost) this.starting = undefined;
      }
    }
  }
}

function asTrap(cause) {
  if (cause instanceof ChonkleError) return cause;
  return new CodecTrap(`the guest trapped: ${cause.message ?? "it threw an exception"}`, {
    cause,
  });
}

class Guest {
  calls = 0;
  isLost = false; // whether it must not be called again
  isFull = false; // whether it ran out of memory

  constructor(exports, limits) {
    Object.assign(this, { exports, limits });
    for (const [name, count] of Object.entries({ ...REQUIRED, ...OPTIONAL })) {
      const got = exports[name]?.length ?? count;
      requireThat(
        got === count,
        ChonkleError,
        `expected ${count} parameters of \`${name}\`, got ${got}`,
      );
    }
    exports._initialize?.();
  }

  call(direction, ports, names) {
    const { alloc, dealloc, last_error: lastError } = this.exports;
    const input = portMap(ports);
    const size = input.reduce((sum, part) => sum + part.length, 0);
    const { memoryBytes, outputBytes } = this.limits;
    requireThat(
      size <= memoryBytes,
      LimitExceeded,
      `expected at most ${memoryBytes} bytes of input, got ${size}`,
    );
    this.isLost = true; // unless all goes well
    const address = alloc(size) >>> 0;
    if (address === 0) throw this.outOfMemory(`out of memory: no room for ${size} bytes of input`);
    join(input, this.view(address, size));
    const result = unpack(this.exports[direction](address, size));
    if (result.address === 0 && result.size === 0) {
      const text = lastError ? unpack(lastError()) : result;
      const words = utf8
        .decode(this.view(text.address, Math.min(text.size, ERROR_TEXT_MAX_BYTES)))
        .trim();
      if (words.startsWith("out of memory")) throw this.outOfMemory(words);
      this.isLost = false;
      throw new CodecError(words || "the codec failed and gave no message");
    }
    const outputs = readPortMap(this.view(result.address, result.size), names, outputBytes);
    dealloc(result.address, result.size);
    this.isLost = this.exports.memory.buffer.byteLength > KEPT_MAX_BYTES;
    return outputs;
  }

  outOfMemory(words) {
    this.isFull = true;
    return new LimitExceeded(`${words}; hint: raise the limit \`memoryBytes\``);
  }

  view(address, size) {
    const { buffer } = this.exports.memory; // another one whenever the memory has grown
    requireThat(
      address + size <= buffer.byteLength,
      CodecTrap,
      `bytes ${address} to ${address + size} are not in the memory of the guest`,
    );
    return new Uint8Array(buffer, address, size);
  }
}

function unpack(result) {
  requireThat(
    typeof result === "bigint",
    CodecTrap,
    `expected an i64 from the guest, got ${typeof result}`,
  );
  return {
    address: Number(BigInt.asUintN(32, result >> 32n)),
    size: Number(BigInt.asUintN(32, result)),
  };
}

const u32 = (value) => [value & 255, (value >> 8) & 255, (value >> 16) & 255, value >>> 24];

function portMap(ports) {
  const entries = Object.entries(ports).map(([name, data]) => [toUtf8.encode(name), data]);
  return [
    u32(entries.length),
    ...entries.flatMap((pair) => pair.flatMap((part) => [u32(part.length), part])),
  ];
}

/** Copy ports out of an output: those of these names, so that no others take the host's memory. */
function readPortMap(view, names, outputBytes) {
  const fail = (problem) => {
    throw new CodecTrap(`the output is no port-map: ${problem}`);
  };
  const numbers = new DataView(view.buffer, view.byteOffset, view.length);
  let at = 0;
  const take = (size) =>
    at + size > view.length ? fail("truncated") : view.subarray(at, (at += size));
  const number = () => numbers.getUint32(take(4).byteOffset - view.byteOffset, true);
  const found = new Map();
  let total = 0;
  for (let left = number(); left > 0; left--) {
    const [nameBytes, data] = [take(number()), take(number())];
    const name = nameBytes.length <= NAME_MAX_BYTES ? utf8.decode(nameBytes) : "";
    if (!names.includes(name)) continue;
    if (found.has(name)) fail(`two ports \`${name}\``);
    found.set(name, data);
    total += data.length;
  }
  if (at !== view.length) fail(`${view.length - at} bytes too long`);
  requireThat(
    total <= outputBytes,
    LimitExceeded,
    `expected at most ${outputBytes} bytes of output, got ${total}`,
  );
  for (const [name, data] of found) found.set(name, data.slice());
  return Object.fromEntries(found);
}
