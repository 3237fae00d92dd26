"""`chonkle verify`: the checks of CI, on built files."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from chonkle.cli.access import AccessTo, with_access
from chonkle.cli.options import compile_limits_of, compile_options
from chonkle.cli.output import print_lines
from chonkle.cli.progress import progress
from chonkle.cli.style import styled_outcome
from chonkle.formats.wasm_binary import SIZE_MAX_BYTES
from chonkle.limits import CompileLimits
from chonkle_toolchain.cli import options
from chonkle_toolchain.vectors import read_vector_files
from chonkle_toolchain.verify import Report, verify_file, verify_folder, verify_wasm
from chonkle_toolchain.verify.attested import Demands, check_file, check_published


@click.command(short_help="Check built codecs, as CI does.")
@click.argument(
    "place", type=options.PathOrReference(), default=".", metavar="[FILE|DIR|REFERENCE]"
)
@options.place_options
@compile_options
@click.option(
    "--key",
    "keys",
    multiple=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="For FILE and REFERENCE: require a signature by this key. Repeatable: any of them.",
)
@click.option(
    "--policy",
    type=click.Path(path_type=Path),
    help="For FILE and REFERENCE: require that this policy allows it.",
)
@with_access
@options.as_json
def verify(
    *,
    place: Path | str,
    vectors: Path | None,
    codec_src: Path | None,
    allowed_imports: tuple[str, ...],
    keys: tuple[Path, ...],
    policy: Path | None,
    access_to: AccessTo,
    as_json: bool,
    **compiling: Any,  # noqa: ANN401 - click's options
) -> None:
    """Check what is built: FILE, the codec in the folder DIR, or all in a codec store DIR.

    A REFERENCE is a published codec, oci://HOST/REPOSITORY[:TAG] or oci-layout://PATH[:TAG]. It is
    fetched with the golden vectors that are attached to it. Of an index, every codec is checked.

    Nothing is built, and no compiler is needed. Each file must be a codec that does what its
    signature says, whatever it is given, and does the same as its other form; and it must be the
    one that codecs.lock lists.

    With --key or --policy it must be signed as these demand; what is attached to a REFERENCE of how
    it was built must agree with it.

    \b
    Exit codes:
      1  a check fails, or a file or published codec cannot be read

    \b
    Environment:
      COMPILING CHONKLE_OFFLINE REGISTRY

    \b
    Examples:
      chonkle verify
      chonkle verify codec.wasm --vectors vectors
      chonkle verify codec --codec-src codec-src --json
      chonkle verify oci://registry.example/codecs/zlib-rs:1.0.0 --key release.pub

    \b
    See also:
      `chonkle test`, `chonkle sign`, and docs/reference/verify.md.
    """
    options.check_place(place, vectors, codec_src)
    if (keys or policy is not None) and isinstance(place, Path) and not place.is_file():
        raise click.UsageError("--key and --policy are for a file, or what is published")
    demands = Demands.read(keys, policy)
    listed = options.JsonList()
    compile_limits = compile_limits_of(compiling)

    def show(report: Report) -> None:
        if as_json:
            listed.add(report.to_json())
        else:
            print_lines(*map(styled_outcome, report.lines()))

    with progress(f"verifying {place}"):
        if isinstance(place, str):
            reports = []
            for report in _verify_published(
                place, access_to, allowed_imports, demands, compile_limits
            ):
                reports.append(report)
                show(report)
        elif place.is_file():
            cases = read_vector_files(vectors) if vectors is not None else []
            found = verify_file(
                place,
                vectors=cases,
                allowed_imports=allowed_imports,
                compile_limits=compile_limits,
            )
            reports = [found.with_checks(check_file(place, demands))]
            show(reports[0])
        else:
            reports = verify_folder(
                place,
                codec_src=codec_src,
                allowed_imports=allowed_imports,
                compile_limits=compile_limits,
                report=show,
            )
    if as_json:
        listed.end()
    if not all(report.passed for report in reports):
        sys.exit(1)


def _verify_published(
    uri: str,
    access_to: AccessTo,
    allowed_imports: tuple[str, ...],
    demands: Demands,
    compile_limits: CompileLimits,
) -> Iterator[Report]:
    # Late: a registry client takes a quarter of a second to import.
    from chonkle.oci.model import parse_reference  # noqa: PLC0415
    from chonkle.oci.places import opened  # noqa: PLC0415
    from chonkle_toolchain.publish import read_published  # noqa: PLC0415

    reference = parse_reference(uri)
    with opened([reference], access=access_to(reference)) as (repository,):
        for codec in read_published(reference, repository, size_max=SIZE_MAX_BYTES):
            attested = check_published(
                codec.reference, repository, codec.links, codec.wasm, demands
            )
            found = verify_wasm(
                codec.wasm,
                file=uri if len(codec.links) == 1 else codec.reference.uri,
                vectors=codec.vectors,
                allowed_imports=allowed_imports,
                compile_limits=compile_limits,
            )
            yield found.with_checks(attested)
