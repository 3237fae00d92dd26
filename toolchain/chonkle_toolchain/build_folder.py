"""The build root, in which builds work. It has a mark, since builds delete what they find there.

CACHEDIR.TAG    the mark, which also excludes it from backups
sdk             a copy of the SDK for editors
stage, work     sources and outputs of the codec that is being built
cargo           Cargo's output, reused by the next build
reproduce       the builds that `chonkle reproduce` compares
"""

from pathlib import Path

from chonkle.errors import BuildError
from chonkle_toolchain.documents import write_published, writing

BUILD_LOCK = ".lock"

_MARK = "CACHEDIR.TAG"
_MARK_TEXT = b"""\
Signature: 8a477f597d28d172789f06886806bc55
# What `chonkle build` leaves behind; it may be deleted at any time.
# Builds delete what they find here, and refuse a folder with other things and without this file.
# https://bford.info/cachedir/ says what else such a file is for.
"""
_EMPTIED = ("sdk", "stage", "work")


def claim_build_folder(folder: Path) -> None:
    """Make a folder a build root, unless it is one.

    Args:
        folder: the folder.

    Raises:
        BuildError: when it has other files, or a folder that builds empty is a link.
    """
    mark = folder / _MARK
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        others = {path.name for path in folder.iterdir()} - {BUILD_LOCK}
        is_marked = mark.is_file() and mark.read_bytes() == _MARK_TEXT
    if not is_marked and others:
        raise BuildError(
            f"{folder}: no build made this folder, and there is `{min(others)}` in it",
            expected="a folder that a build may delete everything in: a new or an empty one",
            hint="name another with `--build-dir`, or remove it",
        )
    for name in _EMPTIED:
        if (folder / name).is_symlink():
            raise BuildError(
                f"{folder / name}: a link, and builds delete what they find there",
                hint="remove the link",
            )
    if not is_marked:
        write_published(mark, _MARK_TEXT)
