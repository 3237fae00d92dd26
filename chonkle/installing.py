"""Installing: from a source to a codec in the codec store."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from chonkle.digest import Digest
from chonkle.errors import FetchError
from chonkle.fetch import Source
from chonkle.formats.wasm_binary import Kind
from chonkle.oci.access import RegistryAccess
from chonkle.storage.store import CodecStore, WasmCodec

if TYPE_CHECKING:
    from chonkle.policy import Allowed, Policy


@dataclass(frozen=True, slots=True)
class Installed:
    """A codec that was pulled."""

    codec: WasmCodec  # the codec in the store
    source: str  # its pinned source
    manifest: str  # digest of its manifest; empty where it is no artifact
    was_there: bool  # whether the same bytes were installed already
    allowed: "Allowed | None" = None  # why the policy allows it; None without a policy


def install(
    source: Source,
    store: CodecStore,
    *,
    access: RegistryAccess,
    kinds: Sequence[Kind],
    fetch_anew: bool = False,
    policy: "Policy | None" = None,
) -> Installed:
    """Fetch a codec and install it.

    Kept copies are not fetched again: a pinned artifact needs no network the second time, and one
    under a tag costs one request while the tag does not move.

    Args:
        source: where it comes from; `https://` must be pinned.
        store: where it goes.
        access: how servers may be asked.
        kinds: what to take from an index, best first.
        fetch_anew: fetch also what is kept.
        policy: must allow it; None for no policy.

    Raises:
        FetchError: when it cannot be fetched, or is not pinned where it must be.
        DigestMismatchError: when something does not have its digest.
        WasmFormatError: when it is no wasm binary.
        SignatureError: when it has no valid signature.
        PolicyError: when the policy refuses it.
        StoreError: when other bytes are installed under its name, or it cannot be written.
    """
    if source.scheme == "https" and not source.is_pinned:
        raise FetchError(
            f"{source.uri}: not pinned",
            expected="`#blake3=<hex>` behind it",
            hint="a web server gives no digest of the file",
        )
    kept = store.kept
    policy_check = None
    if policy is not None:
        # Late: most users have no policy.
        from chonkle.policy_check import PolicyCheck  # noqa: PLC0415

        policy_check = PolicyCheck(policy=policy, codec_store=store.root, access=access)
    fetched = source.fetch(
        access=access,
        kinds=kinds,
        kept=kept,
        fetch_anew=fetch_anew,
        is_from=None if policy_check is None else policy_check.is_from,
    )
    codec = WasmCodec.from_bytes(fetched.data, source.uri, file=source.uri)
    allowed = None
    if policy_check is not None:
        codec_id = codec.signature.codec_id
        allowed = policy_check.require(
            codec_id, "source", fetched.pinned, fetched.data, links=fetched.links
        )
    was_there = any(found.digest == codec.digest for found in _named(store, codec))
    # A source that was not asked is not recorded as where the bytes came from.
    installed = store.install(codec, source="" if fetched.is_kept else fetched.pinned)
    fetched.keep(kept)
    manifest = str(Digest.sha256(fetched.links[-1])) if fetched.links else ""
    return Installed(installed, fetched.pinned, manifest, was_there, allowed)


def _named(store: CodecStore, codec: WasmCodec) -> list[WasmCodec]:
    found, _ = store.survey(codec.signature.codec_id)
    return [each for each in found if each.name == codec.name]
