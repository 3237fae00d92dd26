"""Small valid modules that take a compiler very long, or very much memory."""

from collections.abc import Callable, Mapping

from chonkle.formats.wasm_binary import write_u32

_NOP = b"\x01"
_END = b"\x0b"
_LOOP = b"\x03\x40"
_BLOCK = b"\x02\x40"
_CALL_FIRST = b"\x10\x00"


def _section(number: int, items: list[bytes]) -> bytes:
    content = write_u32(len(items)) + b"".join(items)
    return bytes([number]) + write_u32(len(content)) + content


def module(bodies: list[bytes]) -> bytes:
    """Make a module of functions without parameters and results.

    Args:
        bodies: locals and code of each, without the `end`.
    """
    coded = [write_u32(len(body) + 1) + body + _END for body in bodies]
    return (
        b"\0asm\x01\0\0\0"
        + _section(1, [b"\x60\0\0"])
        + _section(3, [b"\0"] * len(bodies))
        + _section(10, coded)
    )


def _locals(count: int) -> bytes:
    """Declare locals of type i32."""
    return b"\x01" + write_u32(count) + b"\x7f"


def _get(index: int) -> bytes:
    return b"\x20" + write_u32(index)


def _increment(source: int, target: int) -> bytes:
    return _get(source) + b"\x41\x01\x6a\x21" + write_u32(target)


def many_locals() -> bytes:
    """Give 25000 functions with 50000 locals each."""
    return module([_locals(50_000) + _NOP] * 25_000)


def nested_loops() -> bytes:
    """Give loops within loops, in 96 KB; slow where code can be interrupted."""
    return module([b"\0" + _LOOP * 32_000 + _NOP + _END * 32_000])


def nested_loops_with_locals() -> bytes:
    """Give loops within loops around locals that all of them change."""
    depth, count = 20_000, 500
    changes = b"".join(_increment(index, index) for index in range(count))
    again = _get(0) + b"\x0d\x00"
    return module([_locals(count) + _LOOP * depth + changes + again + _END * depth])


def many_calls() -> bytes:
    """Give a million calls in one function."""
    return module([b"\0" + _NOP, b"\0" + _CALL_FIRST * 1_000_000])


def phi_chains() -> bytes:
    """Give 100000 branches, each of which may have changed one of 5000 locals."""
    count = 5000
    branches = (
        _get(number % count)
        + b"\x04\x40"
        + _increment(number * 31 % count, number * 17 % count)
        + _END
        for number in range(100_000)
    )
    return module([_locals(count) + b"".join(branches)])


def branch_tables() -> bytes:
    """Give blocks around tables of branches to each of them, which change a hundred locals."""
    blocks, tables, count = 400, 400, 100
    targets = write_u32(blocks) + b"".join(map(write_u32, range(1, blocks + 1))) + b"\x01"
    table = b"\x0e" + targets
    branches = (
        _get(number % count)
        + b"\x04\x40"
        + _increment(number % count, number * 7 % count)
        + _get(number % count)
        + table
        + _END
        for number in range(tables)
    )
    ends = (_END + _increment(number % count, number * 3 % count) for number in range(blocks + 1))
    inside = b"".join(branches)
    return module([_locals(count) + _BLOCK * (blocks + 1) + inside + b"".join(ends)])


def many_functions() -> bytes:
    """Give 900000 empty functions."""
    return module([b"\0"] * 900_000)


BOMBS: Mapping[str, Callable[[], bytes]] = {
    make.__name__: make
    for make in (
        many_locals,
        nested_loops,
        nested_loops_with_locals,
        many_calls,
        phi_chains,
        branch_tables,
        many_functions,
    )
}
