"""The codec that the page on codec sources shows is built, and runs."""

import re
from pathlib import Path

import pytest
from chonkle_toolchain.build import Folders, build
from chonkle_toolchain.sdk import sdk_folder
from chonkle_toolchain.tools import Tools

import chonkle

pytestmark = pytest.mark.toolchain

ROOT = Path(__file__).parents[2]
FENCE = re.compile(r"^```[a-z]+ (?P<file>\S+)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)


def test_the_codec_of_the_readme_can_be_built(
    tools: Tools, build_dir: Path, tmp_path: Path
) -> None:
    page = (ROOT / "codec-src/README.md").read_text("utf-8")
    for match in FENCE.finditer(page):
        path = tmp_path / "my-codecs" / match["file"]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(match["text"], encoding="utf-8")
    folders = Folders(tmp_path / "my-codecs", tmp_path / "my-build", build_dir, sdk_folder())
    assert [outcome.name for outcome in build(folders, tools=tools)] == ["copy-c"]

    pipeline = {
        "codec_id": "echo",
        "direction": "decode",
        "inputs": {"bytes": {"type": "bytes"}},
        "outputs": {"bytes": "copy.bytes"},
        "steps": {"copy": {"codec_id": "copy", "inputs": {"bytes": "input.bytes"}}},
    }
    resolver = chonkle.Resolver(codec_store=folders.output)
    with chonkle.prepare(pipeline, resolver=resolver) as prepared:
        assert chonkle.run(prepared, {"bytes": b"abc"}) == {"bytes": b"abc"}
        assert prepared.resolutions["copy"].label == "copy-c@0.1.0 (core)"
