"""Codecs compared, written down, copied, pickled, shared by threads and by forked processes."""

import copy
import json
import os
import pickle
import subprocess
import sys
import threading
import zlib
from collections.abc import Callable
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numcodecs
import numpy as np
import pytest

import chonkle
from chonkle.codecs import ChunkCodec, codec, get_codecs
from chonkle.errors import CodecError, LimitExceeded, PipelineError, ResolveError
from chonkle.resolver import Resolver
from chonkle.runtime import Runtime
from tests.fixture_types import MakeCodec

ROOT = Path(__file__).parents[2]
TIMEOUT_S = 300
DATA = bytes(range(256)) * 4

PLAIN: list[ChunkCodec] = [
    codec("zlib"),
    codec("zlib", level=6),
    codec("delta", dtype=">M8[ns]", astype="<i4"),
    codec("delta", dtype=[("a", "<u2"), ("b", ">f8", (2,))]),
    codec("fixedscaleoffset", offset=-1.5, scale=10, dtype="<f8", astype="u1"),
    codec("transpose", order=[1, 0]),
    codec("lzma", format=3, filters=[{"id": 33, "preset": 1}]),
    codec("blosc", cname="zstd", shuffle="bitshuffle", typesize=None),
    codec("zlib", backend="native"),
    codec("zlib", backend="component", level=2),
    codec([]),
    codec(["shuffle", {"id": "zstd", "level": 3}, "crc32c"]),
    codec(["shuffle", numcodecs.Zlib(2)], backend="native"),
    get_codecs(
        {
            "codecs": [
                {"name": "bytes", "configuration": {"data_type": "<u2", "shape": [2, 3]}},
                {"name": "zlib"},
            ]
        }
    ),
]


def loaded(data: bytes) -> ChunkCodec:
    found = pickle.loads(data)  # noqa: S301 - what the test pickled
    assert isinstance(found, ChunkCodec)
    return found


def received(made: ChunkCodec) -> ChunkCodec:
    return loaded(pickle.dumps(made))


# Written down


@pytest.mark.parametrize("made", PLAIN, ids=repr)
def test_a_configuration_makes_the_codec_again(made: ChunkCodec) -> None:
    backends = {each.backends[0] for each in made.entries if len(each.backends) == 1}
    backend: Any = backends.pop() if backends else None
    config = json.loads(json.dumps(made.config))
    assert codec(config, backend=backend) == made
    assert codec(made.config, backend=backend).config == made.config


@pytest.mark.parametrize("made", PLAIN, ids=repr)
def test_a_repr_is_the_call_that_makes_it(made: ChunkCodec) -> None:
    assert eval(repr(made), {"chonkle": chonkle}) == made  # noqa: S307 - our own text


def test_reprs_are_short() -> None:
    assert repr(codec("zlib", level=6)) == "chonkle.codec('zlib', level=6)"
    assert repr(codec(8, backend="core")) == "chonkle.codec('zlib', backend='core')"
    assert repr(codec([numcodecs.Zlib()])) == (
        "chonkle.codec([{'name': 'zlib', 'configuration': {'level': 1}}])"
    )


def test_a_parameter_may_have_any_name(tmp_path: Path, make_codec: MakeCodec) -> None:
    optional = {"type": "int", "required": False}
    inputs = {"bytes": {"type": "bytes"}, "class": optional, "limits": optional}
    path = tmp_path / "x.wasm"
    path.write_bytes(make_codec("odd", "odd-a", inputs=inputs))
    resolver = Resolver(paths={"odd": path})
    for name in ("class", "limits"):
        made = codec({"name": "odd", "configuration": {name: 1}}, resolver=resolver)
        assert repr(made) == f"chonkle.codec({{'name': 'odd', 'configuration': {{'{name}': 1}}}})"


# Compared


def test_codecs_are_equal_that_do_the_same() -> None:
    assert codec("zlib") == codec(8) == codec("numcodecs.zlib") == codec({"name": "zlib"})
    assert codec("zlib", level=1) == codec({"id": "zlib", "level": 1})
    assert hash(codec("zlib")) == hash(codec(8))
    assert {codec("zlib"): 1}[codec("numcodecs.zlib")] == 1
    assert codec("delta", dtype="int16") == codec("delta", dtype=np.dtype("<i2"))


@pytest.mark.parametrize(
    "other",
    [
        codec("zlib", level=1),
        codec("gzip"),
        codec(["zlib"]),
        codec("zlib", backend="core"),
        codec("zlib", limits=chonkle.Limits(output_bytes=5)),
        "zlib",
        None,
    ],
    ids=repr,
)
def test_codecs_differ_in_anything(other: object) -> None:
    assert codec("zlib") != other
    assert other != codec("zlib")


def test_codecs_differ_with_their_bytes(tmp_path: Path, make_codec: MakeCodec) -> None:
    made: list[ChunkCodec] = []
    for note in ("one", "two", "two"):
        path = tmp_path / f"{len(made)}.wasm"
        path.write_bytes(make_codec("mine", "mine-a", note=note))
        made.append(codec(path))
    assert made[0] != made[1]
    assert made[1] == made[2]


# Copied and pickled


@pytest.mark.parametrize("make", [copy.copy, copy.deepcopy])
def test_copies_are_the_codec(make: Callable[[ChunkCodec], ChunkCodec]) -> None:
    for made in PLAIN:
        assert make(made) is made


@pytest.mark.parametrize("made", PLAIN, ids=repr)
def test_a_pickle_makes_an_equal_codec(made: ChunkCodec) -> None:
    for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1):
        again = loaded(pickle.dumps(made, protocol))
        assert again == made
        assert (again.config, again.limits) == (made.config, made.limits)
    # A thousand tasks of a pool have one codec.
    data = pickle.dumps(made)
    assert loaded(data) is loaded(data)
    assert received(received(made)) == made


def test_a_pickle_holds_a_configuration_and_no_code() -> None:
    made = codec(["shuffle", "zstd"], limits=chonkle.Limits(output_bytes=5000))
    array = np.arange(100, dtype="<u4")
    assert (made.decode(made.encode(array), np.zeros_like(array)) == array).all()
    data = pickle.dumps(made)
    assert len(data) < 2000
    assert b"wasmtime" not in data
    assert b"\0asm" not in data
    assert received(made).limits.output_bytes == 5000
    with pytest.raises(LimitExceeded):
        received(made).decode(made.encode(np.arange(2000, dtype="<u4")), dtype="<u4")


def test_a_codec_from_a_file_is_pickled_with_its_place(
    tmp_path: Path, make_codec: MakeCodec
) -> None:
    path = tmp_path / "mine.wasm"
    path.write_bytes(make_codec("mine", "mine-a"))
    for made in (
        codec(path),
        codec(path.as_uri()),
        codec("mine", resolver=Resolver(paths={"mine": path})),
    ):
        assert received(made) == made
        assert received(made).decode(DATA) == DATA


def test_the_settings_of_a_runtime_come_along(
    tmp_path: Path, make_codec: MakeCodec, open_runtime: Callable[..., Runtime]
) -> None:
    store = tmp_path / "store/mine"
    store.mkdir(parents=True)
    (store / "x.wasm").write_bytes(make_codec("mine", "mine-a"))
    with open_runtime(codec_store=tmp_path / "store") as runtime:
        data = pickle.dumps(codec("mine", runtime=runtime))
    assert loaded(data).decode(DATA) == DATA


def test_another_codec_is_refused_at_each_use(tmp_path: Path, make_codec: MakeCodec) -> None:
    path = tmp_path / "mine.wasm"
    path.write_bytes(make_codec("mine", "mine-a"))
    resolver = Resolver(paths={"mine": path})
    made = codec(["mine"], resolver=resolver)
    data = pickle.dumps(made)
    path.write_bytes(make_codec("mine", "mine-b", "2.0.0"))
    other = loaded(data)
    for use in (
        lambda: other.decode(b""),
        lambda: other.encode(b""),
        lambda: other.config,
        lambda: other.limits,
        lambda: other == made,
        lambda: hash(other),
        lambda: pickle.dumps(other),
    ):
        with pytest.raises(ResolveError) as caught:
            use()
        message = str(caught.value)
        assert message.startswith(
            "a pickled codec: codec `mine`: pickled with mine-a@1.0.0 (core) blake3:"
        )
        assert ", here mine-b@2.0.0 (core) blake3:" in message
        assert message.endswith(
            "; hint: both processes need the same codecs: installed files, versions and sources"
        )
    assert "Unusable" in repr(other)
    path.unlink()
    with pytest.raises(ResolveError, match=r"^a pickled codec: codec `mine`: cannot read"):
        loaded(data).decode(b"")


def test_another_version_of_numcodecs_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    data = pickle.dumps(codec("zlib", backend="native", limits=chonkle.Limits(output_bytes=4321)))
    monkeypatch.setattr("chonkle.resolver.native_version", lambda: "0.0.1")
    with pytest.raises(ResolveError, match=r"numcodecs.zlib@[0-9.]+ \(native\), here .*@0.0.1 \("):
        loaded(data).decode(b"")


def test_what_cannot_be_pickled_is_said() -> None:
    paths: Any = MappingProxyType({"x": Path("x")})
    made = codec("zlib", resolver=Resolver(paths=paths))
    with pytest.raises(PipelineError) as caught:
        pickle.dumps(made)
    assert str(caught.value).startswith(
        "chonkle.codec('zlib'): its resolver cannot be pickled, got TypeError: "
    )


# Threads


def test_sixteen_threads_share_a_codec() -> None:
    made = codec(["shuffle", "zlib"])
    arrays = [np.arange(index, index + 500, dtype=f"<u{2 << index % 3}") for index in range(16)]
    barrier = threading.Barrier(16)
    failures: list[BaseException] = []

    def work(index: int) -> None:
        try:
            barrier.wait()
            for turn in range(60):
                given = arrays[(index + turn) % 16]
                encoded = made.encode(given)
                out = np.zeros_like(given)
                made.decode(encoded, out)
                assert (out == given).all()
                assert made.decode(encoded, dtype=given.dtype).tolist() == given.tolist()
                if turn % 20 == index:
                    with pytest.raises(CodecError):
                        made.decode(b"no", dtype="u1")
        except BaseException as failure:  # noqa: BLE001 - raised below
            failures.append(failure)

    threads = [threading.Thread(target=work, args=(index,)) for index in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures


def test_interrupted_work_on_many_chunks_ends_soon() -> None:
    program = """
import _thread, sys, threading, time, zlib
import chonkle

made = chonkle.codec("zlib")
chunk = zlib.compress(bytes(1 << 20))
made.decode(chunk)
begun = time.monotonic()
threading.Timer(0.3, _thread.interrupt_main).start()
try:
    made.decode_many([chunk] * 100_000, threads=2)
except KeyboardInterrupt:
    for thread in threading.enumerate():
        if thread is not threading.main_thread():
            thread.join()
    print(time.monotonic() - begun)
"""
    done = run_program("-c", program)
    assert float(done) < 20


# Processes


def run_program(*arguments: str, cwd: Path = ROOT) -> str:
    done = subprocess.run(
        [sys.executable, *arguments],
        capture_output=True,
        text=True,
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        timeout=TIMEOUT_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
def test_a_codec_works_after_a_fork() -> None:
    program = """
import os, sys, threading, zlib
import chonkle

made = chonkle.codec(["adler32", "zlib"])
data = bytes(5000)
encoded = made.encode(data)
for is_used in (False, True):
    if is_used:
        assert made.decode(encoded) == data
    children = []
    for _ in range(3):
        child = os.fork()
        if child == 0:
            many = made.decode_many([encoded] * 9, threads=3)
            is_same = [made.decode(encoded), *many] == [data] * 10
            os._exit(0 if is_same and made.encode(data) == encoded else 1)
        children.append(child)
    assert made.decode(encoded) == data
    assert [os.waitpid(child, 0)[1] for child in children] == [0, 0, 0]
print("done")
"""
    assert run_program("-W", "ignore", "-c", program) == "done\n"


POOLS = """
import functools, multiprocessing, sys, zlib
from concurrent.futures import ProcessPoolExecutor
import numpy as np
import chonkle

def main(way, path):
    context = multiprocessing.get_context(way)
    chunks = [zlib.compress(bytes([each]) * 1000 * each) for each in range(20)]
    made = chonkle.codec("zlib", limits=chonkle.Limits(output_bytes=19_000))
    expected = made.decode_many(chunks)
    arrays = [np.arange(each, dtype=">u2") for each in range(20)]
    chain = chonkle.codec([{"name": "bytes", "configuration": {"endian": "big"}}, "shuffle", "lz4"])
    with ProcessPoolExecutor(2, mp_context=context) as pool:
        assert list(pool.map(made.decode, chunks)) == expected
        encoded = list(pool.map(chain.encode, arrays))
        decode = functools.partial(chain.decode, dtype=">u2")
        assert all(map(np.array_equal, pool.map(decode, encoded), arrays))
        try:
            pool.submit(made.decode, zlib.compress(bytes(19_001))).result()
        except chonkle.ChonkleError as failure:
            assert "returned more than allowed" in str(failure), failure
        else:
            raise AssertionError("the limits were lost")
    with context.Pool(2) as pool:
        assert pool.map(made.decode, chunks) == expected
    # One that was made elsewhere, and whose file has changed since.
    mine = chonkle.codec(path)
    with open(path, "ab") as file:
        file.write(bytes([0, 2, 1, 120]))
    with ProcessPoolExecutor(1, mp_context=context) as pool, context.Pool(1) as other_pool:
        for run in (pool.map, other_pool.map):
            try:
                list(run(mine.decode, [b"a"]))
            except chonkle.ChonkleError as failure:
                print(failure)

if __name__ == "__main__":
    main(*sys.argv[1:])
"""


@pytest.mark.parametrize("way", ["spawn", "fork", "forkserver"])
def test_pools_of_processes_use_a_codec(way: str, tmp_path: Path, make_codec: MakeCodec) -> None:
    if way != "spawn" and not hasattr(os, "fork"):
        pytest.skip("forks")
    path = tmp_path / "mine.wasm"
    path.write_bytes(make_codec("mine", "mine-a"))
    program = tmp_path / "program.py"
    program.write_text(POOLS)
    failures = run_program(str(program), way, str(path), cwd=tmp_path).splitlines()
    assert len(failures) == 2
    words = "a pickled codec: codec `mine`: pickled with mine-a@1.0.0 (core) blake3:"
    assert all(each.startswith(words) for each in failures)


def test_one_process_reads_what_another_made() -> None:
    program = (
        "import pickle, sys, chonkle; sys.stdout.write(pickle.dumps(chonkle.codec(['shuffle', "
        "'zlib'], limits=chonkle.Limits(output_bytes=99))).hex())"
    )
    made = loaded(bytes.fromhex(run_program("-c", program)))
    assert made == codec(["shuffle", "zlib"], limits=chonkle.Limits(output_bytes=99))
    assert made.decode(zlib.compress(bytes(8)), dtype="u8").tolist() == [0]
