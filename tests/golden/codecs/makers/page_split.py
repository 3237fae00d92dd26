"""Vectors of `page-split`."""

from collections.abc import Iterator

from golden_vector import Vector


def vectors() -> Iterator[Vector]:
    """Return the vectors."""
    for case, rep, levels, data in (
        ("levels", b"\x02\x00\x03\x01", b"\x06\x01", bytes(range(40))),
        ("no-levels", b"", b"", b"flat and required"),
        ("only-levels", b"\x04\x00", b"\x04\x00", b""),
    ):
        yield Vector(
            implementation="page-split-c",
            case=case,
            made_by="the definition of the codec, written out",
            directions=("decode", "encode"),
            inputs={
                "bytes": rep + levels + data,
                "rep_levels_length": len(rep),
                "def_levels_length": len(levels),
            },
            outputs={"rep_levels": rep, "def_levels": levels, "data": data},
        )
