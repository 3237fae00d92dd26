"""Checking that a codec gives the right bytes, every time, in both of its forms."""

from collections.abc import Iterable, Mapping

from chonkle.errors import CodecError
from chonkle.formats.signature import Direction
from chonkle.storage.store import WasmCodec
from chonkle_toolchain.vectors import format_ports
from chonkle_toolchain.verify.codec_under_test import CodecUnderTest, Tried, outcome_of
from chonkle_toolchain.verify.report import CheckFailed, NotApplicable
from chonkle_toolchain.verify.round_trip import (
    RoundTrip,
    Setting,
    decode_again,
    loss,
    round_trip,
    settings,
    usual_size,
)
from chonkle_toolchain.verify.runner import OpenCodec, Ports, Refusal, Reply, doing
from chonkle_toolchain.verify.samples import CONTENTS

# Data of 0 and 1 bytes are tried with one kind of content only.
_SMALL = (0, 1)
_ODD = 1021
_LARGE = 1 << 20
_LARGE_WHEN_SLOW = 1 << 14
# A lossy codec may change data once, and not for ever.
_ROUND_TRIPS_MAX = 8


def check_golden_vectors(tested: CodecUnderTest) -> str:
    """Require that the codec agrees with its golden vectors."""
    if not tested.vectors:
        raise NotApplicable("no golden vectors were given")

    def call(direction: Direction, ports: Ports) -> Ports:
        reply = tested.call(direction, ports)
        if isinstance(reply, Refusal):
            raise CodecError(reply.words)
        return reply

    compared = 0
    for vector in tested.vectors:
        for direction in vector.directions:
            vector.check(direction, tested.signature, call)
            compared += 1
    return f"{compared} answers to {len(tested.vectors)} vectors"


def check_round_trip(tested: CodecUnderTest) -> str:
    """Require that decoding gives back what was encoded."""
    if set(tested.directions) != {"encode", "decode"}:
        raise NotApplicable("the signature offers one direction only")
    comes_back = tested.signature.output_ports("decode").keys()
    found = [
        tried
        for tried in _round_trips(tested)
        if not isinstance(tried.encoded, Refusal) and comes_back & tried.given.keys()
    ]
    guessed = 0
    for tried in found:
        lost = loss(tested, tried)
        if lost and tried.is_guessed:
            guessed += 1
        elif lost:
            if tested.signature.document.get("lossless", True) is not False:
                raise CheckFailed(
                    f"decoding what encoding {format_ports(tried.given)} gave: {lost}",
                    hint="if the codec is to lose something, its signature says `lossless: false`",
                )
            _require_to_settle(tested, tried, lost)
    if not found:
        raise NotApplicable(
            "encoding refuses every input that was tried, or takes nothing that decoding gives back"
        )
    if guessed == len(found):
        raise NotApplicable(
            "decoding takes a value that encoding does not give, and none was found"
        )
    return f"{len(found) - guessed} times"


def check_determinism(tested: CodecUnderTest) -> str:
    """Require the same outputs again, from the same instance and from a fresh one."""
    if not tested.tried:
        raise NotApplicable("no call was made")
    if not tested.is_deterministic:
        raise NotApplicable("the signature says that it is not deterministic")
    for example in tested.examples:
        for _ in range(2):
            reply = tested.opened.call(example.direction, example.ports, what="again")
            if reply != example.outputs:
                raise CheckFailed(
                    f"{doing(example.direction, '')} the same again gives another answer",
                    expected=_format_reply(example.outputs, beside=reply),
                    got=_format_reply(reply, beside=example.outputs),
                )
    fresh = tested.runner.open(tested.file)
    # Backwards, so that each call finds other remains in memory than the first time.
    for call, reply in _replayed(reversed(tested.tried), fresh):
        raise CheckFailed(
            f"{doing(call.direction, '')} {format_ports(call.ports)} gives another answer in a "
            "fresh instance",
            got=_format_reply(reply),
        )
    return f"{len(tested.tried)} calls"


def check_both_forms(tested: CodecUnderTest) -> str:
    """Require that core module and component give the same for everything that was tried."""
    if tested.partner is None:
        raise NotApplicable("no other form was given")
    partner = WasmCodec.from_bytes(tested.partner, "the other form")
    if partner.kind == tested.file.kind:
        raise CheckFailed(f"the other form is of the same kind: it is a {partner.kind} binary too")
    if partner.signature.to_json() != tested.signature.to_json():
        raise CheckFailed(f"the signature differs from that of the {partner.kind} form")
    if not tested.tried:
        raise NotApplicable("no call was made")
    other = tested.runner.open(partner)
    for call, reply in _replayed(tested.tried, other):
        own = tested.opened.call(call.direction, call.ports)
        raise CheckFailed(
            f"the two forms differ, {doing(call.direction, '')} {format_ports(call.ports)}",
            expected=f"{_format_reply(own, beside=reply)}, as from the {tested.file.kind} form",
            got=f"{_format_reply(reply, beside=own)}, from the {partner.kind} form",
        )
    return f"{len(tested.tried)} calls"


def _round_trips(tested: CodecUnderTest) -> Iterable[RoundTrip]:
    """Encode and decode the data of golden vectors, and generated data of many sizes."""
    signature = tested.signature
    for vector in tested.vectors:
        given = vector.given("encode", signature)
        encoded = tested.call("encode", given, what=f"the golden vector `{vector.case}`")
        if isinstance(encoded, Refusal):
            continue
        known = vector.given("decode", signature)
        yield decode_again(tested, given, encoded, known=known)
    for index, setting in enumerate(settings(tested)):
        yield from _round_trips_of(tested, setting, is_first=index == 0)


def _round_trips_of(
    tested: CodecUnderTest, setting: Setting, *, is_first: bool
) -> Iterable[RoundTrip]:
    for size in _SMALL:
        yield round_trip(tested, setting, content="random", size=size)
    large = _LARGE_WHEN_SLOW if tested.is_slow else _LARGE
    for content in CONTENTS:
        for size in (_ODD, usual_size(tested), *([large] if is_first else [])):
            yield round_trip(tested, setting, content=content, size=size)


def _require_to_settle(tested: CodecUnderTest, tried: RoundTrip, lost: str) -> None:
    """Require that a lossy codec loses nothing more after a few round trips."""
    for _ in range(_ROUND_TRIPS_MAX):
        if tried.decoded is None or isinstance(tried.decoded, Refusal):
            break
        given = {**tried.given, **tried.decoded}
        encoded = tested.call("encode", given, what="what decoding gave")
        if isinstance(encoded, Refusal):
            break
        tried = decode_again(tested, given, encoded)
        if not loss(tested, tried):
            return
    raise CheckFailed(
        f"{_ROUND_TRIPS_MAX} round trips in a row change the data each time; the first: {lost}",
        expected="a lossy codec to lose something once",
    )


def _replayed(
    calls: Iterable[Tried], codec: OpenCodec
) -> Iterable[tuple[Tried, Mapping[str, bytes] | Refusal]]:
    """Repeat calls, and give those whose outcome differs."""
    for call in calls:
        reply = codec.call(call.direction, call.ports, what="again")
        outcome = outcome_of(reply)
        if outcome != call.outcome and outcome is not None and call.outcome is not None:
            yield call, reply


def _format_reply(reply: Reply, *, beside: Reply | None = None) -> str:
    if isinstance(reply, Refusal):
        return f"the refusal: {reply.words}"
    return format_ports(reply, beside=None if isinstance(beside, Refusal) else beside)
