"""The golden vectors for any host are true, as the guide's host finds, which knows nothing else."""

from base64 import b64decode
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

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
