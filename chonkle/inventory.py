"""What is installed, shipped and native, and under which names.

Identity comes only from signatures; nothing is compiled or instantiated here.
"""

import re
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, cast

from chonkle.backends.base import BACKENDS, Backend
from chonkle.backends.native import REFUSED, is_available, native_codec_ids, native_signature
from chonkle.errors import PolicyError, ResolveError, suggest
from chonkle.formats.aliases import TIFF_COMPRESSIONS, codecs_named
from chonkle.formats.signature import Signature
from chonkle.formats.values import format_value
from chonkle.names import is_codec_name, version_key
from chonkle.storage.codec_files import BadFile
from chonkle.storage.store import CodecStore, WasmCodec, bundled_store, without_conflicts

if TYPE_CHECKING:
    from chonkle.policy import Allowed, Origin
    from chonkle.policy_check import PolicyCheck

# More codecs than these have a word in common that names none of them.
_MENTIONING_MAX = 3
# Of a number in a message.
_DIGITS_MAX = 9


@dataclass(frozen=True, slots=True)
class Resolution:
    """The implementation that was picked for a codec id."""

    backend: Backend
    signature: Signature
    reason: str  # why this one, in words
    wasm: WasmCodec | None = None  # the file, for wasm backends
    passed_over: tuple[str, ...] = ()  # labels of the candidates that were not picked, best first
    left_out: tuple[str, ...] = ()  # labels of what is there in backends that may not run it
    source: str = ""  # the pinned source that the file came from, as far as that is known
    allowed: "Allowed | None" = None  # why the policy allows it; None where none is set

    @property
    def label(self) -> str:
        """The implementation, version and backend, `zlib-rs@1.0.0 (core)`."""
        return f"{self.signature.label} ({self.backend})"


@dataclass(frozen=True, slots=True)
class Survey:
    """What is installed, shipped and native, of one codec or of all."""

    codecs: tuple[Resolution, ...]  # what may be picked: by codec id, then best first
    left_out: tuple[Resolution, ...]  # the same in backends that may not run it
    bad_files: tuple[BadFile, ...]  # files that cannot be used


@dataclass(frozen=True, slots=True)
class Inventory:
    """What there is to pick from."""

    store: CodecStore  # the user's
    policy_check: "PolicyCheck | None" = None  # what it refuses cannot be used

    def survey(self, codec_id: str | None, allowed: Sequence[str]) -> Survey:
        """Give what there is of one codec or of all, and what of it cannot be used.

        Args:
            codec_id: a validated codec id; None for every codec.
            allowed: the backends that may run it, best first.

        Raises:
            StoreError: when the codec store is not a directory, or cannot be read.
        """
        installed, bad_files = self.store.survey(codec_id)
        words = {codec.origin: "installed" for codec in installed}
        shipped, more_bad_files = bundled_store().survey(codec_id)
        codecs, conflicts = without_conflicts(installed + shipped)
        found = [
            Resolution(codec.kind, codec.signature, words.get(codec.origin, "shipped"), codec)
            for codec in codecs
        ]
        for each in native_codec_ids() if codec_id is None else (codec_id,):
            signature = native_signature(each)
            if signature is not None and is_available(each):
                found.append(Resolution("native", signature, "numcodecs"))
        found, refused = self._admitted(found)
        order = [*allowed, *BACKENDS]
        # Sorting is stable, so the least important criterion comes first.
        found.sort(key=lambda each: each.signature.implementation)
        found.sort(key=lambda each: version_key(each.signature.version), reverse=True)
        found.sort(key=lambda each: order.index(each.backend))
        found.sort(key=lambda each: each.signature.codec_id)
        return Survey(
            tuple(each for each in found if each.backend in allowed),
            tuple(each for each in found if each.backend not in allowed),
            (*bad_files, *more_bad_files, *conflicts, *refused),
        )

    def state(self) -> Hashable:
        """Give a value that is another one where a survey may differ.

        A policy asks more than the files, so that with one it always is another.

        Raises:
            StoreError: when the codec store is not a directory, or cannot be read.
        """
        changes = object() if self.policy_check is not None else None
        return self.store.state(), bundled_store().state(), changes

    def codec_id(self, name: str) -> str:
        """Give the id of the codec that a name stands for; the name itself where it is no alias.

        Raises:
            ResolveError: when it is another name of several codecs.
            StoreError: when the codec store is not a directory, or cannot be read.
        """
        return name if self._is_codec_id(name) else self._named(name, None) or name

    def resolve_name(self, name: str | int, scope: str | None = None) -> str:
        """Give the id of the codec that a name stands for; see `Resolver.resolve_name`.

        Raises:
            ResolveError: when it is no codec's name, or that of several.
            StoreError: when the codec store is not a directory, or cannot be read.
        """
        text = str(name)
        found = "" if scope is None else self._named(text, scope)
        found = found or (text if self._is_codec_id(text) else "")
        if not found and scope is None:
            found = self._named(text, None)
        if not found:
            # A word may be a codec id too; a number is one of the scope's.
            is_number = text.isascii() and text.isdecimal()
            if is_number and scope in (None, "tiff_compression"):
                what = TIFF_COMPRESSIONS.get(int(text[:_DIGITS_MAX]), "")
                raise ResolveError(
                    f"no codec for TIFF compression {text}{f' ({what})' if what else ''}",
                    hint="`chonkle codecs` lists the available codecs; one of your own may have "
                    "the number in its `aliases`",
                )
            where = f" of `{scope}`" if scope and is_number else ""
            raise ResolveError(
                f"no codec has the name {format_value(name)}{where}", hint=self.hint(text)
            )
        return found

    def hint(self, name: str) -> str:
        """Say what helps for a name that no codec has."""
        signatures = self._signatures()
        mentions = re.compile(rf"\b{re.escape(name)}\b", re.IGNORECASE)
        # Another program may call the codec so, as GDAL calls `tiff-lzw` LZW.
        found = sorted({each.codec_id for each in signatures if mentions.search(_words(each))})
        similar = suggest(name, {each.codec_id for each in signatures})
        if 0 < len(found) <= _MENTIONING_MAX:
            similar = f"did you mean {' or '.join(f'`{each}`' for each in found)}?"
        return f"{similar}{' ' if similar else ''}`chonkle codecs` lists the available codecs"

    def _is_codec_id(self, name: str) -> bool:
        if not is_codec_name(name):
            return False
        if name in REFUSED or native_signature(name) is not None:
            return True
        return bundled_store().holds(name) or self.store.holds(name)

    def _named(self, name: str, scope: str | None) -> str:
        """Give the codec with another name, or an empty text."""
        found = codecs_named(self._signatures(), name, scope)
        if len(found) > 1:
            raise ResolveError(
                f"{format_value(name)} is a name of several codecs",
                got=", ".join(f"`{each}`" for each in found),
                hint="write the codec_id of the one that is meant",
            )
        return found[0] if found else ""

    def _signatures(self) -> list[Signature]:
        native = (native_signature(each) for each in native_codec_ids())
        return [
            *(each for each in native if each is not None),
            *bundled_store().signatures(),
            *self.store.signatures(),
        ]

    def _admitted(self, candidates: list[Resolution]) -> tuple[list[Resolution], list[BadFile]]:
        """Give the candidates that the policy allows, and the others, which cannot be used."""
        if self.policy_check is None:
            return candidates, []
        allowed, refused = [], []
        for each in candidates:
            wasm, signature = each.wasm, each.signature
            name, data = ("numcodecs", b"") if wasm is None else (wasm.origin, wasm.wasm)
            origin = cast("Origin", "native" if wasm is None else each.reason)
            try:
                why = self.policy_check.require(signature.codec_id, origin, name, data)
            except PolicyError as failure:
                bad = BadFile(Path(name), failure, signature.codec_id, signature.label)
                refused.append(bad)
            else:
                reason = f"{each.reason}, {why.reason}"
                allowed.append(replace(each, reason=reason, allowed=why))
        return allowed, refused


def _words(signature: Signature) -> str:
    """Give what a signature says of its codec in words."""
    return f"{signature.codec_id} {signature.document.get('description')}"
