"""Building the codecs that are not up to date."""

import contextlib
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from chonkle.errors import BuildError
from chonkle.storage.files import locked
from chonkle_toolchain.abi import ABIS, Abi
from chonkle_toolchain.build_folder import BUILD_LOCK, claim_build_folder
from chonkle_toolchain.codecs_lock import Artifact, Built, Lock, read_lock, write_lock
from chonkle_toolchain.compare import Task, compare
from chonkle_toolchain.fingerprint import vectors_digest
from chonkle_toolchain.make import BuildContext, make_artifacts
from chonkle_toolchain.recipe import find_recipes, is_codec_folder, require_cargo_lock
from chonkle_toolchain.sdk import place_sdk
from chonkle_toolchain.shipped import clash
from chonkle_toolchain.signature_fields import misspelt
from chonkle_toolchain.tools import Tools, tools_for
from chonkle_toolchain.vectors import verify

State = Literal["built", "rebuilt", "verified", "up to date", "stale", "removed"]

_LOCK_TIMEOUT_S = 1800.0


@dataclass(frozen=True, slots=True)
class Folders:
    """Where a build reads and writes.

    Attributes:
        codec_src: a codec's folder, or a folder with one folder for each codec.
        output: where the artifacts and the lock go.
        build_dir: the build root, for what compilers leave behind; may be deleted at any time.
        sdk: the codec SDK.
    """

    codec_src: Path
    output: Path
    build_dir: Path
    sdk: Path


@dataclass(frozen=True, slots=True)
class Outcome:
    """The outcome for one codec.

    Attributes:
        name: its implementation.
        state: what was done. A codec is `verified` when only its golden vectors changed, and its
            files agree with them.
        reasons: why it was not up to date, one clause for each change.
        note: another remark, or empty.
        core: the core module; None where there is none.
        component: the component; None where there is none.
        seconds: how long it took.
    """

    name: str
    state: State
    reasons: tuple[str, ...] = ()
    note: str = ""
    core: Artifact | None = None
    component: Artifact | None = None
    seconds: float = 0.0


def build(
    folders: Folders,
    *,
    tools: Tools,
    names: Iterable[str] = (),
    check: bool = False,
    step: Callable[[str], None] = lambda _: None,
    report: Callable[[Outcome], None] = lambda _: None,
    say: Callable[[str], None] = lambda _: None,
) -> list[Outcome]:
    """Bring the artifacts of codecs up to date.

    Args:
        folders: where to read and write.
        tools: the compilers; used only when something has to be built.
        names: which codecs; all when empty.
        check: only report what is stale, and change nothing.
        step: told what begins, such as a compiler.
        report: told each outcome as soon as it is known.
        say: told of waiting for another build, of warnings of compilers, and of an edited copy of
            the SDK.

    Returns:
        The outcomes, sorted by name.

    Raises:
        BuildError: when a recipe is bad, the build root has files of others, a tool is missing, or
            a codec does not build. Codecs that were built before stay built.
    """
    chosen = tuple(names)
    recipes = find_recipes(folders.codec_src, names=chosen)
    outcomes = []
    with contextlib.nullcontext() if check else _alone(folders, say=say):
        lock = read_lock(folders.output)
        tasks = list(
            compare(
                recipes.values(),
                lock,
                output=folders.output,
                sdk=folders.sdk,
                tools=tools,
                check=check,
            )
        )
        context = None if check else _context(folders, tasks, tools, warn=say, step=step)
        for task in tasks:
            outcome, lock = _bring_up_to_date(task, lock, folders.output, context)
            report(outcome)
            outcomes.append(outcome)
        has_all = not chosen and _has_all_codecs(folders)
        gone = lock.codecs.keys() - recipes.keys() if has_all else set()
        for name in sorted(gone):
            outcome, lock = _drop(name, lock, folders.output, check=check)
            report(outcome)
            outcomes.append(outcome)
    return outcomes


def _has_all_codecs(folders: Folders) -> bool:
    """Tell whether no other folder is built into the same output.

    A codec's own folder says nothing about the others in an output that several codecs share.
    """
    source, output = folders.codec_src.resolve(), folders.output.resolve()
    return not is_codec_folder(source) or output.is_relative_to(source)


@contextlib.contextmanager
def _alone(folders: Folders, *, say: Callable[[str], None]) -> Iterator[None]:
    """Make the folders, and lock them against other builds."""
    with contextlib.ExitStack() as stack:
        # In the same order for all builds, or two could deadlock.
        for folder in sorted({folders.output.resolve(), folders.build_dir.resolve()}):
            lock = folder / BUILD_LOCK
            try:
                folder.mkdir(parents=True, exist_ok=True)
                stack.enter_context(locked(lock, timeout_s=0))
            except TimeoutError:
                say(f"waiting for another build in {folder}")
                try:
                    stack.enter_context(locked(lock, timeout_s=_LOCK_TIMEOUT_S))
                except TimeoutError as failure:
                    raise BuildError(str(failure), hint="another build is running") from failure
            except OSError as failure:
                raise BuildError(
                    f"{folder}: cannot be written to: {failure.strerror}",
                    hint="`chonkle build` takes other folders with --output and --build-dir, and"
                    " writes nothing with --check",
                ) from failure
            # While the lock is held: a build that waits for the file notices and makes another.
            stack.callback(_remove, lock)
        yield


def _remove(path: Path) -> None:
    # Windows removes no open file.
    with contextlib.suppress(OSError):
        path.unlink()


def _context(
    folders: Folders,
    tasks: Iterable[Task],
    tools: Tools,
    *,
    warn: Callable[[str], None],
    step: Callable[[str], None],
) -> BuildContext:
    """Require every tool and lock of crates that the tasks need, before the first one begins."""
    claim_build_folder(folders.build_dir)
    copy = folders.build_dir / "sdk"
    if wrong := place_sdk(folders.sdk, copy):
        more = f" and {len(wrong) - 1} more" if len(wrong) > 1 else ""
        warn(f"{copy}: restored {wrong[0]}{more}, which was edited; builds do not read this copy")
    begun = [task.recipe for task in tasks if task.reasons]
    for recipe in begun:
        require_cargo_lock(recipe)
    needed = {name for recipe in begun for name in tools_for(recipe)}
    context = BuildContext(tools.need(needed), folders.sdk, folders.build_dir, warn, step)
    context.prepare()
    return context


def _bring_up_to_date(
    task: Task, lock: Lock, output: Path, context: BuildContext | None
) -> tuple[Outcome, Lock]:
    """Do a task; without a context only tell its state."""
    started = time.monotonic()
    name, before = task.recipe.name, task.before
    artifacts: dict[str, bytes] = {}
    if task.reasons or before is None:
        if context is None:
            return Outcome(name, "stale", task.reasons, task.note), lock
        state: State = "rebuilt" if before else "built"
        artifacts = _make(task, context)
        built, reasons = _describe(task, artifacts), task.reasons
    elif task.vectors != before.vectors:
        for abi in ABIS:
            verify(task.recipe, (output / before.artifact(abi).file).read_bytes())
        _require_vectors(task)
        # The lock records the vectors, so it is stale also where they are gone.
        done: State = "verified" if task.vectors else "up to date"
        state = "stale" if context is None else done
        reasons = (f"golden vectors {'changed' if task.vectors else 'are gone'}",)
        built = replace(before, vectors=task.vectors)
    else:
        state, reasons, built = "up to date", (), before
    if context is not None and built is not before:
        lock = Lock({**lock.codecs, name: built})
        write_lock(output, lock, files=artifacts)
        if before is not None:
            _delete(before, name, output, lock)
    notes = [task.note, *misspelt(task.recipe.signature), clash(name, built)]
    seconds = time.monotonic() - started
    note = "; ".join(filter(None, notes))
    return Outcome(name, state, reasons, note, built.core, built.component, seconds), lock


def _require_vectors(task: Task) -> None:
    """Require that the golden vectors are still those that the lock is going to record."""
    if vectors_digest(task.recipe) != task.vectors:
        raise BuildError(
            f"the golden vectors of `{task.recipe.name}` were edited while they were tried",
            hint="build it again",
        )


def _make(task: Task, context: BuildContext) -> dict[str, bytes]:
    """Make a codec's artifacts, by their paths in the output folder."""
    made = make_artifacts(task.recipe, context, expected=task.fingerprint)
    _require_vectors(task)
    return {task.recipe.artifact(abi): data for abi, data in made.items()}


def _describe(task: Task, artifacts: Mapping[str, bytes]) -> Built:
    recipe = task.recipe

    def artifact(abi: Abi) -> Artifact:
        file = recipe.artifact(abi)
        return Artifact.of(file, artifacts[file])

    return Built(
        codec_id=recipe.signature.codec_id,
        version=recipe.signature.version,
        build=task.fingerprint.digest,
        fingerprint=task.fingerprint,
        vectors=task.vectors,
        core=artifact("core"),
        component=artifact("component"),
    )


def _drop(name: str, lock: Lock, output: Path, *, check: bool) -> tuple[Outcome, Lock]:
    outcome = Outcome(name, "stale" if check else "removed", ("it has no recipe any more",))
    if check:
        return outcome, lock
    left = Lock({other: built for other, built in lock.codecs.items() if other != name})
    _delete(lock.codecs[name], name, output, left)
    write_lock(output, left)
    return outcome, left


def _delete(before: Built, name: str, output: Path, lock: Lock) -> None:
    """Delete the files of a codec's earlier build that the lock no longer lists."""
    root = output.resolve()
    listed = {root / built.artifact(abi).file for built in lock.codecs.values() for abi in ABIS}
    for path in {(root / before.artifact(abi).file).resolve() for abi in ABIS} - listed:
        # An edited lock must not delete files elsewhere, or other files.
        if path.is_relative_to(root) and path.match(f"{name}@*.wasm"):
            path.unlink(missing_ok=True)
            with contextlib.suppress(OSError):
                path.parent.rmdir()
