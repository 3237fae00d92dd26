"""`chonkle run`: run a pipeline on files."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from chonkle.cli.options import (
    assignments,
    check_used,
    compile_options,
    limit_options,
    limits_of,
    resolver_of,
    resolver_options,
    runtime_of,
    to_mapping,
)
from chonkle.cli.output import Line, print_json, print_lines, table
from chonkle.cli.progress import progress
from chonkle.cli.signals import interruptible
from chonkle.cli.streams import (
    STANDARD,
    is_standard_output,
    read_input,
    write_output,
    written_twice,
)
from chonkle.cli.usage import WrongUsage
from chonkle.digest import Digest
from chonkle.errors import PipelineError, list_choices
from chonkle.lock import lock_path
from chonkle.pipeline import PreparedPipeline, prepare


@click.command
@click.argument("pipeline", type=click.Path(path_type=Path))
@assignments("--input", "inputs", form="NAME=FILE", text="File of an input; `-` is standard input.")
@assignments("--value", "scalars", form="NAME=JSON", text="Value of an input that is not bytes.")
@assignments(
    "--output", "outputs", form="NAME=FILE", text="File of an output; `-` is standard output."
)
@click.option(
    "--direction",
    type=click.Choice(["encode", "decode"]),
    help="Run it in this direction, instead of the one it is written in.",
)
@resolver_options
@click.option(
    "--locked",
    is_flag=True,
    help="Run exactly what PIPELINE.lock says, which `chonkle lock` writes.",
)
@limit_options
@compile_options
@click.option(
    "--explain",
    is_flag=True,
    help="Explain why each codec was picked, and what the cache did. Without outputs, nothing is "
    "run.",
)
@click.option("--json", "as_json", is_flag=True, help="Print what is printed as JSON.")
def run(pipeline: Path, **options: Any) -> None:  # noqa: ANN401 - click's options
    """Run PIPELINE on files.

    An output file appears whole or not at all, and its folders are made; outputs without an option
    are not written. Without any --output, each output's name, size and digest are printed.

    \b
    Exit codes:
      1  the pipeline is wrong, a codec is missing, fails or exceeds a limit, or a file fails

    \b
    Environment:
      CHONKLE_CODEC_STORE CHONKLE_POLICY CACHE COMPILING CHONKLE_FORCE_DOWNLOAD
      CHONKLE_OFFLINE REGISTRY CHONKLE_CALLS CHONKLE_COMPONENT

    \b
    Examples:
      chonkle run tile.json --input bytes=tile.bin --output bytes=pixels.raw
      chonkle run tile.json --input bytes=tile.bin
      chonkle run tile.json --direction encode \\
          --input bytes=pixels.raw --output bytes=tile.bin
      chonkle run tile.json --input bytes=- --output bytes=- < tile.bin | sha256sum
      chonkle run tile.json --preference core --explain
      chonkle run tile.json --locked \\
          --input bytes=tile.bin --output bytes=pixels.raw
      chonkle run untrusted.json --input bytes=in.bin --output bytes=out.bin \\
          --codec-path mystery=mystery.wasm --timeout 2 --memory-limit 64MiB

    \b
    See also:
      `chonkle validate`, `chonkle lock`, `chonkle codecs`, and
      docs/reference/pipeline.md.
    """
    files = _files(options)
    limits = limits_of(options)
    started = time.perf_counter()
    resolver = resolver_of(options)
    with runtime_of(options) as runtime:
        # Compiling may take seconds.
        with interruptible(), progress(f"preparing the codecs of {pipeline}"):
            prepared = prepare(
                pipeline,
                direction=options["direction"],
                resolver=resolver,
                lock=lock_path(pipeline) if options["locked"] else None,
                limits=limits,
                runtime=runtime,
            )
        prepared_s = time.perf_counter() - started
        check_used(resolver, prepared.resolved.codec_ids())
        ran_s = None
        if files.outputs or not options["explain"]:
            results, ran_s = _run_on(files, prepared)
            if not files.outputs:
                _print_outputs(results, as_json=options["as_json"])
        if options["explain"]:
            _explain(prepared, prepared_s, ran_s, as_json=options["as_json"])


@dataclass(frozen=True, slots=True)
class _Files:
    """The inputs and outputs on the command line."""

    inputs: Mapping[str, str]
    scalars: Mapping[str, str]  # the JSON text of each input that is a value
    outputs: Mapping[str, str]


def _files(options: Mapping[str, Any]) -> _Files:
    files = _Files(
        inputs=to_mapping(options["inputs"], "--input"),
        scalars=to_mapping(options["scalars"], "--value"),
        outputs=to_mapping(options["outputs"], "--output"),
    )
    for name in files.inputs.keys() & files.scalars.keys():
        raise WrongUsage(f"input {name} is given both as --input and as --value")
    for option, named in (("--input", files.inputs), ("--output", files.outputs)):
        if list(named.values()).count(STANDARD) > 1:
            raise WrongUsage(f"only one {option} can be `-`")
    twice = written_twice(files.outputs)
    if twice is not None:
        first, second = (f"{name}={files.outputs[name]}" for name in twice)
        raise WrongUsage(f"--output {first} and {second} are the same file")
    if options["as_json"] and any(map(is_standard_output, files.outputs.values())):
        raise WrongUsage("--json and an output both want standard output")
    return files


def _run_on(files: _Files, prepared: PreparedPipeline) -> tuple[dict[str, bytes], float]:
    """Run the pipeline on files, and return its outputs and the seconds of the run itself."""
    _check_outputs(prepared, files.outputs)
    for name in files.scalars:
        if name in prepared.plan.inputs and prepared.plan.inputs[name][1].type == "bytes":
            raise PipelineError(
                f"input `{name}` is of type `bytes`", hint=f"give its file, --input {name}=FILE"
            )
    size_max = prepared.limits.memory_bytes
    values: dict[str, object] = {
        name: read_input(name, file, size_max=size_max) for name, file in files.inputs.items()
    }
    values.update({name: text.encode() for name, text in files.scalars.items()})
    started = time.perf_counter()
    with interruptible(), progress(f"running {prepared.plan.codec_id}"):
        results = prepared.run(values)
    seconds = time.perf_counter() - started
    missing = [name for name in files.outputs if name not in results]
    if missing:
        raise PipelineError(f"the run gave no output `{missing[0]}`")
    for name, file in files.outputs.items():
        write_output(name, file, results[name])
    return results, seconds


def _print_outputs(outputs: Mapping[str, bytes], *, as_json: bool) -> None:
    """Print what would be written."""
    found = [(name, len(data), str(Digest.sha256(data))) for name, data in outputs.items()]
    if as_json:
        fields = ("output", "size_bytes", "digest")
        print_json([dict(zip(fields, each, strict=True)) for each in found])
        return
    rows = [(name, f"{size} bytes", digest) for name, size, digest in found]
    print_lines(*table(rows, header=("output", "size", "digest")))


def _check_outputs(prepared: PreparedPipeline, files: Mapping[str, str]) -> None:
    """Refuse outputs that do not exist or cannot be written, before anything is run."""
    known = prepared.plan.outputs
    problems = [
        f"unknown output `{name}`, {list_choices(known)}" for name in files if name not in known
    ]
    problems.extend(
        f"output `{name}`: {place} is not a directory"
        for name, file in files.items()
        if file != STANDARD and not (place := _existing_parent(file)).is_dir()
    )
    if problems:
        raise PipelineError.from_problems(prepared.plan.subject, problems)


def _existing_parent(file: str) -> Path:
    """Give what is there already on the way to a file."""
    return next((each for each in Path(file).parents if each.exists()), Path())


def _explain(
    prepared: PreparedPipeline, prepared_s: float, ran_s: float | None, *, as_json: bool
) -> None:
    counts = prepared.runtime.counts
    steps = [
        {
            "step": step.path,
            "codec_id": found.signature.codec_id,
            "implementation": found.signature.label,
            "backend": found.backend,
            "reason": found.reason,
            "passed_over": list(found.passed_over),
            "left_out": list(found.left_out),
        }
        for step in prepared.plan.steps
        for found in (prepared.resolutions[step.path],)
    ]
    if as_json:
        print_json(
            {
                "pipeline": prepared.plan.codec_id,
                "direction": prepared.plan.direction,
                "steps": steps,
                "cache": {
                    "loaded": counts.loaded,
                    "compiled": counts.compiled,
                    "rejected": counts.rejected,
                },
                "prepare_s": prepared_s,
                "run_s": ran_s,
            }
        )
        return
    rows = [
        (
            f"  {step['step']}",
            str(step["codec_id"]),
            f"{step['implementation']} ({step['backend']})",
            str(step["reason"]),
        )
        for step in steps
    ]
    lines: list[Line] = [f"{prepared.plan.direction} with {prepared.plan.codec_id}:"]
    lines.extend(table(rows, header=("  step", "codec", "implementation", "why")))
    for step in prepared.plan.steps:
        found = prepared.resolutions[step.path]
        if found.passed_over:
            lines.append(f"  {step.path} could also be: {', '.join(found.passed_over)}")
        if found.left_out:
            lines.append(f"  {step.path} is not allowed to be: {', '.join(found.left_out)}")
    lines.append(
        f"  native code: {counts.loaded} loaded from the cache, {counts.compiled} compiled, "
        f"{counts.rejected} cached and rejected"
    )
    lines.append(
        f"  prepared in {prepared_s * 1e3:.1f} ms"
        + ("" if ran_s is None else f", run in {ran_s * 1e3:.1f} ms")
    )
    print_lines(*lines, err=True)
