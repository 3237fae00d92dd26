"""Kills processes that write, use, remove and tidy cache entries, and looks at what they leave.

kill.py steps STRIDE FOLDER         before every step that each takes with a file, or every third
kill.py moments COUNT SEED FOLDER   at moments that chance picks

The last line is JSON: how often was killed, what was left behind, and what went wrong.
"""

import json
import os
import random
import shutil
import signal
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

from heard import Heard
from numbered_codecs import ask, leftovers, open_cache, wasm_of

from chonkle.cache.directory import CacheDirectory
from chonkle.cache.record import Authenticator
from chonkle.cache.trimming import prune
from chonkle.digest import Digest
from chonkle.engine import Engine
from chonkle.wasmtime_version import wasmtime_version

KINDS = ("core", "component")
NUMBERS = (11, 22)
# Long enough for a few entries, and short enough to be in the midst of one.
MOMENT_S = 0.04
LATER_S = 7200.0
FSYNC = os.fsync
# What changes something, as Python's audit hooks name it, besides opening files.
STEPS = frozenset(
    {"fcntl.flock", "os.mkdir", "os.remove", "os.rename", "os.rmdir", "os.truncate", "os.utime"}
)


class Scene:
    """A cache, what a killed process did to it, and what must be true of it afterwards.

    Args of the constructor:
        root: the cache.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.left: Counter[str] = Counter()
        self.wrong: list[str] = []
        self._engine = Engine()
        self._heard = Heard()

    def directory(self, root: Path) -> CacheDirectory:
        return CacheDirectory(root, authenticator=Authenticator())

    def key(self, kind: str, number: int) -> str:
        return open_cache(None, self._engine).key(kind, Digest.blake3(wasm_of(kind, number)))

    def clear(self) -> None:
        shutil.rmtree(self.root, ignore_errors=True)

    def use(self, kind: str, number: int = NUMBERS[0]) -> None:
        assert ask(open_cache(self.root, self._engine), kind, number) == number

    def remove(self, kind: str, number: int = NUMBERS[0]) -> None:
        self.directory(self.root).remove(self.key(kind, number))

    def lose_record(self, kind: str) -> None:
        """Have an entry whose artifacts are there already."""
        self.use(kind)
        next(self.root.rglob("*.record")).unlink()

    def damage(self, kind: str) -> None:
        """Have an entry that is written again while its old record is there."""
        self.use(kind)
        for artifact in self.root.rglob("*.cwasm"):
            artifact.unlink()
            artifact.touch(mode=0o600)

    def tidy(self, _: str) -> None:
        """Trim to nothing, so that everything goes."""
        self.prune(self.root, size_max_bytes=0)

    def prune(self, root: Path, *, size_max_bytes: int = 1 << 30) -> None:
        prune(
            self.directory(root),
            size_max_bytes=size_max_bytes,
            wasmtime=wasmtime_version(),
            now=time.time() + LATER_S,
        )

    def do_anything(self, chance: random.Random) -> None:
        """Do one thing after the other, for ever."""
        os.fsync = FSYNC
        while True:
            deed = chance.choice((self.use, self.use, self.remove))
            deed(chance.choice(KINDS), chance.choice(NUMBERS))

    def look(self, when: str, *kinds: str, rejected_max: int = 0) -> None:
        """Demand that trimming keeps whole entries and nothing else, and that all are read.

        Args:
            when: what was killed.
            kinds: of entries that are read.
            rejected_max: messages, and rejected entries, to allow for each.
        """
        tidied = self.root.with_name("tidied")
        shutil.rmtree(tidied, ignore_errors=True)
        if self.root.exists():
            shutil.copytree(self.root, tidied)
            self.left.update({Path(name).suffix for name in leftovers(tidied)})
            self.prune(tidied)
            left = sorted(leftovers(tidied))
            if left:
                self.wrong.append(f"{when}: left after trimming: {left}")
        for root in (tidied, self.root):
            for kind in kinds:
                for number in NUMBERS:
                    self._read(root, kind, number, when, rejected_max)

    def _read(self, root: Path, kind: str, number: int, when: str, rejected_max: int) -> None:
        cache = open_cache(root, self._engine)
        got = ask(cache, kind, number)
        heard = self._heard.take()
        if got != number or len(heard) > rejected_max or cache.counts.rejected > rejected_max:
            self.wrong.append(f"{when}: {kind} {number} in {root.name}: {got}, {heard}")


def start(act: Callable[[], object]) -> int:
    """Do something in another process; gives its id."""
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        act()
        code = 0
    except BaseException:  # noqa: BLE001 - nothing of the parent's may run in the child
        traceback.print_exc()
    finally:
        os._exit(code)


def was_killed(child: int) -> bool:
    """Wait for a process that either ends well or is killed."""
    _, status = os.waitpid(child, 0)
    assert status in {0, signal.SIGKILL}, status
    return status != 0


def die_at(last: int, root: Path, act: Callable[[], object]) -> None:
    """Do something, and be killed before taking a certain step with files."""
    steps = count(1)

    def take_step() -> None:
        if next(steps) == last:
            os.kill(os.getpid(), signal.SIGKILL)

    def hear(event: str, arguments: tuple[Any, ...]) -> None:
        # A number is a file that was just made, with nothing in it yet.
        is_ours = event == "open" and (
            isinstance(arguments[0], int) or str(arguments[0]).startswith(str(root))
        )
        if is_ours or event in STEPS:
            take_step()

    sys.addaudithook(hear)
    # What was written, and is not on the disk yet.
    os.fsync = lambda _: take_step()  # type: ignore[assignment]
    act()


def kill_at_steps(scene: Scene, stride: int) -> int:
    """Kill at the steps of everything that is done; gives how often."""
    deeds: dict[str, tuple[Callable[[str], object], Callable[[str], object]]] = {
        "make": (lambda _: None, scene.use),
        "write": (lambda kind: scene.use(kind, NUMBERS[1]), scene.use),
        "write again": (scene.lose_record, scene.use),
        "mend": (scene.damage, scene.use),
        "use": (scene.use, scene.use),
        "remove": (scene.use, scene.remove),
        "tidy": (scene.use, scene.tidy),
        "tidy up": (scene.lose_record, scene.tidy),
    }
    kills = 0
    for name, (prepare, deed) in deeds.items():
        for kind in KINDS:
            for step in count(1, stride):
                scene.clear()
                prepare(kind)
                if not was_killed(start(partial(die_at, step, scene.root, partial(deed, kind)))):
                    break
                when = f"{name} {kind}, killed at step {step}"
                scene.look(when, kind, rejected_max=name == "mend")
                kills += 1
    return kills


def kill_at_moments(scene: Scene, count_: int, chance: random.Random) -> int:
    """Kill at any moment; gives how often."""
    for number in range(count_):
        own = random.Random(chance.random())  # noqa: S311 - not a secret
        child = start(partial(scene.do_anything, own))
        time.sleep(chance.uniform(0, MOMENT_S))
        os.kill(child, signal.SIGKILL)
        assert was_killed(child)
        scene.look(f"kill {number}", *KINDS)
        if chance.random() < 0.5:
            scene.clear()
    return count_


def main() -> None:
    how, *numbers, folder = sys.argv[1:]
    # Only the killed process syncs to the disk, which takes most of its time.
    os.fsync = lambda _: None  # type: ignore[assignment]
    scene = Scene(Path(folder) / "cache")
    # What is imported late is imported here, once.
    scene.use("core")
    scene.tidy("core")
    scene.clear()
    if how == "steps":
        kills = kill_at_steps(scene, int(numbers[0]))
    else:
        chance = random.Random(int(numbers[1]))  # noqa: S311 - not a secret
        kills = kill_at_moments(scene, int(numbers[0]), chance)
    json.dump({"kills": kills, "left": scene.left, "wrong": scene.wrong}, sys.stdout)


if __name__ == "__main__":
    main()
