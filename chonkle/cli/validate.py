"""`chonkle validate`: check a pipeline without compiling anything."""

from pathlib import Path
from typing import Any

import click

from chonkle.cli.options import check_used, resolver_of, resolver_options, runtime_of
from chonkle.cli.output import print_json, print_lines
from chonkle.cli.signature_text import port_table
from chonkle.cli.style import Styled
from chonkle.dag.plan import make_plan
from chonkle.errors import PipelineError
from chonkle.formats.signature import opposite
from chonkle.pipeline import define, load

_PROBLEMS_MAX = 12


@click.command
@click.argument("pipeline", type=click.Path(path_type=Path))
@resolver_options
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def validate(pipeline: Path, *, as_json: bool, **options: Any) -> None:  # noqa: ANN401 - click's
    """Check the structure, wiring and types of PIPELINE in both directions; nothing is compiled.

    Fails if it cannot run in the direction it is written in, and reports whether it can be
    inverted.

    \b
    Exit codes:
      1  the pipeline cannot run in the direction it is written in

    \b
    Environment:
      PICKING REGISTRY

    \b
    Examples:
      chonkle validate tile.json
      chonkle validate tile.json --preference core --json

    \b
    See also:
      `chonkle run --explain`, and docs/reference/pipeline.md.
    """
    parsed = load(pipeline)
    resolver, runtime = resolver_of(options), runtime_of(options)
    resolved, resolutions = define(parsed, resolver, runtime)
    check_used(resolver, resolved.codec_ids())
    plan = make_plan(resolved, parsed.direction)
    inverse = opposite(parsed.direction)
    why_not: tuple[str, ...] = ()
    try:
        make_plan(resolved, inverse)
    except PipelineError as failure:
        why_not = failure.problems
    signature = resolved.signature
    if as_json:
        print_json(
            {
                "pipeline": parsed.codec_id,
                "directions": {parsed.direction: True, inverse: not why_not},
                "problems_inverted": list(why_not),
                "signature": signature.to_json(),
                "steps": {step.path: resolutions[step.path].label for step in plan.steps},
            }
        )
        return
    count = len(plan.steps)
    print_lines(f"{parsed.codec_id}: valid, {count} step{'' if count == 1 else 's'}")
    print_lines(f"  {parsed.direction}: yes, as written")
    print_lines(f"  {inverse}: {_format_problems(why_not) if why_not else 'yes, inverted'}")
    print_lines("", Styled("ports, as decoding sees them:", "heading"))
    print_lines(*port_table(signature))


def _format_problems(problems: tuple[str, ...]) -> str:
    more = len(problems) - _PROBLEMS_MAX
    displayed = [*problems[:_PROBLEMS_MAX], *([f"{more} more"] if more > 0 else [])]
    return f"no: {'; '.join(displayed)}"
