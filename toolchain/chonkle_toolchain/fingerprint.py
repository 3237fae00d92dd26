"""What a codec's build depends on: everything that can change its artifacts' bytes, nothing else.

    sources    the files of the codec's folder that a build may read, its signature among them
    parts      recipe    codec.toml without its flags
               flags     the flags of compilers and linkers that are the same on every machine
               c-sdk or rust-sdk, and wit
    toolset    the version of each tool that the build runs, and of the toolchain's own steps

One digest of all this names the build. `codecs.lock` keeps the parts too, so that a build can say
what changed. Golden vectors are no part of it: they change no byte.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from blake3 import blake3

from chonkle.errors import BuildError
from chonkle_toolchain.compile_c import c_flags
from chonkle_toolchain.compile_rust import crate_flags
from chonkle_toolchain.documents import read_document
from chonkle_toolchain.recipe import RECIPE_FILE, Recipe, source_files
from chonkle_toolchain.tools import WASM_TOOLS_VERSION, ZIG_VERSION, tools_for

# Raised when the toolchain itself makes other bytes of the same inputs; `make reproduce` fails
# otherwise.
TOOLCHAIN_VERSION = "3"
_SOURCE_MAX_BYTES = 1 << 30

# The names of parts in messages.
_LABELS = {
    "recipe": RECIPE_FILE,
    "c-sdk": "the C SDK",
    "rust-sdk": "the Rust SDK",
    "wit": "the WIT",
}


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """What one build depends on.

    Attributes:
        sources: the digest of each file of the codec, by its path in the folder.
        parts: the digest of each other part.
        toolset: the version of each tool.
    """

    sources: Mapping[str, str]
    parts: Mapping[str, str]
    toolset: Mapping[str, str]

    @property
    def digest(self) -> str:
        """The digest of it all: `blake3:` and 64 hexadecimal digits."""
        return f"blake3:{_digest([_json(asdict(self))])}"

    def changes_since(self, before: "Fingerprint") -> tuple[str, ...]:
        """Describe the differences to another build, one clause each."""
        sources = _changes(self.sources, before.sources)
        parts = _changes(self.parts, before.parts)
        return (
            *(f"{file} {_verb(was, now)}" for file, was, now in sources),
            *(f"{_LABELS.get(part, part)} {_verb(was, now)}" for part, was, now in parts),
            *self.tools_since(before),
        )

    def tools_since(self, before: "Fingerprint") -> tuple[str, ...]:
        """Describe the tools that differ from another build's."""
        tools = _changes(self.toolset, before.toolset)
        return tuple(f"{tool} {was or 'none'} -> {now or 'none'}" for tool, was, now in tools)


def fingerprint(recipe: Recipe, *, sdk: Path, rust: str = "") -> Fingerprint:
    """Find what a codec's build depends on.

    Args:
        recipe: the codec.
        sdk: the SDK's folder, with `wit`, `c` and `rust` in it.
        rust: the Rust compiler; the other tools are pinned.

    Raises:
        BuildError: when the SDK is not there or a file cannot be read.
    """
    said = [recipe.language, recipe.sources, recipe.include, recipe.c_in_crates]
    flags = c_flags(recipe) if recipe.language == "c" else crate_flags(recipe)
    versions = {"zig": ZIG_VERSION, "wasm-tools": WASM_TOOLS_VERSION, "rust": rust}
    return Fingerprint(
        sources={
            path.as_posix(): _digest([_content(recipe.folder / path)]) for path in recipe.files()
        },
        parts={
            "recipe": _digest([_json(said)]),
            "flags": _digest([_json(flags)]),
            f"{recipe.language}-sdk": _folder_digest(sdk / recipe.language),
            "wit": _folder_digest(sdk / "wit"),
        },
        toolset={
            "toolchain": TOOLCHAIN_VERSION,
            **{tool: versions[tool] for tool in tools_for(recipe)},
        },
    )


def vectors_digest(recipe: Recipe) -> str:
    """Hash a codec's golden vectors; none at all are the empty text.

    Raises:
        BuildError: when one cannot be read.
    """
    folder = recipe.folder / "vectors"
    # An empty folder counts as none: git keeps no empty folders.
    return _folder_digest(folder) if folder.is_dir() and any(source_files(folder)) else ""


def _folder_digest(folder: Path) -> str:
    if not folder.is_dir():
        raise BuildError(f"no folder `{folder}`")
    files = source_files(folder)
    return _digest(item for path in files for item in (_name(path), _content(folder / path)))


def _changes(
    now: Mapping[str, str], before: Mapping[str, str]
) -> Iterator[tuple[str, str | None, str | None]]:
    for name in sorted({*now, *before}):
        if now.get(name) != before.get(name):
            yield name, before.get(name), now.get(name)


def _verb(was: str | None, now: str | None) -> str:
    if was is None:
        return "is new"
    return "changed" if now is not None else "is gone"


def _name(path: Path) -> bytes:
    return path.as_posix().encode()


def _json(value: object) -> bytes:
    return json.dumps(value, sort_keys=True).encode()


def _content(path: Path) -> bytes:
    data = read_document(path, size_max=_SOURCE_MAX_BYTES)
    # Git may check text out with other line ends on Windows.
    return data.replace(b"\r\n", b"\n")


def _digest(items: Iterable[bytes]) -> str:
    hasher = blake3()
    for item in items:
        # With its length, or two lists of items could give one digest.
        hasher.update(len(item).to_bytes(8, "little"))
        hasher.update(item)
    return hasher.hexdigest()
