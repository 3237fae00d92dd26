"""Fills disks of every size with cache entries, from one with room for nothing to one for all.

disk.py STRIDE FOLDER   every size, or every third

It mounts tmpfs at a folder, so that it has to be root in a mount namespace of its own. The last
line is JSON: a line for each disk, and one for each that something went wrong on.
"""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from heard import Heard
from numbered_codecs import ask, leftovers, open_cache

from chonkle.engine import Engine

KINDS = ("core", "component")
# Memory pages for a component and more; and as many files as two of them have.
PAGES, INODES = 36, 24


@contextmanager
def mounted(folder: Path, option: str) -> Iterator[None]:
    """Mount an empty disk."""
    mount = ("mount", "-t", "tmpfs", "-o", f"mode=0700,{option}", "tmpfs", str(folder))
    subprocess.run(mount, check=True)
    try:
        yield
    finally:
        # Native code is mapped from it until it is collected.
        subprocess.run(["umount", "--lazy", str(folder)], check=True)  # noqa: S607


def fill(kind: str, root: Path, engine: Engine, heard: Heard) -> tuple[str, list[str]]:
    """Ask twice for two entries; give what came of it in short, and what was wrong."""
    short, wrong = [], []
    for number in (1, 2):
        for _ in range(2):
            cache = open_cache(root, engine)
            got, messages = ask(cache, kind, number), heard.take()
            if got != number:
                wrong.append(f"gave {got}")
            kept = cache.counts.kept if cache.counts.compiled else 1
            # One message where something was not done, be it only to note the time of trimming.
            if len(messages) > 1 or (not kept and not messages) or cache.counts.rejected:
                wrong.append(f"kept {kept}, rejected {cache.counts.rejected}: {messages}")
            left = leftovers(root) if root.exists() else set()
            if left:
                wrong.append(f"left {left}")
            short.append("loaded" if cache.counts.loaded else "kept" if kept else "not kept")
            short[-1] += " with a message" * bool(messages)
    return ", ".join(short), wrong


def main() -> None:
    stride, folder, engine, heard = int(sys.argv[1]), Path(sys.argv[2]), Engine(), Heard()
    disks = [f"size={pages * 4}k" for pages in range(1, PAGES, stride)]
    disks += [f"nr_inodes={inodes}" for inodes in range(1, INODES, stride)]
    came: dict[str, str] = {}
    every_wrong = []
    for kind in KINDS:
        for disk in disks:
            with mounted(folder, disk):
                came[f"{kind}, {disk}"], wrong = fill(kind, folder / "cache", engine, heard)
            every_wrong += [f"{kind}, {disk}: {each}" for each in wrong]
    json.dump({"came": came, "wrong": every_wrong}, sys.stdout)


if __name__ == "__main__":
    main()
