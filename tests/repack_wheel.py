"""Pack a wheel again under another version: `python repack_wheel.py WHEEL VERSION FOLDER`."""

import re
import sys
from pathlib import Path
from zipfile import ZipFile


def repack(wheel: Path, version: str, folder: Path) -> Path:
    """Write the wheel with another version into the folder, and give its path."""
    name, old, tags = wheel.name.split("-", 2)
    repacked = folder / f"{name}-{version}-{tags}"
    with ZipFile(wheel) as source, ZipFile(repacked, "w") as target:
        for entry in source.infolist():
            data = source.read(entry)
            folder_name, slash, path = entry.filename.partition("/")
            if folder_name == f"{name}-{old}.dist-info":
                entry.filename = f"{name}-{version}.dist-info{slash}{path}"
                if path == "METADATA":
                    data = re.sub(rb"(?m)^Version: .*", f"Version: {version}".encode(), data)
                elif path == "RECORD":
                    # Without digests, which it need not have.
                    data = re.sub(rb"(?m),[^,]*,[^,]*$", b",,", data)
                    data = data.replace(f"{name}-{old}.".encode(), f"{name}-{version}.".encode())
            target.writestr(entry, data)
    return repacked


if __name__ == "__main__":
    repack(Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3]))
