/**
 * Runs chonkle codecs, WebAssembly core modules without imports, in browsers, node and deno.
 *
 *     const codec = await open("zlib.wasm", { integrity: "sha256:..." });
 *     const chunk = await codec.decode(encoded);
 *
 * It follows the pages on the core ABI and the signature in chonkle's reference.
 */
import { bytesOf } from "./chonkle/bytes.js";
import {
  ChonkleError,
  CodecTrap,
  DigestMismatchError,
  ParameterError,
  requireThat,
} from "./chonkle/errors.js";
import { Runner, compile } from "./chonkle/guest.js";
import { accept, fromArray, readSignature } from "./chonkle/signature.js";

export {
  ChonkleError,
  CodecError,
  CodecTrap,
  DigestMismatchError,
  LimitExceeded,
  ParameterError,
} from "./chonkle/errors.js";
export { Workers } from "./chonkle/workers.js";
export { registerZarrita } from "./chonkle/zarrita.js";

const LIMITS = { memoryBytes: 1 << 30, outputBytes: 1 << 30 };
const toUtf8 = new TextEncoder();

/** Open a codec from its URL or bytes. Nothing of it runs before the first call. */
export async function open(source, { integrity, limits, workers } = {}) {
  const isBytes = source instanceof ArrayBuffer || ArrayBuffer.isView(source);
  try {
    // Of bytes a copy, so that what is compiled is what was checked.
    const wasm = isBytes ? bytesOf(source).slice() : await download(source);
    if (integrity !== undefined) await verify(wasm, integrity);
    const allowed = { ...LIMITS, ...limits };
    const module = await compile(wasm, allowed.memoryBytes);
    const signature = readSignature(module);
    return new Codec(signature, workers?.runner(module, allowed) ?? new Runner(module, allowed));
  } catch (failure) {
    throw isBytes ? failure : within(source, failure);
  }
}

/** Give a failure of ours with the place before its message. */
function within(place, cause) {
  if (!(cause instanceof ChonkleError)) return cause;
  return new cause.constructor(`${place}: ${cause.message}`, { cause });
}

async function download(url) {
  const fail = (why) => {
    throw new ChonkleError(`cannot be fetched: ${why}`);
  };
  const response = await fetch(url).catch((failure) =>
    fail(failure.cause?.message ?? failure.message),
  );
  if (!response.ok) fail(`HTTP status ${response.status}`);
  return new Uint8Array(await response.arrayBuffer());
}

/** Require a digest: `sha256-` and base64 as in HTML, or `sha256:` and hex as in OCI. */
async function verify(wasm, integrity) {
  const [, bits, mark] = /^sha(256|384|512)([-:])\S+$/.exec(integrity) ?? [];
  requireThat(
    bits,
    DigestMismatchError,
    `expected a digest such as \`sha256:<hex>\`, got \`${integrity}\``,
  );
  requireThat(
    globalThis.crypto?.subtle,
    DigestMismatchError,
    "a digest can only be checked in a page from https or localhost",
  );
  const digest = new Uint8Array(await crypto.subtle.digest(`SHA-${bits}`, wasm));
  const hex = () => [...digest].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  const got = `sha${bits}${mark}${mark === ":" ? hex() : btoa(String.fromCharCode(...digest))}`;
  requireThat(
    got === integrity,
    DigestMismatchError,
    `wrong digest, expected \`${integrity}\`, got \`${got}\``,
  );
}

/** A codec. `encode` and `decode` are for codecs of one value; `call` takes and gives any ports. */
export class Codec {
  constructor(signature, runner) {
    const { codec_id: id, implementation = id, version } = signature;
    const label = `codec \`${id}\` (${implementation}${version ? `@${version}` : ""})`;
    Object.assign(this, { signature, runner, label });
  }

  /** Run the codec on the bytes of ports; those of all types but `bytes` are JSON text. */
  async call(direction, ports) {
    const [side, absent] =
      direction === "decode" ? ["outputs", "encode_only"] : ["inputs", "decode_only"];
    const outputs = Object.entries(this.signature[side]).filter(
      ([, port]) => !port.parameter && !port[absent],
    );
    try {
      const given = Object.entries(ports).map(([name, data]) => [name, bytesOf(data)]);
      const names = outputs.map(([name]) => name);
      const found = await this.runner.run(direction, Object.fromEntries(given), names);
      const [missing] = outputs.find(([name, port]) => port.required && !found[name]) ?? [];
      requireThat(
        missing === undefined,
        CodecTrap,
        `expected an output \`${missing}\`, got ${Object.keys(found)}`,
      );
      return found;
    } catch (failure) {
      throw within(`${this.label}, ${direction}`, failure);
    }
  }

  /** Give `encode` and `decode` with values for the parameters, for chunks of an array. */
  bind(parameters = {}, array = undefined) {
    const { inputs, outputs, identity = [] } = this.signature;
    const fail = (problem) => {
      throw new ParameterError(`${this.label}: ${problem}`);
    };
    for (const side of [inputs, outputs]) {
      const data = Object.keys(side).filter((name) => !side[name].parameter);
      if (`${data}` !== "bytes") fail(`takes and gives not one value, but ${data}; hint: \`call\``);
    }
    const given = { __proto__: null, ...parameters };
    const declared = Object.entries(inputs).filter(([, port]) => port.parameter);
    const unknown = Object.keys(given).find((name) => !declared.some(([each]) => each === name));
    if (unknown !== undefined)
      fail(`unknown parameter \`${unknown}\`, expected one of ${declared.map(([name]) => name)}`);
    const values = new Map();
    const missing = [];
    for (const [name, port] of declared) {
      let value = given[name] ?? undefined; // null stands for the default
      if (value !== undefined) value = accept(name, port, value);
      else if (port.from_array && array) value = fromArray(port.from_array, array) || undefined;
      // With a default, encoding an array and decoding without it would not use one value.
      const isNeeded = port.from_array
        ? !port.encode_only
        : port.required && port.default === undefined;
      if (value !== undefined) values.set(name, value);
      else if (isNeeded) missing.push(name);
    }
    const known = Object.fromEntries(
      declared.map(([name, port]) => [name, values.get(name) ?? port.default]),
    );
    const isEqual = ([name, value]) => JSON.stringify(known[name]) === JSON.stringify(value);
    const isIdentity = identity.some((each) => Object.entries(each).every(isEqual));
    if (missing.length && !isIdentity)
      fail(`parameter \`${missing[0]}\` has no value; hint: give it, or the array`);
    const run = (direction, absent) => {
      const passed = [...values].filter(([name]) => !inputs[name][absent]);
      const texts = passed.map(([name, value]) => [
        name,
        inputs[name].type === "bytes" ? value : toUtf8.encode(JSON.stringify(value)),
      ]);
      const constants = Object.fromEntries(texts);
      return async (data) =>
        isIdentity
          ? bytesOf(data)
          : (await this.call(direction, { bytes: data, ...constants })).bytes;
    };
    return {
      values: known,
      encode: run("encode", "decode_only"),
      decode: run("decode", "encode_only"),
    };
  }

  async encode(data, parameters, array) {
    return this.bind(parameters, array).encode(data);
  }
  async decode(data, parameters, array) {
    return this.bind(parameters, array).decode(data);
  }
}
