"""The SDK that codecs are written with: where it is, and a copy of it for editors."""

from pathlib import Path

from chonkle_toolchain.documents import write_published
from chonkle_toolchain.recipe import source_files

SDK_PARTS = ("wit", "c", "rust")


def sdk_folder() -> Path:
    """Give the folder of the SDK, with `wit`, `c` and `rust` in it.

    It travels inside the package; where the package is used from a clone, it is the clone's.
    """
    package = Path(__file__).resolve().parent
    packed = package / "sdk"
    return packed if packed.is_dir() else package.parents[1] / "codec-src" / "sdk"


def place_sdk(sdk: Path, folder: Path) -> list[str]:
    """Bring a copy of the SDK up to date, for editors; builds read the SDK itself.

    A file that is as it should be is not written again, so that editors do not read it again.

    Args:
        sdk: the SDK.
        folder: where its copy goes.

    Returns:
        The files that were there and were not as they should be.

    Raises:
        BuildError: when a file cannot be written.
    """
    wanted = {
        Path(part) / path: (sdk / part / path).read_bytes()
        for part in SDK_PARTS
        for path in source_files(sdk / part)
    }
    wrong = []
    for path in folder.rglob("*"):
        # What is behind a link is somebody's, and not to be written either.
        if path.is_symlink() or (path.is_file() and path.relative_to(folder) not in wanted):
            wrong.append(path.relative_to(folder))
            path.unlink()
    for path, data in wanted.items():
        target = folder / path
        if target.is_file():
            if target.read_bytes() == data:
                continue
            wrong.append(path)
        write_published(target, data)
    return sorted(path.as_posix() for path in wrong)
