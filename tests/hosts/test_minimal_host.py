"""The golden vectors for any host are true: the guide's host, which knows no more, passes them."""

import json
from base64 import b64decode
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import wasmtime

DOCS = Path(__file__).parents[2] / "docs"
OTHER = {"decode": "encode", "encode": "decode"}


def ports_of(written: Mapping[str, str]) -> dict[str, bytes]:
    return {name: b64decode(text, validate=True) for name, text in written.items()}


def fails(codec: Any, line: Mapping[str, Any]) -> str:
    """Say what is wrong with a codec by a line; nothing if it is right."""
    try:
        found = codec.call(line["direction"], ports_of(line["inputs"]))
        wanted = line.get("outputs")
        if wanted is None:
            given = {**found, **ports_of(line["then"]["inputs"])}
            found = codec.call(OTHER[line["direction"]], given)
            wanted = line["then"]["outputs"]
    except ValueError as failure:
        return str(failure)
    return "" if found == ports_of(wanted) else "other outputs"


@pytest.mark.slow
def test_every_golden_vector_is_true_in_a_host_of_fifty_lines(
    vectors: Sequence[dict[str, Any]],
    codec_store: Path,
    minimal_host: SimpleNamespace,
    record_property: Callable[[str, object], None],
) -> None:
    codecs: dict[str, Any] = {}
    directions: Counter[tuple[str, str]] = Counter()
    failed = {}
    for line in vectors:
        module = line["module"]
        if module not in codecs:
            wasm = codec_store.joinpath(*module.split("/")).read_bytes()
            assert sha256(wasm).hexdigest() == line["sha256"]
            signature = minimal_host.read_signature(wasm)
            assert signature["codec_id"] == line["codec_id"]
            codecs[module] = minimal_host.Codec(wasm)
        assert ("outputs" in line) != ("then" in line)
        directions[line["codec_id"], line["direction"]] += 1
        if why := fails(codecs[module], line):
            failed[line["codec_id"], line["case"], line["direction"]] = why
    assert failed == {}
    shipped = {path.name for path in codec_store.iterdir() if path.is_dir()}
    # Both directions of every codec.
    assert directions.keys() == {(name, direction) for name in shipped for direction in OTHER}
    record_property("measured", f"{len(vectors)} lines of {len(shipped)} codecs pass")


def test_a_wrong_line_fails(
    vectors: Sequence[dict[str, Any]], codec_store: Path, minimal_host: SimpleNamespace
) -> None:
    line = next(each for each in vectors if each["codec_id"] == "zlib" and "then" in each)
    codec = minimal_host.Codec((codec_store / line["module"]).read_bytes())
    assert fails(codec, line) == ""
    then = {"inputs": {}, "outputs": {"bytes": "AAAA"}}
    assert fails(codec, {**line, "then": then}) == "other outputs"
    wrong = {**line, "direction": "decode", "outputs": line["inputs"]}
    assert "zlib" in fails(codec, wrong)


def test_without_words_a_failure_is_one_all_the_same(minimal_host: SimpleNamespace) -> None:
    wasm = wasmtime.wat2wasm("""
        (module (memory (export "memory") 1)
          (func (export "alloc") (param i32) (result i32) (i32.const 8))
          (func (export "dealloc") (param i32 i32))
          (func (export "encode") (param i32 i32) (result i64) (i64.const 0))
          (func (export "decode") (param i32 i32) (result i64) (i64.const 0xffffffff00000001)))
    """)
    codec = minimal_host.Codec(wasm)
    with pytest.raises(ValueError, match=r"^$"):
        codec.call("encode", {"bytes": b""})
    with pytest.raises(ValueError, match="outside of the codec's memory"):
        codec.call("decode", {"bytes": b""})
    with pytest.raises(ValueError, match="no signature"):
        minimal_host.read_signature(wasm)


def test_the_page_counts_every_golden_vector(vectors: Sequence[dict[str, Any]]) -> None:
    figures = json.loads((DOCS / "reference/hosts.json").read_text("utf-8"))
    wanted = Counter(line["codec_id"] for line in vectors)
    hosts: dict[str, dict[str, int]] = {}
    for row in figures["conformance"]:
        hosts.setdefault(row["host"], {})[row["codec_id"]] = row["total"]
    assert hosts
    for host, found in hosts.items():
        hint = "hint: `make bench-hosts ARGS='--conformance --markdown'`"
        assert found == wanted, f"{host}: other golden vectors than there are now; {hint}"
