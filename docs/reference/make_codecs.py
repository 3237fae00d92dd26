"""Write `codecs.md`, the list of codecs, from the signatures in this repository.

python docs/reference/make_codecs.py
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from chonkle.backends.native import REFUSED, native_codec_ids, native_signature
from chonkle.formats.signature import Port, Signature
from chonkle.storage.store import WasmCodec, bundled_store

PAGE = Path(__file__).with_name("codecs.md")

HEAD = """# Codecs

[make_codecs.py](make_codecs.py) writes this page from the signatures in the repository; do not edit
it. `chonkle codecs` lists the codecs on your machine, and [performance](performance.md) has the
speed of each.

A codec maps its port `bytes` to `bytes` unless the table says otherwise. Optional ports are in
brackets, with their defaults. `encode` and `decode` mark ports of one direction only.

## Shipped

WebAssembly, sandboxed, part of the package. Each is shipped as a core module and as a component.
"""
INSIDE = """
### Names, licences, sizes

- "Other names" are those of other programs and formats. `numcodecs` means that numcodecs and Zarr 2
  know the codec by its codec id, and Zarr 3 by `numcodecs.` and its codec id.
- The licence covers everything linked into the codec: Apache-2.0 AND MIT, and what the column adds.
  LLVM is Apache-2.0 WITH LLVM-exception.
- Sizes are in kB: core module / component.
"""
COMMON = {"Apache-2.0", "MIT"}
NATIVE = """
## Native

Codecs of numcodecs. They run in the caller's process,
[without a sandbox](../concepts/sandbox.md#the-native-backend-is-not-sandboxed), and need the extra
`native` (in a clone, `pip install '.[native]'`). `crc32c` and `msgpack2` need one more package,
which the error names.

These have the format and the ports of the shipped codec: {same}.
The native `gzip` writes the time of day into the header.
"""
ELSEWHERE = {
    "numcodecs": "numcodecs",
    "zarr_v2": "Zarr 2",
    "zarr_v3": "Zarr 3",
    "tiff_compression": "TIFF",
}
REFUSED_HEAD = """
## Not offered

Codecs of numcodecs that chonkle does not offer:
"""


def port_words(name: str, port: Port) -> str:
    """Describe a port in a few words."""
    words = f"`{name}`: {port.type}"
    if port.default is not None:
        words += f" = {str(port.default).lower() if port.type == 'bool' else port.default}"
    if port.encode_only or port.decode_only:
        words += ", encode" if port.encode_only else ", decode"
    return words if port.required else f"[{words}]"


def ports_words(inputs: Mapping[str, Port], outputs: Mapping[str, Port]) -> str:
    """Describe the ports of a signature, leaving out `bytes` where that is all."""
    more = [port_words(name, port) for name, port in inputs.items() if name != "bytes"]
    if [*outputs] != ["bytes"]:
        given = ", ".join(port_words(name, port) for name, port in outputs.items())
        more.append(f"outputs {given}")
    return "; ".join(more)


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
    return description, ports_words(signature.inputs, signature.outputs)


def shipped() -> list[dict[str, WasmCodec]]:
    """Give the codecs that are shipped as WebAssembly, each as its core module and component."""
    found: dict[tuple[str, str], dict[str, WasmCodec]] = {}
    for codec in bundled_store().all():
        key = (codec.signature.codec_id, codec.signature.label)
        found.setdefault(key, {})[codec.kind] = codec
    return [found[key] for key in sorted(found)]


def shipped_rows(codecs: Iterable[Mapping[str, WasmCodec]]) -> Iterable[tuple[str, ...]]:
    """Describe what codecs do, one row for each implementation."""
    for kinds in codecs:
        signature = next(iter(kinds.values())).signature
        yield f"`{signature.codec_id}`", f"`{signature.label}`", *words_of(signature)


def inside_rows(codecs: Iterable[Mapping[str, WasmCodec]]) -> Iterable[tuple[str, ...]]:
    """Describe names, licences and sizes, one row for each implementation."""
    for kinds in codecs:
        signature = next(iter(kinds.values())).signature
        sizes = (f"{len(kinds[kind].wasm) / 1000:.0f}" for kind in ("core", "component"))
        yield (
            f"`{signature.implementation}`",
            other_names(signature),
            other_licences(signature),
            " / ".join(sizes),
        )


def other_names(signature: Signature) -> str:
    """List the names that other programs and formats have for a codec."""
    codec_id = signature.codec_id
    aliases: Any = signature.document.get("aliases", {})
    names = {where: [*found] for where, found in sorted(aliases.items())}
    parts = []
    if names.get("numcodecs") == names.get("zarr_v2") == [codec_id]:
        names["zarr_v3"].remove(f"numcodecs.{codec_id}")
        names["numcodecs"] = names["zarr_v2"] = []
        parts.append("numcodecs")
    parts.extend(
        f"{ELSEWHERE.get(where, where)} " + ", ".join(f"`{name}`" for name in found)
        for where, found in names.items()
        if found
    )
    return "; ".join(parts)


def other_licences(signature: Signature) -> str:
    """List the licences of a codec besides the common ones, which it may lack."""
    licences = str(signature.document.get("license", "")).split(" AND ")
    if not COMMON.issubset(licences):
        return "only " + ", ".join(licences)
    others = (licence for licence in licences if licence not in COMMON)
    return ", ".join(others).replace("Apache-2.0 WITH LLVM-exception", "LLVM")


def page() -> str:
    """Write the whole page."""
    codecs = shipped()
    signatures = [next(iter(kinds.values())).signature for kinds in codecs]
    ports = {signature.codec_id: (signature.inputs, signature.outputs) for signature in signatures}
    native = [each for name in native_codec_ids() if (each := native_signature(name)) is not None]
    same = [each for each in native if ports.get(each.codec_id) == (each.inputs, each.outputs)]
    others = ((f"`{each.codec_id}`", *words_of(each)) for each in native if each not in same)
    refused = (
        (f"`{codec_id}`", words.partition("not offered: ")[2])
        for codec_id, words in REFUSED.items()
    )
    does = ("what it does", "ports besides `bytes`")
    return "".join(
        [
            HEAD,
            table(("codec", "implementation", *does), shipped_rows(codecs)),
            INSIDE,
            table(("implementation", "other names", "licence", "size"), inside_rows(codecs)),
            NATIVE.format(same=", ".join(f"`{each.codec_id}`" for each in same)),
            table(("codec", *does), others),
            REFUSED_HEAD,
            table(("codec", "why"), refused),
        ]
    )


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
