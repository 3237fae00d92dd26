"""`chonkle publish`: codecs into a registry."""

import os
from datetime import UTC, datetime
from pathlib import Path

import click

from chonkle.cli.access import AccessTo, with_access
from chonkle.cli.output import print_json, print_lines
from chonkle.cli.progress import progress
from chonkle.cli.style import styled_outcome
from chonkle.errors import BuildError
from chonkle.oci.places import opened
from chonkle_toolchain.build import build
from chonkle_toolchain.cli import options
from chonkle_toolchain.cli.build import folders_of
from chonkle_toolchain.publish import (
    Candidate,
    Plan,
    Target,
    blob_progress,
    file_candidate,
    folder_candidates,
    plan,
)
from chonkle_toolchain.tools import Tools
from chonkle_toolchain.vectors import read_vector_files
from chonkle_toolchain.verify import Report, find_store, verify_file, verify_folder

_STATE_WIDTH = len("unchanged")
# Of a time: the end of the year 9999.
_EPOCH_MAX = 253402300799


@click.command(short_help="Publish codecs to a registry.")
@click.argument("place", type=click.Path(exists=True, path_type=Path), metavar="FILE|DIR")
@click.argument("target", metavar="TARGET")
@options.place_options
@click.option("--no-verify", is_flag=True, help="Publish without these checks.")
@click.option("--force", is_flag=True, help="Replace another file of the same version.")
@click.option("--dry-run", is_flag=True, help="Say what would be published, and send nothing.")
@with_access
@options.as_json
def publish(
    *,
    place: Path,
    target: str,
    vectors: Path | None,
    codec_src: Path | None,
    allowed_imports: tuple[str, ...],
    access_to: AccessTo,
    no_verify: bool,
    force: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Publish FILE, or every codec that the codecs.lock of DIR lists, to TARGET.

    TARGET is a repository of a registry, oci://HOST/REPOSITORY[:TAG], or an image layout on disk,
    oci-layout://PATH[:TAG]. A component gets its version as a tag, a core module VERSION-core; the
    codecs of a DIR go to TARGET/IMPLEMENTATION. Golden vectors and provenance go with them.

    Only what `chonkle verify` passes and, where DIR has the sources, `chonkle build --check` is
    published, and no version twice with different bytes. What is there already is not sent again.

    \b
    Exit codes:
      1  a check fails, another file of the version is there, or the registry refuses

    \b
    Environment:
      CHONKLE_OFFLINE REGISTRY SOURCE_DATE_EPOCH

    \b
    Examples:
      chonkle publish stride-c oci://registry.example/codecs
      chonkle publish codec.wasm oci://registry.example/codecs/mine:1.0.0 \\
          --vectors vectors
      chonkle publish codec oci://registry.example/codecs \\
          --codec-src codec-src --dry-run

    \b
    See also:
      `chonkle verify`, `chonkle sign`, `chonkle pull`, and
      docs/guides/publish-a-codec.md.
    """
    options.check_place(place, vectors, codec_src)
    where = Target.parse(target)
    created = _source_date()
    if place.is_file():
        candidates = [file_candidate(place, where, vectors=vectors, created=created)]
    else:
        candidates = folder_candidates(place, where, codec_src=codec_src, created=created)
    if not no_verify:
        with progress(f"verifying {place}"):
            _require_verified(place, vectors, codec_src, allowed_imports)
    references = [each.reference for each in candidates]
    with opened(references, access=access_to(where.reference)) as repositories:
        plans = plan(candidates, repositories, force=force)
        if not dry_run:
            _carry_out(plans, candidates)
    if as_json:
        print_json([{**each.to_json(), "dry_run": dry_run} for each in plans])
    else:
        for each in plans:
            state = f"{each.state:<{_STATE_WIDTH}}"
            print_lines(f"{'dry run: ' if dry_run else ''}{state}  {each.reference.uri}")


def _carry_out(plans: list[Plan], candidates: list[Candidate]) -> None:
    total = sum(each.size_bytes for each in candidates)
    with progress("publishing", total=total, is_size=True) as shown:
        for each in plans:
            sent = 0

            def advance(count: int) -> None:
                nonlocal sent
                sent += count
                shown.advance(count)

            each.carry_out(progress=blob_progress(advance))
            # Manifests, and blobs that were there already.
            shown.advance(each.candidate.size_bytes - sent)


def _require_verified(
    place: Path,
    vectors: Path | None,
    codec_src: Path | None,
    allowed_imports: tuple[str, ...],
) -> None:
    def show(report: Report) -> None:
        if not report.passed:
            print_lines(*map(styled_outcome, report.lines()), err=True)

    if place.is_file():
        cases = read_vector_files(vectors) if vectors is not None else []
        reports = [verify_file(place, vectors=cases, allowed_imports=allowed_imports)]
        show(reports[0])
    else:
        _require_current(place)
        reports = verify_folder(
            place, codec_src=codec_src, allowed_imports=allowed_imports, report=show
        )
    failed = sum(not report.passed for report in reports)
    if failed:
        raise BuildError(
            f"not published: {failed} of {len(reports)} reports of `chonkle verify` have failures",
            hint="`--no-verify` publishes without these checks",
        )


def _require_current(place: Path) -> None:
    """Require that the codecs are built from the sources in the folder; a store has none."""
    if find_store(place)[0] == place:
        return
    for outcome in build(folders_of(place), tools=Tools(), check=True):
        if outcome.state == "stale":
            raise BuildError(
                f"not published: {outcome.name} is stale: {', '.join(outcome.reasons)}",
                hint=f"`chonkle build {place}` builds it; `--no-verify` publishes what is built",
            )


def _source_date() -> datetime | None:
    """Read SOURCE_DATE_EPOCH (reproducible-builds.org, "SOURCE_DATE_EPOCH")."""
    text = os.environ.get("SOURCE_DATE_EPOCH", "")
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and int(text[:12]) <= _EPOCH_MAX):
        raise BuildError("bad SOURCE_DATE_EPOCH", expected="seconds since 1970", got=text[:40])
    return datetime.fromtimestamp(int(text[:12]), UTC)
