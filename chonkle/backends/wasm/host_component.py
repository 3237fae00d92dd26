"""A codec in a component, run through wasmtime's own Component Model support.

world codec of chonkle:codec@0.1.0, which exports
transform { type port-map = list<tuple<string, list<u8>>>;
            encode, decode: func(inputs: port-map) -> result<port-map, string> }
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import wasmtime
from wasmtime import component as wasm_component

from chonkle.backends.base import Answer, Codec, Limits, call_label
from chonkle.backends.wasm.component_interface import INTERFACE, imported_functions
from chonkle.backends.wasm.guest_errors import refusal, starting, trap_error
from chonkle.backends.wasm.guest_store import limited_store
from chonkle.backends.wasm.instance_pool import IdleInstances, InstancePool
from chonkle.backends.wasm.thread_stack import StackCheck
from chonkle.backends.wasm.unchecked_calls import call_component
from chonkle.backends.wasm.wasi import RefusedError, Value, WasiFunction, allowed
from chonkle.engine import Engine
from chonkle.errors import ChonkleError, CodecTrap, OutOfMemory
from chonkle.formats import portmap
from chonkle.formats.portmap import NAME_MAX_BYTES, PORTS_MAX, Buffer
from chonkle.formats.signature import DIRECTIONS, Direction, Signature

# wasmtime's package does not tell how much memory a component has. So few of them wait for a call.
_ASSUMED_BYTES = 128 << 20


@dataclass(slots=True, eq=False)
class _Instance:
    """One instance of a component.

    Attributes:
        wasm_store: its store.
        functions: its two functions.
        import_failures: what failed within an import that it called, if something did.
        served: how many calls it was taken for.
        kept_bytes: see `chonkle.backends.wasm.instance_pool.Pooled`.
        given_s: likewise.
    """

    wasm_store: wasmtime.Store
    functions: dict[Direction, wasm_component.Func] = field(default_factory=dict)
    import_failures: list[BaseException] = field(default_factory=list)
    served: int = 0
    kept_bytes: int = 0
    given_s: float = 0.0


class WholeCodec(Codec):
    """A codec in a component.

    Args of the constructor:
        component: the compiled component.
        signature: its signature.
        engine: the engine that compiled it.
        limits: what one call may take.
        idle: bounds the instances that wait for a call.
    """

    def __init__(
        self,
        component: wasm_component.Component,
        *,
        signature: Signature,
        engine: Engine,
        limits: Limits,
        idle: IdleInstances,
    ) -> None:
        """Make a codec of a compiled component; nothing of the guest runs yet."""
        self._component = component
        self._signature = signature
        self._engine = engine
        self._limits = limits
        self._stack = StackCheck(engine)
        self._pool = InstancePool(self._start, idle)

    def signature(self) -> Signature:
        """Give the codec's typed ports."""
        return self._signature

    def answer(self, direction: Direction, port_map: Mapping[str, Buffer]) -> Answer:
        """Run the codec."""
        try:
            if not self._stack.is_enough:
                self._stack.look()
            _, size = portmap.pieces(port_map)
            self._limits.check_input(size)
            instance = self._pool.take()
            instance.served += 1
            rows = [(name, bytes(data)) for name, data in port_map.items()]
            function = instance.functions[direction]
            returned = self._guarded(
                instance, lambda: call_component(function, instance.wasm_store, rows)
            )
            said = refusal(returned) if isinstance(returned, str) else None
            # Only now: an instance that trapped is in no state to be called again.
            if not isinstance(said, OutOfMemory):
                self._pool.give_grown(instance, _ASSUMED_BYTES)
            elif instance.served > 1:
                return self.answer(direction, port_map)
            if said is not None:
                raise said
            return Answer(self._checked(returned))
        except ChonkleError as failure:
            label = call_label(self._signature, "component", direction)
            raise failure.within(label) from failure.__cause__

    def close(self) -> None:
        """Free the instances."""
        self._pool.clear()

    def _checked(self, rows: Sequence[Any]) -> dict[str, Buffer]:
        if len(rows) > PORTS_MAX or any(len(name) > NAME_MAX_BYTES for name, _ in rows):
            raise CodecTrap(
                "the guest returned too many ports or too long a name",
                expected=f"at most {PORTS_MAX} ports and {NAME_MAX_BYTES} bytes",
            )
        ports: dict[str, Buffer] = dict(rows)
        if len(ports) != len(rows):
            raise CodecTrap("the guest returned a port twice")
        self._limits.check_output(ports)
        return ports

    def _start(self) -> _Instance:
        wasm_store = limited_store(self._engine, self._limits)
        instance = _Instance(wasm_store)
        linker = self._linker(instance.import_failures)

        def instantiate() -> wasm_component.Instance:
            with starting():
                return linker.instantiate(wasm_store, self._component)

        started = self._guarded(instance, instantiate)
        exported = started.get_export_index(wasm_store, INTERFACE)
        for direction in DIRECTIONS:
            index = exported and started.get_export_index(wasm_store, direction, exported)
            function = index and started.get_func(wasm_store, index)
            assert isinstance(function, wasm_component.Func)  # noqa: S101 - the types were checked
            instance.functions[direction] = function
        return instance

    @cached_property
    def _answers(self) -> dict[str, dict[str, WasiFunction]]:
        """The imports that are answered, by interface and name. To look costs some time."""
        found = {
            interface: {
                name: answer
                for name, type_ in functions.items()
                if (answer := allowed(interface, name, type_)) is not None
            }
            for interface, functions in imported_functions(self._component, self._engine.wasmtime)
        }
        return {interface: answers for interface, answers in found.items() if answers}

    def _linker(self, failures: list[BaseException]) -> wasm_component.Linker:
        linker = wasm_component.Linker(self._engine.wasmtime)
        for interface, answers in self._answers.items():
            with linker.root() as root, root.add_instance(interface) as defined:
                for name, answer in answers.items():
                    defined.add_func(name, _import(answer, failures))
        # Deny by default: an import that is called traps, and the trap names it.
        linker.define_unknown_imports_as_traps(self._component)
        return linker

    def _guarded[R](self, instance: _Instance, run: Callable[[], R]) -> R:
        try:
            with self._engine.deadline(instance.wasm_store, self._limits.timeout_s):
                return run()
        except (wasmtime.Trap, wasmtime.WasmtimeError) as failure:
            for kept in instance.import_failures:
                if not isinstance(kept, RefusedError):
                    raise kept from None
                raise CodecTrap(f"the guest called for {kept}, which the sandbox denies") from kept
            raise trap_error(failure, self._limits) from failure


def _import(function: WasiFunction, failures: list[BaseException]) -> Callable[..., Value]:
    def answer(_store: object, *arguments: int) -> Value:
        try:
            return function.value(*arguments)
        except BaseException as failure:
            failures.append(failure)
            # All others would be kept by the package for the next call that fails, of any user.
            raise wasmtime.WasmtimeError("an import failed") from failure

    return answer
