"""Codec lists, the linear form of a pipeline: codecs in the order that encoding applies them.

    {"codecs": [{"name", "type": "numcodecs" | "wasm", "configuration", "uri"?}, ...]}

An entry may be written as in Zarr 3 metadata (`{"name", "configuration"}`, or a name alone) or as a
numcodecs configuration (`{"id", ...}`) too; a name that is a number is a compression of TIFF. Each
codec maps its port `bytes` to `bytes`; its configuration becomes constants, by what its signature
declares. So a list becomes a pipeline only once its codecs are resolved.

An entry may describe the array that it encodes, with `data_type` and `shape`. What codecs take from
an array, such as the size of its elements, comes from there, or from the array that is encoded.
"""

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from numbers import Integral
from pathlib import Path
from typing import Any, Literal, SupportsInt, TypeGuard, cast
from urllib.parse import unquote

from chonkle.dag.graph import Constant, Pipeline, Step, WiringRef
from chonkle.errors import ChonkleError, PipelineError, list_choices
from chonkle.formats.aliases import aliases
from chonkle.formats.declared import OF_SHAPE, Declared, FromArray, Parameter
from chonkle.formats.dtypes import Dtype
from chonkle.formats.signature import Direction, Port, Signature
from chonkle.formats.values import encode_scalar, format_value, is_value, plain_value
from chonkle.formats.zarr_metadata import ZarrArray

type ChunkPart = Literal["chunk", "index"]

CODEC_LIST_ID = "codec-list"
_ZARR_FORMAT = 3
_LIST = "codec list"  # for messages
_FIELDS = frozenset({"name", "type", "configuration", "uri"})
_WASM = ("core", "component")
_BACKENDS = {"numcodecs": ("native",), "wasm": _WASM}
# Members of a configuration that describe the array, and are no parameters of a codec.
_ARRAY_MEMBERS = ("data_type", "shape")
_NAME_MAX_CHARACTERS = 128
_TIFF_MAX = 2**16 - 1
_EXTENT_MAX = 2**63 - 1


@dataclass(frozen=True, slots=True)
class ArraySpec:
    """The array that a codec encodes, or decodes to."""

    dtype: Dtype
    shape: tuple[int, ...] | None = None  # None where it is not known
    # An earlier codec made bytes of it, in a byte order that the dtype does not tell.
    is_bytes: bool = False

    def __str__(self) -> str:
        """Write it for messages: `"<u2" of shape (3, 4)`."""
        shape = "" if self.shape is None else f" of shape {self.shape}"
        return f"{self.dtype.text}{shape}{' as bytes of another codec' if self.is_bytes else ''}"

    @property
    def size_bytes(self) -> int | None:
        """The bytes of its elements, or None where the shape is not known."""
        return None if self.shape is None else math.prod(self.shape) * self.dtype.itemsize

    @property
    def byte_order(self) -> str:
        """The byte order of elements: `little`, `big`, or empty where they have none."""
        return "" if self.is_bytes else self.dtype.byte_order

    def value(  # noqa: PLR0911 - a line for each property
        self, what: FromArray, given: Mapping[str, object]
    ) -> object:
        """Give a property by its name in `from_array`, or None where the array does not tell it.

        Args:
            what: the property.
            given: values that parameters have already, by the property that each would take.
        """
        match what:
            case "dtype":
                return self.dtype.description
            case "itemsize":
                return self.dtype.itemsize
            case "scalarsize":
                return self.dtype.scalarsize or None
            case "byte_order":
                # Single bytes are the same in both.
                return "little" if self.dtype.scalarsize == 1 else self.byte_order or None
            case "shape":
                return None if self.shape is None else list(self.shape)
            case "shape[-1]":
                return self.shape[-1] if self.shape else None
        return self._pixels(given).get(what)

    def _pixels(self, given: Mapping[str, object]) -> dict[str, int]:
        """Give the `width` and the `samples_per_pixel` of an image, as far as its axes tell them.

        Two axes are rows and columns. Of three, the last may be columns or samples.
        """
        found = {}
        match self.shape:
            case (_, columns):
                found = {"width": columns, "samples_per_pixel": 1}
            case (_, *_, columns, samples) if given.get("samples_per_pixel") == samples:
                found = {"width": columns}
        # A row of `columns` samples may also be fewer pixels of several samples.
        is_contradicted = any(given.get(name, value) != value for name, value in found.items())
        return {} if is_contradicted else found


@dataclass(frozen=True, slots=True)
class CodecEntry:
    """One codec of a list, as written."""

    name: str  # a name in the scope
    configuration: Mapping[str, object]
    scope: str = ""  # of the name, as in `aliases`; empty for any
    backends: tuple[str, ...] = _WASM  # the only ones that may run it
    uri: str = ""  # the source that decides which codec it is; empty for none
    # Without a value, a parameter takes its default, and not what the array has.
    prefers_defaults: bool = False
    is_allowed: bool = False  # whether the caller already allowed its `uri`
    location: str | Path | None = None  # the file or URI that is the codec, instead of a name


@dataclass(frozen=True, slots=True)
class CodecList:
    """A codec list as written."""

    entries: tuple[CodecEntry, ...]
    array: ArraySpec | None = None  # what it encodes, where the document around it says that
    codec_id: str = CODEC_LIST_ID
    direction: Direction = "encode"
    folder: Path | None = None  # of the file that it was read from


@dataclass(frozen=True, slots=True)
class ListedCodec:
    """One codec of a list, resolved, with its configuration checked.

    Attributes:
        codec_id: what it does.
        declared: what its signature declares.
        signature: its ports.
        values: the values of parameters that the configuration has.
        array: the array that it encodes, where its entry has one.
        backends: the only ones that may run it.
        uri: the source that decides which codec it is; empty for none.
        picked: what runs it, the same for the same bytes: its implementation, version and digest.
        pinned: the `uri` with a pin, where there is one.
    """

    codec_id: str
    signature: Signature
    declared: Declared
    values: Mapping[str, object]
    array: ArraySpec | None = None
    backends: tuple[str, ...] = _WASM
    uri: str = ""
    picked: str = ""
    pinned: str = ""

    @property
    def takes(self) -> dict[str, FromArray]:
        """The parameters that may take their value from the array, each with the property."""
        return {
            name: parameter.from_array
            for name, parameter in self.declared.parameters.items()
            if parameter.from_array
        }

    @property
    def from_array(self) -> dict[str, FromArray]:
        """The parameters that take their value from the array, each with the property it takes."""
        return {name: what for name, what in self.takes.items() if name not in self.values}

    @property
    def depends_on(self) -> frozenset[FromArray]:
        """The properties of the array that values are taken from, or compared with."""
        compared = {what for what in self.takes.values() if what == "byte_order"}
        return frozenset({*self.from_array.values(), *compared})

    @property
    def needs_array(self) -> list[str]:
        """The parameters that need an array, as both directions read them.

        A default would be right for bytes only: encoding an array and decoding its bytes would not
        use one value. One that only one direction needs is missed by the plan of that direction.
        """
        ports = self.signature.inputs
        return [
            name
            for name in self.from_array
            if not (ports[name].encode_only or ports[name].decode_only)
        ]

    def completed(self, array: ArraySpec | None) -> dict[str, object]:
        """Give the values of all parameters that have one, for an array."""
        found = dict(self.values)
        given: dict[str, object] = {
            what: found[name] for name, what in self.takes.items() if name in found
        }
        for name, what in self.from_array.items() if array else ():
            value = cast("ArraySpec", array).value(what, given)
            if value is not None:
                found[name] = value
        return found

    def problems(self, array: ArraySpec | None) -> Iterator[str]:
        """Find parameters without a value for an array, and values that contradict it."""
        values, untold = self.completed(array), []
        for name in self.needs_array:
            is_of_shape = self.from_array[name] in OF_SHAPE
            if name in values:
                continue
            if array is not None and not (is_of_shape and array.shape is None):
                untold.append(f"`{name}`")
                continue
            yield (
                f"parameter `{name}` has no value, and there is no array to take it from; hint: "
                f"give the parameter, or {'`dtype` and `shape`' if is_of_shape else '`dtype`'}"
            )
        if untold:
            names = " and ".join(untold)
            hint = f"give {names}"
            ends_with = None if array is None or not array.shape else array.shape[-1]
            for name, what in self.takes.items():
                given = self.values.get(name, ends_with)
                if what == "samples_per_pixel" and given != ends_with:
                    hint += f", or a shape that ends with {given}, as `{name}`"
            yield f"an array {array} does not determine {names}; hint: {hint}"
        order = "" if array is None else array.byte_order
        for name, what in self.takes.items():
            if what == "byte_order" and order and self.values.get(name, order) != order:
                yield (
                    f"parameter `{name}`: not the byte order of the array {array}, expected "
                    f"{format_value(order)}, got {format_value(self.values[name])}; hint: both are "
                    "the byte order of the data"
                )

    def little(self, values: Mapping[str, object]) -> dict[str, object]:
        """Give the values for a list of little-endian elements.

        The codec of the list that works on these only stores numbers, and not their bytes, so that
        the byte orders of the types before it make no difference to what is stored.
        """
        if self.declared.decoded.byte_order:
            return dict(values)
        return {
            name: Dtype.of(value).little.description
            if self.signature.inputs[name].type == "dtype_desc"
            else value
            for name, value in values.items()
        }

    def is_identity(self, values: Mapping[str, object]) -> bool:
        """Tell whether with these values encoded and decoded bytes are equal."""
        known = self.declared.with_defaults(values)
        return any(
            all(known.get(name) == value for name, value in each.items())
            for each in self.declared.identity
        )

    def encoded_array(self, array: ArraySpec) -> ArraySpec:
        """Give the array that follows in the list, of one that is encoded."""
        form, shape = self.declared.encoded, array.shape
        values = self.declared.with_defaults(self.completed(array))
        dtype = form.find_dtype(values) or array.dtype
        order = values.get(form.permuted_by)
        if isinstance(order, list) and shape is not None and sorted(order) == [*range(len(shape))]:
            shape = tuple(shape[axis] for axis in order)
        is_bytes = array.is_bytes or self.declared.kind == "array-to-bytes"
        encoded, before = ArraySpec(dtype, shape, is_bytes), array.size_bytes
        is_fixed = self.declared.encoded_size.kind == "fixed"
        if self.declared.kind == "array-to-array" and is_fixed and before is not None:
            size = self.declared.encoded_bytes({"bytes": before}, values)
            # Where the number of elements changes, they have one axis.
            if size is not None and size != encoded.size_bytes:
                encoded = replace(encoded, shape=(size // dtype.itemsize,))
        return encoded

    @property
    def decoded_dtype(self) -> Dtype | None:
        """The type of the decoded elements, where the configuration or the signature say it."""
        for name, parameter in self.declared.parameters.items():
            if parameter.from_array == "dtype" and name in self.values:
                return Dtype.of(self.values[name])
        named = [each for each in self.declared.decoded.dtype if each not in self.signature.inputs]
        return Dtype.of(named[0]) if named else None

    def decoded_array(self, array: ArraySpec) -> ArraySpec:
        """Give the array that is before it in the list, of one that it encodes to."""
        dtype, shape = self.decoded_dtype or array.dtype, array.shape
        order = self.values.get(self.declared.encoded.permuted_by)
        if isinstance(order, list) and shape is not None and sorted(order) == [*range(len(shape))]:
            shape = tuple(shape[order.index(axis)] for axis in range(len(order)))
        return ArraySpec(dtype, shape)


def is_codec_list(document: object) -> bool:
    """Tell a codec list from a graph by its one field."""
    return isinstance(document, Mapping) and "codecs" in document and "steps" not in document


def is_codec_entry(document: object) -> bool:
    """Tell one codec, a name or an object with one, from a list and a graph."""
    if isinstance(document, Mapping):
        is_list_or_graph = "codecs" in document or "steps" in document
        return not is_list_or_graph and ("name" in document or "id" in document)
    return isinstance(document, str)


def read_codec_list(document: Mapping[str, object], *, folder: Path | None = None) -> CodecList:
    """Read a codec list, or Zarr 3 metadata, whose chunks it is about.

    Args:
        document: the parsed document.
        folder: that of the file it is from, where relative URIs of files start; the working
            directory when left out.

    Raises:
        PipelineError: with every problem.
    """
    entries = document.get("codecs")
    if not isinstance(entries, (list, tuple)) or not entries:
        raise PipelineError(
            "not a codec list",
            expected="a list `codecs` of at least one codec",
            got=format_value(entries),
        )
    failures: dict[int, ChonkleError] = {}
    found = []
    for index, entry in enumerate(entries):
        try:
            found.append(read_entry(entry, folder=folder))
        except PipelineError as failure:
            failures[index] = failure
    if failures:
        raise list_failure([""] * len(entries), failures)
    array = None
    if document.get("zarr_format") == _ZARR_FORMAT:
        array = zarr_codec_list(ZarrArray.from_json(document)).array
    # Absolute: another process, or a later use, may have another working directory.
    return CodecList(tuple(found), array, folder=None if folder is None else folder.resolve())


def zarr_codec_list(zarr: ZarrArray, part: ChunkPart = "chunk") -> CodecList:
    """Give the codecs of a Zarr array, and what they encode.

    Args:
        zarr: the metadata of the array. A chunk in Fortran order is an array in C order with the
            axes the other way round.
        part: a chunk, or the index of a shard.

    Raises:
        PipelineError: a configuration is malformed, or there are no shards.
    """
    shape = zarr.chunk_shape[::-1] if zarr.order == "F" else zarr.chunk_shape
    written, array = zarr.codecs, ArraySpec(zarr.dtype, shape)
    if part == "index":
        if zarr.shards is None:
            raise PipelineError("the array has no shards, so that there is no index")
        written = zarr.shards.index_codecs
        array = ArraySpec(Dtype.of("<u8"), zarr.shards.index_shape)
    return CodecList(tuple(map(read_entry, written)), array)


def list_failure(names: Sequence[str], failures: Mapping[int, ChonkleError]) -> ChonkleError:
    """Fold the failures of codecs of a list into one.

    Args:
        names: what each codec of the list is called; empty where that is not known.
        failures: the failures by the index of the codec, at least one.
    """
    (index, first), *others = failures.items()
    if not others:
        return first.within(_title(index, len(names)))
    problems = [
        f"{_title(index, len(names))}{f' (`{names[index]}`)' if names[index] else ''}: {problem}"
        for index, failure in failures.items()
        for problem in getattr(failure, "problems", ()) or (str(failure),)
    ]
    return PipelineError.from_problems(_LIST, problems)


def _title(index: int, count: int) -> str:
    """Give a codec of a list, for messages; one alone has its own name."""
    return "" if count == 1 else f"codec {index}"


def absolute_uri(uri: str, folder: Path) -> str:
    """Make a URI of a file or an image layout with a relative path absolute.

    Args:
        uri: any URI.
        folder: where relative paths start.
    """
    scheme, _, rest = uri.partition("://")
    match scheme.lower():
        case "file" if not rest.startswith(("/", "localhost/")):
            path, mark, pin = rest.partition("#")
            return (folder.resolve() / unquote(path)).as_uri() + mark + pin
        case "oci-layout" if rest and not Path(rest).is_absolute():
            return f"oci-layout://{folder.resolve() / rest}"
    return uri


def read_entry(entry: Any, *, folder: Path | None = None) -> CodecEntry:  # noqa: ANN401 - checked here
    """Read one codec of a list.

    Args:
        entry: the codec; a number is one of TIFF's compressions.
        folder: where relative URIs of files start; the working directory when left out.

    Raises:
        PipelineError: with every problem.
    """
    if isinstance(entry, str) or _is_number(entry):
        entry = {"name": entry}
    if not isinstance(entry, Mapping):
        _raise([f"not an object, got {format_value(entry)}"])
    if "id" in entry and "name" not in entry:
        settings = {name: value for name, value in entry.items() if name != "id"}
        problems = list(_problems(entry["id"], settings, "id"))
        _raise(problems, entry["id"])
        return CodecEntry(
            cast("str", entry["id"]), settings, scope="numcodecs", prefers_defaults=True
        )
    problems = [f"unknown field `{name}`" for name in entry if name not in _FIELDS]
    configuration = entry.get("configuration")
    configuration = {} if configuration is None else configuration
    name = entry.get("name")
    if _is_number(name):
        name = str(int(name))
    problems += _problems(name, configuration, "name")
    kind, uri = entry.get("type"), entry.get("uri", "")
    if kind is not None and (not isinstance(kind, str) or kind not in _BACKENDS):
        problems.append(f"bad `type`, expected `numcodecs` or `wasm`, got {format_value(kind)}")
    if not isinstance(uri, str):
        problems.append(f"bad `uri`, got {format_value(uri)}")
    _raise(problems, name)
    # numcodecs writes the id.
    settings = {name: value for name, value in configuration.items() if name != "id"}
    # What describes the array is no codec of numcodecs, whatever its `type`.
    is_array = not {"data_type", "endian"}.isdisjoint(settings)
    return CodecEntry(
        cast("str", name),
        settings,
        scope=_scope(cast("str", name)) if kind is None else "",
        backends=_WASM if is_array else _BACKENDS.get(cast("str", kind), _WASM),
        uri=absolute_uri(cast("str", uri), folder or Path()),
        prefers_defaults=kind is not None,
    )


def is_whole_number(name: object) -> TypeGuard[SupportsInt]:
    """Tell a whole number, NumPy's too, from a boolean, which is one in Python."""
    return isinstance(name, Integral) and not isinstance(name, bool)


def _is_number(name: object) -> TypeGuard[SupportsInt]:
    """Tell whether a name may be a number of TIFF, which has 16 bits."""
    return is_whole_number(name) and 0 <= int(name) <= _TIFF_MAX


def _scope(name: str) -> str:
    """Tell who uses a name: only TIFF's are numbers."""
    return "tiff_compression" if name.isascii() and name.isdigit() else "zarr_v3"


def _raise(problems: Sequence[str], name: object = "") -> None:
    if problems:
        subject = f"codec `{name}`" if name and isinstance(name, str) else "the codec"
        raise PipelineError.from_problems(subject, problems)


def _problems(name: object, configuration: object, field_name: str) -> Iterator[str]:
    if not isinstance(name, str) or not 0 < len(name) <= _NAME_MAX_CHARACTERS:
        yield f"bad `{field_name}`, expected the name of a codec, got {format_value(name)}"
    if not isinstance(configuration, Mapping) or not all(
        isinstance(each, str) for each in configuration
    ):
        got = format_value(configuration)
        yield f"bad `configuration`, expected an object, got {got}"


def listed_codec(
    entry: CodecEntry, codec_id: str, signature: Signature, picked: str = ""
) -> ListedCodec:
    """Check the configuration of an entry against the signature of its codec.

    Args:
        entry: the entry as written.
        codec_id: what it resolved to.
        signature: that codec's.
        picked: what runs it, see `ListedCodec`.

    Raises:
        PipelineError: with every problem.
        SignatureError: when what the signature declares is malformed.
    """
    for side, ports in (("inputs", signature.inputs), ("outputs", signature.outputs)):
        data = [f"`{name}`" for name, port in ports.items() if not port.parameter]
        if data != ["`bytes`"]:
            raise PipelineError(
                f"codec `{codec_id}`: not a codec of one value, which a list is made of",
                expected=f"data in {side} called `bytes`",
                got=", ".join(data) or "none",
                hint="a pipeline with steps can wire it",
            )
    declared = Declared.of(signature)
    values: dict[str, object] = {}
    problems: list[str] = []
    settings: dict[str, Any] = dict(entry.configuration)
    array, is_numcodecs = _read_array(settings, signature, problems), entry.scope == "numcodecs"
    for name, value in settings.items():
        if name not in declared.parameters:
            problems.append(f"unknown parameter `{name}`, {list_choices(declared.parameters)}")
        elif value is not None:  # null stands for the default
            given = _as_python_counts(value, signature.inputs[name]) if is_numcodecs else value
            try:
                values[name] = _port_value(
                    given, signature.inputs[name], declared.parameters[name], name
                )
            except ChonkleError as failure:
                problems.append(str(failure))
    _raise(problems, entry.name)
    # A numcodecs configuration has defaults of numcodecs only for codecs that numcodecs has.
    is_foreign = is_numcodecs and not aliases(signature, "numcodecs")
    if entry.prefers_defaults and not is_foreign:
        for name, parameter in declared.parameters.items():
            default = signature.inputs[name].default
            if parameter.from_array and default is not None:
                values.setdefault(name, default)
    return ListedCodec(
        codec_id, signature, declared, values, array, entry.backends, entry.uri, picked
    )


def _read_array(
    settings: dict[str, object], signature: Signature, problems: list[str]
) -> ArraySpec | None:
    """Take what describes an array out of a configuration."""
    members = {
        name: settings.pop(name)
        for name in _ARRAY_MEMBERS
        if name in settings and name not in signature.inputs
    }
    if "shape" in settings and "data_type" in members:
        members["shape"] = settings["shape"]
    if not members:
        return None
    try:
        dtype = Dtype.of(members["data_type"])
    except KeyError:
        problems.append("`shape` without `data_type`")
        return None
    except PipelineError as failure:
        problems.append(f"bad `data_type`, {failure}")
        return None
    shape = members.get("shape")
    if shape is None:
        return ArraySpec(dtype)
    try:
        return ArraySpec(dtype, read_shape(shape))
    except PipelineError as failure:
        problems.append(str(failure))
        return None


def read_shape(value: object) -> tuple[int, ...]:
    """Read a shape: a number, or a sequence of them, NumPy's too.

    Raises:
        PipelineError: when it is none.
    """
    plain = plain_value(value)
    extents = plain if isinstance(plain, list) else [plain]
    if not is_value(extents, "uint[]") or math.prod(cast("list[int]", extents)) > _EXTENT_MAX:
        raise PipelineError(
            "bad `shape`", expected="a list of whole numbers", got=format_value(value)
        )
    return tuple(cast("list[int]", extents))


def _as_python_counts(value: object, port: Port) -> object:
    """Give a boolean as the number that it is in Python, where a port takes numbers."""
    return int(value) if isinstance(value, bool) and port.type in ("int", "uint") else value


def _port_value(value: object, port: Port, declared: Parameter, name: str) -> object:
    """Convert a value of a configuration to a value of a port."""
    what = f"parameter `{name}`"
    value = _converted(value, port, declared, what)
    if isinstance(value, bytes) and port.type == "bytes":
        return value
    if type(value) is int and port.type in ("int", "uint"):
        # First, because a bound may be for numbers that no port can hold.
        value = declared.accept(value, what=what, error=PipelineError)
    if not is_value(value, port.type):
        words = ", ".join(map(format_value, declared.values or ()))
        raise PipelineError(
            f"{what}: wrong type",
            expected=f"`{port.type}`{', or one of ' if words else ''}{words}",
            got=format_value(value),
        )
    return declared.accept(value, what=what, error=PipelineError)


def _converted(value: Any, port: Port, declared: Parameter, what: str) -> object:  # noqa: ANN401
    """Give a value as its port takes it, where another library writes it otherwise."""
    if port.type == "dtype_desc":
        try:
            return Dtype.of(value).description
        except PipelineError as failure:
            raise failure.within(what) from None
    if port.type == "bytes":
        return bytes(value) if isinstance(value, (bytearray, memoryview)) else value
    value = plain_value(value)
    if declared.values and isinstance(value, str):
        return declared.values.get(value, value)
    if declared.json_text and not isinstance(value, str):
        try:
            return json.dumps(value, separators=(",", ":"))
        except (TypeError, ValueError, RecursionError):
            raise PipelineError(
                f"{what}: wrong type", expected="JSON", got=format_value(value)
            ) from None
    return value


def listed_array(codecs: Sequence[ListedCodec]) -> ArraySpec | None:
    """Give the array that a list encodes, where one of its entries describes one."""
    for index, codec in enumerate(codecs):
        if codec.array is not None:
            array = codec.array
            for before in reversed(codecs[:index]):
                array = before.decoded_array(array)
            return array
    return None


def is_little_endian(codecs: Sequence[ListedCodec]) -> bool:
    """Tell whether a codec of a list works on little-endian elements only."""
    return any(codec.declared.decoded.byte_order == "little" for codec in codecs)


def encoded_size(
    codecs: Sequence[ListedCodec], size_bytes: int, array: ArraySpec | None, *, is_exact: bool
) -> int | None:
    """Give the size that a codec list encodes to.

    Args:
        codecs: the codecs, checked.
        size_bytes: the size of what is encoded.
        array: the array that is encoded, where it is known.
        is_exact: whether the size itself is asked for; otherwise, a bound of it.

    Returns:
        The bytes, or None where a codec declares no size, or one that is not exact, or needs a
        value that it does not have.
    """
    size: int | None = size_bytes
    up_to = False
    for codec in codecs:
        values = codec.completed(array)
        declared = codec.declared
        if size is not None and not codec.is_identity(values):
            is_fixed = declared.encoded_size.kind == "fixed"
            if is_exact and not is_fixed:
                return None
            size = declared.encoded_bytes({"bytes": size}, values, up_to=up_to)
            up_to = up_to or not is_fixed
        array = codec.encoded_array(array) if array is not None else None
    return size


def codec_list_pipeline(codecs: Sequence[ListedCodec], array: ArraySpec | None = None) -> Pipeline:
    """Make a pipeline of a codec list, written in the encode direction.

    Codecs that would change nothing are left out.

    Args:
        codecs: the codecs, checked.
        array: the array that is encoded; otherwise the one that an entry describes.

    Raises:
        PipelineError: with every problem.
    """
    array, is_little = array or listed_array(codecs), is_little_endian(codecs)
    if array is not None and is_little:
        array = replace(array, dtype=array.dtype.little)
    failures: dict[int, ChonkleError] = {}
    constants: dict[str, Constant] = {}
    steps: dict[str, Step] = {}
    value = WiringRef("input", "bytes")
    for index, codec in enumerate(codecs):
        values = codec.completed(array)
        if is_little:
            values = codec.little(values)
        is_identity = codec.is_identity(values)
        problems = [] if is_identity else list(codec.problems(array))
        if array is not None:
            array = codec.encoded_array(array)
        if problems:
            failures[index] = PipelineError.from_problems(f"codec `{codec.codec_id}`", problems)
        if is_identity:
            continue
        step_name = _step_name(codec.codec_id, index, steps)
        inputs = {"bytes": value}
        for name, each in values.items():
            constant = f"{step_name}-{name}"[:64]
            constants[constant] = _constant(codec.signature.inputs[name], each)
            inputs[name] = WiringRef("constant", constant)
        title = _title(index, len(codecs))
        steps[step_name] = Step(codec.codec_id, inputs, codec.backends, title, codec.uri)
        value = WiringRef(step_name, "bytes")
    if failures:
        raise list_failure([codec.codec_id for codec in codecs], failures)
    return Pipeline(
        codec_id=CODEC_LIST_ID,
        direction="encode",
        inputs={"bytes": Port("bytes")},
        outputs={"bytes": value},
        steps=steps,
        constants=constants,
        title=f"codec `{codecs[0].codec_id}`" if len(codecs) == 1 else _LIST,
    )


def _constant(port: Port, value: object) -> Constant:
    if isinstance(value, bytes):
        return Constant(port.type, value, value)
    return Constant(port.type, value, encode_scalar(value))


def _step_name(codec_id: str, index: int, taken: Mapping[str, object]) -> str:
    """Name a step after its codec; two steps may have one codec, and not every id is a name."""
    name = re.sub(r"[^A-Za-z0-9_-]", "_", codec_id)[:40]
    if not name[:1].isalpha() or name in ("input", "constant") or name in taken:
        name = f"step{index}-{name}"
    return name
