"""Reading untrusted files, and writing our own whole or not at all."""

import tomllib
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

from chonkle.errors import BuildError
from chonkle.storage.files import put_in_place, read_file, remove_leftovers, write_temporary

# Recipes, manifests and locks have some thousand bytes; larger ones take seconds to parse.
TEXT_SIZE_MAX_BYTES = 4 << 20
_FILE_MODE = 0o644


def read_document(path: Path, *, size_max: int = TEXT_SIZE_MAX_BYTES) -> bytes:
    """Read a file, but no pipe or device, which may never end.

    Args:
        path: the file.
        size_max: bytes to accept at most.

    Raises:
        BuildError: when it is missing, no file, too long, or cannot be read.
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
        # Also an integer with more digits than Python converts.
        raise BuildError(f"{path}: malformed TOML: {failure}") from failure


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Name the file or folder when writing it fails.

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
    """Write a file that all users may read, whole or not at all.

    Args:
        path: the file; its folder is made where it is missing.
        data: its bytes.

    Raises:
        BuildError: when it cannot be written; nothing is left behind.
    """
    write_together({path: data})


def write_together(files: Mapping[Path, bytes]) -> None:
    """Write files that all users may read, all of them or none.

    Leftovers of a killed build are removed. The caller holds a lock against other writers.

    Args:
        files: the bytes of each; missing folders are made. The files are moved into place in this
            order, after all were written.

    Raises:
        BuildError: when one cannot be written; then no new file is there.
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
                # Independent of the process's umask.
                temporaries[path].chmod(_FILE_MODE)
        for path, temporary in temporaries.items():
            is_new = not path.exists()
            with writing(path):
                put_in_place(temporary, path)
            if is_new:
                undo.callback(path.unlink, missing_ok=True)
        undo.pop_all()
