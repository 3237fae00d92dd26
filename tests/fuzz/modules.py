"""Core modules by chance, most of them valid: of every form of type, import and section.

A module is written as bytes, not as text, so that integers can be written longer than they need to
be, lists can be empty and sections can come twice. Now and then a byte is changed.
"""

import random
from collections.abc import Callable

HEADER = b"\0asm\1\0\0\0"
NUMBERS = (0x7F, 0x7E, 0x7D, 0x7C, 0x7B)
# any, eq, i31, struct, array, func, extern, exn, and the three bottoms, as heap types.
HEAPS = (0x6E, 0x6D, 0x6C, 0x6B, 0x6A, 0x70, 0x6F, 0x69, 0x71, 0x73, 0x72)
OLD_REFERENCES = (0x70, 0x6F)
TYPES, IMPORTS, FUNCTIONS, TABLES, MEMORIES, GLOBALS, EXPORTS = 1, 2, 3, 4, 5, 6, 7
ELEMENTS, CODE, DATA, TAGS = 9, 10, 11, 13
NAMES = (b"", b"a", b"b", b"memory", b"decode", b"encode", b"alloc", "ä".encode(), b"c" * 70)


class Writer:
    """Writes one module.

    Args of the constructor:
        chance: what decides.
    """

    def __init__(self, chance: random.Random) -> None:
        self.chance = chance
        self.kinds: list[str] = []
        # Of each type of a function: parameters and results.
        self.signatures: dict[int, tuple[list[bytes], list[bytes]]] = {}
        self.functions: list[int] = []
        self.counts = {"table": 0, "memory": 0, "global": 0, "tag": 0}
        # Some modules are only made of what codecs are made of.
        self.is_plain = chance.random() < 0.4

    def u32(self, value: int) -> bytes:
        """Write an integer, sometimes with more bytes than it needs."""
        out = bytearray()
        while value > 0x7F:
            out.append(value & 0x7F | 0x80)
            value >>= 7
        out.append(value)
        if self.chance.random() < 0.1:
            for _ in range(self.chance.randrange(6 - len(out))):
                out[-1] |= 0x80
                out.append(0)
        return bytes(out)

    def name(self) -> bytes:
        chosen = self.chance.choice(NAMES)
        return self.u32(len(chosen)) + chosen

    def vector(self, items: list[bytes]) -> bytes:
        return self.u32(len(items)) + b"".join(items)

    def section(self, identity: int, items: list[bytes]) -> bytes:
        payload = self.vector(items)
        return bytes([identity]) + self.u32(len(payload)) + payload

    # Types

    def heap(self) -> bytes:
        """Write a heap type: an index of a type, or one of the known ones."""
        if self.kinds and self.chance.random() < 0.5:
            index = self.chance.randrange(len(self.kinds))
            # A signed integer: above 63, one byte would be negative.
            return self.u32(index) if index < 64 else bytes([index & 0x7F | 0x80, index >> 7])
        return bytes([self.chance.choice(HEAPS)])

    def reference(self) -> bytes:
        roll = self.chance.random()
        if roll < 0.4:
            return bytes([self.chance.choice(OLD_REFERENCES)])
        if roll < 0.6:
            return bytes([self.chance.choice(HEAPS)])
        return bytes([self.chance.choice((0x63, 0x63, 0x64))]) + self.heap()

    def value(self) -> bytes:
        if self.is_plain or self.chance.random() < 0.7:
            return bytes([self.chance.choice(NUMBERS)])
        return self.reference()

    def values(self) -> list[bytes]:
        return [self.value() for _ in range(self.chance.choice((0, 0, 1, 1, 2, 2, 3)))]

    def field(self) -> bytes:
        storage = self.chance.choice((b"\x78", b"\x77", self.value()))
        return storage + bytes([self.chance.randrange(2)])

    def resolved(self) -> bytes:
        """Write the form of a new type: of a function, a structure or an array."""
        kind = "func" if self.is_plain else self.chance.choice(("func",) * 4 + ("struct", "array"))
        if kind == "func":
            parameters, results = self.values(), self.values()
            self.signatures[len(self.kinds)] = parameters, results
            written = b"\x60" + self.vector(parameters) + self.vector(results)
        elif kind == "struct":
            written = b"\x5f" + self.vector([self.field() for _ in range(self.chance.randrange(3))])
        else:
            written = b"\x5e" + self.field()
        self.kinds.append(kind)
        return written

    def type(self) -> bytes:
        """Write an entry of the type section, which can define several types."""
        roll = self.chance.random()
        if self.is_plain or roll < 0.8:
            return self.resolved()
        if roll < 0.9:
            return bytes([self.chance.choice((0x50, 0x4F))]) + self.u32(0) + self.resolved()
        return b"\x4e" + self.vector([self.resolved() for _ in range(self.chance.randrange(4))])

    def limits(self, most: int) -> bytes:
        flags = 0 if self.is_plain else self.chance.choice((0, 0, 0, 1, 1, 4, 5))
        if self.is_plain and self.chance.random() < 0.5:
            flags = 1
        least = self.chance.randrange(most)
        maximum = self.u32(least + self.chance.randrange(3)) if flags & 1 else b""
        return bytes([flags]) + self.u32(least) + maximum

    def of_functions(self) -> list[int]:
        return list(self.signatures)

    # Sections

    def imported(self) -> bytes:
        kind = self.chance.choice(("func", "func", "table", "memory", "global", "tag"))
        chosen = self.of_functions()
        plain_tags = [index for index in chosen if not self.signatures[index][1]]
        head = self.name() + self.name()
        if kind == "func" and chosen:
            index = self.chance.choice(chosen)
            self.functions.append(index)
            return head + b"\0" + self.u32(index)
        if kind == "table":
            self.counts["table"] += 1
            reference = b"\x70" if self.is_plain else self.nullable()
            return head + b"\1" + reference + self.limits(9)
        if kind == "tag" and plain_tags:
            self.counts["tag"] += 1
            return head + b"\4\0" + self.u32(self.chance.choice(plain_tags))
        if kind == "memory":
            self.counts["memory"] += 1
            return head + b"\2" + self.limits(3)
        self.counts["global"] += 1
        return head + b"\3" + self.value() + bytes([self.chance.randrange(2)])

    def nullable(self) -> bytes:
        reference = self.reference()
        return b"\x63" + reference[1:] if reference[0] == 0x64 else reference

    def table(self) -> bytes:
        self.counts["table"] += 1
        return (b"\x70" if self.is_plain else self.nullable()) + self.limits(9)

    def memory(self) -> bytes:
        self.counts["memory"] += 1
        return self.limits(3)

    def tag(self, plain: list[int]) -> bytes:
        self.counts["tag"] += 1
        return b"\0" + self.u32(self.chance.choice(plain))

    def global_(self) -> bytes:
        self.counts["global"] += 1
        start = {
            b"\x7f": b"\x41\x07", b"\x7e": b"\x42\x07", b"\x7d": b"\x43\0\0\0\0",
            b"\x7c": b"\x44" + bytes(8), b"\x7b": b"\xfd\x0c" + bytes(16),
        }  # fmt: skip
        type_ = self.value()
        if type_ in start:
            return type_ + b"\0" + start[type_] + b"\x0b"
        reference = self.nullable()
        heap = reference if len(reference) == 1 else reference[1:]
        return reference + b"\1\xd0" + heap + b"\x0b"

    def exported(self, names: list[bytes]) -> bytes:
        spaces = [("func", 0, len(self.functions))]
        spaces += [
            (kind, code, self.counts[kind])
            for kind, code in (("table", 1), ("memory", 2), ("global", 3), ("tag", 4))
        ]
        _, code, count = self.chance.choice([each for each in spaces if each[2]])
        name = names.pop()
        return self.u32(len(name)) + name + bytes([code]) + self.u32(self.chance.randrange(count))

    def some(self, write: Callable[[], bytes], most: int) -> list[bytes]:
        return [write() for _ in range(self.chance.randrange(most + 1))]

    def module(self) -> bytes:
        """Write the whole module."""
        chance = self.chance
        parts = [(TYPES, self.some(self.type, 6)), (IMPORTS, self.some(self.imported, 4))]
        own = [chance.choice(self.of_functions()) for _ in range(4) if self.signatures]
        self.functions += own
        parts.append((FUNCTIONS, [self.u32(index) for index in own]))
        parts.append((TABLES, self.some(self.table, 2)))
        parts.append((MEMORIES, self.some(self.memory, 2)))
        plain_tags = [index for index, (_, results) in self.signatures.items() if not results]
        if plain_tags:
            parts.append((TAGS, self.some(lambda: self.tag(plain_tags), 2)))
        parts.append((GLOBALS, self.some(self.global_, 2)))
        if self.functions or any(self.counts.values()):
            names = list(NAMES)
            chance.shuffle(names)
            parts.append((EXPORTS, self.some(lambda: self.exported(names), 5)))
        parts.append((CODE, [self.u32(3) + b"\0\0\x0b" for _ in own]))
        out = HEADER
        for identity, items in parts:
            if not items and chance.random() < 0.7:
                continue
            out += self.section(identity, items)
            if chance.random() < 0.01:
                out += self.section(identity, [] if chance.random() < 0.5 else items)
            if chance.random() < 0.1:
                payload = self.name() + bytes(chance.randrange(4))
                out += b"\0" + self.u32(len(payload)) + payload
        return damaged(chance, out) if chance.random() < 0.2 else out


def damaged(chance: random.Random, module: bytes) -> bytes:
    """Change one byte, or take one away, or put one more in."""
    data = bytearray(module)
    at = chance.randrange(len(HEADER), len(data) + 1)
    match chance.randrange(4):
        case 0 if at < len(data):
            data[at] ^= 1 << chance.randrange(8)
        case 1 if at < len(data):
            data[at] = chance.choice((0, 1, 0x60, 0x63, 0x64, 0x70, 0x7F, 0x80))
        case 2 if at < len(data):
            del data[at]
        case _:
            data[at:at] = bytes([chance.choice((0, 1, 0x60, 0x7F, 0x80))])
    return bytes(data)
