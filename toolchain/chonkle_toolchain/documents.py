"""Reading files that somebody else wrote, which may be anything, and writing those of our own."""

import tomllib
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

from chonkle.errors import BuildError
from chonkle.storage.files import put_in_place, read_file, remove_leftovers, write_temporary

# Recipes, manifests and locks are some thousand bytes long; what is parsed of more takes seconds.
TEXT_SIZE_MAX_BYTES = 4 << 20
_FILE_MODE = 0o644


def read_document(path: Path, *, size_max: int = TEXT_SIZE_MAX_BYTES) -> bytes:
    """Read a file, and no pipe or device that may have no end.

    Args:
        path: the file.
        size_max: bytes to accept at most.

    Raises:
        BuildError: when there is none, it is no file, too long, or cannot be read.
    """
    try:
        return read_file(path, size_max=size_max)
    except FileNotFoundError as failure:
        raise BuildError(f"no file `{path}`") from failure
    except OSError as failure:
        raise BuildError(f"{path}: cannot be read: {failure.strerror}") from failure


def read_toml(path: Path) -> dict[str, object]:
    """Read a TOML file.

    Args:
        path: the file.

    Raises:
        BuildError: when it cannot be read, or is no TOML.
    """
    data = read_document(path)
    try:
        return tomllib.loads(data.decode())
    except UnicodeDecodeError as failure:
        raise BuildError(f"{path}: not UTF-8 text (byte {failure.start})") from failure
    except RecursionError as failure:
        raise BuildError(f"{path}: TOML nested too deeply") from failure
    except ValueError as failure:
        # An integer of more digits than Python converts is one too.
        raise BuildError(f"{path}: malformed TOML: {failure}") from failure


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Say of a failure to write which file or folder was to be written.

    Args:
        path: the file or folder.

    Raises:
        BuildError: when the file system refuses.
    """
    try:
        yield
    except OSError as failure:
        raise BuildError(f"{path}: cannot be written: {failure.strerror}") from failure


def write_published(path: Path, data: bytes) -> None:
    """Write a file that everybody may read, whole or not at all.

    Args:
        path: the file; its folder is made where it is not there.
        data: its bytes.

    Raises:
        BuildError: when it cannot be written; nothing is left behind.
    """
    write_together({path: data})


def write_together(files: Mapping[Path, bytes]) -> None:
    """Write files that everybody may read, all of them or none.

    What a build that was killed left of writing them is removed. Nobody else may be writing them.

    Args:
        files: the bytes of each; folders are made where they are not there. They take their places
            in this order, once there was room for all.

    Raises:
        BuildError: when one cannot be written; then none is there that was not before.
    """
    temporaries = {}
    with ExitStack() as undo:
        for path in files:
            with writing(path):
                path.parent.mkdir(parents=True, exist_ok=True)
                remove_leftovers(path)
        for path, data in files.items():
            with writing(path):
                temporaries[path] = write_temporary(path, (data,), mode=_FILE_MODE)
                undo.callback(temporaries[path].unlink, missing_ok=True)
                # Whatever the process's mask is.
                temporaries[path].chmod(_FILE_MODE)
        for path, temporary in temporaries.items():
            is_new = not path.exists()
            with writing(path):
                put_in_place(temporary, path)
            if is_new:
                undo.callback(path.unlink, missing_ok=True)
        undo.pop_all()
