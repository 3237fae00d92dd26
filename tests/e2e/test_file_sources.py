"""Codecs from `file://` sources: fetched once, installed, and found again without the source."""

import json
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest

from chonkle.digest import Digest

type Chonkle = Callable[..., CompletedProcess[bytes]]
type Explain = Callable[..., Any]

STORE = ("--codec-store", "store")


@pytest.fixture
def wasm(tmp_path: Path, make_codec: Callable[..., bytes]) -> Path:
    path = tmp_path / "elsewhere" / "guest.wasm"
    path.parent.mkdir()
    path.write_bytes(make_codec())
    return path


@pytest.mark.parametrize("pinned", [False, True])
def test_the_second_run_needs_no_source(
    *,
    tmp_path: Path,
    explain: Explain,
    wasm: Path,
    pipeline_of: Callable[..., dict[str, Any]],
    pinned: bool,
) -> None:
    pin = f"#blake3={Digest.blake3(wasm.read_bytes()).hex}" if pinned else ""
    pipeline = pipeline_of(sources={"guest": wasm.as_uri() + pin})
    (tmp_path / "pipeline.json").write_text(json.dumps(pipeline))
    first = explain("pipeline.json", *STORE)["steps"][0]
    assert "source" in first["reason"]
    installed = tmp_path / "store/guest/guest-wat@1.0.0.core.wasm"
    assert installed.read_bytes() == wasm.read_bytes()

    wasm.unlink()
    second = explain("pipeline.json", *STORE)["steps"][0]
    assert "installed" in second["reason"]
    assert second["implementation"] == first["implementation"] == "guest-wat@1.0.0"


def test_a_forced_source_is_fetched_again(
    tmp_path: Path,
    explain: Explain,
    error_of: Callable[..., str],
    wasm: Path,
    pipeline_of: Callable[..., dict[str, Any]],
) -> None:
    (tmp_path / "pipeline.json").write_text(json.dumps(pipeline_of()))
    forced = ("--source", f"guest={wasm.as_uri()}", *STORE)
    for _ in range(2):
        assert "forced source" in explain("pipeline.json", *forced)["steps"][0]["reason"]
    # What was installed meanwhile does not stand in for it.
    wasm.unlink()
    assert "cannot read the file" in error_of("run", "pipeline.json", *forced, "--explain")


def test_a_wrong_pin_installs_nothing(
    tmp_path: Path,
    error_of: Callable[..., str],
    wasm: Path,
    pipeline_of: Callable[..., dict[str, Any]],
) -> None:
    other = Digest.blake3(b"other bytes").hex
    pipeline = pipeline_of(sources={"guest": f"{wasm.as_uri()}#blake3={other}"})
    (tmp_path / "pipeline.json").write_text(json.dumps(pipeline))
    message = error_of("run", "pipeline.json", *STORE, "--explain")
    assert f"expected `blake3:{other}`" in message
    assert f"got `{Digest.blake3(wasm.read_bytes())}`" in message
    assert not (tmp_path / "store").exists()


def test_other_bytes_under_an_installed_name_are_refused(
    *,
    tmp_path: Path,
    explain: Explain,
    error_of: Callable[..., str],
    wasm: Path,
    make_codec: Callable[..., bytes],
    pipeline_of: Callable[..., dict[str, Any]],
) -> None:
    (tmp_path / "pipeline.json").write_text(json.dumps(pipeline_of()))
    forced = ("--source", f"guest={wasm.as_uri()}", *STORE)
    explain("pipeline.json", *forced)
    wasm.write_bytes(make_codec(transform="unreachable"))
    message = error_of("run", "pipeline.json", *forced, "--explain")
    assert "two different files claim codec `guest`" in message


def test_without_a_pipeline_source_an_installed_codec_is_found(
    tmp_path: Path,
    chonkle: Chonkle,
    explain: Explain,
    wasm: Path,
    pipeline_of: Callable[..., dict[str, Any]],
) -> None:
    (tmp_path / "pipeline.json").write_text(json.dumps(pipeline_of()))
    explain("pipeline.json", "--source", f"guest={wasm.as_uri()}", *STORE)
    done = chonkle(
        *("run", "pipeline.json", *STORE, "--input", "bytes=-", "--output", "bytes=-"),
        stdin=b"through the store",
    )
    assert done.stdout == b"through the store"
    listed = json.loads(chonkle("codecs", "guest", "--json", *STORE).stdout)
    assert [each["origin"] for each in listed] == ["installed"]
