"""What is promised of every codec in this repository."""

import json
from pathlib import Path

import pytest

from tests.fixture_types import Chonkle

CODECS = Path(__file__).parents[2] / "codec"
FILES = sorted(str(path.relative_to(CODECS)) for path in CODECS.rglob("*.wasm"))


@pytest.mark.parametrize("file", FILES)
def test_it_imports_nothing_and_is_what_its_place_says(chonkle: Chonkle, file: str) -> None:
    found = json.loads(chonkle("inspect", "--json", CODECS / file).stdout)
    assert found["imports"] == []
    signature = found["signature"]
    name = f"{signature['implementation']}@{signature['version']}.{found['kind']}.wasm"
    assert Path(file) == Path(signature["codec_id"], name)


def test_all_of_them_are_listed_as_shipped(chonkle: Chonkle) -> None:
    listed = json.loads(chonkle("codecs", "--json").stdout)
    shipped = {Path(each["path"]) for each in listed if each["origin"] == "shipped"}
    assert shipped == {CODECS / file for file in FILES}
