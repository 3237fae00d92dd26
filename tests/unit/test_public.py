"""The names that `import chonkle` promises."""

import inspect
import subprocess
import sys
from pathlib import Path

import pytest

import chonkle
from chonkle.settings import Given

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("name", chonkle.__all__)
def test_every_public_name_is_listed_and_importable(name: str) -> None:
    assert name in dir(chonkle)
    assert getattr(chonkle, name) is not None


def test_names_are_listed_before_their_first_use() -> None:
    script = "import chonkle; print(*sorted({*chonkle.__all__} - {*dir(chonkle)}))"
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == ""


def test_a_name_that_is_not_public_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="has no attribute `decod`"):
        chonkle.decod  # noqa: B018 - looking is what fails


def test_everything_public_is_described() -> None:
    described = (ROOT / "docs/reference/python.md").read_text("utf-8")
    for name in chonkle.__all__:
        assert f"`{name}`" in described
        value = getattr(chonkle, name)
        made_elsewhere = {"ChonkleError", "ChunkCodec", "PreparedPipeline", "Signature"}
        if callable(value) and name not in made_elsewhere:
            section = described.partition(f"\n## `{name}`")[2].partition("\n## ")[0]
            # A runtime takes its settings by name.
            is_runtime = value is chonkle.Runtime
            for parameter in (
                Given.__annotations__ if is_runtime else inspect.signature(value).parameters
            ):
                assert f"`{parameter}`" in section, f"{name}({parameter})"
