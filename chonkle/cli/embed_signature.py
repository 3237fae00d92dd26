"""`chonkle embed-signature`: put a signature into a wasm file."""

from pathlib import Path

import click

from chonkle.cli.output import print_lines
from chonkle.cli.signals import terminable
from chonkle.errors import StoreError, WasmFormatError
from chonkle.formats.component_binary import read_interface
from chonkle.formats.signature import embed_signature as embed
from chonkle.formats.signature import parse_signature
from chonkle.formats.wasm_binary import SIZE_MAX_BYTES
from chonkle.storage.files import read_file, replace_file


@click.command("embed-signature")
@click.argument("file", type=click.Path(path_type=Path))
@click.argument("signature", type=click.Path(path_type=Path))
@click.option(
    "--output",
    type=click.Path(path_type=Path),
    help="Write here, instead of replacing FILE.",
)
def embed_signature(file: Path, signature: Path, output: Path | None) -> None:
    """Put the JSON file SIGNATURE into the wasm FILE, in place of any that is there.

    \b
    Examples:
      chonkle embed-signature codec.wasm signature.json
      chonkle embed-signature codec.wasm signature.json --output signed.wasm
    """
    parsed = parse_signature(_read(signature), what=str(signature))
    wasm = _read(file)
    try:
        # Read to the end: an interface that cannot be read would make the result useless.
        read_interface(wasm)
        embedded = embed(wasm, parsed)
    except WasmFormatError as failure:
        raise failure.within(str(file)) from failure
    target = output or file
    try:
        with terminable():
            replace_file(target, embedded)
    except OSError as failure:
        raise StoreError(f"cannot write {target}: {failure.strerror}") from failure
    print_lines(f"{target}: signature of {parsed.codec_id}, {parsed.label}", err=True)


def _read(path: Path) -> bytes:
    try:
        return read_file(path, size_max=SIZE_MAX_BYTES)
    except OSError as failure:
        raise StoreError(f"cannot read {path}: {failure.strerror}") from failure
