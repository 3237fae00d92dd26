/** What golden vectors and arrays do not show: `node dev/tests.js`, with CODECS and GUESTS set. */
import assert from "node:assert/strict";
import { readFile, readdir } from "node:fs/promises";
import { join } from "node:path";
import { env } from "node:process";
import { after, test } from "node:test";
import * as zarrita from "zarrita";
import { ChonkleError, Workers, open } from "../chonkle.js";
import { registerZarrita } from "../zarrita.js";
import { serve } from "./server.js";

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
  const workers = new Workers(options);
  after(() => workers.close());
  return workers;
}

function failsWith(kind, message) {
  return (failure) => {
    assert.ok(failure instanceof ChonkleError, String(failure));
    assert.equal(failure.name, kind, String(failure));
    assert.match(failure.message, message);
    return true;
  };
}

/** Count the instances that are made while a function runs. */
async function countInstances(run) {
  const { Instance } = WebAssembly;
  let made = 0;
  WebAssembly.Instance = function count(module) {
    made += 1;
    return new Instance(module);
  };
  try {
    await run();
  } finally {
    WebAssembly.Instance = Instance;
  }
  return made;
}

test("a module is opened from a URL, and refused with another digest", async () => {
  const server = await serve({ codecs: env.CODECS });
  after(server.close);
  const wasm = await read("zlib");
  const digest = Buffer.from(await crypto.subtle.digest("SHA-256", wasm)).toString("hex");
  const name = (await readdir(join(env.CODECS, "zlib"))).find((each) =>
    each.endsWith(".core.wasm"),
  );
  const url = `${server.origin}/codecs/zlib/${name}`;
  await open(url, { integrity: `sha256:${digest}` });
  await open(new URL(url), { integrity: `sha256:${digest}` });
  const zeros = `sha256:${"0".repeat(64)}`;
  for (const bad of [zeros, "", "sha256", "md5:00", "sha256-", digest, null, undefined]) {
    await assert.rejects(
      open(url, { integrity: bad }),
      failsWith("DigestMismatchError", /zlib.*: wrong digest/),
    );
  }
  await assert.rejects(open(`${url}.no`), failsWith("ChonkleError", /\.no: HTTP status 404/));
  await assert.rejects(
    open("http://127.0.0.1:1/"),
    failsWith("ChonkleError", /^http:.*: fetch failed/),
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
  await assert.rejects(open(new Uint8Array()), failsWith("ChonkleError", /WebAssembly/));
  await assert.rejects(open(TEXT), failsWith("ChonkleError", /WebAssembly/));
  const folder = join(env.CODECS, "zlib");
  const [component] = (await readdir(folder)).filter((each) => each.endsWith(".component.wasm"));
  await assert.rejects(
    open(await readFile(join(folder, component))),
    failsWith("ChonkleError", /WebAssembly/),
  );
  for (const [name, message] of Object.entries({
    "signature-none": /one section `chonkle:signature`/,
    "signature-twice": /one section `chonkle:signature`/,
    "signature-no-json": /JSON/,
    "signature-list": /undefined/,
    "signature-no-ports": /undefined/,
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
  for (const odd of [5, null, undefined, [1, 2]]) {
    await assert.rejects(codec.encode(odd), failsWith("ParameterError", /expected a buffer/));
    const call = codec.call("encode", { bytes: TEXT, level: odd });
    await assert.rejects(call, failsWith("ParameterError", /expected a buffer/));
  }
  const { bytes } = await codec.call("encode", { bytes: "text", level: "9" });
  assert.equal(new TextDecoder().decode(await codec.decode(bytes)), "text");
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
      failsWith("CodecTrap", /^codec `guest` \(guest-wat\), decode: unreachable/),
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
    failsWith("LimitExceeded", /output over 1048576 bytes/),
  );
  await assert.rejects(
    small.encode(new Uint8Array(5 << 20)),
    failsWith("LimitExceeded", /out of memory/),
  );
  await assert.rejects(
    get("zlib", { limits: { memoryBytes: 100 } }),
    failsWith("ChonkleError", /memory/),
  );
});

test("tables are small, and have a maximum", async () => {
  for (const name of ["tables-large", "tables-many", "tables-without-maximum"]) {
    await assert.rejects(guest(name), failsWith("LimitExceeded", /tables/), name);
  }
});

test("there are no arrays and structs, which no limit bounds", async () => {
  for (const name of ["types-array", "types-reference"]) {
    await assert.rejects(guest(name), failsWith("LimitExceeded", /types other than/), name);
  }
});

test("a large module is opened", async () => {
  const [wasm, custom] = [await read("zlib"), new Uint8Array((120 << 20) + 6)];
  // A section of 120 MiB without a name: its kind, its size in LEB128, and zeros.
  custom.set([0, 0x81, 0x80, 0x80, 0x3c]);
  const large = new Uint8Array(await new Blob([wasm, custom]).arrayBuffer());
  const codec = await open(large);
  assert.deepEqual(await codec.decode(await codec.encode(TEXT)), TEXT);
});

test("what a codec gives is a port-map, and nothing else is copied", async () => {
  const kinds = ["repeats", "repeats-all", "name-no-utf8", "reaches-over", "not-all", "no-result"];
  for (const kind of kinds) {
    const codec = await guest(`output-${kind}`);
    const call = codec.call("decode", { bytes: TEXT });
    await assert.rejects(call, failsWith("CodecTrap", /port-map|utf-8|BigInt/), kind);
  }
});

test("odd signatures and values give errors of chonkle", async () => {
  const meta = { dataType: "int32", shape: [4] };
  const make = async (codec, configuration) => {
    const registry = new Map(zarrita.registry);
    await registerZarrita(registry, [codec]);
    return (await registry.get("chonkle.guest")()).fromConfig(configuration, meta);
  };
  for (const name of ["aliases", "identity", "kind", "size", "no-bytes"]) {
    const made = make(await guest(`odd-${name}`), {});
    await assert.rejects(made, failsWith("ParameterError", /^codec `guest` \(guest\): /), name);
  }
  const names = await guest("odd-names");
  for (const value of [JSON.parse('{"toString":1}'), 5n, Object.create(null)]) {
    const given = { toString: value };
    assert.throws(() => names.bind(given), failsWith("ParameterError", /^codec `guest`/));
  }
  // What every object has is neither a parameter nor a property of an array.
  assert.deepEqual(Object.values(names.bind({}, {}).values), [undefined, undefined]);
  assert.deepEqual(await names.encode(TEXT), TEXT);
});

test("parameters are those that the signature declares", async () => {
  const ids = "blosc zstd shuffle cast_value tiff-predictor-2 jenkins_lookup3 pcodec".split(" ");
  const codecs = await Promise.all(ids.map((id) => get(id)));
  const [blosc, zstd, shuffle, cast, predictor, sums, pcodec] = codecs;
  const array = { dtype: "float32", itemsize: 4, shape: [3, 4] };
  assert.equal(blosc.bind({ shuffle: "bitshuffle" }, array).values.shuffle, 2);
  assert.equal(blosc.bind({ shuffle: 1, clevel: null }, array).values.clevel, 5);
  assert.equal(blosc.bind({}, array).values.typesize, 4);
  assert.equal(blosc.bind().values.typesize, undefined);
  assert.equal(shuffle.bind({}, { itemsize: 16 }).values.elementsize, 16);
  const map = { encode: [["NaN", 0]] };
  const { values } = cast.bind({ data_type: "uint8", scalar_map: map }, array);
  assert.equal(values.scalar_map, JSON.stringify(map));
  assert.equal(values.dtype, "float32");
  // A parameter of one direction needs no array.
  assert.equal(pcodec.bind({ dtype: "<f4" }).values.expected_dtype, undefined);
  const image = { itemsize: 2, width: 7, samples_per_pixel: 3, byte_order: "big" };
  assert.equal(predictor.bind({}, image).values.samples_per_pixel, 3);
  for (const [codec, given, message, of] of [
    [blosc, { level: 1 }, /unknown parameter `level`/],
    [blosc, { constructor: 1 }, /unknown parameter `constructor`/],
    [shuffle, {}, /needs `elementsize`/],
    [predictor, { width: 7 }, /needs `samples_per_pixel`/, { itemsize: 1, byte_order: "little" }],
    [cast, {}, /needs `data_type`/, array],
  ]) {
    assert.throws(() => codec.bind(given, of), failsWith("ParameterError", message));
  }
  // Whether a value is right, a codec says itself.
  for (const [codec, given, message] of [
    [blosc, { clevel: 10 }, /`clevel`/],
    [blosc, { clevel: 1.5 }, /`clevel`/],
    [blosc, { shuffle: "no" }, /`shuffle`/],
    [blosc, { cname: "lz5" }, /`cname`/],
    [zstd, { checksum: 1 }, /`checksum`/],
    [cast, { data_type: "float33" }, /`data_type`/],
  ]) {
    await assert.rejects(codec.encode(TEXT, given, array), failsWith("CodecError", message));
  }
  assert.deepEqual(await zstd.decode(await zstd.encode(TEXT, { level: 100 })), TEXT);
  const prefixed = sums.bind({ prefix: new Uint8Array([1, 2, 3]) });
  assert.deepEqual(await prefixed.decode(await prefixed.encode(TEXT)), TEXT);
  await assert.rejects(
    sums.decode(await prefixed.encode(TEXT)),
    failsWith("CodecError", /checksum/),
  );
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
  await assert.rejects(limited.decode(encoded), failsWith("LimitExceeded", /output over 10 bytes/));
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
  const workers = startWorkers({ size: 1, timeoutMs: 3000 });
  const [zlib, hanging] = [await get("zlib", { workers }), await guest("hang-decode", { workers })];
  const late = assert.rejects(
    hanging.call("decode", { bytes: TEXT }),
    failsWith("LimitExceeded", /longer than 3000 ms/),
  );
  assert.ok((await zlib.encode(TEXT)).length < TEXT.length);
  await late;
});

test("a call that cannot be sent leaves its worker to the next", async () => {
  const workers = startWorkers({ size: 1, timeoutMs: 20_000 });
  const codec = await get("zlib", { workers });
  const unsent = workers.run("encode", [], { key: () => 0 }); // a function cannot be cloned
  await assert.rejects(unsent, /could not be cloned/);
  assert.deepEqual(await codec.decode(await codec.encode(TEXT)), TEXT);
});

test("inputs are sent as they were", async () => {
  const workers = startWorkers({ size: 1, timeoutMs: 20_000 });
  const codec = await guest("trap-decode", { workers });
  const [changed, moved] = [TEXT.slice(), TEXT.slice()];
  const calls = [TEXT, changed, moved].map((bytes) => codec.call("encode", { bytes }));
  changed.fill(0);
  structuredClone(moved, { transfer: [moved.buffer] });
  for (const call of calls) assert.deepEqual(await call, { bytes: TEXT });
});

test("closed workers fail all calls at once", async () => {
  const workers = startWorkers({ size: 1, timeoutMs: 60_000 });
  const hanging = await guest("hang-decode", { workers });
  const start = performance.now();
  const calls = [1, 2, 3].map(() => hanging.call("decode", { bytes: TEXT }));
  workers.close();
  calls.push(hanging.call("encode", { bytes: TEXT }));
  for (const call of calls) await assert.rejects(call, failsWith("CodecTrap", /were closed/));
  assert.ok(performance.now() - start < 10_000);
});

test("without a size there is a worker, and a call may take forever", async () => {
  for (const options of [{ size: 0 }, { size: 1, timeoutMs: Infinity }]) {
    const codec = await get("zlib", { workers: startWorkers(options) });
    assert.deepEqual(await codec.decode(await codec.encode(TEXT)), TEXT);
  }
});

test("zarrita finds codecs by the names of Zarr 3 and Zarr 2", async () => {
  const before = new Map(zarrita.registry);
  const codecs = await Promise.all(["bytes", "zlib", "gzip"].map((id) => get(id)));
  await registerZarrita(zarrita.registry, codecs);
  await registerZarrita(zarrita.registry, codecs);
  const make = async (name, configuration, dataType = "int32") =>
    (await zarrita.registry.get(name)()).fromConfig(configuration, { dataType, shape: [4] });
  for (const [name, configuration] of [
    ["gzip", { level: 9 }],
    ["numcodecs.zlib", { id: "zlib", level: 1 }],
    ["chonkle.zlib", { codec: "oci://registry.example/zlib@sha256:00" }],
    ["chonkle.zlib", undefined],
  ]) {
    for (const dataType of ["int32", "string", "v2:object", "v2:U3", "bool"]) {
      const { encode, decode } = await make(name, configuration, dataType);
      assert.deepEqual(await decode(await encode(TEXT)), TEXT, name);
    }
  }
  await assert.rejects(make("gzip", { size: 9 }), failsWith("ParameterError", /parameter `size`/));
  before.forEach((own, name) => zarrita.registry.set(name, own));
});

test("a chunk of another size is an error", async () => {
  const before = new Map(zarrita.registry);
  await registerZarrita(zarrita.registry, [await get("bytes"), await get("crc32c")]);
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
  for (const size of [12, 15, 17, 20]) {
    files.set("/c/0", await crc.encode(new Uint8Array(size)));
    await assert.rejects(zarrita.get(array), (failure) =>
      failsWith("CodecError", new RegExp(`${size} bytes, not 16`))(failure.cause),
    );
  }
  before.forEach((own, name) => zarrita.registry.set(name, own));
});
