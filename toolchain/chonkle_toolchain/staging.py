"""Copies of sources for builds, which then can read nothing that the fingerprint does not name."""

import os
import shutil
from pathlib import Path

from chonkle_toolchain.recipe import Recipe, source_files


def stage_codec(recipe: Recipe, target: Path) -> None:
    """Copy a codec's sources, and what it shares to where it names that.

    Args:
        recipe: the codec.
        target: where its folder goes; what is shared goes beside it.
    """
    for path in recipe.files():
        _copy(recipe.folder / path, Path(os.path.normpath(target / path)))


def stage_files(source: Path, target: Path) -> None:
    """Copy the files of a folder that a build may read.

    Args:
        source: the folder.
        target: where they go.
    """
    for path in source_files(source):
        _copy(source / path, target / path)


def _copy(file: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(file, target)
