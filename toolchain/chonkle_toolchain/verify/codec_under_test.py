"""The codec under test: its calls, and their outcomes."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from chonkle.digest import Digest
from chonkle.formats import portmap
from chonkle.formats.declared import Declared
from chonkle.formats.signature import DIRECTIONS, Direction, Port, Signature
from chonkle.formats.wasm_binary import read_core_interface
from chonkle.storage.store import WasmCodec
from chonkle_toolchain.vectors import Vector
from chonkle_toolchain.verify.report import CheckFailed, NotApplicable
from chonkle_toolchain.verify.runner import OpenCodec, Ports, Refusal, Reply, Runner, doing

_REFUSED = "refusal"


@dataclass(frozen=True, slots=True)
class Example:
    """A call that succeeds.

    Attributes:
        direction: which of the codec's functions.
        ports: the inputs.
        outputs: what it gave.
    """

    direction: Direction
    ports: Ports
    outputs: Ports

    def without(self, name: str) -> dict[str, bytes]:
        """Give the inputs without one port."""
        return {port: data for port, data in self.ports.items() if port != name}

    def with_port(self, name: str, data: bytes) -> dict[str, bytes]:
        """Give the inputs with other data for one port."""
        return {**self.ports, name: data}


@dataclass(frozen=True, slots=True)
class Tried:
    """A call that was made, and its outcome.

    Attributes:
        direction: which of the codec's functions.
        ports: the inputs.
        outcome: identifies the outputs; None when it depends on the memory limit.
        output_sizes: bytes of the outputs of type bytes.
    """

    direction: Direction
    ports: Ports
    outcome: str | None
    output_sizes: Mapping[str, int] = field(default_factory=dict)

    @property
    def is_refused(self) -> bool:
        """Whether the codec refused it because of its inputs."""
        return self.outcome == _REFUSED

    @property
    def has_outputs(self) -> bool:
        """Whether the call succeeded."""
        return self.outcome not in (_REFUSED, None)


class CodecUnderTest:
    """A codec under test.

    Attributes:
        file: the codec's file, with its signature.
        runner: runs it.
        vectors: its golden vectors.
        partner: the codec's other form, if there is one.
        examples: calls that succeed, of both directions; see `find_examples`.
        tried: every call that it answered or refused.

    Args of the constructor:
        file: the codec's file.
        runner: runs it.
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
        """The codec's signature."""
        return self.file.signature

    @cached_property
    def declared(self) -> Declared:
        """What its signature declares."""
        return Declared.of(self.signature)

    @property
    def directions(self) -> tuple[Direction, ...]:
        """The directions with an output; a codec without one direction has no output there."""
        return tuple(each for each in DIRECTIONS if self.signature.output_ports(each))

    @property
    def is_deterministic(self) -> bool:
        """Whether equal inputs give equal outputs, as its signature says."""
        return self.signature.document.get("deterministic") is not False

    @cached_property
    def opened(self) -> OpenCodec:
        """The codec, opened when it is first called."""
        return self.runner.open(self.file)

    @cached_property
    def is_slow(self) -> bool:
        """Whether it runs through wasmtime's component support: a second for each megabyte."""
        return self.opened.memory_bytes() is None

    @cached_property
    def has_words(self) -> bool:
        """Whether the codec's ABI has messages for failures."""
        return self.file.kind == "component" or any(
            export.name == "last_error" for export in read_core_interface(self.file.wasm).exports
        )

    def call(self, direction: Direction, ports: Ports, *, what: str = "") -> Reply:
        """Call the codec, and record the call.

        Args:
            direction: which of its functions.
            ports: the inputs.
            what: what is special about it, as words after `encoding` or `decoding`.

        Raises:
            CheckFailed: when it breaks, or fails without a message.
        """
        reply = self.opened.call(direction, ports, what=what)
        if isinstance(reply, Refusal) and not reply.words and self.has_words:
            raise CheckFailed(f"{doing(direction, what)}: refused without a message")
        self.tried.append(
            Tried(direction, ports, outcome_of(reply), self._output_sizes(direction, reply))
        )
        return reply

    def _output_sizes(self, direction: Direction, reply: Reply) -> dict[str, int]:
        if isinstance(reply, Refusal):
            return {}
        return {
            name: len(reply[name])
            for name, port in self.signature.output_ports(direction).items()
            if port.type == "bytes" and name in reply
        }

    def require_refusal(
        self, direction: Direction, ports: Ports, *, what: str, because: str
    ) -> None:
        """Require that the codec refuses a call.

        Args:
            direction: which of its functions.
            ports: the inputs.
            what: what is special about it.
            because: why it should refuse.

        Raises:
            CheckFailed: when it succeeds, or breaks.
        """
        if not isinstance(self.call(direction, ports, what=what), Refusal):
            raise CheckFailed(
                f"{doing(direction, what)} gives an answer, although {because}",
                expected="a refusal with a message",
            )

    def examples_of(self, direction: Direction) -> list[Example]:
        """Give the examples of one direction."""
        return [example for example in self.examples if example.direction == direction]

    def ports_taken(self) -> Iterator[tuple[list[Example], str, Port]]:
        """Give each port of each direction, with examples of that direction.

        Raises:
            NotApplicable: when no example is known.
        """
        if not self.examples:
            raise NotApplicable("no successful call is known")
        for direction in self.directions:
            examples = self.examples_of(direction)
            if examples:
                for name, port in self.signature.input_ports(direction).items():
                    yield examples, name, port


def outcome_of(reply: Reply) -> str | None:
    """Identify the outcome of a call, to compare it with another; see `Tried`."""
    if isinstance(reply, Refusal):
        return None if reply.for_memory else _REFUSED
    return identified(reply)


def identified(ports: Mapping[str, bytes]) -> str:
    """Identify outputs independently of the order of the ports."""
    return str(Digest.blake3(portmap.encode(dict(sorted(ports.items())))))
