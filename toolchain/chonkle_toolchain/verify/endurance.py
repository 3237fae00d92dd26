"""Checking that many calls give the same outputs in the same memory."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from operator import lt

from chonkle.formats.signature import Direction
from chonkle_toolchain.verify.codec_under_test import CodecUnderTest, Example, Tried, outcome_of
from chonkle_toolchain.verify.report import CheckFailed, NotApplicable
from chonkle_toolchain.verify.runner import OpenCodec, Refusal, Reply, doing

_CALLS = 1000
# Most heaps allocate at least 16 bytes, which over so many calls are more than a page.
_SMALL_CALLS = 4200
_LARGE_CALLS = 4
_LARGE_BYTES_MAX = 2 << 20
# For each refused call, however many there are.
_ROUNDS_MIN = 4


def check_memory(tested: CodecUnderTest) -> str:
    """Require that repeated calls, answered and refused, give the same and do not grow memory."""
    kinds = [kind for direction in tested.directions for kind in _kinds_of_calls(tested, direction)]
    if not kinds:
        raise NotApplicable("no successful call is known")
    if tested.is_slow:
        raise NotApplicable(
            "its memory is unknown: it runs through wasmtime's own support for components"
        )
    before, after = _memory_over_calls(tested, kinds)
    if before < after:
        # Each kind alone, to name those that leak.
        leaks = [kind for kind in kinds if lt(*_memory_over_calls(tested, [kind]))]
        raise CheckFailed(
            f"it leaks: its memory grows, {', '.join(kind.did for kind in leaks or kinds)}",
            expected=f"{before} bytes, as after the first calls",
            got=f"{after} bytes",
        )
    return f"{before} bytes, before and after {sum(kind.count for kind in kinds)} calls"


@dataclass(frozen=True, slots=True)
class _Kind:
    """Calls to be repeated.

    Attributes:
        direction: their direction.
        what: what they are, as words after `encoding` or `decoding`.
        calls: the calls.
        rounds: how often each is made.
    """

    direction: Direction
    what: str
    calls: Sequence[Tried]
    rounds: int

    @property
    def count(self) -> int:
        """The number of calls."""
        return self.rounds * len(self.calls)

    @property
    def warm_up(self) -> int:
        """How many rounds come before, after which memory should grow no more."""
        return max(1, self.rounds // 64)

    @property
    def did(self) -> str:
        """A description of the calls."""
        return f"{doing(self.direction, self.what)} {self.count} times"


def _memory_over_calls(tested: CodecUnderTest, kinds: list[_Kind]) -> tuple[int, int]:
    """Give the size of a fresh instance's memory after a few calls, and after many more.

    Raises:
        CheckFailed: when a call gives something else than before.
    """
    codec = tested.runner.open(tested.file)
    known = [_first_replies(tested, codec, kind) for kind in kinds]
    before = codec.memory_bytes() or 0
    for kind, first in zip(kinds, known, strict=True):
        _repeat(tested, codec, kind, first, rounds=kind.rounds)
    return before, codec.memory_bytes() or 0


def _first_replies(tested: CodecUnderTest, codec: OpenCodec, kind: _Kind) -> list[Reply]:
    """Warm an instance up, and give its replies, which must be the codec's earlier ones."""
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
    """Give calls that succeed with little, some and much data, and all refused ones."""
    tried = [call for call in tested.tried if call.direction == direction]
    successful = sorted((call for call in tried if call.has_outputs), key=_size)
    for calls, rounds in (
        ([call for call in successful if _has_data(tested, call)][:1], _SMALL_CALLS),
        # Neither an empty one, which can leak nothing, nor a slow one.
        (_middle(tested, direction), _CALLS),
        (_largest(successful), _LARGE_CALLS),
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
    return [Tried(direction, each.ports, outcome_of(each.outputs)) for each in middle]


def _largest(successful: list[Tried]) -> list[Tried]:
    large = [call for call in successful if _size(call) <= _LARGE_BYTES_MAX]
    return [max(large, key=_size)] if large else []


def _has_data(tested: CodecUnderTest, call: Tried) -> bool:
    input_ports = tested.signature.input_ports(call.direction)
    return any(
        data
        for name, data in call.ports.items()
        if name in input_ports and input_ports[name].type == "bytes"
    )


def _size(call: Example | Tried) -> int:
    return sum(map(len, call.ports.values()))
