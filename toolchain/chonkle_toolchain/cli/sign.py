"""`chonkle sign`: attest a codec with a key."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from chonkle.cli.access import AccessTo, with_access
from chonkle.cli.output import print_json, print_lines
from chonkle.dag.graph import Pipeline
from chonkle.digest import Digest
from chonkle.errors import (
    AttestationError,
    ChonkleError,
    FetchError,
    PipelineError,
    os_error_text,
)
from chonkle.evidence import find_beside, place_of
from chonkle.formats.json_text import parse_json
from chonkle.formats.wasm_binary import SIZE_MAX_BYTES
from chonkle.oci import attestation
from chonkle.oci.attestation import LAYOUTS, Layout
from chonkle.oci.model import Reference, parse_reference
from chonkle.oci.places import opened
from chonkle.storage.files import read_file, replace_file
from chonkle.storage.store import WasmCodec
from chonkle_toolchain.cli import options
from chonkle_toolchain.cli.passwords import key_password, key_password_stdin

if TYPE_CHECKING:
    from chonkle.oci.private_keys import PrivateKey


@click.command(short_help="Sign a codec.")
@click.argument("target", type=options.PathOrReference(), metavar="FILE|REFERENCE")
@click.option(
    "--key",
    required=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="The private key, of `chonkle keygen`, cosign or openssl.",
)
@click.option(
    "--layout",
    type=click.Choice(["classic", "bundle", "both"]),
    help="For REFERENCE: how cosign stores attestations.  [default: both]",
)
@click.option(
    "--identity",
    metavar="HOST/PATH",
    help="For REFERENCE: the repository that readers shall find it in, if it is another one.",
)
@key_password_stdin
@with_access
@options.as_json
def sign(
    target: Path | str,
    key: Path,
    layout: str | None,
    identity: str | None,
    access_to: AccessTo,
    *,
    key_password_stdin: bool,
    as_json: bool,
) -> None:
    """Sign what is published as REFERENCE, or FILE, with a private key.

    A tag is looked up, and its digest is what is signed. The attestation goes to the same
    repository, beside those of others; that of FILE goes into FILE.bundle.json. FILE is a codec
    with a signature section, or a pipeline. What this key signed already is not signed again.
    cosign reads all of it.

    The key's password is CHONKLE_KEY_PASSWORD or COSIGN_PASSWORD, or it is asked for. With two
    passwords on stdin, the key's comes first.

    \b
    Exit codes:
      1  the key or its password is wrong, or nothing can be written

    \b
    Environment:
      CHONKLE_KEY_PASSWORD COSIGN_PASSWORD CHONKLE_OFFLINE REGISTRY

    \b
    Examples:
      chonkle sign oci://registry.example/codecs/zlib-rs:1.0.0 --key release.key
      chonkle sign oci-layout://codecs:1.0.0 --key release.key \\
          --identity registry.example/codecs
      chonkle sign codec.wasm --key release.key

    \b
    See also:
      `chonkle keygen`, `chonkle verify --key`, and docs/reference/attestations.md.
    """
    # Late: the extra may be missing.
    from chonkle.oci.private_keys import PrivateKey  # noqa: PLC0415

    private = PrivateKey.from_file(
        key, password=lambda: key_password(from_stdin=key_password_stdin)
    )
    if isinstance(target, str):
        signed = sign_published(
            target,
            private,
            layouts=[each for each in LAYOUTS if layout in (None, "both", each)],
            identity=identity,
            access_to=access_to,
        )
    elif layout is not None or identity is not None:
        raise click.UsageError("--layout and --identity are for what is published")
    else:
        signed = sign_beside(target, private)
    if as_json:
        print_json({**asdict(signed), "key": str(private.public)})
        return
    verb = "signed" if signed.written else "signed already"
    print_lines(
        f"{verb}  {signed.subject}",
        f"  digest  {signed.digest}",
        f"  key     {private.public}",
        *(f"  wrote   {each}" for each in signed.written),
    )


@dataclass(frozen=True, slots=True)
class Signed:
    """The result of signing.

    Attributes:
        subject: the pinned artifact, or the file.
        digest: the digest that was signed.
        written: the layouts, or the file of the attestation; nothing if it was there already.
    """

    subject: str
    digest: str
    written: tuple[str, ...]


def sign_published(
    uri: str,
    key: "PrivateKey",
    *,
    layouts: Sequence[Layout],
    identity: str | None,
    access_to: AccessTo,
) -> Signed:
    """Sign an artifact in a registry or an image layout.

    Args:
        uri: the artifact.
        key: the key.
        layouts: how to store the attestation.
        identity: the repository that readers shall find it in; the artifact's own when left out.
        access_to: gives how a registry may be asked.

    Raises:
        FetchError: when there is no such artifact, or the repository refuses.
        AttestationError: when the tag of the classic layout holds something else.
    """
    reference = parse_reference(uri)
    if identity is None:
        identity = place_of(uri) if isinstance(reference, Reference) else ""
    with opened([reference], access=access_to(reference)) as (repository,):
        subject = repository.resolve(reference.digest or reference.tag)
        if subject is None:
            raise FetchError(f"{uri}: no such artifact")
        written = attestation.sign(repository, subject, key, layouts=layouts, identity=identity)
    return Signed(reference.pinned(subject.digest).uri, str(subject.digest), tuple(written))


def sign_beside(path: Path, key: "PrivateKey") -> Signed:
    """Sign the file of a codec or a pipeline; the attestation goes into a file beside it.

    Raises:
        AttestationError: when the file cannot be read, is neither of the two, or has an attestation
            of another key or file.
    """
    beside = path.with_name(path.name + attestation.BUNDLE_SUFFIX)
    try:
        data = read_file(path, size_max=SIZE_MAX_BYTES)
        _require_codec(path, data)
        digest = Digest.sha256(data)
        if beside.exists():
            _require_own(path, data, key)
            return Signed(str(path), str(digest), ())
        replace_file(beside, attestation.sign_file(data, key))
    except OSError as failure:
        raise AttestationError(f"cannot sign {path}: {os_error_text(failure)}") from failure
    return Signed(str(path), str(digest), (str(beside),))


def _require_codec(path: Path, data: bytes) -> None:
    """Require that a file is a codec or a pipeline.

    The signature is over the bytes alone: that of a file in another format could be used as a
    signature in that format.
    """
    try:
        if data.lstrip().startswith(b"{"):
            Pipeline.from_json(parse_json(data, what=str(path), error=PipelineError))
        else:
            WasmCodec.from_bytes(data, str(path))
    except ChonkleError as failure:
        raise AttestationError(
            f"cannot sign {path}: not a codec or a pipeline: {failure}",
            expected="a wasm file with a signature section, or a pipeline in JSON",
            hint="`chonkle embed-signature` adds the section",
        ) from failure


def _require_own(path: Path, data: bytes, key: "PrivateKey") -> None:
    """Require that the attestation beside a file is of this key and this file."""
    found = find_beside(path)
    reason = "; ".join(found.problems)
    for each in found.attestations:
        try:
            keys = {"this key": key.public}
            attestation.verify(each, subjects=(Digest.sha256(data),), keys=keys, file=data)
        except AttestationError as failure:
            reason = str(failure)
    if reason:
        raise AttestationError(
            f"{path.name}{attestation.BUNDLE_SUFFIX} is there, and is not this key's attestation "
            f"of {path.name}: {reason}",
            hint="remove it first",
        )
