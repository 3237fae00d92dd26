"""`chonkle inspect`: show the signature and interface of a wasm file."""

from pathlib import Path

import click

from chonkle.cli.output import format_size, print_json, print_lines, table
from chonkle.cli.signature_text import described, port_table
from chonkle.cli.streams import read_named
from chonkle.cli.style import Styled
from chonkle.digest import Digest
from chonkle.errors import SignatureError, WasmFormatError
from chonkle.formats.component_binary import read_interface
from chonkle.formats.signature import Signature, read_signature
from chonkle.formats.wasm_binary import External, binary_kind


@click.command
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def inspect(file: Path, *, as_json: bool) -> None:
    """Show the kind, signature, imports, exports, size and digests of FILE; nothing is run.

    \b
    Exit codes:
      1  FILE cannot be read, or is no WebAssembly binary

    \b
    Examples:
      chonkle inspect codec/zlib/zlib-rs@1.0.0.core.wasm
      chonkle inspect --json mystery.wasm

    \b
    See also:
      `chonkle codecs`, `chonkle verify`, and docs/reference/signature.md.
    """
    wasm = read_named(file)
    try:
        kind, interface = binary_kind(wasm), read_interface(wasm)
    except WasmFormatError as failure:
        raise failure.within(str(file)) from failure
    signature: Signature | None = None
    missing = ""
    try:
        signature = read_signature(wasm, what=str(file))
    except SignatureError as failure:
        missing = str(failure)
    blake3, sha256 = Digest.blake3(wasm), Digest.sha256(wasm)
    if as_json:
        print_json(
            {
                "file": str(file),
                "kind": kind,
                "size_bytes": len(wasm),
                "blake3": blake3.hex,
                "sha256": sha256.hex,
                "signature": None if signature is None else signature.to_json(),
                "signature_problem": missing or None,
                "imports": [_document(each) for each in interface.imports],
                "exports": [_document(each) for each in interface.exports],
            }
        )
        return
    codec = f"{signature.codec_id}, {signature.label}" if signature else "unknown"
    rows = [
        ("kind", kind),
        ("codec", codec),
        *(described(signature) if signature else ()),
        ("size", f"{format_size(len(wasm))} ({len(wasm)} bytes)"),
        ("blake3", blake3.hex),
        ("sha256", sha256.hex),
    ]
    print_lines(*table(rows))
    if signature is None:
        print_lines("", f"signature: {missing}")
    else:
        print_lines("", Styled("ports, as decoding sees them:", "heading"))
        print_lines(*port_table(signature))
    for title, externals in (("imports", interface.imports), ("exports", interface.exports)):
        print_lines("", (Styled(f"{title}:", "heading"), "" if externals else " none"))
        if externals:
            print_lines(*table([(f"  {each.kind}", each.name, each.type) for each in externals]))


def _document(each: External) -> dict[str, str]:
    return {"name": each.name, "kind": each.kind, "type": each.type}
