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
    for folder in (".", *recipe.shared):
        stage_files(recipe.folder / folder, Path(os.path.normpath(target / folder)))


def stage_files(source: Path, target: Path) -> None:
    """Copy the files of a folder that a build may read.

    Args:
        source: the folder.
        target: where they go.
    """
    for path in source_files(source):
        (target / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source / path, target / path)
