// Chonkle's codecs in zarrita. `zarrita.d.ts` describes what it exports, and chonkle's page on Zarr
// what it keeps to.
import { fail, guarded } from "./chonkle.js";

export async function registerZarrita(registry, codecs) {
  // Zarrita's own make chunks of bytes, and bring their elements in order.
  const [bytes, transpose] = [await registry.get("bytes")(), await registry.get("transpose")()];
  const own = bytes.own ?? { bytes, transpose };
  const register = (codec) => {
    const { codec_id, aliases: { zarr_v3 = [], zarr_v2 = [] } = {} } = codec.signature;
    const fromConfig = (...given) => guarded(codec.label, () => zarrCodec(codec, own, ...given));
    const names = [...zarr_v3, ...zarr_v2.map((id) => `numcodecs.${id}`), `chonkle.${codec_id}`];
    for (const name of names) registry.set(name, () => ({ fromConfig, own }));
  };
  for (const codec of codecs) guarded(codec.label, () => register(codec));
}

/** Make a codec of zarrita, for the chunks of an array. */
function zarrCodec(codec, own, configuration = {}, meta) {
  const { kind = "bytes-to-bytes", inputs, encoded_size: size = {} } = codec.signature;
  const { dtype: dtypes = [], permuted_by: permutedBy } = inputs.bytes.array ?? {};
  // All elements in memory are little-endian; only the codec `bytes` stores another order.
  const little = JSON.stringify(configuration).replace(/">(?=\w\d)/g, '"<');
  const { id, codec: place, ...given } = JSON.parse(little);
  if (given[permutedBy] === "F") given[permutedBy] = [...meta.shape.keys()].reverse(); // in Zarr 2
  const toChunk = (bytes, like) => own.bytes.fromConfig({ endian: "little" }, like).decode(bytes);
  const items = /string|object/.test(meta.dataType) ? [] : toChunk(new Uint8Array(), meta).data;
  const [dtype, itemsize] = [meta.dataType.replace("v2:", "<"), items.BYTES_PER_ELEMENT];
  const { values, encode, decode } = codec.bind(given, { dtype, itemsize, shape: meta.shape });
  const from = dtypes.find((each) => values[each] ?? !inputs[each]);
  const name = (values[from] ?? from ?? meta.dataType).replace("|b1", "bool");
  const [, letter, bytes] = /^.([iuf])(\d)$/.exec(name) ?? [];
  const dataType = letter ? { i: "int", u: "uint", f: "float" }[letter] + 8 * bytes : name;
  // A dtype that is no port is that of another number of elements, on one axis.
  const axes = from && !inputs[from] ? [NaN] : values[permutedBy]?.map((axis) => meta.shape[axis]);
  const encoded = { ...meta, dataType, shape: axes ?? meta.shape };
  const [isArray, givesArray] = kind.split("-to-").map((each) => each === "array");
  const run = (coder, takesChunk, like) => async (data) => {
    const chunk = takesChunk && own.transpose.fromConfig({ order: "C" }, data).encode(data);
    const bytes = await coder(takesChunk ? chunk.data : data);
    if (!like) return bytes;
    const found = toChunk(bytes, like);
    const expected = like.shape.reduce((all, each) => all * each, found.data.BYTES_PER_ELEMENT);
    const isOther = bytes.length < expected || bytes.length > expected; // some have no shape
    if (isOther) fail("CodecError", `${bytes.length} bytes, not ${expected}`);
    return found;
  };
  const fixed = /^fixed bytes(?: \+ (\d+))?$/.exec(`${size.kind} ${size.formula}`);
  return {
    kind: kind.replaceAll("-", "_"),
    computeEncodedSize: fixed && ((decodedSize) => decodedSize + Number(fixed[1] ?? 0)),
    getEncodedMeta: () => encoded,
    encode: run(encode, isArray, givesArray && encoded),
    decode: run(decode, givesArray, isArray && meta),
  };
}
