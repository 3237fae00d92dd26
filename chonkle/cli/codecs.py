"""`chonkle codecs`: list the available codecs."""

import json
from collections.abc import Iterator
from pathlib import Path

import click

from chonkle.cli.options import codec_store_option
from chonkle.cli.output import format_size, print_json, print_lines, table
from chonkle.cli.signature_text import described, port_table
from chonkle.errors import ResolveError
from chonkle.formats.signature import Signature
from chonkle.names import CODEC_NAME_RULE, is_codec_name
from chonkle.resolver import Resolution, Resolver
from chonkle.settings import Settings
from chonkle.storage.store import BadFile


@click.command
@click.argument("codec_id", required=False, metavar="[ID]")
@codec_store_option
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def codecs(codec_id: str | None, codec_store: Path | None, *, as_json: bool) -> None:
    """List the shipped, installed and native codecs, or describe the codec ID.

    Implementations are listed in the order in which they are picked.

    \b
    Examples:
      chonkle codecs
      chonkle codecs zlib
      chonkle codecs --json
    """
    resolver = Resolver(codec_store=codec_store or Settings.from_environment().codec_store)
    known = resolver.codec_ids()
    if codec_id is not None and is_codec_name(codec_id):
        known = [codec_id]
    elif codec_id is not None:
        raise ResolveError(f"no codec `{codec_id}`", expected=CODEC_NAME_RULE)
    surveys = {each: resolver.survey(each) for each in known}
    found = {name: group for name, (group, _) in surveys.items()}
    bad_files = [(name, bad) for name, (_, group) in surveys.items() for bad in group]
    if codec_id is not None and not found.get(codec_id):
        resolver.resolve(codec_id)  # raises an error that says why there is none
    for _, bad in bad_files:
        print_lines(f"warning: {bad.failure}", err=True)
    if as_json:
        documents = [_document(each) for group in found.values() for each in group]
        print_json(documents + [_bad_document(name, bad) for name, bad in bad_files])
        return
    rows = [
        (name, each.signature.label, each.backend, _size(each), each.reason)
        for name, group in found.items()
        for each in group
    ]
    print_lines(*table(rows, header=("codec", "implementation", "backend", "size", "origin")))
    if codec_id is not None:
        for name, signature in _distinct(found[codec_id]):
            if words := described(signature):
                print_lines("", f"{name}:")
                print_lines(*table([(f"  {field}", text) for field, text in words]))
            print_lines("", f"ports of {name}, as decoding sees them:")
            print_lines(*port_table(signature))


def _distinct(group: list[Resolution]) -> Iterator[tuple[str, Signature]]:
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


def _bad_document(codec_id: str, bad: BadFile) -> dict[str, object]:
    fields = ("implementation", "version", "backend", "origin", "path", "size_bytes", "digest")
    return {
        "codec_id": codec_id,
        **dict.fromkeys((*fields, "signature")),
        "path": str(bad.path),
        "problem": str(bad.failure),
    }
