"""One of a crowd that uses, or empties, one cache at the same time.

crowd.py use ROUNDS SEED ROOT   asks for entries, some of them without being allowed to compile
crowd.py empty ROOT             clears and prunes until its standard input ends

It says `ready`, and then reports as JSON what it saw. Users begin when their standard input ends.
"""

import json
import random
import select
import sys
import time
from collections import Counter
from pathlib import Path

from heard import Heard
from numbered_codecs import ask, open_cache

from chonkle.cache.directory import CacheDirectory
from chonkle.cache.record import Authenticator
from chonkle.cache.trimming import prune
from chonkle.engine import Engine
from chonkle.errors import CacheError
from chonkle.wasmtime_version import wasmtime_version

KINDS = ("core", "component", "component-whole")
NUMBERS = (1, 2)
ONLY_EVERY = 4


def use(rounds: int, seed: int, root: Path) -> dict[str, object]:
    """Ask for one entry after the other, each as a new process would."""
    engine, heard, chance = Engine(), Heard(), random.Random(seed)  # noqa: S311 - not a secret
    engine.fingerprint  # noqa: B018 - it is made before the others begin
    sys.stdin.read()
    did: Counter[str] = Counter(dict.fromkeys(("loaded", "compiled", "rejected", "missed"), 0))
    wrong = []
    for number in range(rounds):
        kind, wanted = chance.choice(KINDS), chance.choice(NUMBERS)
        mode = "auto" if number % ONLY_EVERY else "only"
        cache = open_cache(root, engine, mode=mode)
        try:
            got = ask(cache, kind, wanted)
            if got != wanted:
                wrong.append(f"{kind} {wanted} gave {got}")
        except CacheError:
            did["missed"] += 1
            if mode != "only":
                raise
        counts = cache.counts
        did.update(loaded=counts.loaded, compiled=counts.compiled, rejected=counts.rejected)
    return {**did, "wrong": wrong, "messages": heard.take()}


def empty(root: Path) -> dict[str, object]:
    """Clear and prune again and again."""
    heard, removed, rounds = Heard(), 0, 0
    directory = CacheDirectory(root, authenticator=Authenticator())
    while not select.select([sys.stdin], [], [], 0)[0]:
        removed += sum(directory.remove(entry.key) > 0 for entry in directory.entries())
        prune(
            directory, size_max_bytes=1 << 30, wasmtime=wasmtime_version(), now=time.time() + 7200
        )
        rounds += 1
    return {"removed": removed, "rounds": rounds, "messages": heard.take()}


def main() -> None:
    how, *numbers, root = sys.argv[1:]
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    if how == "use":
        report = use(int(numbers[0]), int(numbers[1]), Path(root))
    else:
        report = empty(Path(root))
    json.dump(report, sys.stdout)


if __name__ == "__main__":
    main()
