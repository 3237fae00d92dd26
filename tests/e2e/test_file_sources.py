"""Codecs from `file://` sources: fetched once, installed, and found again without the source."""

import json
from pathlib import Path
from typing import Any

import pytest

from chonkle.digest import Digest
from tests.fixture_types import Chonkle, ErrorOf, Explain, MakeCodec, PipelineOf

pytestmark = pytest.mark.usefixtures("store")

STORE = ("--codec-store", "store")


@pytest.fixture
def wasm(tmp_path: Path, make_codec: MakeCodec) -> Path:
    path = tmp_path / "elsewhere" / "guest.wasm"
    path.parent.mkdir()
    path.write_bytes(make_codec())
    return path


def write(path: Path, pipeline: dict[str, Any]) -> None:
    path.write_text(json.dumps(pipeline))


def test_what_nothing_else_provides_is_installed(
    tmp_path: Path, explain: Explain, wasm: Path, pipeline_of: PipelineOf
) -> None:
    write(tmp_path / "with.json", pipeline_of(sources={"guest": wasm.as_uri()}))
    write(tmp_path / "without.json", pipeline_of())
    first = explain("with.json", *STORE)["steps"][0]
    assert first["reason"] == f"source of the pipeline {wasm.as_uri()}"
    installed = tmp_path / "store/guest/guest-wat@1.0.0.core.wasm"
    assert installed.read_bytes() == wasm.read_bytes()

    wasm.unlink()
    for pipeline in ("with.json", "without.json"):
        second = explain(pipeline, *STORE)["steps"][0]
        assert second["reason"].startswith("installed")
        assert second["implementation"] == first["implementation"] == "guest-wat@1.0.0"


def test_what_a_pin_leads_to_is_kept_for_that_pin_alone(
    *, tmp_path: Path, explain: Explain, error_of: ErrorOf, wasm: Path, pipeline_of: PipelineOf
) -> None:
    uri = f"{wasm.as_uri()}#blake3={Digest.blake3(wasm.read_bytes()).hex}"
    write(tmp_path / "with.json", pipeline_of(sources={"guest": uri}))
    write(tmp_path / "without.json", pipeline_of())
    reasons = [explain("with.json", *STORE)["steps"][0]["reason"]]
    wasm.unlink()
    reasons.append(explain("with.json", *STORE)["steps"][0]["reason"])
    assert reasons == [f"pinned source {uri}", f"pinned source {uri}, kept"]
    # Otherwise an untrusted pipeline would change what other pipelines run.
    message = error_of("run", "without.json", *STORE, "--explain")
    assert "no implementation of codec `guest`" in message


def test_a_forced_source_is_fetched_again_and_installed(
    *,
    tmp_path: Path,
    explain: Explain,
    error_of: ErrorOf,
    wasm: Path,
    make_codec: MakeCodec,
    pipeline_of: PipelineOf,
) -> None:
    write(tmp_path / "pipeline.json", pipeline_of(sources={"guest": wasm.as_uri()}))
    explain("pipeline.json", *STORE)
    installed = tmp_path / "store/guest/guest-wat@1.0.0.core.wasm"
    forced = ("--source", f"guest={wasm.as_uri()}", *STORE)
    # Other bytes under the same name.
    for transform in ("unreachable", "unreachable unreachable"):
        new = make_codec(transform=transform)
        assert new != installed.read_bytes()
        wasm.write_bytes(new)
        assert "forced source" in explain("pipeline.json", *forced)["steps"][0]["reason"]
        assert installed.read_bytes() == new
    # What is installed does not stand in for the source.
    wasm.unlink()
    assert "cannot read the file" in error_of("run", "pipeline.json", *forced, "--explain")
    assert "installed" in explain("pipeline.json", *STORE)["steps"][0]["reason"]


def test_an_installed_codec_runs_and_is_listed(
    tmp_path: Path, chonkle: Chonkle, wasm: Path, pipeline_of: PipelineOf
) -> None:
    write(tmp_path / "pipeline.json", pipeline_of(sources={"guest": wasm.as_uri()}))
    for _ in range(2):
        done = chonkle(
            *("run", "pipeline.json", *STORE, "--input", "bytes=-", "--output", "bytes=-"),
            stdin=b"through the store",
        )
        assert done.stdout == b"through the store"
    listed = json.loads(chonkle("codecs", "guest", "--json", *STORE).stdout)
    assert [each["origin"] for each in listed] == ["installed"]
