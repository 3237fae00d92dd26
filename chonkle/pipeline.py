"""The doorway: from a pipeline file to something that runs.

with chonkle.prepare("pipeline.json", direction="decode") as prepared:
    outputs = chonkle.run(prepared, {"bytes": chunk})
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import cache
from itertools import count
from pathlib import Path

from chonkle import executor
from chonkle.backends.base import Codec, Limits
from chonkle.closing import Closing
from chonkle.dag.graph import Pipeline
from chonkle.dag.plan import Composite, Definition, Plan, make_composite, make_plan
from chonkle.dag.sidecar import is_sidecar, sidecar_pipeline
from chonkle.errors import ChonkleError, PipelineError
from chonkle.formats.json_text import parse_json
from chonkle.formats.signature import Direction, Signature
from chonkle.formats.values import shown
from chonkle.limits import CompileLimits
from chonkle.resolver import Resolution, Resolver
from chonkle.session import Session
from chonkle.settings import Settings

_FILE_MAX_BYTES = 16 << 20
# A few small files, each a step of the next several times over, multiply without end.
_DEPTH_MAX = 16
_NESTED_MAX = 1000


class PreparedPipeline(Closing):
    """A pipeline in one direction with its codecs opened: run it as often as you like.

    It may be shared by threads, and is closed by who prepared it.

    Attributes:
        plan: the calls that a run makes.
        composite: the pipeline with what each of its steps is; its signature is the pipeline's.
        resolutions: what was picked for each step of the plan, by its path.
        session: the session that holds the codecs.
        limits: what one call of a codec may take.
    """

    def __init__(
        self,
        plan: Plan,
        *,
        composite: Composite,
        resolutions: Mapping[str, Resolution],
        session: Session,
        owns_session: bool,
        limits: Limits,
    ) -> None:
        """Open the codecs of a plan; `prepare` makes the arguments."""
        self.plan = plan
        self.composite = composite
        self.resolutions = resolutions
        self.session = session
        self.limits = limits
        self._owns_session = owns_session
        self._codecs: list[Codec] | None = []
        for step in plan.steps:
            try:
                self._codecs.append(session.open(resolutions[step.path], limits))
            except ChonkleError as failure:
                raise failure.within(f"step `{step.path}`") from failure

    @property
    def signature(self) -> Signature:
        """The pipeline's ports, as those of any codec."""
        return self.composite.signature

    @property
    def codecs(self) -> list[Codec]:
        """An opened codec for each step of the plan.

        Raises:
            PipelineError: when the pipeline is closed.
        """
        if self._codecs is None:
            raise PipelineError(f"pipeline `{self.plan.codec_id}` is already closed")
        return self._codecs

    def run(self, inputs: Mapping[str, object]) -> dict[str, bytes]:
        """Run it once; see `chonkle.executor.run`."""
        return executor.run(self, inputs)

    def close(self) -> None:
        """Free the codecs. Idempotent."""
        self._codecs = None
        if self._owns_session:
            self.session.close()


def load(pipeline: str | Path | Mapping[str, object]) -> Pipeline:
    """Read and check a pipeline.

    Args:
        pipeline: the path of a JSON file, or the parsed document; a graph or the linear form.

    Raises:
        PipelineError: when it cannot be read or is malformed, with every problem.
    """
    document: object = pipeline
    if isinstance(pipeline, (str, Path)):
        try:
            with Path(pipeline).open("rb") as file:
                text = file.read(_FILE_MAX_BYTES + 1)
        except (OSError, ValueError) as failure:
            reason = failure.strerror if isinstance(failure, OSError) else str(failure)
            raise PipelineError(f"cannot read pipeline {pipeline}: {reason}") from failure
        if len(text) > _FILE_MAX_BYTES:
            raise PipelineError(f"pipeline {pipeline} is longer than {_FILE_MAX_BYTES} bytes")
        document = parse_json(text, what=str(pipeline), error=PipelineError)
    elif isinstance(pipeline, Mapping):
        document = dict(pipeline)
    if is_sidecar(document):
        return sidecar_pipeline(document)  # type: ignore[arg-type]  # is_sidecar looked
    return Pipeline.from_json(document)


def prepare(
    pipeline: str | Path | Mapping[str, object],
    *,
    direction: Direction | None = None,
    resolver: Resolver | None = None,
    limits: Limits | None = None,
    session: Session | None = None,
    settings: Settings | None = None,
    compile_limits: CompileLimits | None = None,
) -> PreparedPipeline:
    """Parse, resolve, check, plan and open a pipeline.

    Args:
        pipeline: the path of a JSON file, or the parsed document.
        direction: `encode` or `decode`; the one it is written in when left out.
        resolver: how codecs are picked; the defaults when left out.
        limits: what one call of a codec may take.
        session: shares compiled codecs with other pipelines; its own when left out.
        settings: directories and modes; the environment's when left out.
        compile_limits: what compiling a codec may take that is not shipped with chonkle; those of
            the settings when left out. A session that is given has its own.

    Raises:
        PipelineError: the pipeline is wrong, with every problem together.
        ResolveError: a codec is not to be had.
        ChonkleError: a codec cannot be fetched, read or compiled.
    """
    if direction not in ("encode", "decode", None):
        raise PipelineError("bad direction", expected="`encode` or `decode`", got=shown(direction))
    settings = settings or Settings.from_environment()
    resolver = _with_settings(resolver or Resolver(), settings)
    parsed = load(pipeline)
    resolutions: dict[str, Resolution] = {}
    composite = _define(parsed, resolver, resolutions, budget=count())
    plan = make_plan(composite, direction or parsed.direction)
    owned = session is None
    session = session or Session(
        cache=settings.cache,
        prepared_calls=settings.prepared_calls,
        flatten_components=settings.flatten_components,
        compile_limits=compile_limits or settings.compile_limits,
    )
    try:
        return PreparedPipeline(
            plan,
            composite=composite,
            resolutions=resolutions,
            session=session,
            owns_session=owned,
            limits=limits or Limits(),
        )
    except BaseException:
        if owned:
            session.close()
        raise


def define(
    pipeline: Pipeline, resolver: Resolver | None = None, settings: Settings | None = None
) -> tuple[Composite, dict[str, Resolution]]:
    """Resolve every step of a pipeline and check its wiring, opening nothing.

    Args:
        pipeline: a parsed pipeline.
        resolver: how codecs are picked; the defaults when left out.
        settings: directories and modes; the environment's when left out.

    Returns:
        The checked pipeline, and what was picked for each step by its path.

    Raises:
        PipelineError: with every problem together.
        ResolveError: a codec is not to be had.
    """
    resolver = _with_settings(resolver or Resolver(), settings or Settings.from_environment())
    resolutions: dict[str, Resolution] = {}
    composite = _define(pipeline, resolver, resolutions, budget=count())
    return composite, resolutions


def _with_settings(resolver: Resolver, settings: Settings) -> Resolver:
    return replace(
        resolver,
        codec_store=settings.codec_store if resolver.codec_store is None else resolver.codec_store,
        force_download=resolver.force_download or settings.force_download,
        docker_config=resolver.docker_config or settings.docker_config,
    )


def _define(
    pipeline: Pipeline,
    resolver: Resolver,
    resolutions: dict[str, Resolution],
    *,
    budget: Iterator[int],
    path: str = "",
    within: tuple[str, ...] = (),
) -> Composite:
    """Resolve the steps of a pipeline, and of the pipelines among them.

    Args:
        pipeline: the pipeline.
        resolver: how codecs are picked.
        resolutions: gets what was picked for each step that is a codec.
        budget: counts the nested pipelines, over all of them.
        path: the names of the steps that the pipeline stands in, each with a `/` behind it.
        within: the codec ids of the pipelines around it.
    """
    within = (*within, pipeline.codec_id)
    # Steps that share a codec share what was picked for it, and what was fetched.
    resolve = cache(resolver.with_sources(pipeline.sources).resolve)
    steps: dict[str, Definition] = {}
    failures: list[ChonkleError] = []
    for name, step in pipeline.steps.items():
        try:
            found = resolve(step.codec_id, backends=step.backends)
            if isinstance(found, Resolution):
                resolutions[f"{path}{name}"] = found
                steps[name] = found.signature
                continue
            if path.count("/") >= _DEPTH_MAX or next(budget) > _NESTED_MAX:
                raise PipelineError(
                    "pipelines within pipelines come to too much",
                    expected=f"at most {_DEPTH_MAX} levels and {_NESTED_MAX} nested pipelines",
                )
            if step.codec_id in within:
                chain = " -> ".join(f"`{each}`" for each in (*within, step.codec_id))
                raise PipelineError(f"a pipeline contains itself: {chain}")
            steps[name] = _define(
                found.pipeline,
                resolver,
                resolutions,
                budget=budget,
                path=f"{path}{name}/",
                within=within,
            )
        except ChonkleError as failure:
            failures.append(failure.within(f"step `{name}`"))
    if len(failures) == 1:
        raise failures[0]
    if failures:
        raise PipelineError.from_problems(pipeline.codec_id, map(str, failures))
    return make_composite(pipeline, steps)
