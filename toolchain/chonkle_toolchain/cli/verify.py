"""`chonkle verify`: the checks of CI, on built files."""

import sys
from pathlib import Path

import click

from chonkle.cli.access import AccessTo, with_access
from chonkle.cli.output import print_lines
from chonkle.formats.wasm_binary import SIZE_MAX_BYTES
from chonkle_toolchain.cli import options
from chonkle_toolchain.vectors import read_vector_files
from chonkle_toolchain.verify import Report, verify_file, verify_folder, verify_wasm


@click.command(short_help="Check built codecs, as CI does.")
@click.argument(
    "place", type=options.PathOrReference(), default=".", metavar="[FILE|DIR|REFERENCE]"
)
@click.option("--vectors", type=options.FOLDER, help="Golden vectors for FILE.")
@click.option(
    "--codec-src", type=options.FOLDER, help="For DIR: codecs' folders, with golden vectors."
)
@click.option(
    "--allow-import",
    "allowed_imports",
    multiple=True,
    metavar="NAME",
    help="Let codecs import this; NAME may have `*` in it. Repeatable.",
)
@with_access
@options.as_json
def verify(
    place: Path | str,
    vectors: Path | None,
    codec_src: Path | None,
    allowed_imports: tuple[str, ...],
    access_to: AccessTo,
    *,
    as_json: bool,
) -> None:
    """Check what is built: FILE, the codec in the folder DIR, or all in a codec store DIR.

    A REFERENCE is a published codec, oci://HOST/REPOSITORY[:TAG] or oci-layout://PATH[:TAG]. It is
    fetched with the golden vectors that are attached to it.

    Nothing is built, and no compiler is needed. Each file must be a codec that does what its
    signature says, whatever it is given, and does the same as its other form; and it must be the
    one that codecs.lock lists.

    \b
    Examples:
      chonkle verify
      chonkle verify codec.wasm --vectors vectors
      chonkle verify codec --codec-src codec-src --json
      chonkle verify oci://registry.example/codecs/zlib-rs:1.0.0
    """
    listed = options.JsonList()

    def show(report: Report) -> None:
        if as_json:
            listed.add(report.to_json())
        else:
            print_lines(*report.lines())

    if isinstance(place, str):
        if vectors is not None or codec_src is not None:
            raise click.UsageError("a published codec has golden vectors attached to it")
        reports = [_verify_published(place, access_to, allowed_imports)]
        show(reports[0])
    elif place.is_file():
        if codec_src is not None:
            raise click.UsageError("--codec-src is for a folder; a file has --vectors")
        cases = read_vector_files(vectors) if vectors is not None else []
        reports = [verify_file(place, vectors=cases, allowed_imports=allowed_imports)]
        show(reports[0])
    else:
        if vectors is not None:
            raise click.UsageError("--vectors is for a file; a folder has --codec-src")
        reports = verify_folder(
            place, codec_src=codec_src, allowed_imports=allowed_imports, report=show
        )
    if as_json:
        listed.end()
    if not all(report.passed for report in reports):
        sys.exit(1)


def _verify_published(uri: str, access_to: AccessTo, allowed_imports: tuple[str, ...]) -> Report:
    # What speaks to registries takes a quarter of a second to import, which files do not need.
    from chonkle.oci.model import parse_reference  # noqa: PLC0415
    from chonkle.oci.places import opened  # noqa: PLC0415
    from chonkle_toolchain.publish import read_published  # noqa: PLC0415

    reference = parse_reference(uri)
    with opened([reference], access=access_to(reference)) as (repository,):
        wasm, cases = read_published(reference, repository, size_max=SIZE_MAX_BYTES)
    return verify_wasm(wasm, file=uri, vectors=cases, allowed_imports=allowed_imports)
