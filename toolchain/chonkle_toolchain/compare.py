"""Comparing codecs with the lock: what has to be built, and why."""

import functools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from chonkle_toolchain.abi import ABIS
from chonkle_toolchain.codecs_lock import LOCK_FILE, Built, Lock
from chonkle_toolchain.fingerprint import Fingerprint, fingerprint, vectors_digest
from chonkle_toolchain.recipe import Recipe
from chonkle_toolchain.tools import Tools


@dataclass(frozen=True, slots=True)
class Task:
    """One codec, compared with its last build.

    Attributes:
        recipe: the codec.
        fingerprint: what a build of it depends on now.
        vectors: the digest of its golden vectors now.
        before: its entry in the lock; None when it was never built.
        reasons: why it has to be built, one clause for each change; empty when it is up to date.
        note: another remark, or empty.
    """

    recipe: Recipe
    fingerprint: Fingerprint
    vectors: str
    before: Built | None
    reasons: tuple[str, ...]
    note: str = ""


def compare(
    recipes: Iterable[Recipe], lock: Lock, *, output: Path, sdk: Path, tools: Tools, check: bool
) -> Iterator[Task]:
    """Compare codecs with their last builds.

    Zig and wasm-tools are pinned; Rust compilers differ between machines. A build compares with the
    installed one, or without one with that in the lock, so that a clone without compilers is up to
    date. A check compares with the one in the lock.

    Args:
        recipes: the codecs.
        lock: what was built.
        output: the folder of the lock.
        sdk: the codec SDK.
        tools: the compilers.
        check: whether nothing is going to be built.

    Yields:
        A task for each codec.

    Raises:
        BuildError: when a file cannot be read.
    """
    # The lookup takes a moment, and there may be no codec in Rust.
    rust_here = functools.cache(lambda: tools.rust().label)
    for recipe in recipes:
        before = lock.codecs.get(recipe.name)
        rust = note = ""
        if recipe.language == "rust":
            here = rust_here()
            recorded = before.fingerprint.toolset.get("rust", "") if before else ""
            rust = (recorded or here) if check else (here or recorded)
            if here not in ("", rust):
                note = f"built with rust {rust}, here is {here}"
        now = fingerprint(recipe, sdk=sdk, rust=rust)
        reasons = tuple(_reasons(recipe, now, before, output))
        yield Task(recipe, now, vectors_digest(recipe), before, reasons, note)


def _reasons(recipe: Recipe, now: Fingerprint, before: Built | None, output: Path) -> Iterator[str]:
    if before is None:
        yield "not built before"
        return
    if before.build != now.digest:
        changes = now.changes_since(before.fingerprint)
        yield from changes or (f"{LOCK_FILE} was edited",)
    elif before.fingerprint != now or not _names_the_same(before, recipe):
        yield f"{LOCK_FILE} was edited"
    for abi in ABIS:
        artifact = before.artifact(abi)
        if artifact.file != recipe.artifact(abi):
            continue  # a reason above: its signature changed, or the lock was edited
        if not (output / artifact.file).exists():
            yield f"its {abi} file is missing"
        elif not artifact.is_intact(output):
            yield f"its {abi} file has other bytes than in {LOCK_FILE}"


def _names_the_same(before: Built, recipe: Recipe) -> bool:
    """Tell whether the lock names a codec and its files like the recipe."""
    named = (before.codec_id, before.version, *(before.artifact(abi).file for abi in ABIS))
    signature = recipe.signature
    return named == (signature.codec_id, signature.version, *map(recipe.artifact, ABIS))
