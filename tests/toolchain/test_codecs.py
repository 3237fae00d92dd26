"""The shipped codecs: what is in `codec/` is what the lock says, sealed off, and correct."""

import shutil
import subprocess
import zlib
from collections.abc import Callable
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
from chonkle_toolchain.abi import ABIS, CORE_FUNCTIONS, Abi
from chonkle_toolchain.codecs_lock import read_lock
from chonkle_toolchain.direct_call import call
from chonkle_toolchain.recipe import find_recipes
from chonkle_toolchain.wrap import check_interface
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from chonkle.errors import CodecError
from chonkle.formats.component_binary import read_interface
from chonkle.formats.signature import read_signature

ROOT = Path(__file__).parents[2]
OUTPUT = ROOT / "codec"
RECIPES = find_recipes(ROOT / "codec-src")


def artifact(name: str, abi: Abi) -> bytes:
    return (OUTPUT / RECIPES[name].artifact(abi)).read_bytes()


def test_the_lock_lists_every_codec_and_no_other_file_is_there() -> None:
    lock = read_lock(OUTPUT)
    assert lock.codecs.keys() == RECIPES.keys()
    listed = {built.artifact(abi).file for built in lock.codecs.values() for abi in ABIS}
    there = {path.relative_to(OUTPUT).as_posix() for path in OUTPUT.rglob("*.wasm")}
    assert there == listed
    for built in lock.codecs.values():
        assert all(built.artifact(abi).is_intact(OUTPUT) for abi in ABIS)


@pytest.mark.parametrize("name", RECIPES)
@pytest.mark.parametrize("abi", ABIS)
def test_nothing_is_imported_and_the_abi_is_exported(name: str, abi: Abi) -> None:
    wasm = artifact(name, abi)
    assert read_interface(wasm).imports == ()
    check_interface(wasm, abi=abi, what=name)
    if abi == "core":
        exports = {item.name: item.type for item in read_interface(wasm).exports}
        # Nothing is left to initialise in any of them.
        assert exports == {"memory": "", **CORE_FUNCTIONS}


@pytest.mark.parametrize("name", RECIPES)
def test_core_and_component_carry_the_signature_of_the_source(name: str) -> None:
    signatures = [read_signature(artifact(name, abi), what=abi).to_json() for abi in ABIS]
    assert signatures[0] == signatures[1] == RECIPES[name].signature.to_json()


@pytest.mark.parametrize("name", RECIPES)
@pytest.mark.parametrize("abi", ABIS)
def test_no_path_of_the_building_machine_is_inside(name: str, abi: Abi) -> None:
    wasm = artifact(name, abi)
    for part in (b"/home/", b"/root/", b"/tmp/", b"/Users/", b"C:\\", b".cargo", b"/usr/"):
        assert part not in wasm


def test_a_clone_without_compilers_is_up_to_date(
    run_cli: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    build = ("build", ROOT / "codec-src", "--build-dir", tmp_path / "build")
    done = run_cli(*build, "--output", OUTPUT, "--check", environment={"PATH": str(tmp_path)})
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("up to date") == len(RECIPES)
    copy = shutil.copytree(OUTPUT, tmp_path / "codec")
    done = run_cli(*build, "--output", copy, environment={"PATH": str(tmp_path)})
    assert done.returncode == 0, done.stderr
    assert done.stderr.strip() == f"{len(RECIPES)} up to date"


@given(size=st.integers(1 << 16, 1 << 21), ratio=st.sampled_from([1, 3, 30, 300, 1000]))
def test_zlib_output_of_any_ratio(size: int, ratio: int) -> None:
    noise = np.random.default_rng(size).bytes(size // ratio)
    data = noise + bytes(size - len(noise))
    assert call(artifact("zlib-rs", "core"), "decode", {"bytes": zlib.compress(data)}) == {
        "bytes": data
    }


@pytest.mark.parametrize(
    ("stream", "said"),
    [
        (b"", "bad or truncated"),
        (b"\x78", "bad or truncated"),
        (zlib.compress(b"chonkle")[:-1], "bad or truncated"),
        (zlib.compress(b"chonkle")[:-4] + b"\0\0\0\0", "wrong checksum"),
        (b"\x1f\x8b" + bytes(20), "bad or truncated"),
        (b"\x78\xbb" + bytes(20), "bad or truncated"),
    ],
)
@pytest.mark.parametrize("abi", ABIS)
def test_zlib_refuses_in_words(stream: bytes, said: str, abi: Abi) -> None:
    with pytest.raises(CodecError, match=said):
        call(artifact("zlib-rs", abi), "decode", {"bytes": stream})


samples = st.sampled_from(["u1", "<u2", "<u4", "<u8", ">u2", ">u4", ">u8"]).flatmap(
    lambda dtype: arrays.arrays(
        dtype, st.tuples(st.integers(1, 4), st.integers(1, 70), st.integers(1, 18))
    )
)


@given(rows=samples)
def test_predictor_agrees_with_imagecodecs(rows: np.ndarray) -> None:
    wasm = artifact("tiff-predictor-2-c", "core")
    parameters = {
        "bytes_per_sample": str(rows.itemsize).encode(),
        "width": str(rows.shape[1]).encode(),
        "samples_per_pixel": str(rows.shape[2]).encode(),
        "byte_order": b'"big"' if rows.dtype.str[0] == ">" else b'"little"',
    }
    encoded = imagecodecs.delta_encode(rows, axis=1).tobytes()
    decoded = rows.tobytes()
    # The order of the ports decides where in memory the result is handed back.
    assert call(wasm, "decode", {"bytes": encoded, **parameters}) == {"bytes": decoded}
    assert call(wasm, "encode", {**parameters, "bytes": decoded}) == {"bytes": encoded}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"bytes_per_sample": b"3"}, "`bytes_per_sample`: expected 1, 2, 4 or 8, got `3`"),
        ({"bytes_per_sample": b"16"}, "expected an int from 1 to 8, got `16`"),
        ({"width": b"0"}, "`width`: expected an int from 1 to 2147483647, got `0`"),
        ({"width": b"2.0"}, "got `2.0`"),
        ({"width": b"2147483647", "samples_per_pixel": b"65535"}, "whole rows of"),
        ({"bytes": b"123"}, "whole rows of 4 bytes, got 3"),
    ],
)
def test_predictor_refuses_in_words(changes: dict[str, bytes], said: str) -> None:
    wasm = artifact("tiff-predictor-2-c", "core")
    ports = {"bytes": b"1234", "bytes_per_sample": b"2", "width": b"2", **changes}
    with pytest.raises(CodecError, match=said):
        call(wasm, "decode", ports)


@given(parts=st.tuples(st.binary(), st.binary(), st.binary()))
def test_page_split_cuts_and_joins(parts: tuple[bytes, bytes, bytes]) -> None:
    wasm = artifact("page-split-c", "core")
    outputs = dict(zip(("rep_levels", "def_levels", "data"), parts, strict=True))
    joined = call(wasm, "encode", outputs)
    assert joined == {"bytes": b"".join(parts)}
    lengths = {"rep_levels_length": len(parts[0]), "def_levels_length": len(parts[1])}
    given_ports = {**joined, **{name: str(size).encode() for name, size in lengths.items()}}
    assert call(wasm, "decode", given_ports) == outputs


@pytest.mark.parametrize("lengths", [(4, 0), (0, 4), (2, 2), (4294967295, 4294967295)])
def test_page_split_refuses_levels_beyond_the_page(lengths: tuple[int, int]) -> None:
    ports = {
        "bytes": b"abc",
        "rep_levels_length": str(lengths[0]).encode(),
        "def_levels_length": str(lengths[1]).encode(),
    }
    with pytest.raises(CodecError, match="bytes of levels, got 3"):
        call(artifact("page-split-c", "core"), "decode", ports)
