"""`chonkle embed-signature`: put a signature into a wasm file."""

from pathlib import Path

import click

from chonkle.cli.output import print_lines
from chonkle.cli.signals import terminable
from chonkle.cli.streams import read_named
from chonkle.errors import StoreError, WasmFormatError
from chonkle.formats.component_binary import read_interface
from chonkle.formats.signature import embed_signature as embed
from chonkle.formats.signature import parse_signature
from chonkle.names import implementation_of
from chonkle.storage.files import replace_file


@click.command("embed-signature")
@click.argument("file", type=click.Path(path_type=Path))
@click.argument("signature", type=click.Path(path_type=Path))
@click.option(
    "--output",
    type=click.Path(path_type=Path),
    help="Write here, instead of replacing FILE.",
)
def embed_signature(file: Path, signature: Path, output: Path | None) -> None:
    """Put the JSON file SIGNATURE into the wasm FILE, in place of any signature in it.

    A signature without `implementation` has the name of the file.

    \b
    Exit codes:
      1  a file cannot be read or written, or the signature is malformed

    \b
    Examples:
      chonkle embed-signature codec.wasm signature.json
      chonkle embed-signature codec.wasm signature.json --output signed.wasm

    \b
    See also:
      `chonkle inspect`, `chonkle build`, and docs/reference/signature.md.
    """
    target = output or file
    parsed = parse_signature(
        read_named(signature), what=str(signature), implementation=implementation_of(str(target))
    )
    wasm = read_named(file)
    try:
        # A codec whose interface cannot be read would be of no use.
        read_interface(wasm)
        embedded = embed(wasm, parsed)
    except WasmFormatError as failure:
        raise failure.within(str(file)) from failure
    try:
        with terminable():
            replace_file(target, embedded)
    except OSError as failure:
        raise StoreError(f"cannot write {target}: {failure.strerror}") from failure
    print_lines(f"{target}: signature of {parsed.codec_id}, {parsed.label}", err=True)
