"""Damages an entry of a cache in one way after the other, and demands what must come of each.

corrupt.py KIND ROUNDS SEED FOLDER

It prints each step before doing it, so that a crash can be attributed. The last line is JSON: how
often each way was tried, and a line for each that went wrong.
"""

import faulthandler
import json
import os
import random
import shutil
import sys
import time
from collections import Counter
from pathlib import Path

from damage import HIT, MISS, Damage, Outcome, Target, put, read_table, ways
from heard import Heard
from numbered_codecs import COMPILERS, ask, open_cache, wasm_of

from chonkle.cache.directory import CacheDirectory
from chonkle.cache.record import Authenticator
from chonkle.cache.trimming import prune
from chonkle.digest import Digest
from chonkle.engine import Engine, EngineConfig
from chonkle.wasmtime_version import wasmtime_version

MINE, OTHER = 1234567, 7654321
# Longer than any look at an entry takes.
HANG_S = 60


class Trial:
    """A cache with two entries that is made anew for each damage.

    Args of the constructor:
        kind: what the entries are of.
        folder: an empty directory.
        chance: what decides where damage is done.
    """

    def __init__(self, kind: str, folder: Path, chance: random.Random) -> None:
        self._kind, self._chance = kind, chance
        self._engine = Engine()
        self._root, self._elsewhere = folder / "cache", folder / "elsewhere"
        self._heard = Heard()
        self._last: list[str] = []
        for number in (MINE, OTHER):
            assert self._look(number) == (MISS, number)
        self._pristine = {
            path: path.read_bytes() for path in self._root.rglob("*") if path.is_file()
        }
        self._foreign = COMPILERS[kind].compile(
            Engine(EngineConfig(interruptible=True)).wasmtime, wasm_of(kind, MINE)
        )

    def run(self, damage: Damage, expected: Outcome) -> str | None:
        """Do damage and look; gives what is wrong with what comes of it."""
        self._restore()
        damage(self._target())
        directory = CacheDirectory(self._root, authenticator=Authenticator())
        # Listing the whole cache works as well.
        for _ in directory.entries():
            pass
        if self._chance.random() < 0.25:
            return self._remove(directory)
        came = self._look(MINE)
        if came != (expected, MINE):
            return f"{came}, not {expected}: {self._last}"
        came = self._look(MINE)
        return None if came == (HIT, MINE) else f"not made again: {came}: {self._last}"

    def _remove(self, directory: CacheDirectory) -> str | None:
        key = self._key(MINE)
        directory.remove(key)
        prune(directory, size_max_bytes=1 << 30, wasmtime=wasmtime_version(), now=time.time())
        left = [path.name for path in self._root.rglob(f"*{key}*")]
        if left or self._heard.take():
            return f"not removed: {left}"
        came = self._look(MINE)
        return None if came == (MISS, MINE) else f"after removing: {came}"

    def _look(self, number: int) -> tuple[Outcome, int]:
        cache = open_cache(self._root, self._engine)
        got = ask(cache, self._kind, number)
        self._last = self._heard.take()
        counts = cache.counts
        return (len(self._last), counts.loaded, counts.compiled, counts.rejected), got

    def _restore(self) -> None:
        for directory in (self._root, self._elsewhere):
            shutil.rmtree(directory, ignore_errors=True)
            directory.mkdir(mode=0o700)
        for path, data in self._pristine.items():
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            put(path, data)

    def _key(self, number: int) -> str:
        digest = Digest.blake3(wasm_of(self._kind, number))
        return open_cache(self._root, self._engine).key(self._kind, digest)

    def _target(self) -> Target:
        mine, other = (
            next(self._root.rglob(f"{self._key(each)}.record")) for each in (MINE, OTHER)
        )
        paths = [
            [record.parent / each["name"] for each in read_table(record)["artifacts"]]
            for record in (mine, other)
        ]
        return Target(mine, paths[0], other, paths[1], self._foreign, self._elsewhere, self._chance)


def main() -> None:
    kind, rounds, seed, folder = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4])
    # What reaches the disk is of no interest here, and takes most of the time.
    os.fsync = lambda _: None  # type: ignore[assignment]
    trial = Trial(kind, folder, random.Random(seed))  # noqa: S311 - not a secret
    tried: Counter[str] = Counter()
    wrong = []
    for name, expected, damage in [*ways(kind)] * rounds:
        sys.stdout.write(f"{name}\n")
        sys.stdout.flush()
        tried[name] += 1
        faulthandler.dump_traceback_later(HANG_S, exit=True)
        try:
            problem = trial.run(damage, expected)
        except Exception as failure:  # noqa: BLE001 - whatever comes out of a cache is wrong
            problem = f"{type(failure).__name__}: {failure}"
        if problem is not None:
            wrong.append(f"{name}: {problem}")
    faulthandler.cancel_dump_traceback_later()
    json.dump({"tried": tried, "wrong": wrong}, sys.stdout)


if __name__ == "__main__":
    main()
