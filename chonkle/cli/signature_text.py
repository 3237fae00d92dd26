"""Signatures as human-readable text."""

import json
import textwrap
from collections.abc import Iterator, Mapping

from chonkle.cli.output import Line, table, terminal_width
from chonkle.errors import SignatureError, printable
from chonkle.formats.declared import Declared, Parameter
from chonkle.formats.signature import Port, Signature

_FIELDS = ("description", "version", "license", "source")
# Columns that stand before a text: its name, and the names and types of ports.
_FIELD_WIDTH = 20
_PORT_WIDTH = 32
_LEAST_WIDTH = 30


def described(signature: Signature) -> list[tuple[str, str]]:
    """Give the descriptive fields of a signature as rows of a name and a text.

    A long text takes several rows. The fields are not checked before: each may be any JSON value.
    """
    fields = {name: _wrapped(_text(signature.document.get(name))) for name in _FIELDS}
    fields["maps"] = _wrapped(_text(signature.document.get("kind")))
    fields["encoded size"] = _wrapped(_encoded_size(signature.document.get("encoded_size")))
    fields["partial decoding"] = _wrapped(_text(signature.document.get("partial_decode")))
    fields["concurrency"] = _wrapped(_text(signature.document.get("concurrency")))
    fields["aliases"] = list(_aliases(signature.document.get("aliases")))
    return [
        (name if number == 0 else "", line)
        for name, lines in fields.items()
        for number, line in enumerate(lines)
    ]


def port_table(signature: Signature) -> list[Line]:
    """Lay out the ports of a signature, with what it declares of them."""
    try:
        declared = Declared.of(signature).parameters
    except SignatureError:
        declared = {}  # a pipeline can run such a codec all the same
    rows: list[tuple[str, ...]] = []
    for side, ports in (("in", signature.inputs), ("out", signature.outputs)):
        for name, port in ports.items():
            parameter = declared.get(name, Parameter()) if side == "in" else Parameter()
            notes = ", ".join((*_port_notes(port), *_parameter_notes(parameter)))
            first, *more = _wrapped(notes, before=_PORT_WIDTH) or [""]
            rows.append((f"  {side}", name, port.type, first))
            rows.extend(("", "", "", line) for line in more)
    return table(rows)


def _port_notes(port: Port) -> Iterator[str]:
    if not port.required:
        yield "optional"
    if port.default is not None:
        yield f"default {port.default!r}"
    if port.encode_only:
        yield "encode only"
    if port.decode_only:
        yield "decode only"


def _parameter_notes(parameter: Parameter) -> Iterator[str]:
    least, most = parameter.minimum, parameter.maximum
    if least is not None or most is not None:
        span = f"{least} to {most}" if most is not None else f"at least {least}"
        yield (f"at most {most}" if least is None else span) + (
            ", beyond it clamped" if parameter.clamp else ""
        )
    if parameter.choices:
        yield f"one of {' '.join(map(_text, parameter.choices))}"
    if parameter.values:
        yield "also " + " ".join(f"{word}={_text(each)}" for word, each in parameter.values.items())
    if parameter.from_array:
        yield f"from the array's {parameter.from_array}"
    if parameter.json_text:
        yield "JSON text"


def _encoded_size(size: object) -> str:
    match size:
        case {"kind": "fixed", "formula": formula}:
            return _text(formula)
        case {"kind": "bounded", "formula": formula}:
            return f"at most {_text(formula)}"
    return ""


def _aliases(aliases: object) -> Iterator[str]:
    if not isinstance(aliases, Mapping):
        yield from _wrapped(_text(aliases))
        return
    for where, names in aliases.items():
        text = ", ".join(map(_text, names)) if isinstance(names, list) else _text(names)
        if text:
            yield from _wrapped(_text(f"{where}: {text}"))


def _wrapped(text: str, *, before: int = _FIELD_WIDTH) -> list[str]:
    width = max(terminal_width() - before, _LEAST_WIDTH)
    return textwrap.wrap(text, width, break_long_words=False, break_on_hyphens=False)


def _text(value: object) -> str:
    if value in (None, [], {}):
        return ""
    text = " ".join(value.split()) if isinstance(value, str) else json.dumps(value)
    return printable(text)  # before it is wrapped, since this shortens it
