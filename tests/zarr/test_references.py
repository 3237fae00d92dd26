"""Codecs that metadata name by their source: who allows it, and what else may use them."""

from pathlib import Path
from typing import Any

import pytest

from chonkle.codecs import codec
from chonkle.digest import Digest
from chonkle.errors import ResolveError
from chonkle.formats.signature import Signature, embed_signature
from chonkle.zarr.options import Options
from chonkle.zarr.references import make_codec

CORE = next((Path(__file__).parents[2] / "codec/identity").glob("*.core.wasm"))
DATA = b"some bytes"


@pytest.fixture
def pinned(tmp_path: Path) -> str:
    signature = {
        "codec_id": "mine-in-metadata",
        "implementation": "mine-c",
        "inputs": {"bytes": {"type": "bytes"}},
        "outputs": {"bytes": {"type": "bytes"}},
    }
    path = tmp_path / "mine.wasm"
    path.write_bytes(embed_signature(CORE.read_bytes(), Signature.from_json(signature)))
    return f"{path.as_uri()}#blake3={Digest.blake3(path.read_bytes()).hex}"


def named(source: str, *, is_uri: bool) -> dict[str, Any]:
    """Write metadata as codec lists do, or with a reference in the configuration."""
    more = {"uri": source} if is_uri else {"configuration": {"codec": source}}
    return {"name": "mine-in-metadata", **more}


@pytest.mark.parametrize("is_uri", [True, False])
def test_a_source_in_metadata_needs_leave_and_a_digest(
    pinned: str,
    is_uri: bool,  # noqa: FBT001
) -> None:
    plain = pinned.partition("#")[0]
    with pytest.raises(ResolveError, match="its source is not allowed, got file://") as caught:
        make_codec_of(pinned, is_uri=is_uri)
    assert (
        "hint: `chonkle pull` installs it, and `chonkle.zarr.use(sources=[...])` allows to fetch it"
        in str(caught.value)
    )
    with pytest.raises(ResolveError, match="has no digest"):
        make_codec_of(plain, plain, is_uri=is_uri)
    made = make_codec_of(pinned, plain, is_uri=is_uri)
    assert made.decode(made.encode(DATA)) == DATA
    # Nothing was installed.
    with pytest.raises(ResolveError):
        codec("mine-in-metadata")


def make_codec_of(source: str, *sources: str, is_uri: bool) -> Any:
    return make_codec(named(source, is_uri=is_uri), Options(sources=sources))


def test_a_codec_that_is_there_comes_before_a_source() -> None:
    source = f"oci://registry.invalid/zlib@sha256:{'0' * 64}"
    made = make_codec({"name": "numcodecs.zlib", "uri": source}, Options())
    assert made.codec_ids() == ["zlib"]
