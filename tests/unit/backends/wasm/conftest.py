"""Components, opened in each way in which they run."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from chonkle.backends.base import Codec, Limits
from chonkle.backends.wasm.guest_codec import GuestCodec
from chonkle.backends.wasm.host_component import HostComponentCodec
from chonkle.formats.signature import Signature, embed_signature
from chonkle.resolver import Resolution
from chonkle.runtime import Runtime
from chonkle.storage.store import WasmCodec

type OpenComponent = Callable[..., Codec]
type OpenRuntime = Callable[..., Runtime]

PORTS = {"bytes": {"type": "bytes"}}
SIGNATURE = Signature.from_json(
    {"codec_id": "guest", "implementation": "guest-wat", "inputs": PORTS, "outputs": PORTS}
)


@pytest.fixture(params=["trampoline", "flattened", "whole"])
def open_component(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    open_runtime: OpenRuntime,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[OpenComponent]:
    calls_without = sys.maxsize if request.param == "flattened" else 0
    monkeypatch.setattr(
        "chonkle.backends.wasm.guest_codec._CALLS_WITHOUT_TRAMPOLINE", calls_without
    )
    flatten = request.param != "whole"
    runtime = open_runtime(cache=tmp_path / "cache", flatten_components=flatten)

    def open_(wasm: bytes, limits: Limits | None = None) -> Codec:
        codec = WasmCodec.from_bytes(embed_signature(wasm, SIGNATURE), "guest.wasm")
        opened = runtime.open(
            Resolution("component", codec.signature, "test", codec), limits or Limits()
        )
        expected = GuestCodec if flatten else HostComponentCodec
        assert type(opened) is expected
        return opened

    with runtime:
        yield open_
