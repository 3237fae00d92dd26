"""Write `codecs.md`, the list of codecs, from the signatures in this repository.

python docs/reference/make_codecs.py
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from chonkle.backends.native import REFUSED, native_codec_ids, native_signature
from chonkle.formats.signature import Port, Signature
from chonkle.storage.store import bundled_store

PAGE = Path(__file__).with_name("codecs.md")

HEAD = """# Codecs

<!-- make_codecs.py writes this page; do not edit it. -->

`chonkle codecs` lists the codecs on your machine and their sizes, and
[performance](performance.md) has the speed of each.

A codec maps its port `bytes` to `bytes` unless the table says otherwise. Optional ports are in
brackets, with their defaults. `encode` and `decode` mark ports of one direction only. Types come
with their ranges or choices, without a maximum where it is 2³¹ - 1 or more.

## Shipped

WebAssembly, sandboxed, part of the package. Each is shipped as a core module and as a component. A
codec id is the name of the implementation without `-c` or `-rs`.
"""
NAMES = """
### Names and licences

numcodecs and Zarr 2 know these codecs by their codec ids, and Zarr 3 by `numcodecs.` and the codec
id: {known}.

The licence of everything linked into a codec is Apache-2.0 AND MIT, with Apache-2.0 WITH
LLVM-exception in those written in Rust. The table has further names and licences.
"""
COMMON = {"Apache-2.0", "MIT"}
COMMON_IN_RUST = {*COMMON, "Apache-2.0 WITH LLVM-exception"}
NATIVE = """
## Native

Codecs of numcodecs. They run in the caller's process,
[without a sandbox](../concepts/sandbox.md#the-native-backend-is-not-sandboxed), and need the extra
`native`. `crc32c` and `msgpack2` need one more package, which the error names.

The codecs that numcodecs [knows](#names-and-licences) have the format and the ports of the shipped
ones, except {other}, which is not native. The native `gzip` writes the time of day into the header.
The native `delta` refuses booleans and dates: numcodecs does not decode what it encodes of them.
"""
TRAILING = """
### Bytes after the end

In strips of TIFF files and in padded chunks, other bytes may follow the encoded data. The parameter
`trailing` says what decoding does with them: `ignore` skips them, `refuse` is an error with their
number and offset. These codecs have it:
{codecs}.

The default is what numcodecs, CPython and tifffile do: `refuse` for {refusing}, and
`ignore` for the others. So nothing is refused that these libraries read, with one exception: a
further stream that is damaged is always an error. With bzip2 and LZMA, CPython and numcodecs take
it for the end of the data, and lose what is in it and in all streams after it.

Further gzip members, streams of bzip2 and LZMA, and Zstandard frames belong to the data, and so do
zeros after a gzip member, and those after an xz stream in multiples of 4.
"""
ELSEWHERE = {
    "numcodecs": "numcodecs",
    "zarr_v2": "Zarr 2",
    "zarr_v3": "Zarr 3",
    "tiff_compression": "TIFF",
    "tiff_predictor": "TIFF predictor",
    "chonkle": "in chonkle",
}
REFUSED_HEAD = """
### Not offered
"""


# Above it, a range is that of an integer's size.
MAXIMUM_SHOWN = 2**31 - 2


def range_words(fields: Mapping[str, Any]) -> str:
    """Describe the values that a port takes."""
    least, most = fields.get("minimum"), fields.get("maximum")
    if "choices" in fields:
        return " " + " / ".join(str(choice) for choice in fields["choices"])
    if most is not None and most <= MAXIMUM_SHOWN:
        return f" {least} to {most}"
    return f" from {least}" if least else ""


def port_words(name: str, port: Port, fields: Mapping[str, Any]) -> str:
    """Describe a port in a few words.

    Args:
        name: its name.
        port: the port.
        fields: the port in its signature.
    """
    words = f"`{name}`: {port.type}{range_words(fields)}"
    if port.default is not None:
        words += f" = {str(port.default).lower() if port.type == 'bool' else port.default}"
    if port.encode_only or port.decode_only:
        words += ", encode" if port.encode_only else ", decode"
    return words if port.required else f"[{words}]"


def ports_words(signature: Signature) -> str:
    """Describe the ports of a signature, leaving out `bytes` where that is all."""
    fields: Any = signature.document
    inputs, outputs = signature.inputs, signature.outputs
    more = [
        port_words(name, port, fields["inputs"][name])
        for name, port in inputs.items()
        if name != "bytes"
    ]
    if [*outputs] != ["bytes"]:
        given = ", ".join(
            port_words(name, port, fields["outputs"][name]) for name, port in outputs.items()
        )
        more.append(f"outputs {given}")
    return "<br>".join(more)


def table(header: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    """Lay out a Markdown table."""
    # A bar would end the cell, even inside of code.
    cells = (tuple(cell.replace("|", "\\|") for cell in row) for row in rows)
    lines = [f"| {' | '.join(line)} |" for line in (header, *cells)]
    lines.insert(1, "|---" * len(header) + "|")
    return "\n" + "\n".join(lines) + "\n"


def words_of(signature: Signature) -> tuple[str, str]:
    """Give the description of a codec, and of its ports."""
    description = str(signature.document.get("description", ""))
    return description, ports_words(signature)


def shipped() -> list[Signature]:
    """Give the signatures of the codecs that are shipped as WebAssembly."""
    found = {
        (codec.signature.codec_id, codec.signature.label): codec.signature
        for codec in bundled_store().survey()[0]
    }
    return [found[key] for key in sorted(found)]


def name_of(signature: Signature) -> str:
    """Name an implementation, and its codec where the name of the implementation does not."""
    implementation = signature.implementation
    is_named = signature.codec_id in {implementation.removesuffix(end) for end in ("-c", "-rs")}
    return f"`{signature.label}`" + ("" if is_named else f", codec id `{signature.codec_id}`")


def names_rows(signatures: Iterable[Signature]) -> Iterable[tuple[str, ...]]:
    """Describe the further names and licences, one row for each implementation that has any."""
    for signature in signatures:
        further = other_names(signature), other_licences(signature)
        if any(further):
            yield f"`{signature.implementation}`", *further


def is_known_to_numcodecs(signature: Signature) -> bool:
    """Tell whether numcodecs and Zarr know a codec by its codec id."""
    aliases: Any = signature.document.get("aliases", {})
    codec_id = signature.codec_id
    return aliases.get("numcodecs") == aliases.get("zarr_v2") == [
        codec_id
    ] and f"numcodecs.{codec_id}" in aliases.get("zarr_v3", ())


def other_names(signature: Signature) -> str:
    """List the further names that other programs and formats have for a codec."""
    aliases: Any = signature.document.get("aliases", {})
    names = {where: [*found] for where, found in sorted(aliases.items())}
    if is_known_to_numcodecs(signature):
        names["zarr_v3"].remove(f"numcodecs.{signature.codec_id}")
        names["numcodecs"] = names["zarr_v2"] = []
    return "; ".join(
        f"{ELSEWHERE.get(where, where)} " + ", ".join(f"`{name}`" for name in found)
        for where, found in names.items()
        if found
    )


def other_licences(signature: Signature) -> str:
    """List the licences of a codec besides the common ones, which it may lack."""
    licences = str(signature.document.get("license", "")).split(" AND ")
    common = COMMON_IN_RUST if signature.implementation.endswith("-rs") else COMMON
    if not common.issubset(licences):
        return "only " + ", ".join(licences)
    return ", ".join(licence for licence in licences if licence not in common)


def listed(codec_ids: Iterable[str]) -> str:
    """List codec ids in a sentence."""
    return ", ".join(f"`{codec_id}`" for codec_id in codec_ids)


def page() -> str:
    """Write the whole page."""
    signatures = shipped()
    known = [each.codec_id for each in signatures if is_known_to_numcodecs(each)]
    ports = {signature.codec_id: (signature.inputs, signature.outputs) for signature in signatures}
    native = [each for name in native_codec_ids() if (each := native_signature(name)) is not None]
    same = {
        each.codec_id for each in native if ports.get(each.codec_id) == (each.inputs, each.outputs)
    }
    others = (
        (f"`{each.codec_id}`", *words_of(each)) for each in native if each.codec_id not in same
    )
    refused: dict[str, list[str]] = {}
    for codec_id, words in REFUSED.items():
        refused.setdefault(words.partition("not offered: ")[2], []).append(codec_id)
    trailing = {
        each.codec_id: each.inputs["trailing"].default
        for each in signatures
        if "trailing" in each.inputs
    }
    does = ("what it does", "ports besides `bytes`")
    return "".join(
        [
            HEAD,
            table(
                ("implementation", *does), ((name_of(each), *words_of(each)) for each in signatures)
            ),
            TRAILING.format(
                codecs=listed(trailing),
                refusing=listed(name for name, default in trailing.items() if default == "refuse"),
            ),
            NAMES.format(known=listed(known)),
            table(("implementation", "other names", "licences"), names_rows(signatures)),
            NATIVE.format(other=listed(name for name in known if name not in same)),
            table(("codec", *does), others),
            REFUSED_HEAD,
            table(("codecs", "why"), ((listed(ids), why) for why, ids in refused.items())),
        ]
    )


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
