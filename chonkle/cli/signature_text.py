"""Signatures as human-readable text."""

import json
import textwrap
from collections.abc import Iterator, Mapping

from chonkle.cli.output import table
from chonkle.errors import printable
from chonkle.formats.signature import Port, Signature

_FIELDS = ("description", "version", "license", "source")
_WIDTH = 85


def described(signature: Signature) -> list[tuple[str, str]]:
    """Give the descriptive fields of a signature as rows of a name and a text.

    A long text takes several rows. The fields are not checked before: each may be any JSON value.
    """
    fields = {name: _wrapped(_text(signature.document.get(name))) for name in _FIELDS}
    fields["aliases"] = list(_aliases(signature.document.get("aliases")))
    return [
        (name if number == 0 else "", line)
        for name, lines in fields.items()
        for number, line in enumerate(lines)
    ]


def port_table(inputs: Mapping[str, Port], outputs: Mapping[str, Port]) -> list[str]:
    """Lay out the ports of a signature."""
    rows = []
    for side, ports in (("in", inputs), ("out", outputs)):
        for name, port in ports.items():
            notes = [] if port.required else ["optional"]
            if port.default is not None:
                notes.append(f"default {port.default!r}")
            if port.encode_only:
                notes.append("encode only")
            if port.decode_only:
                notes.append("decode only")
            rows.append((f"  {side}", name, port.type, ", ".join(notes)))
    return table(rows)


def _aliases(aliases: object) -> Iterator[str]:
    if not isinstance(aliases, Mapping):
        yield from _wrapped(_text(aliases))
        return
    for where, names in aliases.items():
        text = ", ".join(map(_text, names)) if isinstance(names, list) else _text(names)
        if text:
            yield from _wrapped(_text(f"{where}: {text}"))


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(text, _WIDTH, break_long_words=False, break_on_hyphens=False)


def _text(value: object) -> str:
    if value in (None, [], {}):
        return ""
    text = " ".join(value.split()) if isinstance(value, str) else json.dumps(value)
    return printable(text)  # before it is wrapped, since this shortens it
