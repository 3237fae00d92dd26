"""`chonkle pull`: install a codec from a registry, an image layout or a file."""

from dataclasses import replace
from pathlib import Path

import click

from chonkle.cli.access import AccessTo, with_access
from chonkle.cli.options import codec_store_option, policy_option, preference_option
from chonkle.cli.output import print_json, print_lines
from chonkle.cli.progress import progress
from chonkle.cli.signals import interruptible
from chonkle.cli.usage import WrongUsage
from chonkle.fetch import Source
from chonkle.installing import Installed, install
from chonkle.resolver import Resolver
from chonkle.settings import Settings
from chonkle.storage.store import CodecStore


@click.command
@click.argument("source", metavar="SOURCE")
@codec_store_option
@preference_option
@policy_option
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@with_access
def pull(
    source: str,
    *,
    codec_store: Path | None,
    preference: list[str],
    policy: Path | None,
    as_json: bool,
    access_to: AccessTo,
) -> None:
    """Fetch a codec from SOURCE and install it in the codec store.

    SOURCE is `oci://`, `oci-layout://`, `file://`, or `https://` with a pin. Everything is checked
    against its digest and size. From an index, the preferred backend is taken. What is kept from
    before is not fetched again, unless CHONKLE_FORCE_DOWNLOAD is set.

    \b
    Exit codes:
      1  the codec cannot be fetched, differs from its digest, or is refused

    \b
    Environment:
      PICKING CHONKLE_FORCE_DOWNLOAD REGISTRY

    \b
    Examples:
      chonkle pull oci://registry.example/codecs/zlib-rs:1.0.0
      chonkle pull oci://registry.example/codecs/zlib-rs:1.0.0 \\
          --preference component
      chonkle pull oci-layout://codecs.tar:1.0.0 --json

    \b
    See also:
      `chonkle publish`, `chonkle lock`, `chonkle codecs`, and
      docs/reference/resolution.md.
    """
    settings = Settings.from_environment()
    parsed = Source.parse(source)
    kinds = Resolver(preference=preference).kinds()
    if not kinds:
        raise WrongUsage("--preference has no backend of WebAssembly", hint="`core` or `component`")
    with interruptible(), progress(f"fetching {source}"):
        found = install(
            parsed,
            CodecStore(codec_store or settings.codec_store),
            access=access_to(parsed.reference),
            kinds=kinds,
            fetch_anew=settings.force_download,
            policy=replace(settings, policy=policy or settings.policy).read_policy(),
        )
    if as_json:
        print_json(_document(found))
        return
    codec = found.codec
    verb = "already installed" if found.was_there else "installed"
    print_lines(
        f"{verb} {codec.signature.codec_id}: {codec.signature.label} ({codec.kind})",
        f"  digest    {codec.digest}",
        *([f"  manifest  {found.manifest}"] if found.manifest else []),
        f"  source    {found.source}",
        *([f"  policy    {found.allowed.reason}"] if found.allowed else []),
    )


def _document(found: Installed) -> dict[str, object]:
    codec = found.codec
    return {
        "codec_id": codec.signature.codec_id,
        "implementation": codec.signature.implementation,
        "version": codec.signature.version,
        "backend": codec.kind,
        "digest": str(codec.digest),
        "manifest": found.manifest or None,
        "source": found.source,
        "path": codec.origin,
        "was_there": found.was_there,
        "policy": found.allowed.reason if found.allowed else None,
        "signed_by": found.allowed.key or None if found.allowed else None,
    }
