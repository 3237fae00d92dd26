"""Copies of sources for builds, which so read only files that the fingerprint covers."""

import os
import shutil
from pathlib import Path

from chonkle_toolchain.recipe import Recipe, source_files


def stage_codec(recipe: Recipe, target: Path) -> None:
    """Copy a codec's sources, shared ones included.

    Args:
        recipe: the codec.
        target: the copy of its folder; shared folders go beside it.
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
