"""The codecs that a command line names: by name, by file, or all of them."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from chonkle.errors import ResolveError, suggest
from chonkle.formats.wasm_binary import Kind
from chonkle.pipeline import define, load
from chonkle.resolver import Resolution, Resolver
from chonkle.runtime import Runtime
from chonkle.storage.codec_files import BadFile
from chonkle.storage.store import CodecStore, WasmCodec


@dataclass(frozen=True, slots=True)
class Selection:
    """The codecs that were named."""

    codecs: Sequence[Resolution]
    bad_files: Sequence[BadFile]  # unusable files of a codec store

    @classmethod
    def union(cls, parts: Iterable["Selection"]) -> "Selection":
        """Join selections."""
        codecs: dict[str, Resolution] = {}
        bad_files: dict[Path, BadFile] = {}
        for part in parts:
            for each in part.codecs:
                codecs.setdefault(each.label if each.wasm is None else str(each.wasm.digest), each)
            for bad in part.bad_files:
                bad_files.setdefault(bad.path, bad)
        return cls(list(codecs.values()), list(bad_files.values()))

    def named(self, name: str) -> "Selection":
        """Give the part that a codec id, an implementation, or an implementation@version names."""
        return Selection(
            [each for each in self.codecs if name in _names_of(each)],
            [each for each in self.bad_files if each.concerns(name)],
        )


def installed_codecs(store: Path) -> Selection:
    """Give every wasm codec that is installed or shipped.

    Raises:
        StoreError: when the store cannot be read.
    """
    found = Resolver(codec_store=store, preference=get_args(Kind)).survey()
    return Selection(found.codecs, found.bad_files)


def select_codecs(names: Sequence[str], *, resolver: Resolver, runtime: Runtime) -> Selection:
    """Give what is named on a command line, in that order; everything where nothing is.

    Args:
        names: pipelines, codec ids, implementations, wasm files, and directories of codecs.
        resolver: how the steps of pipelines are picked.
        runtime: says where codecs are installed.

    Raises:
        ResolveError: when a name names nothing.
        ChonkleError: when a file is not valid.
    """
    installed = installed_codecs(runtime.settings.codec_store)
    if not names:
        return installed

    def parts() -> Iterator[Selection]:
        for name in names:
            found = Selection([], []) if _is_path(name) else installed.named(name)
            if found.codecs or found.bad_files:
                yield found
            elif _is_path(name) or Path(name).exists():
                yield _from_path(Path(name), resolver, runtime)
            else:
                raise _unknown(name, installed)

    return Selection.union(parts())


def _is_path(name: str) -> bool:
    """Whether a word can only be a path; others are tried as a codec first."""
    return "/" in name or "\\" in name or name.endswith((".json", ".wasm"))


def _from_path(path: Path, resolver: Resolver, runtime: Runtime) -> Selection:
    if path.is_dir():
        return _from_directory(path)
    if path.suffix == ".wasm":
        return Selection([_resolution(WasmCodec.from_file(path))], [])
    _, resolutions = define(load(path), resolver, runtime)
    return Selection(list(resolutions.values()), [])


def _from_directory(path: Path) -> Selection:
    codecs, bad_files = CodecStore(path).survey()
    if not codecs and not bad_files:
        raise ResolveError(f"no codecs in {path}", expected="`.wasm` files")
    return Selection([_resolution(codec) for codec in codecs], bad_files)


def _resolution(codec: WasmCodec) -> Resolution:
    return Resolution(codec.kind, codec.signature, codec.origin, codec)


def _names_of(found: Resolution) -> tuple[str, str, str]:
    signature = found.signature
    return signature.codec_id, signature.implementation, signature.label


def _unknown(name: str, installed: Selection) -> ResolveError:
    known = {each for found in installed.codecs for each in _names_of(found)}
    return ResolveError(
        f"no codec, implementation or file `{name}`",
        hint=suggest(name, sorted(known), otherwise="`chonkle codecs` lists what there is"),
    )
