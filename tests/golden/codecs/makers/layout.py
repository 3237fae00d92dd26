"""Vectors of `bytes` and `transpose`, from NumPy, with the same results as Zarr's codecs."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from golden_vector import Vector, smooth

type Fields = list[list[Any]]

MADE_BY = f"NumPy {np.__version__}"
ORDERS = {"little": "<", "big": ">"}


def vectors() -> Iterator[Vector]:
    """Return the vectors."""
    yield from bytes_vectors()
    yield from transpose_vectors()


def bytes_vectors() -> Iterator[Vector]:
    """Return those of `bytes`."""
    data = smooth(np.dtype("<u2"), (20, 44)).tobytes()
    for endian, size, count in (
        ("little", 2, 9),
        ("big", 1, 20),
        ("big", 2, 44),
        ("big", 4, 35),
        ("big", 8, 9),
    ):
        plain = np.frombuffer(data, f"<u{size}", count)
        yield Vector(
            implementation="bytes-c",
            case=f"{endian}-elements-of-{size}",
            made_by=MADE_BY,
            directions=("decode", "encode"),
            inputs={
                "bytes": plain.astype(f"{ORDERS[endian]}u{size}").tobytes(),
                "endian": endian,
                "elementsize": size,
            },
            outputs={"bytes": plain.tobytes()},
        )
    fields: Fields = [["time", "<M8[ms]"], ["flag", "|b1"], ["value", "<f4", [2, 3]], ["", "|V3"]]
    fields += [["name", "<U2"], ["pair", [["a", "<c8"], ["b", "<i2"]], [2]], ["raw", "|S5"]]
    for case, described in (
        ("complex", "<c16"),
        ("text", "<U3"),
        ("fields-of-6", [["a", "<u2"], ["b", "<u4"]]),
        ("fields-of-9", [["a", "|u1"], ["b", "<f8"]]),
        ("fields-of-89", fields),
    ):
        for endian in ("little", "big"):
            dtype = np.dtype(as_numpy(described))
            array = np.frombuffer(data, dtype, min(20, len(data) // dtype.itemsize))
            yield Vector(
                implementation="bytes-c",
                case=f"{endian}-{case}",
                made_by=MADE_BY,
                directions=("decode", "encode"),
                inputs={
                    "bytes": array.astype(dtype.newbyteorder(ORDERS[endian])).tobytes(),
                    "endian": endian,
                    "dtype": described,
                },
                outputs={"bytes": data[: array.nbytes]},
            )


def as_numpy(described: str | Fields) -> Any:
    """Return a type as NumPy takes it, whose fields are tuples."""
    if isinstance(described, str):
        return described
    return [(name, as_numpy(inner), *map(tuple, shape)) for name, inner, *shape in described]


def transpose_vectors() -> Iterator[Vector]:
    """Return those of `transpose`: matrices, colours, axes that are merged or do not move."""
    data = smooth(np.dtype("<u2"), (40, 44)).tobytes()
    for case, dtype, shape, order in (
        ("bytes", "u1", (33, 35), (1, 0)),
        ("matrix-of-2", "<u2", (20, 37), (1, 0)),
        ("matrix-of-4", "<u4", (17, 9), (1, 0)),
        ("matrix-of-8", "<u8", (6, 13), (1, 0)),
        ("elements-of-3", "V3", (7, 9), (1, 0)),
        ("colours-apart", "u1", (9, 11, 3), (2, 0, 1)),
        ("colours-together", "u1", (3, 9, 11), (1, 2, 0)),
        ("three-axes", "<u2", (5, 9, 11), (2, 0, 1)),
        ("four-axes", "<f4", (3, 5, 2, 7), (3, 1, 0, 2)),
        ("last-axis-stays", "<u2", (5, 6, 7), (1, 0, 2)),
        ("nothing-moves", "<u2", (3, 1, 4), (1, 0, 2)),
        ("no-axes", "<u8", (), ()),
        ("no-elements", "<u2", (3, 0, 4), (2, 1, 0)),
    ):
        type_ = np.dtype(dtype)
        plain = np.frombuffer(data, type_, int(np.prod(shape))).reshape(shape)
        yield Vector(
            implementation="transpose-c",
            case=case,
            made_by=MADE_BY,
            directions=("decode", "encode"),
            inputs={
                "bytes": plain.transpose(order).tobytes(),
                "order": list(order),
                "shape": list(shape),
                "elementsize": type_.itemsize,
            },
            outputs={"bytes": plain.tobytes()},
        )
