"""The SDK that codecs are written with: where it is, and a copy of it for editors."""

from pathlib import Path

from chonkle.storage.files import write_atomic
from chonkle_toolchain.recipe import source_files

SDK_PARTS = ("wit", "c", "rust")

# Headers and sources are read by whoever reads the project.
_FILE_MODE = 0o644


def sdk_folder() -> Path:
    """Give the folder of the SDK, with `wit`, `c` and `rust` in it.

    It travels inside the package; where the package is used from a clone, it is the clone's.
    """
    package = Path(__file__).resolve().parent
    packed = package / "sdk"
    return packed if packed.is_dir() else package.parents[1] / "codec-src" / "sdk"


def place_sdk(sdk: Path, folder: Path) -> None:
    """Bring a copy of the SDK up to date, for editors; builds read the SDK itself.

    A file that is as it should be is not written again, so that editors do not read it again.

    Args:
        sdk: the SDK.
        folder: where its copy goes.

    Raises:
        OSError: as the file system says.
    """
    wanted = {
        Path(part) / path: (sdk / part / path).read_bytes()
        for part in SDK_PARTS
        for path in source_files(sdk / part)
    }
    for path in folder.rglob("*"):
        if path.is_file() and path.relative_to(folder) not in wanted:
            path.unlink()
    for path, data in wanted.items():
        target = folder / path
        if not (target.is_file() and target.read_bytes() == data):
            target.parent.mkdir(parents=True, exist_ok=True)
            write_atomic(target, data, mode=_FILE_MODE)
