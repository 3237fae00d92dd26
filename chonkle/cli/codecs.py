"""`chonkle codecs`: list the available codecs."""

import json
import re
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import click

from chonkle.cli.options import codec_store_option
from chonkle.cli.output import (
    Line,
    format_size,
    print_json,
    print_lines,
    table,
    terminal_width,
)
from chonkle.cli.signature_text import described, port_table
from chonkle.cli.style import Styled
from chonkle.errors import ResolveError, printable
from chonkle.formats.signature import Signature
from chonkle.formats.values import format_value
from chonkle.inventory import Survey
from chonkle.names import CODEC_NAME_RULE, is_codec_name
from chonkle.resolver import Resolution, Resolver
from chonkle.storage.codec_files import BadFile

# Where a description may end early: after a clause, or else within one.
_PAUSES = (re.compile("[;.:] "), re.compile(", "))


@click.command
@click.argument("name", required=False, metavar="[NAME]")
@click.option("-v", "--verbose", is_flag=True, help="List every implementation.")
@codec_store_option
@click.option("--json", "as_json", is_flag=True, help="Print JSON, with all implementations.")
def codecs(name: str | None, codec_store: Path | None, *, verbose: bool, as_json: bool) -> None:
    """List the shipped, installed and native codecs, or describe the codec NAME.

    NAME is a codec id, a name that Zarr, numcodecs or TIFF has for the codec, or an implementation,
    which alone is then described. SCOPE:NAME is a name or number of one of these, as
    `tiff_predictor:2`. Implementations are listed in the order in which they are picked.

    \b
    Exit codes:
      1  no codec has the NAME, or the codec store cannot be read

    \b
    Environment:
      CHONKLE_CODEC_STORE CHONKLE_POLICY

    \b
    Examples:
      chonkle codecs
      chonkle codecs zlib
      chonkle codecs numcodecs.zlib
      chonkle codecs tiff_compression:5
      chonkle codecs zlib-rs
      chonkle codecs --verbose
      chonkle codecs --json

    \b
    See also:
      `chonkle inspect` for a file, `chonkle pull` to install a codec, and
      docs/reference/codecs.md for all parameters.
    """
    resolver = Resolver(codec_store=codec_store).completed()
    survey = resolver.survey() if name is None else _named(resolver, name)
    for bad in survey.bad_files:
        print_lines(f"warning: {bad.failure}", err=True)
    if as_json:
        documents = [_document(each) for each in survey.codecs]
        print_json(documents + [_bad_document(each) for each in survey.bad_files])
    elif name is None and not verbose:
        print_lines(*_summary(survey.codecs))
    else:
        print_lines(*_implementations(survey.codecs))
        for label, signature in _distinct(survey.codecs) if name is not None else ():
            if words := described(signature):
                print_lines("", Styled(f"{label}:", "heading"))
                print_lines(*table([(f"  {field}", text) for field, text in words]))
            title = f"ports of {label}, as decoding sees them:"
            print_lines("", Styled(title, "heading"), *port_table(signature))


def _named(resolver: Resolver, name: str) -> Survey:
    """Give what there is of the codec, or the implementation, that has a name.

    Raises:
        ResolveError: when there is none.
    """
    inventory = resolver.inventory
    scope, is_scoped, scoped = name.partition(":")
    codec_id = (
        inventory.resolve_name(scoped, scope) if is_scoped and scoped else inventory.codec_id(name)
    )
    found = resolver.survey(codec_id if is_codec_name(codec_id) else None)
    if is_codec_name(codec_id) and found.codecs:
        return found
    every = resolver.survey()
    named = [
        each
        for each in every.codecs
        if name in (each.signature.implementation, each.signature.label)
    ]
    if named:
        return replace(every, codecs=tuple(named), bad_files=())
    if not is_codec_name(codec_id):
        raise ResolveError(f"no codec {format_value(name)}", expected=CODEC_NAME_RULE)
    resolver.resolve(codec_id)  # raises an error that says why there is none
    return found


def _summary(found: Sequence[Resolution]) -> list[Line]:
    """Give a line for each codec, with as much of its description as fits."""
    texts: dict[str, str] = {}
    for each in found:
        description = each.signature.document.get("description")
        # A codec that is shipped says more than numcodecs' of the same name.
        if isinstance(description, str) and (each.wasm or not texts.get(each.signature.codec_id)):
            texts[each.signature.codec_id] = " ".join(description.split())
        texts.setdefault(each.signature.codec_id, "")
    room = terminal_width() - max(map(len, texts), default=0) - 2
    rows = [
        (Styled(codec_id, "name"), _shortened(printable(text), room))
        for codec_id, text in texts.items()
    ]
    return table(rows, header=("codec", "description")) if rows else []


def _shortened(text: str, width: int) -> str:
    """Shorten a description to what fits: as many of its clauses, or else of its words."""
    if len(text) <= width:
        return text
    for pause in _PAUSES:
        parts = [text[: each.start()] for each in pause.finditer(text, endpos=width + 1)]
        # Neither within parentheses nor within a literal.
        whole = [
            each
            for each in parts
            if each.count("(") == each.count(")") and each.count("`") % 2 == 0
        ]
        if whole:
            return whole[-1]
    return textwrap.shorten(text, max(width, 4), placeholder=" ...")


def _implementations(found: Sequence[Resolution]) -> list[Line]:
    rows = [
        (
            Styled(each.signature.codec_id, "name"),
            each.signature.label,
            each.backend,
            _size(each),
            each.reason,
        )
        for each in found
    ]
    return table(rows, header=("codec", "implementation", "backend", "size", "origin"))


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
