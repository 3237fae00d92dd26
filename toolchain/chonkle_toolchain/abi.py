"""The two ABIs of codecs, and what a module exports for each beside its memory."""

from collections.abc import Mapping
from typing import Literal

type Abi = Literal["core", "component"]

ABIS: tuple[Abi, ...] = ("core", "component")

INTERFACE = "chonkle:codec/transform@0.1.0"
CORE_FUNCTIONS = {
    "alloc": "(i32) -> i32",
    "dealloc": "(i32, i32) -> ()",
    "encode": "(i32, i32) -> i64",
    "decode": "(i32, i32) -> i64",
    "last_error": "() -> i64",
}

# The functions that a link exports. A component's are named by its canonical ABI.
LINKED_EXPORTS: Mapping[Abi, tuple[str, ...]] = {
    "core": tuple(CORE_FUNCTIONS),
    "component": (
        "cabi_realloc",
        f"{INTERFACE}#encode",
        f"{INTERFACE}#decode",
        f"cabi_post_{INTERFACE}#encode",
        f"cabi_post_{INTERFACE}#decode",
    ),
}
