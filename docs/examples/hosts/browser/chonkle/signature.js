/** Reads signatures, and values for their ports, as the page on the signature says. */
import { ChonkleError, ParameterError, requireThat } from "./errors.js";

const SECTION = "chonkle:signature";
const SIGNATURE_MAX_BYTES = 1 << 20;
const FORMULA_MAX_CHARACTERS = 200;
const isName = (value) => typeof value === "string" && /^[\w.+-]{1,128}$/.test(value);
const FROM_ARRAY = ["dtype", "itemsize", "scalarsize", "shape", "shape[-1]"];
const KINDS = ["bytes-to-bytes", "array-to-bytes", "array-to-array"];

/** Read the signature, check the fields that are used here, and give each port its defaults. */
export function readSignature(module) {
  const fail = (problem) => {
    throw new ChonkleError(`bad signature: ${problem}`);
  };
  const sections = WebAssembly.Module.customSections(module, SECTION);
  if (sections.length !== 1) fail(`expected one section \`${SECTION}\`, got ${sections.length}`);
  if (sections[0].byteLength > SIGNATURE_MAX_BYTES)
    fail(`expected at most ${SIGNATURE_MAX_BYTES} bytes`);
  let found;
  try {
    found = JSON.parse(new TextDecoder().decode(sections[0]));
  } catch (failure) {
    fail(failure.message);
  }
  const check = (holds, field, expected) => holds || fail(`\`${field}\`: expected ${expected}`);
  check(isName(found?.codec_id), "codec_id", "a name");
  for (const field of ["implementation", "version"])
    check(isName(found[field] ?? "none"), field, "a name");
  check(KINDS.includes(found.kind ?? KINDS[0]), "kind", `one of ${KINDS}`);
  check(Object.values(found.aliases ?? {}).every(Array.isArray), "aliases", "lists of names");
  const { identity = [], encoded_size: { formula = "" } = {} } = found;
  check(Array.isArray(identity) && identity.every(isObject), "identity", "a list of objects");
  const isShort = typeof formula === "string" && formula.length <= FORMULA_MAX_CHARACTERS;
  check(isShort, "encoded_size", `a formula of at most ${FORMULA_MAX_CHARACTERS} characters`);
  for (const side of ["inputs", "outputs"]) {
    check(isObject(found[side]), side, "an object of ports");
    for (const [name, port] of Object.entries(found[side])) {
      const where = `${side}.${name}`;
      const hasType = isObject(port) && Object.hasOwn(TYPES, port.type);
      check(hasType, where, `a \`type\` of ${Object.keys(TYPES)}`);
      const { values = {}, choices = [], from_array: property = "shape", array = {} } = port;
      check(
        isObject(values) && Array.isArray(choices),
        where,
        "an object `values`, a list `choices`",
      );
      check(FROM_ARRAY.includes(property), where, `a \`from_array\` of ${FROM_ARRAY}`);
      const hasDtypes = isObject(array) && Array.isArray(array.dtype ?? []);
      check(hasDtypes, where, "an object `array` with a list `dtype`");
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
  const [, order, kind, digits, unit = ""] =
    /^([<>|=]?)([biufcmMSUV])(\d{1,9})(\[\w+\])?$/.exec(text) ?? [];
  const size = Number(digits);
  requireThat(
    typeof value === "string" && size > 0,
    ParameterError,
    `expected a dtype such as \`<u2\` or \`float32\`, got \`${JSON.stringify(value)}\``,
  );
  const itemsize = kind === "U" ? 4 * size : size;
  const scalarsize = { c: size / 2, U: 4, S: 1, V: 1 }[kind] ?? size;
  const mark = scalarsize === 1 ? "|" : order === ">" ? ">" : "<";
  return { dtype: `${mark}${kind}${digits}${unit}`, kind, size, itemsize, scalarsize };
}

/** Give a property of an array, by its name in `from_array`. */
export function fromArray(what, { dtype, shape }) {
  if (what.startsWith("shape")) return what === "shape" ? shape : shape?.at(-1);
  return readDtype(dtype)[what];
}

/** Convert a value of a configuration to one of a port, and require that the port allows it. */
export function accept(name, port, given) {
  const check = (holds, expected) => {
    if (!holds)
      throw new ParameterError(
        `parameter \`${name}\`: expected ${expected}, got \`${JSON.stringify(given)}\``,
      );
  };
  let value = typeof given === "string" ? (port.values?.[given] ?? given) : given;
  if (port.json_text && typeof value !== "string") value = JSON.stringify(value);
  if (port.type === "dtype_desc") value = readDtype(value).dtype;
  const { minimum = -Infinity, maximum = Infinity, choices } = port;
  if (port.clamp && Number.isFinite(value)) value = Math.min(Math.max(value, minimum), maximum);
  check(
    TYPES[port.type](value),
    `\`${port.type}\`${port.values ? ` or one of ${Object.keys(port.values)}` : ""}`,
  );
  check(!choices || choices.includes(value), `one of ${choices}`);
  check(!(value < minimum || value > maximum), `${minimum} to ${maximum}`);
  return value;
}

/** Give the first dtype of a list of type strings and of ports that have a value. */
export function firstDtype(listed, values) {
  return listed.map((each) => (/^[<>|]/.test(each) ? each : values[each])).find(Boolean);
}

/** Compute `encoded_size` of a signature exactly, in fractions of integers, and round up. */
export function computeSize({ encoded_size: { formula }, inputs }, values, bytes) {
  const tokens = formula.match(/\w+|[-+*/()]/g);
  const operators = {
    "+": ([a, b], [c, d]) => [a * d + c * b, b * d],
    "-": ([a, b], [c, d]) => [a * d - c * b, b * d],
    "*": ([a, b], [c, d]) => [a * c, b * d],
    "/": ([a, b], [c, d]) => [a * d, b * c],
  };
  const ceil = ([a, b]) => (b < 0n ? ceil([-a, -b]) : a / b + (a % b > 0n ? 1n : 0n));
  const chain = (signs, next) => () => {
    let left = next();
    while (signs.includes(tokens[0])) left = operators[tokens.shift()](left, next());
    return left;
  };
  const inParentheses = (next) => {
    tokens.shift();
    const found = next();
    tokens.shift();
    return found;
  };
  const size = () => {
    const [port, dtypes = []] = [tokens.shift(), inputs.bytes.array?.dtype];
    return readDtype(
      firstDtype(dtypes.includes(port) ? dtypes.slice(dtypes.indexOf(port)) : [port], values),
    ).itemsize;
  };
  const term = () => {
    if (tokens[0] === "(") return inParentheses(sum);
    const token = tokens.shift();
    if (token === "ceil") return [ceil(inParentheses(sum)), 1n];
    const value =
      token === "size" ? inParentheses(size) : token === "bytes" ? bytes : (values[token] ?? token);
    return [BigInt(value), 1n];
  };
  const sum = chain("+-", chain("*/", term));
  return Math.max(0, Number(ceil(sum())));
}
