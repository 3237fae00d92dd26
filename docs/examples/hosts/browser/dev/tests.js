/** What golden vectors and arrays do not show: `node dev/tests.js`, with CODECS and GUESTS set. */
import assert from "node:assert/strict";
import { readFile, readdir } from "node:fs/promises";
import { join } from "node:path";
import { env } from "node:process";
import { after, test } from "node:test";
import { Worker } from "node:worker_threads";
import * as zarrita from "zarrita";
import * as chonkle from "../chonkle.js";
import { computeSize, readDtype } from "../chonkle/signature.js";
import { serve } from "./server.js";

const { open, registerZarrita, Workers } = chonkle;
const TEXT = new TextEncoder().encode("Forty bytes of text, and then them again".repeat(50));
const BYTES = { name: "bytes", configuration: { endian: "little" } };

async function read(id) {
  const folder = join(env.CODECS, id);
  const [file] = (await readdir(folder)).filter((each) => each.endsWith(".core.wasm"));
  return new Uint8Array(await readFile(join(folder, file)));
}

async function get(id, options) {
  return open(await read(id), options);
}

async function guest(name, options) {
  return open(await readFile(join(env.GUESTS, name)), options);
}

/** Start workers that end with the tests, also with those that fail. */
function startWorkers(options) {
  const workers = new Workers({ ...options, Worker });
  after(() => workers.close());
  return workers;
}

function failsWith(kind, message) {
  return (failure) => {
    assert.equal(failure.constructor, chonkle[kind], String(failure));
    assert.equal(failure.name, kind);
    assert.match(failure.message, message);
    return true;
  };
}

/** Count the instances that are made while a function runs. */
async function countInstances(run) {
  const { instantiate } = WebAssembly;
  let made = 0;
  WebAssembly.instantiate = (...given) => {
    made += 1;
    return instantiate(...given);
  };
  try {
    await run();
  } finally {
    WebAssembly.instantiate = instantiate;
  }
  return made;
}

test("a module is opened from a URL, and refused with another digest", async () => {
  const server = await serve({ codecs: env.CODECS });
  after(server.close);
  const wasm = await read("zlib");
  const digest = async (bits) => Buffer.from(await crypto.subtle.digest(`SHA-${bits}`, wasm));
  const name = (await readdir(join(env.CODECS, "zlib"))).find((each) =>
    each.endsWith(".core.wasm"),
  );
  const url = `${server.origin}/codecs/zlib/${name}`;
  for (const bits of [256, 384, 512]) {
    const found = await digest(bits);
    await open(url, { integrity: `sha${bits}-${found.toString("base64")}` });
    await open(new URL(url), { integrity: `sha${bits}:${found.toString("hex")}` });
  }
  const other = `sha256:${"0".repeat(64)}`;
  await assert.rejects(
    open(url, { integrity: other }),
    failsWith("DigestMismatchError", /zlib.*: wrong digest/),
  );
  for (const bad of ["", "sha256", "md5:00", "sha256-", 5]) {
    await assert.rejects(
      open(url, { integrity: bad }),
      failsWith("DigestMismatchError", /expected a digest/),
    );
  }
  await assert.rejects(
    open(`${url}.no`),
    failsWith("ChonkleError", /\.no: cannot be fetched: HTTP status 404/),
  );
  await assert.rejects(
    open("http://127.0.0.1:1/"),
    failsWith("ChonkleError", /cannot be fetched: /),
  );
});

test("a caller that changes its bytes later does not change the codec", async () => {
  const wasm = await read("zlib");
  const opening = open(wasm, {
    integrity: `sha256:${Buffer.from(await crypto.subtle.digest("SHA-256", wasm)).toString("hex")}`,
  });
  wasm.fill(0);
  const codec = await opening;
  assert.deepEqual(await codec.decode(await codec.encode(TEXT)), TEXT);
});

test("what is no codec is refused", async () => {
  await assert.rejects(open(new Uint8Array()), failsWith("ChonkleError", /core module/));
  await assert.rejects(open(TEXT), failsWith("ChonkleError", /core module/));
  const folder = join(env.CODECS, "zlib");
  const [component] = (await readdir(folder)).filter((each) => each.endsWith(".component.wasm"));
  await assert.rejects(
    open(await readFile(join(folder, component))),
    failsWith("ChonkleError", /core module/),
  );
  for (const [name, message] of Object.entries({
    "signature-none": /one section `chonkle:signature`, got 0/,
    "signature-twice": /one section `chonkle:signature`, got 2/,
    "signature-no-json": /bad signature: .*JSON/,
    "signature-list": /`codec_id`: expected a name/,
    "signature-odd-id": /`codec_id`: expected a name/,
    "signature-inherited-type": /`inputs.bytes`: expected a `type`/,
    "signature-odd-choices": /`inputs.bytes`: .* a list `choices`/,
    "signature-odd-identity": /`identity`: expected a list/,
    "signature-odd-array": /`inputs.bytes`: .* a list `dtype`/,
    "signature-odd-property": /`inputs.bytes`: .* `from_array`/,
    "signature-odd-formula": /`encoded_size`: expected a formula/,
    "signature-no-ports": /`inputs`: expected an object/,
    "signature-odd-type": /`inputs.bytes`: expected a `type`/,
    "signature-long": /at most 1048576 bytes/,
  })) {
    await assert.rejects(guest(name), failsWith("ChonkleError", message), name);
  }
});

test("any buffer is taken, and results are the caller's", async () => {
  const codec = await get("zlib");
  const encoded = await codec.encode(TEXT);
  const inside = new Uint8Array(encoded.length + 9);
  inside.set(encoded, 5);
  const view = inside.subarray(5, 5 + encoded.length);
  const first = await codec.decode(view);
  await codec.decode(encoded.buffer);
  await codec.encode(new Float64Array(1000));
  assert.deepEqual(first, TEXT);
  assert.deepEqual(await codec.decode(new DataView(inside.buffer, 5, encoded.length)), TEXT);
  assert.deepEqual(await codec.decode(await codec.encode(new Uint8Array())), new Uint8Array());
  for (const odd of ["text", 5, null, undefined, [1, 2]]) {
    await assert.rejects(
      codec.encode(odd),
      failsWith("ParameterError", /expected bytes in a buffer/),
    );
    const call = codec.call("encode", { bytes: TEXT, level: odd });
    await assert.rejects(call, failsWith("ParameterError", /expected bytes in a buffer/));
  }
});

test("one instance serves all calls until it breaks", async () => {
  const codec = await get("zlib");
  const encoded = await codec.encode(TEXT);
  const run = () => Promise.all(Array.from({ length: 20 }, () => codec.decode(encoded)));
  assert.equal(await countInstances(run), 0);
  const other = await get("zlib");
  assert.equal(
    await countInstances(() => Promise.all([other.decode(encoded), other.decode(encoded)])),
    1,
  );
  const refused = () =>
    assert.rejects(
      codec.decode(TEXT),
      failsWith("CodecError", /codec `zlib` \(zlib-rs@.*\), decode: .*zlib/),
    );
  assert.equal(await countInstances(refused), 0);
  const trapping = await guest("trap-decode");
  const trap = () =>
    assert.rejects(
      trapping.call("decode", { bytes: TEXT }),
      failsWith(
        "CodecTrap",
        /^codec `guest` \(guest-wat\), decode: the guest trapped: unreachable/,
      ),
    );
  assert.equal(await countInstances(() => Promise.all([trap(), trap(), trap()])), 3);
  const echo = async () =>
    assert.deepEqual(await trapping.call("encode", { bytes: TEXT }), { bytes: TEXT });
  assert.equal(
    await countInstances(async () => {
      await echo();
      await echo();
    }),
    1,
  );
});

test("an instance that is full is replaced, once", async () => {
  // It cannot free anything, so that the third call finds no room.
  const codec = await guest("leaks", { limits: { memoryBytes: 1 << 17 } });
  const data = new Uint8Array(40_000);
  const run = async () => {
    for (let call = 0; call < 9; call++) await codec.call("decode", { bytes: data });
  };
  assert.ok((await countInstances(run)) > 2);
  await assert.rejects(
    codec.call("decode", { bytes: new Uint8Array(131_050) }),
    failsWith("LimitExceeded", /out of memory.*memoryBytes/),
  );
  await run();
});

test("limits are kept", async () => {
  const encoded = await (await get("zlib")).encode(new Uint8Array(16 << 20));
  const small = await get("zlib", { limits: { memoryBytes: 4 << 20 } });
  await assert.rejects(small.decode(encoded), failsWith("LimitExceeded", /out of memory/));
  const short = await get("zlib", { limits: { outputBytes: 1 << 20 } });
  await assert.rejects(
    short.decode(encoded),
    failsWith("LimitExceeded", /at most 1048576 bytes of output, got 16777216/),
  );
  await assert.rejects(
    small.encode(new Uint8Array(5 << 20)),
    failsWith("LimitExceeded", /at most 4194304 bytes of input/),
  );
  await assert.rejects(
    get("zlib", { limits: { memoryBytes: 100 } }),
    failsWith("LimitExceeded", /needs \d+ bytes of memory/),
  );
});

test("parameters are those that the signature declares", async () => {
  const [blosc, zstd, shuffle, cast, pages, sums] = await Promise.all(
    ["blosc", "zstd", "shuffle", "cast_value", "page-split", "jenkins_lookup3"].map((id) =>
      get(id),
    ),
  );
  const array = { dtype: "float32", shape: [3, 4] };
  assert.equal(blosc.bind({ shuffle: "bitshuffle" }, array).values.shuffle, 2);
  assert.equal(blosc.bind({ shuffle: 1, clevel: null }, array).values.clevel, 5);
  assert.equal(blosc.bind({}, array).values.typesize, 4);
  assert.equal(shuffle.bind({}, { dtype: "<c16", shape: [1] }).values.elementsize, 16);
  assert.equal(zstd.bind({ level: 100 }).values.level, 22);
  assert.equal(
    cast.bind({ data_type: "uint8", scalar_map: { encode: [["NaN", 0]] } }, array).values
      .scalar_map,
    '{"encode":[["NaN",0]]}',
  );
  assert.equal(cast.bind({ data_type: "uint8" }, array).values.data_type, "|u1");
  assert.equal(cast.bind({ data_type: "uint8" }, array).values.dtype, "<f4");
  for (const [codec, given, message, of] of [
    [blosc, { level: 1 }, /unknown parameter `level`, expected one of cname,clevel/],
    [blosc, { constructor: 1 }, /unknown parameter `constructor`/],
    [blosc, { clevel: 10 }, /`clevel`: expected 0 to 9, got `10`/],
    [blosc, { clevel: 1.5 }, /`clevel`: expected `int`/],
    [blosc, { clevel: "5" }, /`clevel`: expected `int`/],
    [
      blosc,
      { shuffle: "no" },
      /`shuffle`: expected `int` or one of noshuffle,shuffle,bitshuffle, got `"no"`/,
    ],
    [blosc, { cname: "lz5" }, /`cname`: expected one of blosclz,/],
    [zstd, { checksum: 1 }, /`checksum`: expected `bool`/],
    [shuffle, {}, /`elementsize` has no value; hint: give it, or the array/],
    [cast, { data_type: "float33" }, /expected a dtype/, array],
    [cast, {}, /`data_type` has no value/, array],
    [pages, {}, /not one value, but rep_levels,def_levels,data/],
    [sums, { prefix: "text" }, /`prefix`: expected `bytes`/],
  ]) {
    assert.throws(() => codec.bind(given, of), failsWith("ParameterError", message));
  }
  const prefixed = sums.bind({ prefix: new Uint8Array([1, 2, 3]) });
  assert.deepEqual(await prefixed.decode(await prefixed.encode(TEXT)), TEXT);
  await assert.rejects(
    sums.decode(await prefixed.encode(TEXT)),
    failsWith("CodecError", /checksum/),
  );
});

test("dtypes are read in each spelling", () => {
  for (const [given, dtype, itemsize, scalarsize] of [
    ["float32", "<f4", 4, 4],
    ["<f4", "<f4", 4, 4],
    [">f4", ">f4", 4, 4],
    ["=i8", "<i8", 8, 8],
    ["uint8", "|u1", 1, 1],
    ["bool", "|b1", 1, 1],
    [">c16", ">c16", 16, 8],
    ["complex64", "<c8", 8, 4],
    ["<U5", "<U5", 20, 4],
    ["S7", "|S7", 7, 1],
    ["V3", "|V3", 3, 1],
    ["<M8[10us]", "<M8[10us]", 8, 8],
  ]) {
    const found = readDtype(given);
    assert.deepEqual(
      [found.dtype, found.itemsize, found.scalarsize],
      [dtype, itemsize, scalarsize],
      given,
    );
  }
  for (const bad of ["", "f", "<q4", "<f4 ", "float", "<f0", 5, null, ["<f4"], "<f4[s] x"]) {
    assert.throws(
      () => readDtype(bad),
      failsWith("ParameterError", /expected a dtype/),
      String(bad),
    );
  }
});

test("formulas are computed exactly", () => {
  const compute = (formula, values, bytes, dtype) =>
    computeSize(
      { encoded_size: { formula }, inputs: { bytes: { array: { dtype } } } },
      values,
      bytes,
    );
  assert.equal(compute("bytes + bytes / 1000 + 64", {}, 10_001), 10_076);
  assert.equal(compute("4 * ceil(bytes / 3)", {}, 1_000_000_000), 1_333_333_336);
  assert.equal(compute("bytes / size(a) * size(b)", { a: "<f4", b: "<i2" }, 1020), 510);
  assert.equal(compute("bytes / size(a) * size(b)", { a: "<f4" }, 1020, ["b", "a"]), 1020);
  assert.equal(compute("bytes / 49 * 49", {}, 2 ** 31 - 1), 2 ** 31 - 1);
  assert.equal(compute("10 - (2 - 3) * 2 - bytes", {}, 100), 0);
  assert.throws(() => compute("bytes / 0", {}, 10), RangeError);
  assert.throws(() => compute("bytes * none", {}, 10), SyntaxError);
  assert.equal(compute("bytes / row * (row + ceil(row / 128))", { row: 100 }, 1000), 1010);
});

test("workers run calls at once, and give errors as they are", async () => {
  const workers = startWorkers({ size: 2, timeoutMs: 20_000 });
  const [zlib, shuffle] = [await get("zlib", { workers }), await get("shuffle", { workers })];
  const encoded = await (await get("zlib")).encode(TEXT);
  const inside = new Uint8Array(encoded.length + 8);
  inside.set(encoded, 8);
  const found = await Promise.all(Array.from({ length: 9 }, () => zlib.decode(inside.subarray(8))));
  for (const each of found) assert.deepEqual(each, TEXT);
  assert.equal(inside.length, encoded.length + 8); // it did not move away
  await assert.rejects(
    zlib.decode(TEXT),
    failsWith("CodecError", /^codec `zlib` \(zlib-rs@[^:]*: [^:]*: [^:]*$/),
  );
  const settings = shuffle.bind({ elementsize: 4 });
  assert.deepEqual(await settings.decode(await settings.encode(TEXT)), TEXT);
  const limited = await get("zlib", { workers, limits: { outputBytes: 10 } });
  await assert.rejects(limited.decode(encoded), failsWith("LimitExceeded", /10 bytes of output/));
  assert.throws(() => new Workers(), failsWith("ChonkleError", /node:worker_threads/));
  const slow = startWorkers({ size: 1, timeoutMs: 60_000 });
  const hanging = await guest("hang-decode", { workers: slow });
  const call = assert.rejects(
    hanging.call("decode", { bytes: TEXT }),
    failsWith("CodecTrap", /were closed/),
  );
  await new Promise((resolve) => {
    setTimeout(resolve, 1000);
  });
  slow.close();
  await call;
});

test("a late call is ended, and calls that wait for its worker are not", async () => {
  const workers = startWorkers({ size: 1, timeoutMs: 500 });
  const [zlib, hanging] = [await get("zlib", { workers }), await guest("hang-decode", { workers })];
  const late = assert.rejects(
    hanging.call("decode", { bytes: TEXT }),
    failsWith("LimitExceeded", /longer than the allowed 500 ms/),
  );
  assert.ok((await zlib.encode(TEXT)).length < TEXT.length);
  await late;
});

test("zarrita's own codec serves what ours refuses, unless it is strict", async () => {
  const own = new Map(zarrita.registry);
  const codecs = await Promise.all(["bytes", "zlib", "gzip", "bitround"].map((id) => get(id)));
  const unregister = await registerZarrita(zarrita.registry, codecs);
  const chunk = { dataType: "int32", shape: [4], codecs: [], fillValue: 0 };
  const make = async (name, configuration) =>
    (await zarrita.registry.get(name)()).fromConfig(configuration, chunk);
  assert.equal((await make("gzip", { level: 99 })).constructor.name, "GzipCodec");
  assert.equal((await make("gzip", { level: 9 })).constructor.name, "Object");
  assert.equal((await make("numcodecs.zlib", { id: "zlib", level: 1 })).constructor.name, "Object");
  assert.equal(
    (await make("chonkle.zlib", { codec: "oci://registry.example/zlib@sha256:00" })).constructor
      .name,
    "Object",
  );
  await assert.rejects(make("chonkle.zlib", { level: 99 }), failsWith("ParameterError", /-1 to 9/));
  const strictly = await registerZarrita(zarrita.registry, codecs, { strict: true });
  await assert.rejects(make("gzip", { level: 99 }), failsWith("ParameterError", /-1 to 9/));
  strictly();
  assert.equal((await make("gzip", { level: 99 })).constructor.name, "GzipCodec");
  unregister();
  assert.deepEqual(new Map(zarrita.registry), own);
});

test("a chunk of another size is an error", async () => {
  const unregister = await registerZarrita(zarrita.registry, [
    await get("bytes"),
    await get("crc32c"),
  ]);
  const files = new Map();
  const array = await zarrita.create(files, {
    shape: [4],
    chunkShape: [4],
    dtype: "int32",
    codecs: [BYTES, { name: "crc32c", configuration: {} }],
  });
  await zarrita.set(array, null, { data: new Int32Array([1, 2, 3, 4]), shape: [4], stride: [1] });
  assert.equal(files.get("/c/0").length, 20);
  assert.deepEqual((await zarrita.get(array)).data, new Int32Array([1, 2, 3, 4]));
  files.get("/c/0")[3] ^= 1;
  await assert.rejects(zarrita.get(array), (failure) =>
    failsWith("CodecError", /crc32c.*checksum/)(failure.cause),
  );
  const crc = await get("crc32c");
  files.set("/c/0", await crc.encode(new Uint8Array(12)));
  await assert.rejects(zarrita.get(array), (failure) =>
    failsWith("CodecError", /expected 16 bytes, for <i4 of shape \[4\], got 12/)(failure.cause),
  );
  unregister();
});
