"""`chonkle lock`: write down which bytes a pipeline runs."""

from pathlib import Path
from typing import Any

import click

from chonkle.cli.options import check_used, resolver_of, resolver_options, runtime_of
from chonkle.cli.output import print_json, print_lines
from chonkle.cli.progress import progress
from chonkle.cli.signals import interruptible
from chonkle.errors import LockError
from chonkle.lock import Lock, differences, lock_path
from chonkle.pipeline import define, load, make_lock
from chonkle.storage.files import replace_file


@click.command
@click.argument("pipeline", type=click.Path(path_type=Path))
@resolver_options
@click.option("--update", is_flag=True, help="Take what a run without the lock would take now.")
@click.option("--check", is_flag=True, help="Write nothing; fail where the lock would change.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def lock(pipeline: Path, *, update: bool, check: bool, as_json: bool, **options: Any) -> None:  # noqa: ANN401 - click's
    """Write PIPELINE.lock, the exact bytes that each codec of PIPELINE stands for.

    `chonkle run --locked` runs these and nothing else. Codecs that are in the lock stay as they
    are, except with --update, or where an option names another one; those that the pipeline does
    not use any more are dropped. What changes is printed.

    \b
    Exit codes:
      1  a codec is missing or differs from the lock, or with --check the lock would change

    \b
    Environment:
      PICKING CHONKLE_FORCE_DOWNLOAD REGISTRY

    \b
    Examples:
      chonkle lock tile.json
      chonkle lock tile.json --check
      chonkle lock tile.json --update --preference core,component

    \b
    See also:
      `chonkle run --locked`, and docs/reference/pipeline-lock.md.
    """
    parsed = load(pipeline)
    path = lock_path(pipeline)
    resolver, runtime = resolver_of(options), runtime_of(options)
    old = _read(path, update=update)
    known = None if update else old
    if known is not None:
        ids = {each.key.codec_id for each in known.codecs}
        known = known.without([each for each in ids if resolver.chooses(each)])
    with interruptible(), progress(f"resolving the codecs of {pipeline}"):
        if resolver.overrides or resolver.force_sources or resolver.paths:
            check_used(resolver, define(parsed, resolver, runtime)[0].codec_ids())
        new = make_lock(parsed, known=known, resolver=resolver, runtime=runtime)
    changes = list(differences(old or Lock(), new))
    is_current = old is not None and not changes
    if as_json:
        print_json({"lock": str(path), "is_current": is_current, "changes": changes})
    else:
        print_lines(*changes)
    if check and not is_current:
        wrong = "is not what would be written" if old else "is missing"
        raise LockError(f"the lock {path} {wrong}", hint=f"`chonkle lock {pipeline}` writes it")
    if not is_current:
        try:
            replace_file(path, new.to_text().encode())
        except OSError as failure:
            raise LockError(f"cannot write {path}: {failure.strerror}") from failure
    if not as_json:
        words = "up to date" if is_current else "written"
        count = len(new.codecs)
        print_lines(f"{path}: {words}, {count} codec{'' if count == 1 else 's'}", err=True)


def _read(path: Path, *, update: bool) -> Lock | None:
    """Read the lock; an update ignores one that is malformed."""
    if not path.exists():
        return None
    try:
        return Lock.read(path)
    except LockError as failure:
        if not update:
            raise
        print_lines(f"warning: the lock is replaced: {failure}", err=True)
        return None
