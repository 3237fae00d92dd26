"""Every way in which an entry of a cache can be damaged, and what must come of each."""

import json
import os
import random
import shutil
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from chonkle.cache.record import Artifact, Authenticator
from chonkle.engine import elf_section
from chonkle.wasmtime_version import wasmtime_version

# What a look at an entry comes to: messages, and what was loaded, compiled and rejected.
INVALID, MISS, HIT = (1, 0, 1, 1), (0, 0, 1, 0), (0, 1, 0, 0)

type Outcome = tuple[int, int, int, int]
type Table = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Target:
    """An entry to damage, and another one to take parts from.

    Attributes:
        record: the path of the entry's record.
        artifacts: the paths of its artifacts, in the order in which they are loaded.
        other_record: the path of the other entry's record.
        other_artifacts: the paths of its artifacts.
        foreign: what an engine with another configuration makes of the same binary.
        elsewhere: an empty directory outside of the cache.
        chance: what decides where damage is done.
    """

    record: Path
    artifacts: list[Path]
    other_record: Path
    other_artifacts: list[Path]
    foreign: list[bytes]
    elsewhere: Path
    chance: random.Random

    @property
    def key(self) -> str:
        return self.record.stem

    @property
    def shard(self) -> Path:
        return self.record.parent

    @property
    def some_artifact(self) -> Path:
        return self.chance.choice(self.artifacts)

    def beside(self, ending: str) -> Path:
        """Make an empty file that belongs to the entry and is no part of it."""
        path = self.shard / f"{self.key}{ending}"
        path.touch(mode=0o600)
        return path

    def write(self, body: bytes) -> None:
        """Write a record with a right tag."""
        put(self.record, f"{Authenticator().tag(body)}\n".encode() + body)

    def change(self, change: Callable[[Table], object]) -> None:
        """Change fields of the record, and authenticate it again."""
        table = read_table(self.record)
        change(table)
        self.write(json.dumps(table).encode())

    def substitute(self, index: int, content: bytes) -> None:
        """Write another artifact, and a record that is true of it."""
        artifact = Artifact.of(self.key, content)
        put(self.shard / artifact.name, content)
        self.change(lambda table: table["artifacts"][index].update(asdict(artifact)))


type Damage = Callable[[Target], object]
type Way = tuple[str, Outcome, Damage]
type Bytes = Callable[[bytes, random.Random], bytes]
type Place = Callable[[Path, Target], object]
type Say = Callable[[Table, Target], object]


def ways(kind: str) -> Iterator[Way]:
    """Give every way of damage: its name, what must come of it, and how it is done."""
    for name, other in BYTES.items():
        yield f"record: {name}", INVALID, at_record(writing(other))
        yield f"artifact: {name}", INVALID, at_artifact(writing(other))
    for name, place in PLACES.items():
        yield f"record: {name}", INVALID, at_record(place)
        yield f"artifact: {name}", INVALID, at_artifact(place)
    for name, say in SAYS.items():
        yield f"record says: {name}", INVALID, saying(say)
    for name, body in BODIES.items():
        yield f"record is: {name}", INVALID, writing_record(body)
    yield from _swaps()
    yield from _substitutes(kind)
    yield from _beside()


def read_table(record: Path) -> Table:
    """Read a record without its tag."""
    table: Table = json.loads(record.read_bytes().partition(b"\n")[2])
    return table


def put(path: Path, data: bytes) -> None:
    """Write a file anew: the one that was there may be mapped by this process."""
    path.unlink(missing_ok=True)
    path.touch(mode=0o600)
    path.write_bytes(data)


def at_record(place: Place) -> Damage:
    return lambda target: place(target.record, target)


def at_artifact(place: Place) -> Damage:
    return lambda target: place(target.some_artifact, target)


# Other bytes in a file.


def flip(data: bytes, chance: random.Random) -> bytes:
    changed = bytearray(data)
    changed[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
    return bytes(changed)


def scribble(data: bytes, chance: random.Random) -> bytes:
    start = chance.randrange(len(data))
    # Never the same byte.
    noise = bytes(byte ^ chance.randrange(1, 256) for byte in data[start : start + 64])
    return data[:start] + noise + data[start + 64 :]


def lose_a_page(data: bytes, chance: random.Random) -> bytes:
    """As a disk may that lost power: the length is right, and a block is missing."""
    start = chance.randrange(len(data)) // 4096 * 4096
    lost = data[start : start + 4096]
    return data[:start] + bytes(len(lost)) + data[start + 4096 :] if any(lost) else data[:-1]


def writing(other: Bytes) -> Place:
    return lambda path, target: put(path, other(path.read_bytes(), target.chance))


BYTES: dict[str, Bytes] = {
    "flip a bit": flip,
    "scribble": scribble,
    "lose a page": lose_a_page,
    "truncate": lambda data, chance: data[: chance.randrange(len(data))],
    "drop the last byte": lambda data, _: data[:-1],
    "drop the first byte": lambda data, _: data[1:],
    "empty": lambda _, __: b"",
    "zeros": lambda data, _: bytes(len(data)),
    "noise": lambda data, chance: chance.randbytes(len(data)),
    "extend with a byte": lambda data, _: data + b"\n",
    "extend with noise": lambda data, chance: data + chance.randbytes(chance.randrange(1, 9000)),
    "twice": lambda data, _: data + data,
}

# Something else in the place of a file.


def full_directory(path: Path, target: Target) -> None:
    path.unlink()
    path.mkdir()
    put(path / "a file", target.chance.randbytes(10))


def linked_copy(path: Path, target: Target) -> None:
    copy = target.elsewhere / path.name
    path.rename(copy)
    path.symlink_to(copy)


def instead(make: Callable[[Path], object]) -> Place:
    def place(path: Path, _: Target) -> None:
        path.unlink()
        make(path)

    return place


PLACES: dict[str, Place] = {
    "directory": instead(lambda path: path.mkdir()),
    "full directory": full_directory,
    "FIFO": instead(os.mkfifo),
    "link to a copy": linked_copy,
    "link to nothing": instead(lambda path: path.symlink_to("nothing")),
    "link to itself": instead(lambda path: path.symlink_to(path.name)),
    "link to a directory": instead(lambda path: path.symlink_to("/")),
    "link to a device": instead(lambda path: path.symlink_to("/dev/zero")),
    "writable for the group": lambda path, _: path.chmod(0o620),
    "writable for all": lambda path, _: path.chmod(0o666),
}
if os.geteuid() == 0:
    PLACES["of another user"] = lambda path, _: os.chown(path, 65534, -1)
else:
    PLACES["not readable"] = lambda path, _: path.chmod(0)

# A record with a right tag that is wrong otherwise.


def record_says(**fields: object) -> Say:
    return lambda table, _: table.update(fields)


def artifact_says(**fields: object) -> Say:
    return lambda table, _: table["artifacts"][0].update(fields)


def as_the_other(*names: str) -> Say:
    def say(table: Table, target: Target) -> None:
        other = read_table(target.other_record)
        table.update({name: other[name] for name in names})

    return say


def without(name: str) -> Say:
    return lambda table, _: table.pop(name)


def lead_out(table: Table, target: Target) -> None:
    out = target.elsewhere / "out.cwasm"
    shutil.copy(target.artifacts[0], out)
    table["artifacts"][0]["name"] = os.path.relpath(out, target.shard)


def saying(say: Say) -> Damage:
    return lambda target: target.change(lambda table: say(table, target))


def writing_record(body: bytes) -> Damage:
    return lambda target: target.write(body)


SAYS: dict[str, Say] = {
    "key of the other": as_the_other("key"),
    "binary of the other": as_the_other("wasm"),
    "artifacts of the other": as_the_other("artifacts"),
    "everything but the key of the other": as_the_other("artifacts", "wasm", "label"),
    "another engine": record_says(engine="0" * 64),
    "another kind": record_says(kind="component-part"),
    "no artifacts": record_says(artifacts=[]),
    "a number of artifacts": record_says(artifacts=3),
    "an artifact that is a number": record_says(artifacts=[3]),
    "too many artifacts": lambda table, _: table["artifacts"].extend(table["artifacts"] * 300),
    "the artifacts twice": lambda table, _: table["artifacts"].extend(list(table["artifacts"])),
    "an artifact less": lambda table, _: table["artifacts"].pop(),
    "an artifact outside": lead_out,
    "an absolute artifact": artifact_says(name="/dev/zero"),
    "an artifact that is the directory": artifact_says(name="."),
    "a size that is too large": artifact_says(size=1 << 62),
    "a size below zero": artifact_says(size=-1),
    "a size that is text": artifact_says(size="all"),
    "a digest that is none": artifact_says(blake3=""),
    "another digest": artifact_says(blake3="0" * 64),
    "a date that is text": record_says(created="yesterday"),
    "a time that is a whole number": record_says(compile_seconds=1),
    "a label that is a list": record_says(label=["numbered"]),
    **{
        f"no field `{name}`": without(name)
        for name in ("key", "artifacts", "kind", "wasm", "engine", "wasmtime", "created")
    },
}
BODIES: dict[str, bytes] = {
    "nothing": b"",
    "no JSON": b'{"key": [',
    "no object": b"[]",
    "no text": b'{"key": "\xff"}',
    "NUL": b'{"key": "\0"}',
    "a deep nest": b"[" * 50_000,
    "a long number": b'{"key": ' + b"9" * 10_000 + b"}",
    "a long text": b'{"key": "' + b"x" * 1_000_000 + b'"}',
}

# Files of two entries exchanged, or gone.


def _swaps() -> Iterator[Way]:
    def take(path: Path, other: Path) -> None:
        put(path, other.read_bytes())

    def everything(target: Target) -> None:
        take(target.record, target.other_record)
        for path in target.other_artifacts:
            take(target.shard / path.name, path)

    yield "record of the other", INVALID, lambda t: take(t.record, t.other_record)
    # The second of a component: its first is a plan, which is the same for both.
    yield (
        "artifact of the other",
        INVALID,
        lambda t: take(t.artifacts[:2][-1], t.other_artifacts[:2][-1]),
    )
    yield "everything of the other", INVALID, everything
    yield "artifact: removed", INVALID, lambda t: t.some_artifact.unlink()
    # An entry without a record is none.
    yield "record: removed", MISS, lambda t: t.record.unlink()
    yield "shard: removed", MISS, lambda t: shutil.rmtree(t.shard)


# Artifacts that no compiler wrote for this entry, with a record that is true of them.


def another_wasmtime(native: bytes) -> bytes:
    """Write another version of wasmtime into native code, where wasmtime looks for it."""
    section = elf_section(native, b".wasmtime.engine")
    assert section is not None
    major = wasmtime_version().partition(".")[0].encode()
    assert major in section[:8]
    return native.replace(section, section.replace(major, b"9" * len(major), 1))


def substituting(index: int, content: bytes) -> Damage:
    return lambda target: target.substitute(index, content)


def _substitutes(kind: str) -> Iterator[Way]:
    yield "native code: empty", INVALID, substituting(-1, b"")
    yield "native code: noise", INVALID, substituting(-1, b"\x7fELF" + bytes(range(256)) * 20)
    yield (
        "native code: of another configuration",
        INVALID,
        lambda t: t.substitute(-1, t.foreign[-1]),
    )
    yield (
        "native code: of another wasmtime",
        INVALID,
        lambda t: t.substitute(-1, another_wasmtime(t.artifacts[-1].read_bytes())),
    )
    if kind == "component":
        for text in ("", "null", "[]", "{}", '{"plan": 1}', '{"plan": {}}', '{"plan"', "[" * 5000):
            yield f"plan: {text[:14]}", INVALID, substituting(0, text.encode())


# Files in place of an entry's other files, and of its directory.


def _beside() -> Iterator[Way]:
    def lock(place: Place) -> Damage:
        def damage(target: Target) -> None:
            place(target.beside(".lock"), target)
            put(target.some_artifact, b"")

        return damage

    def shard(make: Callable[[Path, Path], object]) -> Damage:
        def damage(target: Target) -> None:
            moved = target.shard.rename(target.elsewhere / "shard")
            make(target.shard, moved)

        return damage

    for name, place in PLACES.items():
        # An unreadable lock gives a second message.
        if name != "not readable":
            yield f"lock: {name}, and an empty artifact", INVALID, lock(place)
    yield "shard: a link to a copy", INVALID, shard(lambda path, moved: path.symlink_to(moved))
    yield "shard: a file", INVALID, shard(lambda path, _: path.touch())
    yield "shard: a FIFO", INVALID, shard(lambda path, _: os.mkfifo(path))
    yield "shard: writable for all", INVALID, lambda t: t.shard.chmod(0o777)
