"""What the SDK costs: bytes in a codec that does nothing, and lines in the source of one."""

import re
from collections.abc import Callable
from pathlib import Path

import numcodecs
import pytest
from chonkle_toolchain.abi import Abi
from chonkle_toolchain.compile_c import compile_c
from chonkle_toolchain.compile_rust import compile_rust
from chonkle_toolchain.direct_call import call
from chonkle_toolchain.functions import named_functions
from chonkle_toolchain.recipe import Language, read_recipe
from chonkle_toolchain.sdk import sdk_folder
from chonkle_toolchain.staging import stage_codec
from chonkle_toolchain.tools import Tools
from chonkle_toolchain.wrap import compact
from hypothesis import given
from hypothesis import strategies as st

from chonkle.errors import CodecError
from chonkle.formats.wasm_binary import sections, write_u32

ROOT = Path(__file__).parents[2]
CODECS = Path(__file__).with_name("codecs")
IDENTITY: dict[Language, Path] = {
    "c": ROOT / "codec-src" / "identity-c",
    "rust": CODECS / "identity-rust",
}
SIZE_MAX: dict[Language, int] = {"c": 3000, "rust": 10_000}

# What a codec without the SDK has as well: memory and what starts it, and the transform itself.
NOT_OF_THE_SDK: dict[Language, str] = {
    "c": r"(malloc|calloc|realloc|free|size_for|(heap|piece)_.*"
    r"|_initialize|__wasm_call_ctors|chonkle_(en|de)code)$",
    "rust": r".*(dlmalloc|___rust_(alloc|dealloc|realloc)$|Transform.*(en|de)code)",
}
CUSTOM = 0
HEADER_SIZE = 8


@pytest.mark.toolchain
@pytest.mark.parametrize("abi", ["core", "component"])
@pytest.mark.parametrize("language", ["c", "rust"])
def test_what_the_sdk_adds_to_a_codec(
    language: Language,
    abi: Abi,
    tools: Tools,
    build_dir: Path,
    record_property: Callable[[str, object], None],
) -> None:
    """All of a linked module but the allocator and the transform counts as the SDK's.

    Its text, types, exports and libc's or Rust's functions that it calls among it. Not the
    wrapping into a component, which is the same for every module.
    """
    recipe, sdk = read_recipe(IDENTITY[language]), sdk_folder() / language
    folder = build_dir / "stage" / "alone" / recipe.name
    stage_codec(recipe, folder)
    if language == "c":
        zig = tools.need({"zig"}).zig
        modules = compile_c(recipe, folder=folder, sdk=sdk, zig=zig, build_dir=build_dir)
    else:
        rust = tools.need({"rust"}).rust
        modules = compile_rust(
            recipe, folder=folder, sdk=sdk, rust=rust, zig=(), build_dir=build_dir
        )
    module = compact(modules[abi], wasm_tools=tools.need({"wasm-tools"}).wasm_tools)
    total = HEADER_SIZE + sum(
        section.end - section.start for section in sections(module) if section.id != CUSTOM
    )
    others = sum(
        len(write_u32(len(body))) + len(body)
        for name, body in named_functions(module)
        if re.match(NOT_OF_THE_SDK[language], name)
    )
    added = total - others
    record_property("measured", f"the SDK adds {added} of {total} bytes, {language}, {abi}")
    assert 0 < added < SIZE_MAX[language]


@pytest.mark.parametrize(
    ("source", "lines_max"),
    [
        (IDENTITY["c"] / "src/codec.c", 20),
        (IDENTITY["rust"] / "src/lib.rs", 20),
        (CODECS / "shuffle-c/src/codec.c", 40),
        (CODECS / "shuffle-rust/src/lib.rs", 40),
        (CODECS / "adler32-c/src/codec.c", 40),
        (CODECS / "adler32-rust/src/lib.rs", 40),
    ],
    ids=lambda value: value.parts[-3] if isinstance(value, Path) else "",
)
def test_sources_are_short(
    source: Path, lines_max: int, record_property: Callable[[str, object], None]
) -> None:
    lines = source.read_text(encoding="utf-8").splitlines()
    record_property("measured", f"{source.parts[-3]}: {len(lines)} lines")
    assert len(lines) <= lines_max
    # Nor are they short because they are unreadable.
    assert max(map(len, lines)) <= 100


BOTH = pytest.mark.parametrize("language", ["c", "rust"])
ABIS = pytest.mark.parametrize("abi", ["core", "component"])


def built(probes: Path, codec_id: str, language: str, abi: str = "core") -> bytes:
    return (probes / codec_id / f"{codec_id}-{language}@0.1.0.{abi}.wasm").read_bytes()


@pytest.mark.toolchain
@BOTH
@given(data=st.binary(max_size=300), size=st.integers(1, 17))
def test_shuffle_agrees_with_numcodecs(probes: Path, language: str, data: bytes, size: int) -> None:
    wasm = built(probes, "shuffle", language)
    whole = data[: len(data) // size * size]
    encoded = bytes(numcodecs.Shuffle(elementsize=size).encode(whole))
    ports = {"elementsize": str(size).encode()}
    assert call(wasm, "encode", {"bytes": whole, **ports}) == {"bytes": encoded}
    assert call(wasm, "decode", {"bytes": encoded, **ports}) == {"bytes": whole}
    if size == numcodecs.Shuffle().elementsize:
        # It is the default here, too.
        assert call(wasm, "decode", {"bytes": encoded}) == {"bytes": whole}


@pytest.mark.toolchain
@BOTH
@ABIS
@pytest.mark.parametrize("size", [0, 1, 3, 4, 5551, 5552, 5553, 100_000])
def test_adler32_agrees_with_numcodecs(probes: Path, language: str, abi: str, size: int) -> None:
    wasm = built(probes, "adler32", language, abi)
    data = b"\xff" * size
    encoded = bytes(numcodecs.Adler32().encode(data)) if size else b"\1\0\0\0"
    assert call(wasm, "encode", {"bytes": data}) == {"bytes": encoded}
    assert call(wasm, "decode", {"bytes": encoded}) == {"bytes": data}
    with pytest.raises(CodecError, match=r"^port `bytes`: wrong checksum$"):
        call(wasm, "decode", {"bytes": encoded[:-1] + bytes([encoded[-1] ^ 1])})
    with pytest.raises(CodecError, match=r"^port `bytes`: truncated$"):
        call(wasm, "decode", {"bytes": encoded[:3]})
