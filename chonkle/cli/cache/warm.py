"""`chonkle cache warm`: compile codecs before they are needed."""

import time
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any, Literal

import click

from chonkle.backends.base import Backend, Limits
from chonkle.cache.survey import EngineName, require_writable
from chonkle.cli.cache.parallel import work_through
from chonkle.cli.cache.selection import select_codecs
from chonkle.cli.options import (
    codec_store_option,
    compile_options,
    preference_option,
    runtime_of,
)
from chonkle.cli.output import format_time, print_json, print_lines, table
from chonkle.errors import CacheError, ChonkleError
from chonkle.resolver import Resolution, Resolver
from chonkle.runtime import Runtime

# All time limits share the same interruptible code.
_LIMITS: dict[EngineName, Limits] = {"default": Limits(), "interruptible": Limits(timeout_s=1.0)}

type Result = Literal["compiled", "present", "native", "failed"]


@click.command
@click.argument("names", nargs=-1, metavar="[PIPELINE|CODEC|DIR]...")
@codec_store_option
@preference_option
@click.option(
    "--interruptible",
    is_flag=True,
    help="Also make the code that `chonkle run --timeout` runs.",
)
@compile_options
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def warm(
    names: tuple[str, ...],
    *,
    preference: list[str],
    interruptible: bool,
    as_json: bool,
    **options: Any,  # noqa: ANN401 - click's options
) -> None:
    """Compile codecs into the cache, several at once; without arguments all wasm codecs.

    An argument is a pipeline file, a codec, an implementation with or without its version, a wasm
    file, or a directory of wasm files.

    \b
    Exit codes:
      1  a codec cannot be compiled, or nothing can be kept

    \b
    Environment:
      CACHE COMPILING CHONKLE_CODEC_STORE

    \b
    Examples:
      chonkle cache warm
      chonkle cache warm tile.json --interruptible
      chonkle cache warm zlib tiff-predictor-2-c@1.0.0 ./mystery.wasm

    \b
    See also:
      `chonkle cache export`, and docs/guides/ship-native-code.md.
    """
    runtime = runtime_of(options)
    resolver = Resolver(preference=preference)
    selection = select_codecs(names, resolver=resolver, runtime=runtime)
    require_writable(runtime.settings.cache)
    engines: list[EngineName] = ["default", "interruptible"] if interruptible else ["default"]
    jobs = [
        (found, engine)
        for found in selection.codecs
        for engine in (engines if found.wasm else engines[:1])
    ]
    warmed = [
        _Warmed(codec_id=bad.codec_id or None, problem=str(bad.failure))
        for bad in selection.bad_files
    ]
    warmed += work_through(jobs, partial(_warm, runtime), label="compiling")
    if as_json:
        print_json([asdict(each) for each in warmed])
    else:
        header = ("codec", "implementation", "backend", "engine", "result")
        print_lines(*table([_row(each) for each in warmed], header=header))
    failed = sum(each.result == "failed" for each in warmed)
    if failed:
        raise CacheError(f"{failed} of {len(warmed)} could not be compiled and kept")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Warmed:
    """The result for one codec."""

    codec_id: str | None  # None for a file that does not say
    implementation: str | None = None  # its implementation and version; None for a bad file
    backend: Backend | None = None
    engine: EngineName | None = None  # which engine the code is for
    # `compiled`, `present`, `failed`, or `native`, which needs no compiling.
    result: Result = "failed"
    seconds: float | None = None
    problem: str | None = None  # why it failed


def _warm(runtime: Runtime, job: tuple[Resolution, EngineName]) -> _Warmed:
    found, engine = job
    signature = found.signature
    codec = _Warmed(
        codec_id=signature.codec_id, implementation=signature.label, backend=found.backend
    )
    if found.wasm is None:
        return replace(codec, result="native")
    codec = replace(codec, engine=engine)
    started = time.perf_counter()
    try:
        counts = runtime.warm([found], _LIMITS[engine])
    except ChonkleError as failure:
        return replace(codec, problem=str(failure))
    if counts.kept < counts.compiled:
        return replace(codec, problem=f"compiled, and not kept in {runtime.settings.cache.root}")
    result: Result = "compiled" if counts.compiled else "present"
    return replace(codec, result=result, seconds=round(time.perf_counter() - started, 4))


def _row(warmed: _Warmed) -> tuple[str, ...]:
    words = {
        "compiled": f"compiled in {format_time(warmed.seconds or 0)}",
        "present": "already there",
        "native": "nothing to compile",
        "failed": f"failed: {warmed.problem}",
    }
    known = (warmed.codec_id, warmed.implementation, warmed.backend, warmed.engine)
    return (*(each or "-" for each in known), words[warmed.result])
