"""Which codecs the native backend has, found without importing numpy or numcodecs.

A codec is one file, `signatures/<codec_id>.json`. It is an ordinary signature with one more field:

    "native": {
      "class": "zlib.Zlib",   what is called
      "data": "bytes",        what it is given, see `call_spec.DataKind`
      ...                     see `call_spec.CallSpec`
    }
"""

from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import cast

from chonkle.backends.native.call_spec import CallSpec
from chonkle.errors import ResolveError
from chonkle.formats.signature import Signature, parse_signature
from chonkle.names import is_codec_name

INSTALL_HINT = "install with `pip install numcodecs`"

_SIGNATURES = Path(__file__).parent / "signatures"

# Codecs of numcodecs that are not offered, and why; they have no signature.
REFUSED = {
    "pickle": "codec `pickle` is not offered: it executes code from the data",
    "vlen-array": "codec `vlen-array` is not offered: it gives Python objects, not bytes",
    "vlen-bytes": "codec `vlen-bytes` is not offered: it gives Python objects, not bytes",
    "vlen-utf8": "codec `vlen-utf8` is not offered: it gives Python objects, not bytes",
}


def native_codec_ids() -> list[str]:
    """List every codec that the backend knows, whether or not it can run here."""
    return sorted(path.stem for path in _SIGNATURES.glob("*.json"))


# Some twenty signatures, each read once.
@lru_cache(maxsize=64)
def native_signature(codec_id: str) -> Signature | None:
    """Give the signature of a codec.

    Returns:
        The signature, whether or not the codec can run here; None for a codec that the backend
        does not know.
    """
    # A codec name is one path component, so no name leaves the folder.
    path = _SIGNATURES / f"{codec_id}.json"
    if not is_codec_name(codec_id) or not path.is_file():
        return None
    return parse_signature(path.read_bytes(), what=f"native codec `{codec_id}`")


@lru_cache(maxsize=64)
def native_call(codec_id: str) -> CallSpec | None:
    """Give how numcodecs is called for a codec; None for a codec that the backend does not know."""
    signature = native_signature(codec_id)
    return None if signature is None else CallSpec.from_json(signature.document["native"])


def is_available(codec_id: str | None = None) -> bool:
    """Tell whether numpy and numcodecs are installed, and with them what one codec needs.

    Args:
        codec_id: the codec asked about; None asks for the backend as a whole.
    """
    if codec_id is None:
        return _is_installed("numpy") and _is_installed("numcodecs")
    return refusal(codec_id) is None


def native_version() -> str:
    """Give the version of numcodecs; empty where it is not installed."""
    from importlib.metadata import PackageNotFoundError, version  # noqa: PLC0415 - only for locks

    try:
        return version("numcodecs")
    except PackageNotFoundError:
        return ""


def refusal(codec_id: str) -> ResolveError | None:
    """Say why a codec cannot run natively here.

    Returns:
        The error to raise, with a hint at what helps; None when the codec can run.
    """
    if codec_id in REFUSED:
        return ResolveError(
            REFUSED[codec_id], hint="store such arrays with a type of fixed width, or as `json2`"
        )
    call = native_call(codec_id)
    if call is None:
        return ResolveError(f"the native backend has no codec `{codec_id}`")
    if not is_available():
        return ResolveError(
            f"codec `{codec_id}` needs numcodecs, which is not installed", hint=INSTALL_HINT
        )
    if call.needs and not any(_is_installed(module) for module in call.needs):
        return ResolveError(
            f"numcodecs has codec `{codec_id}` only where `{call.distribution}` is installed",
            hint=f"install with `pip install {call.distribution}`",
        )
    return None


def runnable(codec_id: str) -> tuple[Signature, CallSpec]:
    """Give what is needed to open a codec.

    Raises:
        ResolveError: the codec does not exist or cannot run here.
    """
    problem = refusal(codec_id)
    if problem is not None:
        raise problem
    return cast("Signature", native_signature(codec_id)), cast("CallSpec", native_call(codec_id))


def _is_installed(module: str) -> bool:
    return find_spec(module) is not None
