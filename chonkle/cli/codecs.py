"""`chonkle codecs`: list the available codecs."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import click

from chonkle.cli.options import codec_store_option
from chonkle.cli.output import format_size, print_json, print_lines, table
from chonkle.cli.signature_text import described, port_table
from chonkle.errors import ResolveError
from chonkle.formats.signature import Signature
from chonkle.formats.values import format_value
from chonkle.names import CODEC_NAME_RULE, is_codec_name
from chonkle.resolver import Resolution, Resolver
from chonkle.storage.codec_files import BadFile


@click.command
@click.argument("name", required=False, metavar="[NAME]")
@codec_store_option
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def codecs(name: str | None, codec_store: Path | None, *, as_json: bool) -> None:
    """List the shipped, installed and native codecs, or describe the codec NAME.

    NAME is a codec id, or the name that Zarr, numcodecs or TIFF has for the codec. Implementations
    are listed in the order in which they are picked.

    \b
    Examples:
      chonkle codecs
      chonkle codecs zlib
      chonkle codecs numcodecs.zlib
      chonkle codecs --json
    """
    resolver = Resolver(codec_store=codec_store).completed()
    codec_id = None if name is None else resolver.inventory.codec_id(name)
    if codec_id is not None and not is_codec_name(codec_id):
        raise ResolveError(f"no codec {format_value(name)}", expected=CODEC_NAME_RULE)
    survey = resolver.survey(codec_id)
    if codec_id is not None and not survey.codecs:
        resolver.resolve(codec_id)  # raises an error that says why there is none
    for bad in survey.bad_files:
        print_lines(f"warning: {bad.failure}", err=True)
    if as_json:
        documents = [_document(each) for each in survey.codecs]
        print_json(documents + [_bad_document(each) for each in survey.bad_files])
        return
    rows = [
        (each.signature.codec_id, each.signature.label, each.backend, _size(each), each.reason)
        for each in survey.codecs
    ]
    print_lines(*table(rows, header=("codec", "implementation", "backend", "size", "origin")))
    if codec_id is not None:
        for label, signature in _distinct(survey.codecs):
            if words := described(signature):
                print_lines("", f"{label}:")
                print_lines(*table([(f"  {field}", text) for field, text in words]))
            print_lines("", f"ports of {label}, as decoding sees them:")
            print_lines(*port_table(signature))


def _distinct(group: Sequence[Resolution]) -> Iterator[tuple[str, Signature]]:
    """Give each signature once, with the names of the implementations that carry it."""
    backends: dict[str, list[str]] = {}
    signatures: dict[str, Signature] = {}
    for each in group:
        text = json.dumps(each.signature.to_json())
        signatures[text] = each.signature
        backends.setdefault(text, []).append(each.backend)
    for text, signature in signatures.items():
        yield f"{signature.label} ({', '.join(backends[text])})", signature


def _size(found: Resolution) -> str:
    return format_size(len(found.wasm.wasm)) if found.wasm is not None else "-"


def _document(found: Resolution) -> dict[str, object]:
    wasm, signature = found.wasm, found.signature
    return {
        "codec_id": signature.codec_id,
        "implementation": signature.implementation,
        "version": signature.version,
        "backend": found.backend,
        "origin": found.reason,
        "path": None if wasm is None else wasm.origin,
        "size_bytes": None if wasm is None else len(wasm.wasm),
        "digest": None if wasm is None else str(wasm.digest),
        "signature": signature.to_json(),
        "problem": None,
    }


def _bad_document(bad: BadFile) -> dict[str, object]:
    fields = ("implementation", "version", "backend", "origin", "path", "size_bytes", "digest")
    return {
        "codec_id": bad.codec_id or None,
        **dict.fromkeys((*fields, "signature")),
        "path": str(bad.path),
        "problem": str(bad.failure),
    }
