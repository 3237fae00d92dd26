"""A numcodecs codec behind the `Codec` interface."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache, partial
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Self

from chonkle.backends.base import CallResult, Codec, Limits, call_label
from chonkle.backends.native.bounded_decoders import (
    DECODERS,
    check_claim,
    check_end,
    too_large,
)
from chonkle.backends.native.call_spec import CallSpec
from chonkle.backends.native.catalog import runnable
from chonkle.backends.native.frame_sizes import FRAME_SIZES
from chonkle.backends.native.parameters import (
    missing_placeholders,
    read_parameters,
    written,
)
from chonkle.errors import ChonkleError, CodecError, LimitExceeded
from chonkle.formats.declared import Declared, Parameter
from chonkle.formats.portmap import Buffer, is_data
from chonkle.formats.signature import Direction, Signature

if TYPE_CHECKING:
    import numpy as np

# Parameter sets whose numcodecs object is kept.
_KEPT = 64

_DATA = "bytes"


@dataclass(frozen=True, slots=True)
class _Prepared:
    """One parameter set in one direction, ready to be called."""

    codec: Any  # the numcodecs object
    # As the constructor took them, and those that describe the data.
    parameters: Mapping[str, object]
    # Types of an encoded and of a decoded element, where their number stays.
    dtypes: "tuple[np.dtype[Any], np.dtype[Any]] | None"
    # Whether encoded elements become decoded ones before numcodecs sums them.
    sums_decoded: bool


class NativeCodec(Codec):
    """A numcodecs codec, called with raw bytes.

    numpy and numcodecs are imported at the first call. One codec may be called by several threads
    at once.

    Args:
        signature: as `native_signature` gives it.
        limits: what one call may take; time cannot be limited, as native code is not interrupted.

    Raises:
        ResolveError: the codec cannot run here.
    """

    def __init__(self, signature: Signature, *, limits: Limits | None = None) -> None:
        # Always our own signature, so that no other document decides what is called.
        self._signature, self._call = signature, call = runnable(signature.codec_id)
        self._limits = limits or Limits()
        declared = Declared.of(signature).parameters
        self._prepare = lru_cache(maxsize=_KEPT)(partial(_prepare, signature, call, declared))

    @classmethod
    def of(cls, codec_id: str, *, limits: Limits | None = None) -> Self:
        """Open a codec by its id.

        Args:
            codec_id: what the codec does.
            limits: what one call may take.

        Raises:
            ResolveError: the codec does not exist or cannot run here.
        """
        return cls(runnable(codec_id)[0], limits=limits)

    def signature(self) -> Signature:
        """Give the codec's typed ports."""
        return self._signature

    def call_borrowed(self, direction: Direction, port_map: Mapping[str, Buffer]) -> CallResult:
        """Run the codec.

        Returns:
            The data of each output port; it belongs to the caller.

        Raises:
            CodecError: the codec refused the data or a parameter.
            LimitExceeded: the codec needs more than its limits allow.
        """
        self._check_ports(direction, port_map)
        where = call_label(self._signature, "native", direction)
        given = tuple(sorted((n, bytes(d)) for n, d in port_map.items() if n != _DATA))
        try:
            prepared = self._prepare(direction, given)
            data = _raw_bytes(port_map[_DATA])
            made = (self._decode if direction == "decode" else self._encode)(data, prepared)
        except LimitExceeded as failure:
            raise failure.within(where) from failure
        except ChonkleError:
            raise
        except MemoryError as failure:
            raise LimitExceeded(f"{where}: not enough memory") from failure
        except Exception as failure:
            # Each library raises its own errors for bad data.
            words = " ".join(str(failure).split()) or type(failure).__name__
            raise CodecError(f"{where}: {words}") from failure
        if len(made) > self._limits.output_bytes:
            raise too_large(self._limits).within(where)
        return CallResult({_DATA: made})

    def _check_ports(self, direction: Direction, port_map: Mapping[str, Buffer]) -> None:
        ports = self._signature.input_ports(direction)
        where = call_label(self._signature, "native", direction)
        for port in port_map:
            if port not in ports:
                listed = ", ".join(f"`{known}`" for known in ports)
                raise CodecError(
                    f"{where}: no port `{port}`",
                    expected=f"some of {listed}",
                )
        for port, described in ports.items():
            if described.required and described.default is None and port not in port_map:
                raise CodecError(
                    f"{where}: port `{port}` is missing",
                    expected=f"a value of type `{described.type}`",
                )

    def _decode(self, data: memoryview, prepared: _Prepared) -> bytes:
        call, limits = self._call, self._limits
        if call.decoder:
            return DECODERS[call.decoder](data, prepared.parameters, limits)
        if call.frame:
            sizes = FRAME_SIZES[call.frame](data)
            check_claim(sizes.decoded, limits)
            check_end(data, sizes.encoded, prepared.parameters)
            data = data[: sizes.encoded]
        if call.is_empty(data):
            return b""
        source: Any = _array(data, call, prepared.parameters)
        if prepared.dtypes is not None:
            encoded, decoded = prepared.dtypes
            self._check_elements(len(data) // encoded.itemsize, decoded.itemsize)
            if prepared.sums_decoded:
                source = source.view(encoded).astype(decoded)
        return _as_bytes(prepared.codec.decode(source), call, prepared.parameters)

    def _encode(self, data: memoryview, prepared: _Prepared) -> bytes:
        call = self._call
        if call.empty is not None and len(data) == 0:
            return bytes.fromhex(call.empty)
        if prepared.dtypes is not None:
            encoded, decoded = prepared.dtypes
            self._check_elements(len(data) // decoded.itemsize, encoded.itemsize)
        source = _array(data, call, prepared.parameters)
        return _as_bytes(prepared.codec.encode(source), call, prepared.parameters)

    def _check_elements(self, count: int, size_bytes: int) -> None:
        if count * size_bytes > self._limits.output_bytes:
            raise too_large(self._limits)


def _prepare(
    signature: Signature,
    call: CallSpec,
    declared: Mapping[str, Parameter],
    direction: Direction,
    given: tuple[tuple[str, bytes], ...],
) -> _Prepared:
    where = call_label(signature, "native", direction)
    ports = {name: port for name, port in signature.input_ports(direction).items() if name != _DATA}
    parameters = read_parameters(
        dict(given), ports=ports, declared=declared, call=call, where=where
    )
    arguments = {
        name: value for name, value in parameters.items() if name not in call.describes
    } | missing_placeholders(call, signature.inputs, direction)
    dtypes: Any = None
    sums_decoded = False
    if call.dtypes:
        encoded_name, decoded_name = call.dtypes
        decoded: Any = parameters[decoded_name]
        encoded: Any = parameters.get(encoded_name, decoded)
        dtypes = (encoded, decoded)
        is_integers = encoded.kind in "iu" and decoded.kind in "iu"
        sums_decoded = call.sums and direction == "decode" and is_integers
        if sums_decoded:
            arguments[encoded_name] = decoded
    # Costs 150 ms that only a running codec pays.
    import numcodecs  # noqa: PLC0415

    try:
        # Never through numcodecs' registry, where another class may have the name.
        codec = attrgetter(call.codec_class)(numcodecs)(**arguments)
    except Exception as failure:
        words = " ".join(str(failure).split()) or type(failure).__name__
        raise CodecError(f"{where} with {written(parameters)}: {words}") from failure
    return _Prepared(codec, parameters, dtypes, sums_decoded)


def _raw_bytes(data: Buffer) -> memoryview:
    view = memoryview(data)
    if not is_data(view):
        raise CodecError("a buffer of Python objects or addresses, which have no bytes")
    if view.nbytes == 0:
        return memoryview(b"")
    try:
        return view.cast("B")
    except TypeError:
        # Not contiguous, or of elements that a memoryview cannot cast.
        return memoryview(view.tobytes())


def _array(
    data: memoryview, call: CallSpec, parameters: Mapping[str, object]
) -> "np.ndarray[Any, Any]":
    """Make the array that numcodecs takes, without a copy for bytes."""
    import numpy as np  # noqa: PLC0415 - costs 100 ms that only a running codec pays

    if call.data == "bytes":
        return np.frombuffer(data, "u1")
    dtype: Any = parameters.get("dtype", np.dtype("u1"))
    array = np.frombuffer(data, dtype)
    if call.data == "array":
        return array.astype(dtype.newbyteorder("="), copy=False)
    if call.data == "text" and dtype.kind == "S":
        array = np.char.decode(array, "utf-8")
    shape = parameters.get("shape")
    return array if shape is None else array.reshape(shape)


def _as_bytes(made: Any, call: CallSpec, parameters: Mapping[str, object]) -> bytes:  # noqa: ANN401
    """Copy numcodecs' result, which may be a view of the borrowed input."""
    if isinstance(made, bytes):
        return made
    if call.data == "array":
        dtype: Any = parameters["dtype"]
        made = made.astype(made.dtype.newbyteorder(dtype.byteorder), copy=False)
    return made.tobytes() if hasattr(made, "tobytes") else bytes(made)
