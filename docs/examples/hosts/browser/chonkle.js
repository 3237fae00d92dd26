/**
 * Runs chonkle codecs, WebAssembly core modules without imports, in browsers, node and deno.
 *
 *     const codec = await open("zlib.wasm", { integrity: "sha256:..." });
 *     const chunk = await codec.decode(encoded);
 *
 * It follows the pages on the core ABI and the signature in chonkle's reference.
 */
import { ChonkleError, CodecTrap, DigestMismatchError, ParameterError, Runner, compile, require } from "./guest.js";

export * from "./guest.js";
export { Workers } from "./workers.js";

const SECTION = "chonkle:signature";
const SIGNATURE_MAX_BYTES = 1 << 20;
const LIMITS = { memoryBytes: 1 << 30, outputBytes: 1 << 30 };
const KINDS = ["bytes-to-bytes", "array-to-bytes", "array-to-array"];
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
    if (failure instanceof ChonkleError && !isBytes) failure.message = `${source}: ${failure.message}`;
    throw failure;
  }
}

async function download(url) {
  const fail = (why) => { throw new ChonkleError(`cannot be fetched: ${why}`); };
  const response = await fetch(url).catch((failure) => fail(failure.cause?.message ?? failure.message));
  if (!response.ok) fail(`HTTP status ${response.status}`);
  return new Uint8Array(await response.arrayBuffer());
}

/** Require a digest: `sha256-` and base64 as in HTML, or `sha256:` and hex as in OCI. */
async function verify(wasm, integrity) {
  const [, bits, mark] = /^sha(256|384|512)([-:])\S+$/.exec(integrity) ?? [];
  require(bits, DigestMismatchError, `expected a digest such as \`sha256:<hex>\`, got \`${integrity}\``);
  require(globalThis.crypto?.subtle, DigestMismatchError, "a digest can only be checked in a page from https or localhost");
  const digest = new Uint8Array(await crypto.subtle.digest(`SHA-${bits}`, wasm));
  const hex = () => [...digest].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  const got = `sha${bits}${mark}${mark === ":" ? hex() : btoa(String.fromCharCode(...digest))}`;
  require(got === integrity, DigestMismatchError, `wrong digest, expected \`${integrity}\`, got \`${got}\``);
}

export function bytesOf(data) {
  return ArrayBuffer.isView(data) ? new Uint8Array(data.buffer, data.byteOffset, data.byteLength) : new Uint8Array(data);
}

/** Read the signature, check the fields that are used here, and give each port its defaults. */
function readSignature(module) {
  const fail = (problem) => { throw new ChonkleError(`bad signature: ${problem}`); };
  const sections = WebAssembly.Module.customSections(module, SECTION);
  if (sections.length !== 1) fail(`expected one section \`${SECTION}\`, got ${sections.length}`);
  if (sections[0].byteLength > SIGNATURE_MAX_BYTES) fail(`expected at most ${SIGNATURE_MAX_BYTES} bytes`);
  let found;
  try {
    found = JSON.parse(new TextDecoder().decode(sections[0]));
  } catch (failure) {
    fail(failure.message);
  }
  const require = (holds, field, expected) => holds || fail(`\`${field}\`: expected ${expected}`);
  require(typeof found?.codec_id === "string", "codec_id", "text");
  require(KINDS.includes(found.kind ?? KINDS[0]), "kind", `one of ${KINDS}`);
  require(Object.values(found.aliases ?? {}).every(Array.isArray), "aliases", "lists of names");
  for (const side of ["inputs", "outputs"]) {
    require(isObject(found[side]), side, "an object of ports");
    for (const [name, port] of Object.entries(found[side])) {
      require(isObject(port) && port.type in TYPES, `${side}.${name}`, `a \`type\` of ${Object.keys(TYPES)}`);
      const isParameter = side === "inputs" && port.type !== "bytes";
      found[side][name] = { required: true, parameter: isParameter, ...port };
    }
  }
  return found;
}

const isObject = (value) => typeof value === "object" && value !== null && !Array.isArray(value);
const isUint = (value) => Number.isSafeInteger(value) && value >= 0;
// The types of ports, each with what tells its values.
const TYPES = {
  bytes: (value) => value instanceof Uint8Array,
  string: (value) => typeof value === "string",
  int: Number.isSafeInteger,
  uint: isUint,
  float: Number.isFinite,
  bool: (value) => typeof value === "boolean",
  "uint[]": (value) => Array.isArray(value) && value.every(isUint),
  dtype_desc: (value) => typeof value === "string",
};

/** Read the type of an array's elements: a type string or a name, such as `<f4` or `float32`. */
export function readDtype(value) {
  const [, word, bits] = /^(int|uint|float|complex)(8|16|32|64|128)$/.exec(value) ?? [];
  const text = word ? `<${word[0]}${bits / 8}` : value === "bool" ? "|b1" : value;
  const [, order, kind, digits, unit = ""] = /^([<>|=]?)([biufcmMSUV])(\d{1,9})(\[\w+\])?$/.exec(text) ?? [];
  const size = Number(digits);
  require(size > 0, ParameterError, `expected a dtype such as \`<u2\` or \`float32\`, got \`${JSON.stringify(value)}\``);
  const itemsize = kind === "U" ? 4 * size : size;
  const scalarsize = { c: size / 2, U: 4, S: 1, V: 1 }[kind] ?? size;
  const mark = scalarsize === 1 ? "|" : order === ">" ? ">" : "<";
  return { dtype: `${mark}${kind}${digits}${unit}`, kind, size, itemsize, scalarsize };
}

/** Give a property of an array, by its name in `from_array`. */
function fromArray(what, { dtype, shape }) {
  if (what.startsWith("shape")) return what === "shape" ? shape : shape?.at(-1);
  return readDtype(dtype)[what];
}

/** Convert a value of a configuration to one of a port, and require that the port allows it. */
function accept(name, port, given) {
  const require = (holds, expected) => {
    if (!holds) throw new ParameterError(`parameter \`${name}\`: expected ${expected}, got \`${JSON.stringify(given)}\``);
  };
  let value = typeof given === "string" ? (port.values?.[given] ?? given) : given;
  if (port.json_text && typeof value !== "string") value = JSON.stringify(value);
  if (port.type === "dtype_desc") value = readDtype(value).dtype;
  const { minimum = -Infinity, maximum = Infinity, choices } = port;
  if (port.clamp && Number.isFinite(value)) value = Math.min(Math.max(value, minimum), maximum);
  require(TYPES[port.type](value), `\`${port.type}\`${port.values ? ` or one of ${Object.keys(port.values)}` : ""}`);
  require(!choices || choices.includes(value), `one of ${choices}`);
  require(!(value < minimum || value > maximum), `${minimum} to ${maximum}`);
  return value;
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
    const [side, absent] = direction === "decode" ? ["outputs", "encode_only"] : ["inputs", "decode_only"];
    const outputs = Object.entries(this.signature[side]).filter(([, port]) => !port.parameter && !port[absent]);
    try {
      const found = await this.runner.run(direction, ports, outputs.map(([name]) => name));
      const [missing] = outputs.find(([name, port]) => port.required && !found[name]) ?? [];
      require(missing === undefined, CodecTrap, `expected an output \`${missing}\`, got ${Object.keys(found)}`);
      return found;
    } catch (failure) {
      if (failure instanceof ChonkleError) failure.message = `${this.label}, ${direction}: ${failure.message}`;
      throw failure;
    }
  }

  /** Give `encode` and `decode` with values for the parameters, for chunks of an array. */
  bind(parameters = {}, array = undefined) {
    const { inputs, outputs, identity = [] } = this.signature;
    const fail = (problem) => { throw new ParameterError(`${this.label}: ${problem}`); };
    for (const side of [inputs, outputs]) {
      const data = Object.keys(side).filter((name) => !side[name].parameter);
      if (`${data}` !== "bytes") fail(`takes and gives not one value, but ${data}; hint: \`call\``);
    }
    const given = { __proto__: null, ...parameters };
    const declared = Object.entries(inputs).filter(([, port]) => port.parameter);
    const unknown = Object.keys(given).find((name) => !declared.some(([each]) => each === name));
    if (unknown !== undefined) fail(`unknown parameter \`${unknown}\`, expected one of ${declared.map(([name]) => name)}`);
    const values = new Map(), missing = [];
    for (const [name, port] of declared) {
      let value = given[name] ?? undefined; // null stands for the default
      if (value !== undefined) value = accept(name, port, value);
      else if (port.from_array && array) value = fromArray(port.from_array, array) || undefined;
      // With a default, encoding an array and decoding without it would not use one value.
      const isNeeded = port.from_array ? !port.encode_only : port.required && port.default === undefined;
      if (value !== undefined) values.set(name, value);
      else if (isNeeded) missing.push(name);
    }
    const known = Object.fromEntries(declared.map(([name, port]) => [name, values.get(name) ?? port.default]));
    const isEqual = ([name, value]) => JSON.stringify(known[name]) === JSON.stringify(value);
    const isIdentity = identity.some((each) => Object.entries(each).every(isEqual));
    if (missing.length && !isIdentity) fail(`parameter \`${missing[0]}\` has no value; hint: give it, or the array`);
    const run = (direction, absent) => {
      const passed = [...values].filter(([name]) => !inputs[name][absent]);
      const texts = passed.map(([name, value]) => [name, inputs[name].type === "bytes" ? value : toUtf8.encode(JSON.stringify(value))]);
      const constants = Object.fromEntries(texts);
      return async (data) => (isIdentity ? bytesOf(data) : (await this.call(direction, { bytes: bytesOf(data), ...constants })).bytes);
    };
    return { values: known, encode: run("encode", "decode_only"), decode: run("decode", "encode_only") };
  }

  async encode(data, parameters, array) { return this.bind(parameters, array).encode(data); }
  async decode(data, parameters, array) { return this.bind(parameters, array).decode(data); }
}
