"""The doorway: from a pipeline file to something that runs.

with chonkle.prepare("pipeline.json", direction="decode") as prepared:
    outputs = chonkle.run(prepared, {"bytes": chunk})
"""

from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, Self, cast, overload

from chonkle import executor
from chonkle.backends.base import Codec, Limits
from chonkle.closing import Closing
from chonkle.dag.codec_list import (
    CodecEntry,
    CodecList,
    ListedCodec,
    codec_list_pipeline,
    is_codec_entry,
    is_codec_list,
    list_failure,
    listed_codec,
    read_codec_list,
)
from chonkle.dag.graph import Pipeline, Step
from chonkle.dag.plan import LEVELS_MAX, Plan, ResolvedPipeline, make_plan, resolve_pipeline
from chonkle.errors import ChonkleError, LockError, PipelineError, ResolveError
from chonkle.fetch import Source
from chonkle.formats.json_text import parse_json
from chonkle.formats.signature import Direction, Signature
from chonkle.formats.values import format_value, plain_value
from chonkle.lock import Lock, Locked, LockKey
from chonkle.names import is_codec_name
from chonkle.pickles import Unusable, pickled, pickled_runtime, unpickled, unpickled_runtime
from chonkle.resolver import PipelineResolution, Resolution, Resolver, lock_entry
from chonkle.runtime import Runtime, default_runtime
from chonkle.storage.files import read_file

_FILE_MAX_BYTES = 16 << 20
# Steps without a codec, after which the others are not looked at.
_FAILURES_MAX = 1000
# Pipelines from other processes that stay prepared: a pool of processes sends one with each task.
_RECEIVED_MAX = 16


type Parsed = Pipeline | CodecList


@dataclass(frozen=True, slots=True)
class _Recipe:
    """What prepares a pipeline again, also in another process."""

    pipeline: Parsed
    direction: Direction
    resolver: Resolver  # as the caller gave it: what it leaves open, the runtime there decides
    limits: Limits
    picked: tuple[Locked, ...]  # what was picked for each question that a step asked


class PreparedPipeline(Closing):
    """A pipeline in one direction with its codecs opened: run it as often as you like.

    Threads may share it. The codecs belong to its runtime, and stay open there when it is closed.
    It can be copied, and pickled for another process, which prepares it again with its own default
    runtime, and requires the same codecs; where they differ, each use raises a ResolveError.

    Attributes:
        plan: the calls that a run makes.
        resolved: the pipeline with what each of its steps is; its signature is the pipeline's.
        resolutions: what was picked for each step of the plan, by its path.
        runtime: the runtime that holds the codecs.
        limits: what one call of a codec may take.
    """

    def __init__(self, defined: "_Defined", recipe: _Recipe, runtime: Runtime) -> None:
        """Plan it and open its codecs; `prepare` makes the arguments."""
        self.plan: Plan = make_plan(defined.resolved, recipe.direction)
        self.resolved: ResolvedPipeline = defined.resolved
        self.resolutions: Mapping[str, Resolution] = dict(defined.resolutions())
        self.runtime = runtime
        self.limits = recipe.limits
        self._recipe = recipe
        self._codecs: list[Codec] | None = []
        for step in self.plan.steps:
            try:
                self._codecs.append(runtime.open(self.resolutions[step.path], self.limits))
            except ChonkleError as failure:
                raise failure.within(step.subject) from failure

    @property
    def signature(self) -> Signature:
        """The pipeline's ports, as those of any codec."""
        return self.resolved.signature

    @property
    def codecs(self) -> list[Codec]:
        """An opened codec for each step of the plan.

        Raises:
            PipelineError: when the pipeline is closed.
        """
        if self._codecs is None:
            raise PipelineError(f"{self.plan.subject} is already closed")
        return self._codecs

    @overload
    def run(self, inputs: Mapping[str, object], *, out: None = None) -> dict[str, bytes]: ...
    @overload
    def run(
        self, inputs: Mapping[str, object], *, out: Mapping[str, object] | None
    ) -> dict[str, Any]: ...
    def run(
        self, inputs: Mapping[str, object], *, out: Mapping[str, object] | None = None
    ) -> dict[str, Any]:
        """Run it once; see `chonkle.executor.run`."""
        return executor.run(self, inputs, out=out)

    def borrow(self, inputs: Mapping[str, object]) -> AbstractContextManager[dict[str, memoryview]]:
        """Run it once, and lend its outputs; see `chonkle.executor.borrow`."""
        return executor.borrow(self, inputs)

    def run_many(
        self, items: Iterable[Mapping[str, object]], *, threads: int | None = None
    ) -> Generator[dict[str, bytes]]:
        """Run it on many inputs, in several threads; see `chonkle.executor.run_many`."""
        return executor.run_many(self, items, threads=threads)

    def close(self) -> None:
        """Let go of the codecs. Idempotent."""
        self._codecs = None

    def __copy__(self) -> Self:
        """Give another one with the same codecs; closing one of them leaves the other open."""
        copied = object.__new__(type(self))
        copied.__dict__.update(self.__dict__)
        return copied

    def __deepcopy__(self, memo: object) -> Self:
        """Do as `__copy__`: all that it holds is shared and never changes."""
        return self.__copy__()

    def __reduce__(self) -> tuple[object, ...]:
        """Pickle what prepares it again, and the settings of a runtime that is not the default one.

        Raises:
            PipelineError: when it is closed, or something of that cannot be pickled.
        """
        what = self.plan.subject
        if self._codecs is None:
            raise PipelineError(f"{what} is already closed")
        return _received, (
            pickled(self._recipe, f"{what}: its resolver"),
            pickled_runtime(self.runtime, what),
        )


class _Unprepared(Unusable, PreparedPipeline):
    """A pipeline that was pickled and cannot be prepared here."""

    def close(self) -> None:
        """Do nothing: it holds nothing."""


def _received(recipe: bytes, settings: bytes | None) -> PreparedPipeline:
    """Prepare a pipeline that was pickled."""
    try:
        return _prepare_again(recipe, unpickled_runtime(settings)).__copy__()
    except ChonkleError as failure:
        return _Unprepared(failure, "a pickled pipeline")


@lru_cache(maxsize=_RECEIVED_MAX)
def _prepare_again(recipe: bytes, runtime: Runtime) -> PreparedPipeline:
    """Prepare a pipeline, and require the codecs that it was pickled with.

    Raises:
        ResolveError: when a codec here is another one.
        ChonkleError: as `prepare`.
    """
    made: _Recipe = unpickled(recipe)
    definer = _Definer(runtime.complete(made.resolver))
    defined = definer.define(made.pipeline)
    here = {each.key: each for each in definer.locked()}
    for each in made.picked:
        found = here.get(each.key)
        if found != each:
            raise ResolveError(
                f"codec `{each.key.codec_id}`: pickled with {_written(each)}, here "
                f"{'none' if found is None else _written(found)}",
                hint="both processes need the same codecs: installed files, versions and sources",
            )
    return PreparedPipeline(defined, made, runtime)


def _written(picked: Locked) -> str:
    return f"{picked.label} {picked.digest or ''}".rstrip()


def load(
    pipeline: str | Path | Mapping[str, object] | Sequence[object], *, what: str = "pipeline"
) -> Parsed:
    """Read and check a pipeline or a codec list.

    Args:
        pipeline: the path of a JSON file, or the parsed document; a graph, a codec list with or
            without an object around it, or one codec.
        what: what it should be, for messages.

    Raises:
        PipelineError: when it cannot be read or is malformed, with every problem.
    """
    given: object = pipeline
    if isinstance(pipeline, (str, Path)):
        try:
            text = read_file(Path(pipeline), size_max=_FILE_MAX_BYTES)
        except OSError as failure:
            raise PipelineError(f"cannot read {what} {pipeline}: {failure.strerror}") from failure
        document = parse_json(text, what=str(pipeline), error=PipelineError)
        try:
            return _parse(document, Path(pipeline).parent)
        except PipelineError as failure:
            raise failure.within(str(pipeline)) from failure
    # A document that is made in Python may hold NumPy's numbers, dtypes and shapes.
    return _parse(plain_value(given), None)


def _parse(document: object, folder: Path | None) -> Parsed:
    if isinstance(document, list):
        document = {"codecs": document}
    elif is_codec_entry(document):
        document = {"codecs": [document]}  # one codec
    if is_codec_list(document):
        return read_codec_list(cast("Mapping[str, object]", document), folder=folder)
    return Pipeline.from_json(document)


def prepare(
    pipeline: str | Path | Mapping[str, object],
    direction: Direction | None = None,
    *,
    resolver: Resolver | None = None,
    lock: Lock | str | Path | None = None,
    limits: Limits | None = None,
    runtime: Runtime | None = None,
) -> PreparedPipeline:
    """Parse, resolve, check, plan and open a pipeline.

    Args:
        pipeline: the path of a JSON file, or the parsed document.
        direction: `encode` or `decode`; the one it is written in when left out.
        resolver: how codecs are picked; the defaults when left out.
        lock: what every codec must be, or the file that says it; nothing else is run.
        limits: what one call of a codec may take.
        runtime: holds the configuration and the open codecs; the process's own when left out.

    Raises:
        PipelineError: the pipeline is wrong, with every problem together.
        ResolveError: no implementation of a codec was found.
        LockError: the lock cannot be read, or something else than it says is there.
        ChonkleError: a codec cannot be fetched, read or compiled.
    """
    if direction not in ("encode", "decode", None):
        raise PipelineError(
            "bad direction", expected="`encode` or `decode`", got=format_value(direction)
        )
    runtime = runtime or default_runtime()
    resolver = resolver or Resolver()
    if lock is not None:
        resolver = _with_lock(resolver, lock if isinstance(lock, Lock) else Lock.read(Path(lock)))
    parsed = load(pipeline)
    return prepare_parsed(
        parsed, direction or parsed.direction, resolver, Limits.of(limits), runtime
    )


def prepare_parsed(
    parsed: Parsed, direction: Direction, resolver: Resolver, limits: Limits, runtime: Runtime
) -> PreparedPipeline:
    """Resolve, check, plan and open what was parsed; see `prepare`.

    Args:
        parsed: the pipeline or codec list.
        direction: the direction to run it in.
        resolver: how codecs are picked; the runtime decides what it leaves open.
        limits: what one call of a codec may take.
        runtime: holds the open codecs.
    """
    definer = _Definer(runtime.complete(resolver))
    defined = definer.define(parsed)
    recipe = _Recipe(parsed, direction, resolver, limits, definer.locked())
    return PreparedPipeline(defined, recipe, runtime)


def resolve_codecs(
    codec_list: CodecList, resolver: Resolver | None = None, runtime: Runtime | None = None
) -> list[ListedCodec]:
    """Resolve the codecs of a list and check their configurations, opening nothing.

    Args:
        codec_list: the list.
        resolver: how codecs are picked; the defaults when left out.
        runtime: holds the configuration; the process's own when left out.

    Raises:
        PipelineError: with every problem together.
        ResolveError: no implementation of a codec was found.
    """
    resolver = (runtime or default_runtime()).complete(resolver)
    return _Definer(resolver).listed(codec_list)


def list_pipeline(
    codec_list: CodecList, resolver: Resolver | None = None, runtime: Runtime | None = None
) -> Pipeline:
    """Make the pipeline of a codec list.

    Args:
        codec_list: the list.
        resolver: how codecs are picked; the defaults when left out.
        runtime: holds the configuration; the process's own when left out.

    Raises:
        PipelineError: with every problem together.
        ResolveError: no implementation of a codec was found.
    """
    codecs = resolve_codecs(codec_list, resolver, runtime)
    return codec_list_pipeline(codecs, codec_list.array)


def picked_for(
    codec_list: CodecList, resolver: Resolver | None = None, runtime: Runtime | None = None
) -> list[Resolution]:
    """Give what runs the codecs of a list, and the steps of pipelines among them.

    Args:
        codec_list: the list.
        resolver: how codecs are picked; the defaults when left out.
        runtime: holds the configuration; the process's own when left out.

    Raises:
        PipelineError: with every problem together.
        ResolveError: no implementation of a codec was found.
    """
    definer = _Definer((runtime or default_runtime()).complete(resolver))
    definer.listed(codec_list)
    return [each for each in definer.picked.values() if isinstance(each, Resolution)]


def define(
    pipeline: Parsed, resolver: Resolver | None = None, runtime: Runtime | None = None
) -> tuple[ResolvedPipeline, dict[str, Resolution]]:
    """Resolve each step, by its path, and check the wiring of a pipeline, opening nothing.

    Args:
        pipeline: a parsed pipeline.
        resolver: how codecs are picked; the defaults when left out.
        runtime: holds the configuration; the process's own when left out.

    Raises:
        PipelineError: with every problem together.
        ResolveError: no implementation of a codec was found.
    """
    resolver = (runtime or default_runtime()).complete(resolver)
    defined = _Definer(resolver).define(pipeline)
    return defined.resolved, dict(defined.resolutions())


def make_lock(
    pipeline: Parsed,
    *,
    known: Lock | None = None,
    resolver: Resolver | None = None,
    runtime: Runtime | None = None,
) -> Lock:
    """Write down what a pipeline, and the pipelines among its steps, would run now.

    What is fetched for that is kept in the codec store, so that the lock works without a network.

    Args:
        pipeline: a parsed pipeline.
        known: an older lock, whose entries stay. What it says must be there, or be fetched.
        resolver: how other codecs are picked; the defaults when left out.
        runtime: holds the configuration; the process's own when left out.

    Raises:
        PipelineError: with every problem together.
        ResolveError: no implementation of a codec was found.
        LockError: the older lock names what was not found, or a step does not allow what was
            picked for it.
    """
    resolver = (runtime or default_runtime()).complete(resolver)
    known = known or Lock()
    definer = _Definer(replace(resolver, lock=known, is_locking=True))
    definer.define(pipeline)
    entries = tuple(
        _signed(
            known.get(key) or lock_entry(key, found, source=_origin(resolver, key, found)), found
        )
        for key, found in definer.picked.items()
    )
    for each in entries:
        # Otherwise the lock could be written and not be read again.
        each.require_allowed()
    return Lock(entries)


def _origin(resolver: Resolver, key: LockKey, found: Resolution | PipelineResolution) -> str:
    """Give the pinned source of what was picked: as its pipeline pins it, if it does."""
    # The pin may be that of an index, which leads to a manifest with another digest.
    is_requested = bool(found.source and key.requested) and not resolver.chooses(key.codec_id)
    if is_requested and Source.parse(key.requested).is_pinned:
        return key.requested
    return resolver.origin(found)


def _signed(locked: Locked, found: Resolution | PipelineResolution) -> Locked:
    """Note what a codec is signed with, where a policy asked for that."""
    if found.allowed is None or not found.allowed.key:
        return locked
    return replace(locked, signed_by=found.allowed.key)


def _with_lock(resolver: Resolver, lock: Lock) -> Resolver:
    for name in ("overrides", "force_sources", "paths"):
        if getattr(resolver, name):
            raise LockError(
                f"a lock and `{name}` of the resolver",
                hint="the lock alone says what is run; `chonkle lock` takes these",
            )
    return replace(resolver, lock=lock)


@dataclass(frozen=True, slots=True)
class _Defined:
    """A pipeline that was resolved and checked."""

    resolved: ResolvedPipeline  # the pipeline with what each of its steps is
    found: Mapping[str, "Resolution | _Defined"]  # what was picked for each of its steps

    def resolutions(self, path: str = "") -> Iterator[tuple[str, Resolution]]:
        """Give what was picked for each codec call, by the path of its step.

        Args:
            path: the names of the steps that the pipeline stands in, each with a `/` behind it.
        """
        for name in self.resolved.pipeline.steps:
            found = self.found[name]
            if isinstance(found, Resolution):
                yield f"{path}{name}", found
            else:
                yield from found.resolutions(f"{path}{name}/")


class _Definer:
    """Resolves the codecs of a pipeline and of the pipelines among its steps, each of them once.

    Attributes:
        picked: what was picked for each question that a step asked.
    """

    def __init__(self, resolver: Resolver) -> None:
        self._resolver = resolver
        # By all that decides: the codec, where it may run, and the source that a pipeline names.
        # A failure stands for its codec like anything else that was found.
        self._known: dict[tuple[object, ...], Resolution | _Defined | ChonkleError] = {}
        self.picked: dict[LockKey, Resolution | PipelineResolution] = {}

    def listed(self, codec_list: CodecList) -> list[ListedCodec]:
        """Resolve the codecs of a list, and check their configurations.

        Raises:
            ChonkleError: when one cannot be had; a PipelineError for wrong configurations.
        """
        codecs: list[ListedCodec] = []
        failures: dict[int, ChonkleError] = {}
        for index, entry in enumerate(codec_list.entries):
            try:
                codecs.append(self._listed(entry))
            except ChonkleError as failure:
                failures[index] = failure
        if failures:
            raise list_failure([each.name for each in codec_list.entries], failures)
        return codecs

    def _listed(self, entry: CodecEntry) -> ListedCodec:
        codec_id = self._codec_id(entry)
        step = Step(codec_id, {}, entry.backends, source=entry.uri)
        found = self._found(step, self._resolver, None, ())
        if isinstance(found, ChonkleError):
            raise found
        signature = found.signature if isinstance(found, Resolution) else found.resolved.signature
        if entry.uri:
            codec_id = signature.codec_id
        key = self._key(step, self._resolver)
        listed = listed_codec(entry, codec_id, signature, _written(self._lock_entry(key)))
        if entry.uri and isinstance(found, Resolution):
            listed = replace(listed, pinned=found.source)
        return listed

    def _codec_id(self, entry: CodecEntry) -> str:
        resolver = self._resolver
        # What is installed must not decide what the codec at a source is called.
        if entry.uri and entry.backends != ("native",) and is_codec_name(entry.name):
            return entry.name
        try:
            return resolver.resolve_name(entry.name, entry.scope or None)
        except ResolveError:
            given = (resolver.paths, resolver.force_sources, resolver.pipeline_sources)
            is_given = entry.uri or resolver.lock or any(entry.name in each for each in given)
            # A source or a file may have what is neither installed nor shipped.
            if is_given and is_codec_name(entry.name):
                return entry.name
            raise

    def locked(self) -> tuple[Locked, ...]:
        """Give what was picked as in a lock, without sources and keys that signed it."""
        return tuple(map(self._lock_entry, self.picked))

    def _lock_entry(self, key: LockKey) -> Locked:
        return replace(lock_entry(key, self.picked[key], source=""), signed_by="")

    def define(
        self,
        pipeline: Parsed,
        around: tuple[Pipeline, ...] = (),
        backends: tuple[str, ...] = (),
        *,
        is_of_data: bool = False,
    ) -> _Defined:
        """Resolve the steps of a pipeline, and of the pipelines among them.

        Args:
            pipeline: the pipeline, or a codec list.
            around: the pipelines that it stands in.
            backends: the only backends that may run its steps; any if empty.
            is_of_data: whether an entry of a codec list led to it; then its sources are like the
                `uri` of that entry.

        Raises:
            ChonkleError: when one step cannot be had; a PipelineError for more problems than one.
        """
        if isinstance(pipeline, CodecList):
            pipeline = codec_list_pipeline(self.listed(pipeline), pipeline.array)
        resolver, sources = self._resolver, pipeline.sources
        if not is_of_data:
            resolver = resolver.with_sources(sources)
        found: dict[str, Resolution | _Defined] = {}
        failures: dict[str, ChonkleError] = {}
        for name, written in pipeline.steps.items():
            step = replace(written, backends=written.backends or backends)
            source = sources.get(step.codec_id)
            if is_of_data:
                known_as = resolver.inventory.codec_id(step.codec_id)
                step = replace(step, source=source or sources.get(known_as, ""))
            known = self._found(step, resolver, source, (*around, pipeline))
            if isinstance(known, ChonkleError):
                failures[f"step `{name}`" if step.title is None else step.title] = known
                if len(failures) == _FAILURES_MAX:
                    break
            else:
                found[name] = known
        if len(failures) == 1:
            ((subject, failure),) = failures.items()
            raise failure.within(subject) from failure
        if failures:
            problems = list(_problems(failures))
            if len(failures) == _FAILURES_MAX:
                problems.append("the steps after these were not looked at")
            raise PipelineError.from_problems(pipeline.subject, problems)
        steps = {
            name: each.signature if isinstance(each, Resolution) else each.resolved
            for name, each in found.items()
        }
        return _Defined(resolve_pipeline(pipeline, steps), found)

    def _found(
        self, step: Step, resolver: Resolver, source: str | None, around: tuple[Pipeline, ...]
    ) -> Resolution | _Defined | ChonkleError:
        key = (step.codec_id, step.backends, step.source, source)
        known = self._known.get(key)
        if known is None:
            known = self._known[key] = self._find(step, resolver, around)
        return known

    def _find(
        self, step: Step, resolver: Resolver, around: tuple[Pipeline, ...]
    ) -> Resolution | _Defined | ChonkleError:
        try:
            found = resolver.resolve(step.codec_id, backends=step.backends, source=step.source)
            self.picked[self._key(step, resolver)] = found
            if isinstance(found, Resolution):
                return found
            if found.pipeline in around:
                chain = " -> ".join(f"`{each.codec_id}`" for each in (*around, found.pipeline))
                return PipelineError(f"a pipeline contains itself: {chain}")
            if len(around) > LEVELS_MAX:
                return PipelineError(f"more than {LEVELS_MAX} levels of pipelines within pipelines")
            is_of_data = bool(step.source) and not resolver.chooses(step.codec_id)
            return self.define(found.pipeline, around, step.backends, is_of_data=is_of_data)
        except ChonkleError as failure:
            return failure

    def _key(self, step: Step, resolver: Resolver) -> LockKey:
        return resolver.key(step.codec_id, backends=step.backends, source=step.source)


def _problems(failures: Mapping[str, ChonkleError]) -> Iterator[str]:
    """Give what is wrong with steps; the problems of a pipeline that several use are said once."""
    told: dict[int, str] = {}
    for subject, failure in failures.items():
        problems = failure.problems if isinstance(failure, PipelineError) else ()
        if not problems:
            yield f"{subject}: {failure}"
        elif id(failure) in told:
            yield f"{subject}: the problems of {told[id(failure)]}"
        else:
            told[id(failure)] = subject
            yield from (f"{subject}: {problem}" for problem in problems)
