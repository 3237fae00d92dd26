"""Checking what a signature declares beyond its ports: ranges, choices, sizes, arrays.

As in `ports`, each check starts from calls that succeed. Those for sizes look at every call that
was made, so they come last.
"""

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import permutations, zip_longest

from chonkle.errors import PipelineError
from chonkle.formats.declared import Parameter, is_type_string
from chonkle.formats.dtypes import Dtype
from chonkle.formats.signature import Direction, Port
from chonkle.formats.values import check_scalar, encode_scalar, format_value, is_value
from chonkle_toolchain.vectors import format_ports
from chonkle_toolchain.verify.codec_under_test import (
    CodecUnderTest,
    Example,
    Tried,
    outcome_of,
)
from chonkle_toolchain.verify.report import CheckFailed, NotApplicable
from chonkle_toolchain.verify.round_trip import Setting, data_ports, settings
from chonkle_toolchain.verify.runner import Ports, Refusal, doing
from chonkle_toolchain.verify.samples import Content, generated, neighbours

_EXAMPLES_MAX = 4
_CONTENTS: tuple[Content, ...] = ("random", "short runs")
# Around sizes at which encodings change their form.
_SIZES = (2, 3, 7, 127, 128, 129, 255, 256, 257, 1024)
# A multiple of every usual size of an element, sample and row.
_EVEN_SIZE = 96
# Fewer cannot be decoded in part.
_ELEMENTS_MIN = 2
_DTYPES = ("|u1", "<i2", "<f4", "<f8")
_SHAPE = (2, 3, 4)
_ITEMSIZE = 2
_NUMBER = re.compile(r"-?[0-9]+(?:\.[0-9]+)?(?:e[-+]?[0-9]+)?")


def check_ranges(tested: CodecUnderTest) -> str:
    """Require that a value beyond a range is refused, or counts as the bound; bounds work."""
    names = []
    for name, parameter, calls in _parameters(tested):
        port = tested.signature.inputs[name]
        for field, sign in (("minimum", -1), ("maximum", 1)):
            bound = getattr(parameter, field)
            if bound is None:
                continue
            names.append(f"`{name}`")
            because = f"the signature gives {format_value(bound)} as its `{field}`"
            beyond = _beyond(bound, port, sign)
            refusals = []
            if parameter.clamp:
                for value in beyond:
                    _require_clamp(tested, calls, name, (bound, value), because)
            else:
                refusals = _require_refusals(tested, calls, name, beyond, because)
            _require_to_work(tested, calls, name, bound, refusals)
    return _join(names, none="no range is declared")


def check_choices(tested: CodecUnderTest) -> str:
    """Require that every choice works, and that any other value is refused."""
    names = []
    for name, parameter, calls in _parameters(tested):
        words = [] if parameter.values is None else list(parameter.values.values())
        if not parameter.choices and not words:
            continue
        names.append(f"`{name}`")
        others = neighbours(parameter.choices, tested.signature.inputs[name].type)
        if parameter.choices:
            others += [each for each in _in_vectors(tested, name) if each not in parameter.choices]
        because = "the signature does not list it in `choices`"
        refusals = _require_refusals(tested, calls, name, others, because)
        for choice in dict.fromkeys((*parameter.choices, *words)):
            _require_to_work(tested, calls, name, choice, refusals)
    return _join(names, none="no choices are declared")


def check_identity(tested: CodecUnderTest) -> str:
    """Require that data stay the same with the parameters that `identity` lists."""
    listed = tested.declared.identity
    if not listed:
        raise NotApplicable("no parameters are declared with which data stay the same")
    for chosen in listed:
        displayed = ", ".join(f"`{name}` at {format_value(each)}" for name, each in chosen.items())
        for direction in tested.directions:
            source, result = _data_port(tested, direction)
            worked = False
            for ports in _identity_calls(tested, direction, chosen, source):
                reply = tested.call(direction, ports, what=f"with {displayed}")
                if isinstance(reply, Refusal):
                    continue
                worked = True
                if reply.get(result) != ports[source]:
                    raise CheckFailed(
                        f"{doing(direction, f'with {displayed}')} changes the data, although the"
                        " signature says `identity`",
                        expected=format_ports({result: ports[source]}, beside=reply),
                        got=format_ports(reply, beside={result: ports[source]}),
                    )
            if not worked:
                raise CheckFailed(
                    f"{doing(direction, f'with {displayed}')} is always refused, although the"
                    " signature says `identity`"
                )
    return f"with {len(listed)} sets of parameters"


def check_partial_decode(tested: CodecUnderTest) -> str:
    """Require that any run of whole elements decodes to these elements."""
    if tested.declared.partial_decode == "none":
        raise NotApplicable("the signature does not say that elements decode by themselves")
    source, result = _data_port(tested, "decode")
    compared = 0
    for example in tested.examples_of("decode"):
        encoded, decoded = example.ports.get(source, b""), example.outputs.get(result, b"")
        values = _values_of(tested, example.ports)
        size = _element_bytes(tested, values)
        if size is None:
            continue
        unit = tested.declared.encoded_bytes({result: size}, values)
        count = len(decoded) // size
        if unit is None or count < _ELEMENTS_MIN or len(decoded) != count * size:
            continue
        if len(encoded) != count * unit:
            raise CheckFailed(
                f"decoding {format_ports(example.ports)}: its elements cannot be found, although"
                " the signature says `partial_decode: elements`",
                expected=f"{count} times {unit} bytes, by `encoded_size`",
                got=f"{len(encoded)} bytes",
            )
        for start, end in sorted(
            {(0, 1), (1, count), (count // 2, count // 2 + 1), (count // 3, count - 1)}
        ):
            part = example.with_port(source, encoded[start * unit : end * unit])
            what = f"elements {start} to {end} of {count}"
            reply = tested.call("decode", part, what=what)
            expected = {result: decoded[start * size : end * size]}
            if reply != expected:
                got = (
                    f"the refusal: {reply.words}"
                    if isinstance(reply, Refusal)
                    else format_ports(reply, beside=expected)
                )
                raise CheckFailed(
                    f"{doing('decode', what)} alone does not give the same elements, although the"
                    " signature says `partial_decode: elements`",
                    expected=format_ports(expected),
                    got=got,
                )
            compared += 1
    if not compared:
        raise NotApplicable("no call is known that decodes several elements")
    return f"{compared} runs of elements"


def check_array(tested: CodecUnderTest) -> str:
    """Require the dtype, the byte order and the order of axes that `array` describes."""
    checked = []
    if "encode" in tested.directions and tested.examples_of("encode"):
        if _check_order_of_axes(tested):
            checked.append("the order of axes")
        if _check_dtype(tested):
            checked.append("the dtype")
        if _check_byte_order(tested):
            checked.append("the byte order")
    return _join(checked, none="no array is described, or none is encoded")


def check_encoded_size(tested: CodecUnderTest) -> str:
    """Require that every encoding has the size that is declared, or at most that."""
    declared = tested.declared
    size = declared.encoded_size
    if size.kind == "unbounded":
        raise NotApplicable("no size is declared")
    if "encode" not in tested.directions:
        raise NotApplicable("the signature offers decoding only")
    _encode_more(tested)
    compared = 0
    for call in _encodings(tested):
        values = _values_of(tested, call.ports)
        expected = declared.encoded_bytes(_sizes(tested, call.ports), values)
        if expected is None:
            continue
        compared += 1
        got = sum(call.output_sizes.values())
        if got > expected or (size.kind == "fixed" and got != expected):
            raise CheckFailed(
                f"encoding {format_ports(call.ports)} gives another size than the signature says",
                expected=f"{'at most ' if size.kind == 'bounded' else ''}{expected} bytes, by"
                f" `{size.formula}`",
                got=f"{got} bytes",
            )
    if not compared:
        raise CheckFailed(
            "the size cannot be computed from any input that was encoded",
            expected=f"values for `{size.formula}`",
        )
    return f"{compared} encodings"


def _parameters(tested: CodecUnderTest) -> Iterator[tuple[str, Parameter, list[Example]]]:
    """Give each parameter, with calls to try values in: first one of each direction."""
    directions: dict[str, list[list[Example]]] = {}
    for examples, name, _ in tested.ports_taken():
        if name in tested.declared.parameters:
            # No data fits every width.
            empty = dict.fromkeys(_data_inputs(tested, examples[0].direction), b"")
            none = replace(examples[0], ports={**examples[0].ports, **empty})
            # Golden vectors have values that not every dtype or mode allows.
            known = [
                replace(none, ports=vector.given(none.direction, tested.signature))
                for vector in tested.vectors
            ]
            directions.setdefault(name, []).append([examples[0], none, *examples[1:], *known])
    for name, listed in directions.items():
        calls = [call for row in zip_longest(*listed) for call in row if call is not None]
        yield name, tested.declared.parameters[name], calls


def _in_vectors(tested: CodecUnderTest, name: str) -> list[object]:
    """Give the values that golden vectors have for a parameter."""
    found = [_values_of(tested, vector.inputs).get(name) for vector in tested.vectors]
    return [each for each in found if each is not None]


def _beyond(bound: float, port: Port, sign: int) -> list[float]:
    """Give values beyond a bound: the next, and those that an integer of 32 or 64 bits cuts."""
    if port.type == "float":
        return [math.nextafter(bound, sign * math.inf), bound + sign]
    values = [bound + sign, bound + sign * 2**32, sign * (2**63 - 1)]
    return [each for each in values if (each - bound) * sign > 0 and is_value(each, port.type)]


def _require_refusals(
    tested: CodecUnderTest,
    calls: Sequence[Example],
    name: str,
    values: Sequence[object],
    because: str,
) -> list[tuple[Direction, str]]:
    """Require that values are refused in every direction; give the reasons."""
    reasons = []
    for direction in dict.fromkeys(call.direction for call in calls):
        call = next(call for call in calls if call.direction == direction)
        for value in values:
            what = f"with `{name}` at {format_value(value)}"
            reply = tested.call(direction, call.with_port(name, encode_scalar(value)), what=what)
            if not isinstance(reply, Refusal):
                raise CheckFailed(
                    f"{doing(direction, what)} gives an answer, although {because}",
                    expected="a refusal with a message",
                )
            reasons.append((direction, _reason(reply.words, value)))
    return reasons


def _require_clamp(
    tested: CodecUnderTest,
    calls: Sequence[Example],
    name: str,
    values: tuple[object, object],
    because: str,
) -> None:
    """Require that a value beyond a bound gives the same as the bound."""
    bound, beyond = values
    what = f"with `{name}` at {format_value(beyond)}"
    for call in calls[:_EXAMPLES_MAX]:
        one, other = (
            tested.call(call.direction, call.with_port(name, encode_scalar(each)), what=what)
            for each in values
        )
        if outcome_of(one) != outcome_of(other):
            raise CheckFailed(
                f"{doing(call.direction, what)} is not the same as with {format_value(bound)},"
                f" although {because} and `clamp`",
                got=f"the refusal: {other.words}" if isinstance(other, Refusal) else "",
            )


def _require_to_work(
    tested: CodecUnderTest,
    calls: Sequence[Example],
    name: str,
    value: object,
    reasons: Sequence[tuple[Direction, str]],
) -> None:
    """Require that a value works, or is refused for another reason than one that is not allowed.

    A value may need other parameters or other data, such as the rows of a width of a billion, or
    work in one direction only.

    Args:
        tested: the codec.
        calls: calls to try it in.
        name: the port.
        value: the value.
        reasons: for which values that are not allowed are refused.
    """
    what = f"with `{name}` at {format_value(value)}"
    words = ""
    for call in calls:
        reply = tested.call(call.direction, call.with_port(name, encode_scalar(value)), what=what)
        if not isinstance(reply, Refusal):
            return
        # Without messages, nothing is known of reasons.
        if reasons and (
            not tested.has_words or (call.direction, _reason(reply.words, value)) not in reasons
        ):
            return
        words = words or reply.words
    raise CheckFailed(
        f"a call {what} is refused, although the signature allows it",
        expected="in one direction a success, or another reason than for values not allowed",
        got=words,
    )


def _reason(words: str, value: object) -> str:
    """Give a message without the value and without numbers, to compare it with another."""
    text = value if isinstance(value, str) and value else format_value(value)
    return _NUMBER.sub("", words.replace(text, ""))


def _identity_calls(
    tested: CodecUnderTest, direction: Direction, chosen: Mapping[str, object], source: str
) -> Iterator[Ports]:
    input_ports = tested.signature.input_ports(direction)
    values = {name: encode_scalar(value) for name, value in chosen.items() if name in input_ports}
    for example in tested.examples_of(direction)[:_EXAMPLES_MAX]:
        yield {**example.ports, **values}
        for size in (0, 1, _EVEN_SIZE):
            data = generated("random", size, seed=source)
            yield {**example.ports, **values, source: data}


def _check_dtype(tested: CodecUnderTest) -> bool:
    """Require encodings of whole elements of the declared dtype: where a port says it, as many."""
    form, declared = tested.declared.encoded, tested.declared
    if not form.dtype:
        return False
    ports = [each for each in form.dtype if not is_type_string(each)]
    _vary_dtypes(tested)
    checked = False
    source, _ = _data_port(tested, "encode")
    for call in _encodings(tested):
        values = declared.with_defaults(_values_of(tested, call.ports))
        try:
            dtype = form.find_dtype(values)
        except PipelineError:  # one that arrays do not have
            continue
        size = _element_bytes(tested, values)
        if dtype is None or size is None:
            continue
        checked = True
        count, rest = divmod(sum(call.output_sizes.values()), dtype.itemsize)
        given = len(call.ports.get(source, b"")) // size
        if rest or (any(name in values for name in ports) and count != given):
            raise CheckFailed(
                f"encoding {format_ports(call.ports)} does not give elements of {dtype.text}, the"
                " dtype by `array` in the signature",
                expected=f"{given * dtype.itemsize} bytes",
                got=f"{sum(call.output_sizes.values())} bytes",
            )
    return checked


def _vary_dtypes(tested: CodecUnderTest) -> None:
    """Encode with other dtypes, so that their sizes are seen."""
    source, _ = _data_port(tested, "encode")
    input_ports = tested.signature.input_ports("encode")
    names = [name for name, port in input_ports.items() if port.type == "dtype_desc"]
    for example in tested.examples_of("encode")[:2]:
        for name in names:
            for dtype in _DTYPES:
                ports = example.with_port(name, encode_scalar(dtype))
                ports[source] = generated("constant", _EVEN_SIZE)
                tested.call("encode", ports, what=f"with `{name}` at `{dtype}`")


def _check_byte_order(tested: CodecUnderTest) -> bool:
    """Require that the order of a dtype has no effect if elements are little-endian, or its own.

    Its own: the same numbers in the other order are encoded to the same numbers.
    """
    name, declared = _dtype_port(tested), tested.declared
    if not name:
        return False
    source, result = _data_port(tested, "encode")
    checked = False
    examples = {
        dtype: example
        for example in tested.examples_of("encode")
        if isinstance(dtype := _values_of(tested, example.ports).get(name), str)
    }
    for dtype, example in examples.items():
        if dtype[:1] not in "<>":
            continue
        data = example.ports[source]
        turned = f"{'<' if dtype[0] == '>' else '>'}{dtype[1:]}"
        is_little = declared.decoded.byte_order == "little"
        ports = {
            **example.with_port(name, encode_scalar(turned)),
            source: data if is_little else _swapped(data, dtype),
        }
        reply = tested.call("encode", ports, what=f"with `{name}` at `{turned}`")
        if isinstance(reply, Refusal):
            continue
        if is_little:
            same = reply == example.outputs
        elif declared.kind == "array-to-array":
            one, other = (
                _little(tested, call_ports, call_outputs[result], dtype_)
                for call_ports, call_outputs, dtype_ in (
                    (example.ports, example.outputs, dtype),
                    (ports, reply, turned),
                )
            )
            same = one == other
        else:
            continue
        checked = True
        if not same:
            raise CheckFailed(
                f"encoding numbers with `{name}` at `{turned}` does not give the same as at"
                f" `{dtype}`",
                expected="little-endian elements, as the signature says, whatever the dtype"
                if is_little
                else "the byte order of the dtype, since the signature says no other",
            )
    return checked


def _little(tested: CodecUnderTest, ports: Ports, encoded: bytes, dtype: str) -> bytes:
    """Give encoded elements in little-endian order."""
    values = tested.declared.with_defaults(_values_of(tested, ports))
    text = (tested.declared.encoded.find_dtype(values) or Dtype.of(dtype)).description
    return _swapped(encoded, str(text)) if str(text)[0] == ">" else encoded


def _swapped(data: bytes, dtype: str) -> bytes:
    """Turn the bytes of each number around."""
    size = Dtype.of(dtype).scalarsize
    turned = bytearray(data)
    whole = len(data) - len(data) % size
    for index in range(size):
        turned[index:whole:size] = data[size - 1 - index : whole : size]
    return bytes(turned)


def _check_order_of_axes(tested: CodecUnderTest) -> bool:
    """Require that the axes of the encoded array have the order that a port says."""
    order_port = tested.declared.encoded.permuted_by
    if not order_port or not _port_of(tested, "shape"):
        return False
    source, result = _data_port(tested, "encode")
    chosen = {
        _port_of(tested, what): value
        for what, value in (
            ("shape", list(_SHAPE)),
            ("itemsize", _ITEMSIZE),
            ("scalarsize", _ITEMSIZE),
            ("dtype", "<u2"),
        )
    }
    data = generated("ramp", math.prod(_SHAPE) * _ITEMSIZE)
    example = tested.examples_of("encode")[0]
    for order in permutations(range(len(_SHAPE))):
        values = {name: encode_scalar(value) for name, value in chosen.items() if name}
        ports = {**example.ports, **values, order_port: encode_scalar(list(order)), source: data}
        what = f"with `{order_port}` at {format_value(list(order))}"
        reply = tested.call("encode", ports, what=what)
        expected = {result: _permuted(data, order)}
        if reply != expected:
            raise CheckFailed(
                f"{doing('encode', what)} does not give an array with its axes in that order,"
                " although the signature says `permuted_by`",
                expected=format_ports(expected),
                got=f"the refusal: {reply.words}"
                if isinstance(reply, Refusal)
                else format_ports(reply, beside=expected),
            )
    return True


def _permuted(data: bytes, order: Sequence[int]) -> bytes:
    """Give the elements of an array of `_SHAPE` with its axes in another order."""
    strides = [math.prod(_SHAPE[axis + 1 :]) for axis in range(len(_SHAPE))]
    starts = [0]
    for axis in order:
        starts = [
            start + index * strides[axis] for start in starts for index in range(_SHAPE[axis])
        ]
    return b"".join(data[start * _ITEMSIZE : (start + 1) * _ITEMSIZE] for start in starts)


def _encode_more(tested: CodecUnderTest) -> None:
    """Encode data that are hard to encode, of sizes around which an encoding changes."""
    for setting in settings(tested):
        for content in _CONTENTS:
            for ports in _data_of_sizes(tested, setting, content):
                tested.call("encode", {**ports, **setting.values}, what=f"{content} data")


def _data_of_sizes(
    tested: CodecUnderTest, setting: Setting, content: Content
) -> Iterator[dict[str, bytes]]:
    names = data_ports(tested.signature)
    units = [unit for unit in setting.units.values() if unit]
    for size in dict.fromkeys([*_SIZES, *(unit * 3 for unit in units)]):
        yield {name: generated(content, size, seed=name) for name in names}


def _encodings(tested: CodecUnderTest) -> Iterator[Tried]:
    for call in tested.tried:
        if call.direction == "encode" and call.has_outputs:
            yield call


def _values_of(tested: CodecUnderTest, ports: Ports) -> dict[str, object]:
    """Parse the parameters among the inputs of a call."""
    found = {}
    inputs = tested.signature.inputs
    for name in tested.declared.parameters.keys() & ports.keys():
        try:
            found[name] = check_scalar(ports[name], inputs[name].type, what=f"`{name}`")
        except PipelineError:  # bytes, or no value, which `types` finds
            continue
    return found


def _sizes(tested: CodecUnderTest, ports: Ports) -> dict[str, int]:
    known = tested.signature.connectable_ports("encode")
    return {
        name: len(data)
        for name, data in ports.items()
        if name in known and known[name].type == "bytes"
    }


def _element_bytes(tested: CodecUnderTest, values: Mapping[str, object]) -> int | None:
    """Give the size of a decoded element: a byte if nothing says its dtype.

    Returns:
        The bytes, or None if no such parameter has a value.
    """
    known = tested.declared.with_defaults(values)
    dtype = tested.declared.decoded.find_dtype(known)
    if dtype is not None:
        return dtype.itemsize
    elements = [
        (parameter.from_array, known.get(name))
        for name, parameter in tested.declared.parameters.items()
        if parameter.from_array in ("dtype", "itemsize", "scalarsize")
    ]
    for source, value in elements:
        if source == "dtype" and value is not None:
            try:
                return Dtype.of(value).itemsize
            except PipelineError:  # one that arrays do not have
                continue
        if isinstance(value, int) and value:
            return value
    return None if elements else 1


def _port_of(tested: CodecUnderTest, what: str) -> str:
    """Give the parameter that takes a property of the array, or nothing."""
    for name, parameter in tested.declared.parameters.items():
        if parameter.from_array == what and tested.signature.inputs[name].exists("encode"):
            return name
    return ""


def _dtype_port(tested: CodecUnderTest) -> str:
    return _port_of(tested, "dtype")


def _data_inputs(tested: CodecUnderTest, direction: Direction) -> list[str]:
    ports = tested.signature.input_ports(direction)
    return [name for name, port in ports.items() if port.type == "bytes" and not port.parameter]


def _data_port(tested: CodecUnderTest, direction: Direction) -> tuple[str, str]:
    """Give the port of data of a direction, and that of its results.

    Raises:
        CheckFailed: when there are several, which no declaration of arrays is about.
    """
    sources = _data_inputs(tested, direction)
    results = list(tested.signature.output_ports(direction))
    if len(sources) != 1 or len(results) != 1:
        raise CheckFailed(
            "the signature declares something of codecs of one value",
            expected=f"one port of data on each side, {doing(direction, '')}",
            got=f"{len(sources)} and {len(results)}",
        )
    return sources[0], results[0]


def _join(names: list[str], *, none: str) -> str:
    if not names:
        raise NotApplicable(none)
    return ", ".join(dict.fromkeys(names))
