"""The codec under test: its calls, what is known to work with it, and all that was tried."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

from chonkle.digest import Digest
from chonkle.formats import portmap
from chonkle.formats.signature import DIRECTIONS, Direction, Port, Signature
from chonkle.formats.wasm_binary import read_core_interface
from chonkle.storage.store import WasmCodec
from chonkle_toolchain.vectors import Vector
from chonkle_toolchain.verify.report import CheckFailed, NotApplicable
from chonkle_toolchain.verify.runner import OpenCodec, Ports, Refusal, Reply, Runner, doing

_REFUSED = "refusal"


@dataclass(frozen=True, slots=True)
class Example:
    """A call that the codec answers.

    Attributes:
        direction: which of its functions.
        ports: what goes in.
        answer: what comes out.
    """

    direction: Direction
    ports: Ports
    answer: Ports

    def without(self, name: str) -> dict[str, bytes]:
        """Give what goes in, less one port."""
        return {port: data for port, data in self.ports.items() if port != name}

    def with_port(self, name: str, data: bytes) -> dict[str, bytes]:
        """Give what goes in, with other data for one port."""
        return {**self.ports, name: data}


@dataclass(frozen=True, slots=True)
class Tried:
    """A call that was made, and what came of it.

    Attributes:
        direction: which of the codec's functions.
        ports: what went in.
        outcome: identifies what came out; None for what hangs on how much memory there is.
    """

    direction: Direction
    ports: Ports
    outcome: str | None

    @property
    def is_refused(self) -> bool:
        """Whether the codec refused it, for what stood in it."""
        return self.outcome == _REFUSED

    @property
    def is_answered(self) -> bool:
        """Whether the codec answered it."""
        return self.outcome not in (_REFUSED, None)


class CodecUnderTest:
    """A codec under test.

    Attributes:
        file: the codec's file, with its signature.
        runner: where it is run.
        vectors: its golden vectors.
        partner: the codec's other form, if there is one.
        examples: calls that it answers, of both directions; see `find_examples`.
        tried: every call that it answered or refused.

    Args of the constructor:
        file: the codec's file.
        runner: where it is run.
        vectors: its golden vectors.
        partner: the codec's other form.
    """

    def __init__(
        self,
        file: WasmCodec,
        *,
        runner: Runner,
        vectors: tuple[Vector, ...] = (),
        partner: bytes | None = None,
    ) -> None:
        self.file = file
        self.runner = runner
        self.vectors = vectors
        self.partner = partner
        self.examples: list[Example] = []
        self.tried: list[Tried] = []

    @property
    def signature(self) -> Signature:
        """What the codec says of itself."""
        return self.file.signature

    @property
    def directions(self) -> tuple[Direction, ...]:
        """The directions that something comes out of; there is no other way to lack one."""
        return tuple(each for each in DIRECTIONS if self.signature.gives(each))

    @property
    def is_deterministic(self) -> bool:
        """Whether its signature says that it gives the same for the same, as most do."""
        return self.signature.document.get("deterministic") is not False

    @cached_property
    def opened(self) -> OpenCodec:
        """The codec, opened when it is first called."""
        return self.runner.open(self.file)

    @cached_property
    def is_slow(self) -> bool:
        """Whether it takes a second for each megabyte, through wasmtime's own component support."""
        return self.opened.memory_bytes() is None

    @cached_property
    def has_words(self) -> bool:
        """Whether the codec's ABI lets it say why it refuses."""
        return self.file.kind == "component" or any(
            export.name == "last_error" for export in read_core_interface(self.file.wasm).exports
        )

    def call(self, direction: Direction, ports: Ports, *, what: str = "") -> Reply:
        """Call the codec, and note the call.

        Args:
            direction: which of its functions.
            ports: what goes in.
            what: what is special about it, in words behind `encoding` or `decoding`.

        Raises:
            CheckFailed: when it breaks, or refuses without a word.
        """
        reply = self.opened.call(direction, ports, what=what)
        if isinstance(reply, Refusal) and not reply.words and self.has_words:
            raise CheckFailed(f"{doing(direction, what)}: refused without a word")
        self.tried.append(Tried(direction, ports, outcome_of(reply)))
        return reply

    def demand_refusal(
        self, direction: Direction, ports: Ports, *, what: str, because: str
    ) -> None:
        """Demand that the codec refuses a call.

        Args:
            direction: which of its functions.
            ports: what goes in.
            what: what is special about it.
            because: why it should refuse.

        Raises:
            CheckFailed: when it answers, or breaks.
        """
        if not isinstance(self.call(direction, ports, what=what), Refusal):
            raise CheckFailed(
                f"{doing(direction, what)} gives an answer, although {because}",
                expected="a refusal in words",
            )

    def examples_of(self, direction: Direction) -> list[Example]:
        """Give the calls of one direction that it answers."""
        return [example for example in self.examples if example.direction == direction]

    def ports_taken(self) -> Iterator[tuple[list[Example], str, Port]]:
        """Give each port of each direction, with examples of that direction.

        Raises:
            NotApplicable: when no call is known that the codec answers.
        """
        if not self.examples:
            raise NotApplicable("no call is known that it answers")
        for direction in self.directions:
            examples = self.examples_of(direction)
            if examples:
                for name, port in self.signature.takes(direction).items():
                    yield examples, name, port


def outcome_of(reply: Reply) -> str | None:
    """Identify what a call gave, so that two of them can be compared; see `Tried`."""
    if isinstance(reply, Refusal):
        return None if reply.for_memory else _REFUSED
    return identified(reply)


def identified(ports: Mapping[str, bytes]) -> str:
    """Identify what came out, whatever the order of the ports."""
    return str(Digest.blake3(portmap.encode(dict(sorted(ports.items())))))
