/** The door to zarrita: codecs behind the names that their signatures declare for Zarr. */
import { bytesOf } from "./bytes.js";
import { ChonkleError, CodecError, ParameterError } from "./errors.js";
import { computeSize, firstDtype, readDtype } from "./signature.js";

/**
 * Put codecs in the registry of zarrita, as its own codecs are.
 *
 * A configuration that only zarrita's own codec takes gives that, unless `strict` is set.
 * The result takes everything back.
 */
export async function registerZarrita(registry, codecs, { strict = false } = {}) {
  const before = new Map(registry);
  // Zarrita's own knows its arrays of every type.
  const { own: BytesCodec } = await ownEntry(registry, "bytes");
  for (const codec of codecs) {
    const { codec_id: id, kind = "bytes-to-bytes", aliases = {} } = codec.signature;
    const { zarr_v3: names = [], zarr_v2: olderNames = [] } = aliases;
    for (const name of new Set([
      ...names,
      ...olderNames.map((each) => `numcodecs.${each}`),
      `chonkle.${id}`,
    ])) {
      const { own } = strict ? {} : await ownEntry(registry, name);
      const fromConfig = (configuration, chunk) => {
        try {
          return zarrCodec(codec, configuration ?? {}, chunk, BytesCodec);
        } catch (failure) {
          if (!own || !(failure instanceof ParameterError)) throw failure;
          return own.fromConfig(configuration, chunk);
        }
      };
      registry.set(name, async () => ({ fromConfig, kind: kind.replaceAll("-", "_"), own }));
    }
  }
  return () => {
    registry.clear();
    before.forEach((entry, name) => registry.set(name, entry));
  };
}

async function ownEntry(registry, name) {
  const entry = await registry.get(name)?.();
  return entry && "own" in entry ? entry : { own: entry };
}

/** Make a codec of zarrita, for chunks of an array. */
function zarrCodec(codec, configuration, chunk, BytesCodec) {
  const { kind = "bytes-to-bytes", inputs, outputs, encoded_size: encodedSize } = codec.signature;
  const given = { ...configuration };
  delete given.id; // as numcodecs writes it
  if (String(given.codec).includes("://")) delete given.codec; // where the codec is from
  for (const name of Object.keys(given)) {
    // Elements are little-endian here; only the codec `bytes` stores another order.
    if (inputs[name]?.type === "dtype_desc") given[name] = String(given[name]).replace(">", "<");
  }
  const { dtype: dtypes = [], permuted_by: permutedBy } = inputs.bytes?.array ?? {};
  // How zarrita writes the order of an array of Zarr 2.
  if (given[permutedBy] === "F") given[permutedBy] = [...chunk.shape.keys()].reverse();
  const array = arrayOf(chunk);
  const { values, encode, decode } = codec.bind(given, array);
  const size = (bytes) => {
    try {
      return computeSize(codec.signature, values, bytes);
    } catch ({ message }) {
      throw new ChonkleError(`${codec.label}: \`encoded_size\` cannot be computed: ${message}`);
    }
  };
  const shared = {
    kind: kind.replaceAll("-", "_"),
    ...(encodedSize?.kind === "fixed" ? { computeEncodedSize: size } : {}),
  };
  if (kind === "bytes-to-bytes") return { ...shared, encode, decode };

  const [port] = Object.keys(given).filter((name) => inputs[name].from_array === "dtype");
  const stored = given[port] ?? outputs.bytes.array?.dtype?.find((each) => !(each in inputs));
  if (!array || (stored && readDtype(stored).dtype !== array.dtype)) {
    throw new ParameterError(
      `${codec.label}: expected elements of ${stored ?? "a fixed size"}, got ${chunk.dataType}`,
    );
  }
  const toChunk = (bytes, like) => {
    const { dtype, shape } = arrayOf(like);
    const expected = count(shape) * readDtype(dtype).itemsize;
    if (bytes.length === expected)
      return BytesCodec.fromConfig({ endian: "little" }, like).decode(bytes);
    throw new CodecError(
      `${codec.label}: expected ${expected} bytes, for ${dtype} of shape [${shape}], got ${bytes.length}`,
    );
  };
  const decodeChunk = async (data) => toChunk(await decode(data), chunk);
  if (kind === "array-to-bytes")
    return { ...shared, encode: (data) => encode(elementsOf(data)), decode: decodeChunk };

  const encodedChunk = (like) => {
    const {
      dtype,
      kind: letter,
      size: width,
      itemsize,
    } = readDtype(firstDtype(dtypes, values) ?? array.dtype);
    const names = {
      b: "bool",
      i: `int${8 * width}`,
      u: `uint${8 * width}`,
      f: `float${8 * width}`,
    };
    let shape = values[permutedBy]?.map((axis) => like.shape[axis]) ?? like.shape;
    const items = shared.computeEncodedSize
      ? size(count(like.shape) * readDtype(array.dtype).itemsize) / itemsize
      : count(shape);
    if (items !== count(shape)) shape = [items];
    return { ...like, dataType: names[letter] ?? `v2:${dtype.slice(1)}`, shape };
  };
  return {
    ...shared,
    getEncodedMeta: encodedChunk,
    encode: async (data) => toChunk(await encode(elementsOf(data)), encodedChunk(chunk)),
    decode: (data) => decodeChunk(elementsOf(data)),
  };
}

const count = (shape) => shape.reduce((product, extent) => product * extent, 1);

/** Describe a chunk of zarrita, or undefined if its elements have no fixed size. */
function arrayOf({ dataType, shape }) {
  if (dataType === "string" || dataType === "v2:object") return undefined;
  return { dtype: readDtype(dataType.replace(/^v2:/, "")).dtype, shape };
}

/** Give the elements of a chunk in C order. */
export function elementsOf({ data, shape, stride }) {
  const [bytes, itemsize] = [bytesOf(data), data.BYTES_PER_ELEMENT];
  const total = count(shape) * itemsize;
  const isC = shape.every(
    (extent, axis) => extent === 1 || stride[axis] === count(shape.slice(axis + 1)),
  );
  if (isC) return bytes.subarray(0, total);
  const ordered = new Uint8Array(total);
  let at = 0;
  const copy = (axis, from) => {
    if (axis === shape.length) for (let i = 0; i < itemsize; i++) ordered[at++] = bytes[from + i];
    else for (let i = 0; i < shape[axis]; i++) copy(axis + 1, from + i * stride[axis] * itemsize);
  };
  copy(0, 0);
  return ordered;
}
