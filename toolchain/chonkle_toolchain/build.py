"""Building codecs: those whose inputs changed, and no others."""

import contextlib
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from chonkle.errors import BuildError
from chonkle.storage.files import locked, write_atomic
from chonkle_toolchain.compile_c import compile_c
from chonkle_toolchain.compile_rust import compile_rust
from chonkle_toolchain.fingerprint import build_digest
from chonkle_toolchain.lock import Artifact, Built, Lock, read_lock, write_lock
from chonkle_toolchain.reactor import without_empty_initialize
from chonkle_toolchain.recipe import Abi, Recipe, find_recipes
from chonkle_toolchain.sdk import place_sdk
from chonkle_toolchain.tools import Tools
from chonkle_toolchain.vectors import verify
from chonkle_toolchain.wrap import wrap

State = Literal["built", "up to date", "stale", "removed"]

_ABIS: tuple[Abi, ...] = ("core", "component")
_LOCK_TIMEOUT_S = 1800.0
# Artifacts are published, unlike what else is written through temporary files.
_FILE_MODE = 0o644


@dataclass(frozen=True, slots=True)
class Folders:
    """Where a build reads and writes.

    Attributes:
        codec_src: a codec's folder, or a folder with one folder for each codec.
        output: where the artifacts and the lock go.
        build_dir: what compilers leave behind; may be deleted at any time.
        sdk: the codec SDK.
    """

    codec_src: Path
    output: Path
    build_dir: Path
    sdk: Path


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one codec.

    Attributes:
        name: its implementation.
        state: what was done.
        reason: why it was not up to date; empty when it was.
        core: the core module; None where nothing was built.
        component: the component; None where nothing was built.
        seconds: how long it took.
    """

    name: str
    state: State
    reason: str = ""
    core: Artifact | None = None
    component: Artifact | None = None
    seconds: float = 0.0


def build(
    folders: Folders,
    *,
    tools: Tools,
    names: Iterable[str] = (),
    check: bool = False,
    report: Callable[[Outcome], None] = lambda _: None,
) -> list[Outcome]:
    """Bring the artifacts of codecs up to date.

    Args:
        folders: where to read and write.
        tools: the compilers; looked for only when something has to be built.
        names: which codecs; all when empty.
        check: only tell what is stale, and change nothing.
        report: told of each codec as soon as it is done.

    Returns:
        What came of each codec, sorted by name.

    Raises:
        BuildError: when a recipe is bad, a tool is missing, or a codec does not build. Codecs
            that were built before stay built.
    """
    recipes = find_recipes(folders.codec_src)
    chosen = _chosen(recipes, names)
    with contextlib.ExitStack() as stack:
        if not check:
            folders.output.mkdir(parents=True, exist_ok=True)
            folders.build_dir.mkdir(parents=True, exist_ok=True)
            # Two builds at once would lose each other's entries of the lock.
            stack.enter_context(_locked(folders.build_dir / ".lock"))
            place_sdk(folders.sdk, folders.build_dir / "sdk")
        lock = read_lock(folders.output)
        outcomes = []
        for recipe in chosen.values():
            outcome, lock = _bring_up_to_date(recipe, lock, folders, tools, check=check)
            report(outcome)
            outcomes.append(outcome)
        for name in sorted(lock.codecs.keys() - recipes.keys()):
            if chosen.keys() != recipes.keys():
                break
            outcome, lock = _drop(name, lock, folders, check=check)
            report(outcome)
            outcomes.append(outcome)
    return outcomes


def _chosen(recipes: dict[str, Recipe], names: Iterable[str]) -> dict[str, Recipe]:
    wanted = tuple(names)
    for name in wanted:
        if name not in recipes:
            raise BuildError(
                f"no codec `{name}`", expected=f"one of {', '.join(recipes) or 'none'}"
            )
    return {name: recipes[name] for name in sorted(wanted)} if wanted else recipes


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    try:
        with locked(path, timeout_s=_LOCK_TIMEOUT_S):
            yield
    except TimeoutError as failure:
        raise BuildError(str(failure), hint="another build is running") from failure


def _bring_up_to_date(
    recipe: Recipe, lock: Lock, folders: Folders, tools: Tools, *, check: bool
) -> tuple[Outcome, Lock]:
    digest = build_digest(recipe, sdk=folders.sdk)
    before = lock.codecs.get(recipe.name)
    reason = _why_stale(recipe, before, digest, folders.output)
    if before is not None and not reason:
        return Outcome(recipe.name, "up to date", "", before.core, before.component), lock
    if check:
        return Outcome(recipe.name, "stale", reason), lock
    started = time.monotonic()
    built = _build_one(recipe, digest, folders, tools)
    if before is not None:
        kept = {built.core.file, built.component.file}
        _delete(folders.output, {before.core.file, before.component.file} - kept)
    lock = Lock({**lock.codecs, recipe.name: built})
    write_lock(folders.output, lock)
    seconds = time.monotonic() - started
    return Outcome(recipe.name, "built", reason, built.core, built.component, seconds), lock


def _why_stale(recipe: Recipe, built: Built | None, digest: str, output: Path) -> str:
    if built is None:
        return "never built"
    if built.build != digest:
        return "its sources, the SDK or the toolset changed"
    for abi in _ABIS:
        artifact = built.artifact(abi)
        if artifact.file != recipe.artifact(abi) or not artifact.is_intact(output):
            return f"its {abi} file is missing or has other bytes than in the lock"
    return ""


def _build_one(recipe: Recipe, digest: str, folders: Folders, tools: Tools) -> Built:
    wasm_tools = tools.need_wasm_tools()
    toolset = {"wasm-tools": tools.wasm_tools().version}
    artifacts: dict[Abi, bytes] = {}
    for abi in _ABIS:
        if recipe.language == "c":
            zig = tools.need_zig()
            toolset["zig"] = tools.zig().version
            module = without_empty_initialize(
                compile_c(
                    recipe, abi=abi, sdk=folders.sdk / "c", zig=zig, build_dir=folders.build_dir
                )
            )
        else:
            rust = tools.rust().need()
            toolset["rustc"] = rust.version
            if recipe.c_in_crates:
                tools.need_zig()
                toolset["zig"] = tools.zig().version
            module = compile_rust(
                recipe, abi=abi, sdk=folders.sdk / "rust", rust=rust, build_dir=folders.build_dir
            )
        artifacts[abi] = wrap(
            module, recipe=recipe, abi=abi, wit=folders.sdk / "wit", wasm_tools=wasm_tools
        )
        verify(recipe, artifacts[abi])
    # Only when both are good does either replace what was there.
    for abi, data in artifacts.items():
        path = folders.output / recipe.artifact(abi)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(path, data)
        path.chmod(_FILE_MODE)
    return Built(
        codec_id=recipe.signature.codec_id,
        version=recipe.signature.version,
        build=digest,
        toolset=toolset,
        core=Artifact.of(recipe.artifact("core"), artifacts["core"]),
        component=Artifact.of(recipe.artifact("component"), artifacts["component"]),
    )


def _drop(name: str, lock: Lock, folders: Folders, *, check: bool) -> tuple[Outcome, Lock]:
    outcome = Outcome(name, "stale" if check else "removed", "it has no recipe any more")
    if check:
        return outcome, lock
    gone = lock.codecs[name]
    _delete(folders.output, {gone.core.file, gone.component.file})
    lock = Lock({other: built for other, built in lock.codecs.items() if other != name})
    write_lock(folders.output, lock)
    return outcome, lock


def _delete(output: Path, files: Iterable[str]) -> None:
    root = output.resolve()
    for file in files:
        path = (root / file).resolve()
        # The lock is a file like any other: it must not name things elsewhere.
        if path.is_relative_to(root):
            path.unlink(missing_ok=True)
            with contextlib.suppress(OSError):
                path.parent.rmdir()
