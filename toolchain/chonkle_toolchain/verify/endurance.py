"""Whether a codec goes on as it began: with the same answers, in the same memory."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from operator import lt

from chonkle.formats.signature import Direction
from chonkle_toolchain.verify.codec_under_test import CodecUnderTest, Example, Tried, outcome_of
from chonkle_toolchain.verify.report import CheckFailed, NotApplicable
from chonkle_toolchain.verify.runner import OpenCodec, Refusal, Reply, doing

_CALLS = 1000
# 16 bytes are the least that most heaps give away, and over so many calls more than a page.
_SMALL_CALLS = 4200
_LARGE_CALLS = 4
_LARGE_BYTES_MAX = 2 << 20
# Of each call that is refused, however many they are.
_ROUNDS_MIN = 4


def check_memory(tested: CodecUnderTest) -> str:
    """Demand that calls, answered and refused, give what they gave, and leave memory as it was."""
    kinds = [kind for direction in tested.directions for kind in _kinds_of_calls(tested, direction)]
    if not kinds:
        raise NotApplicable("no call is known that it answers")
    if tested.is_slow:
        raise NotApplicable(
            "its memory cannot be seen: it runs through wasmtime's own support for components"
        )
    before, after = _memory_over_calls(tested, kinds)
    if before < after:
        # Each alone, to say which.
        leaks = [kind for kind in kinds if lt(*_memory_over_calls(tested, [kind]))]
        raise CheckFailed(
            f"it leaks: its memory grows, {', '.join(kind.did for kind in leaks or kinds)}",
            expected=f"{before} bytes, as after the first calls",
            got=f"{after} bytes",
        )
    return f"{before} bytes, before and after {sum(kind.count for kind in kinds)} calls"


@dataclass(frozen=True, slots=True)
class _Kind:
    """Calls to be made one after the other, again and again.

    Attributes:
        direction: their direction.
        what: what they are, in words behind `encoding` or `decoding`.
        calls: the calls.
        rounds: how often each is made.
    """

    direction: Direction
    what: str
    calls: Sequence[Tried]
    rounds: int

    @property
    def count(self) -> int:
        """How many calls that is."""
        return self.rounds * len(self.calls)

    @property
    def warm_up(self) -> int:
        """How many rounds come before, after which memory should be as large as it gets."""
        return max(1, self.rounds // 64)

    @property
    def did(self) -> str:
        """What was done, in words."""
        return f"{doing(self.direction, self.what)} {self.count} times"


def _memory_over_calls(tested: CodecUnderTest, kinds: list[_Kind]) -> tuple[int, int]:
    """Say how large a fresh instance's memory is after a few calls, and after many more.

    Raises:
        CheckFailed: when it does not go on to give what it gave.
    """
    codec = tested.runner.open(tested.file)
    known = [_first_replies(tested, codec, kind) for kind in kinds]
    before = codec.memory_bytes() or 0
    for kind, first in zip(kinds, known, strict=True):
        _repeat(tested, codec, kind, first, rounds=kind.rounds)
    return before, codec.memory_bytes() or 0


def _first_replies(tested: CodecUnderTest, codec: OpenCodec, kind: _Kind) -> list[Reply]:
    """Warm an instance up, and say what it gives: what the codec gave before."""
    first: list[Reply] = []
    for call in kind.calls:
        reply = codec.call(kind.direction, call.ports, what=kind.what)
        if tested.is_deterministic and outcome_of(reply) != call.outcome:
            raise _not_the_same(kind, reply)
        first.append(reply)
    _repeat(tested, codec, kind, first, rounds=kind.warm_up)
    return first


def _repeat(
    tested: CodecUnderTest, codec: OpenCodec, kind: _Kind, first: Sequence[Reply], *, rounds: int
) -> None:
    for _ in range(rounds):
        for call, wanted in zip(kind.calls, first, strict=True):
            reply = codec.call(kind.direction, call.ports, what=kind.what)
            if isinstance(reply, Refusal) or isinstance(wanted, Refusal):
                same = isinstance(reply, Refusal) and isinstance(wanted, Refusal)
            else:
                same = reply == wanted or not tested.is_deterministic
            if not same:
                raise _not_the_same(kind, reply)


def _not_the_same(kind: _Kind, reply: Reply) -> CheckFailed:
    if isinstance(reply, Refusal) and reply.for_memory:
        return CheckFailed(
            f"it leaks: {doing(kind.direction, kind.what)} fails after many calls", got=reply.words
        )
    return CheckFailed(
        f"{doing(kind.direction, kind.what)} does not give the same after many calls",
        got=f"the refusal: {reply.words}" if isinstance(reply, Refusal) else "another answer",
    )


def _kinds_of_calls(tested: CodecUnderTest, direction: Direction) -> Iterator[_Kind]:
    """Give calls that are answered, with little data, some, and much; and all that are refused."""
    tried = [call for call in tested.tried if call.direction == direction]
    answered = sorted((call for call in tried if call.is_answered), key=_size)
    for calls, rounds in (
        ([call for call in answered if _has_data(tested, call)][:1], _SMALL_CALLS),
        # Neither an empty one, of which nothing can stay behind, nor one that takes long.
        (_middle(tested, direction), _CALLS),
        (_largest(answered), _LARGE_CALLS),
    ):
        if calls:
            yield _Kind(direction, f"{_size(calls[0])} bytes", calls, rounds)
    refused = [call for call in tried if call.is_refused]
    if refused:
        rounds = max(_ROUNDS_MIN, _CALLS // len(refused))
        yield _Kind(direction, "what it refuses", refused, rounds)


def _middle(tested: CodecUnderTest, direction: Direction) -> list[Tried]:
    examples = sorted(tested.examples_of(direction), key=_size)
    middle = examples[len(examples) // 2 :][:1]
    return [Tried(direction, each.ports, outcome_of(each.answer)) for each in middle]


def _largest(answered: list[Tried]) -> list[Tried]:
    large = [call for call in answered if _size(call) <= _LARGE_BYTES_MAX]
    return [max(large, key=_size)] if large else []


def _has_data(tested: CodecUnderTest, call: Tried) -> bool:
    takes = tested.signature.takes(call.direction)
    return any(
        data for name, data in call.ports.items() if name in takes and takes[name].type == "bytes"
    )


def _size(call: Example | Tried) -> int:
    return sum(map(len, call.ports.values()))
