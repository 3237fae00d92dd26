"""Checking that a codec handles malformed input."""

import struct
from collections.abc import Iterator

from chonkle.errors import CodecError, CodecTrap, LimitExceeded
from chonkle.formats import portmap
from chonkle.formats.signature import Direction
from chonkle_toolchain.direct_call import call_raw
from chonkle_toolchain.verify.codec_under_test import CodecUnderTest, Example
from chonkle_toolchain.verify.report import CheckFailed, NotApplicable
from chonkle_toolchain.verify.runner import Ports, doing
from chonkle_toolchain.verify.samples import damaged, extremes

_EXAMPLES_MAX = 3


def check_bad_input(tested: CodecUnderTest) -> str:
    """Require outputs or a message for damaged data and extreme values."""
    if not tested.examples:
        raise NotApplicable("no successful call is known")
    calls = 0
    for direction, ports, what in _bad_calls(tested):
        tested.call(direction, ports, what=what)
        calls += 1
    if not calls:
        raise NotApplicable("nothing goes in that could be bad")
    return f"{calls} calls"


def check_bad_port_maps(tested: CodecUnderTest) -> str:
    """Require that a core module refuses malformed port-maps."""
    if tested.file.kind == "component":
        raise NotApplicable("the port-maps of a component are made by its host")
    calls = 0
    for direction in tested.directions:
        for example in tested.examples_of(direction)[:1]:
            for what, request in _bad_port_maps(example):
                _require_raw_refusal(tested, direction, request, what=f"a port-map {what}")
                calls += 1
    if not calls:
        raise NotApplicable("no successful call is known")
    return f"{calls} port-maps"


def _bad_calls(tested: CodecUnderTest) -> Iterator[tuple[Direction, Ports, str]]:
    """Give calls with damaged data and with extreme values, and their descriptions."""
    for direction in tested.directions:
        input_ports = tested.signature.input_ports(direction)
        for example in _spread(tested.examples_of(direction), _EXAMPLES_MAX):
            for name, data in example.ports.items():
                if name in input_ports and input_ports[name].type == "bytes":
                    for what, wrong in damaged(data):
                        yield direction, example.with_port(name, wrong), f"with `{name}` {what}"
        for example in tested.examples_of(direction)[:1]:
            for name, port in input_ports.items():
                for wrong in extremes(port.type):
                    displayed = wrong[:40].decode(errors="replace")
                    yield (
                        direction,
                        example.with_port(name, wrong),
                        f"with `{name}` at `{displayed}`",
                    )


def _bad_port_maps(example: Example) -> Iterator[tuple[str, bytes]]:
    good = portmap.encode(example.ports)
    name, data = next(iter(example.ports.items()), ("", b""))
    encoded = name.encode()
    only = struct.pack("<I", len(encoded)) + encoded
    for kept in sorted({0, 1, 3, 4, 7, 8, len(good) // 2, len(good) - 1}):
        if kept < len(good):
            yield f"cut to {kept} of {len(good)} bytes", good[:kept]
    yield "with a byte after its end", good + b"\0"
    yield "with a name longer than it is", struct.pack("<II", 1, 0xFFFF_FFFF)
    yield "with data longer than it is", struct.pack("<I", 1) + only + struct.pack("<I", 2**32 - 1)
    yield "that counts ports that are not there", struct.pack("<I", 0xFFFF_FFFF) + good[4:]
    twice = (only + struct.pack("<I", len(data)) + data) * 2
    yield "with a port twice", struct.pack("<I", 2) + twice


def _require_raw_refusal(
    tested: CodecUnderTest, direction: Direction, request: bytes, *, what: str
) -> None:
    said = None
    try:
        with tested.runner.on_the_clock():
            call_raw(
                tested.file.wasm,
                direction,
                request,
                limits=tested.runner.limits,
                compile_limits=tested.runner.compile_limits,
            )
    except CodecError as failure:
        said = str(failure)
    except (CodecTrap, LimitExceeded) as failure:
        raise CheckFailed(f"{doing(direction, what)}: {failure}") from failure
    if said is None:
        raise CheckFailed(f"{doing(direction, what)} gives an answer", expected="a refusal")
    if not said and tested.has_words:
        raise CheckFailed(f"{doing(direction, what)}: refused without a message")


def _spread[T](items: list[T], count: int) -> list[T]:
    """Take some of many, evenly."""
    if len(items) <= count:
        return items
    return [items[index * (len(items) - 1) // (count - 1)] for index in range(count)]
