"""The SDK for codecs: its folder, and a copy of it for editors."""

from pathlib import Path

from chonkle_toolchain.documents import write_published
from chonkle_toolchain.recipe import source_files

SDK_PARTS = ("wit", "c", "rust")


def sdk_folder() -> Path:
    """Give the folder of the SDK, with `wit`, `c` and `rust` in it.

    It is in the installed package, or in the clone that the package is used from.
    """
    package = Path(__file__).resolve().parent
    packed = package / "sdk"
    return packed if packed.is_dir() else package.parents[1] / "codec-src" / "sdk"


def place_sdk(sdk: Path, folder: Path) -> list[str]:
    """Bring a copy of the SDK up to date, for editors; builds read the SDK itself.

    Unchanged files are not written, so that editors do not read them again.

    Args:
        sdk: the SDK.
        folder: the folder of the copy.

    Returns:
        The files that existed and differed.

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
        # The target of a link is not a file of the copy and must not be written.
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
