"""Pack the fixtures of numcodecs' source distribution: `python pack.py numcodecs-VERSION.tar.gz`.

The same distribution gives the same bytes.
"""

import io
import json
import sys
import tarfile
from pathlib import Path, PurePosixPath

PACKED = Path(__file__).parent / "fixtures.tar.xz"
# Codecs of Python objects, and one that chonkle does not have.
LEFT_OUT = {"pickle", "vlen-array", "vlen-bytes", "vlen-utf8", "zfpy"}


def files(distribution: Path) -> dict[str, bytes]:
    """Read the licence, and the fixtures of codecs that numcodecs still has."""
    with tarfile.open(distribution) as archive:
        found = {
            PurePosixPath(*PurePosixPath(member.name).parts[1:]): archive.extractfile(member)
            for member in archive
            if member.isfile()
        }
        data = {
            path: file.read()
            for path, file in found.items()
            if file and (path.parts[0] == "fixture" or path.name == "LICENSE.txt")
        }
    # Of a codec `json`, which numcodecs no longer has, the folder of `json2` has files too.
    stale = {
        path.parent
        for path, text in data.items()
        if path.name == "config.json" and json.loads(text)["id"] != path.parts[1]
    }
    return {
        str(path.relative_to("fixture")) if path.parts[0] == "fixture" else path.name: content
        for path, content in data.items()
        if path == PurePosixPath("LICENSE.txt")
        or (
            path.parts[0] == "fixture"
            and path.parts[1] not in LEFT_OUT
            and path.parent not in stale
        )
    }


def main(distribution: Path) -> None:
    """Write the archive, with nothing in it of the machine or the time."""
    with tarfile.open(PACKED, "w:xz", preset=9, format=tarfile.USTAR_FORMAT) as archive:
        for name, content in sorted(files(distribution).items()):
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
