"""A codec in a component, run through wasmtime's own Component Model support.

world codec of chonkle:codec@0.1.0, which exports
transform { type port-map = list<tuple<string, list<u8>>>;
            encode, decode: func(inputs: port-map) -> result<port-map, string> }
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import wasmtime
from wasmtime import component as wasm_component

from chonkle.backends.base import Answer, Codec, Limits, call_label
from chonkle.backends.component.interface import INTERFACE, imported_functions
from chonkle.backends.component.wasi import RefusedError, Value, WasiFunction, allowed
from chonkle.backends.guest import limited_store, refusal, trap_error
from chonkle.backends.stack import StackCheck
from chonkle.engine import Engine
from chonkle.errors import ChonkleError, CodecTrap, OutOfMemory
from chonkle.formats.portmap import NAME_MAX_BYTES, PORTS_MAX, Buffer
from chonkle.formats.signature import DIRECTIONS, Direction, Signature


@dataclass(slots=True)
class _Instance:
    """One instance of a component and its two functions."""

    wasm_store: wasmtime.Store
    functions: dict[Direction, wasm_component.Func]
    served: int = 0


class WholeCodec(Codec):
    """A codec in a component.

    Args of the constructor:
        component: the compiled component.
        signature: its signature.
        engine: the engine that compiled it.
        limits: what one call may take.
    """

    def __init__(
        self,
        component: wasm_component.Component,
        *,
        signature: Signature,
        engine: Engine,
        limits: Limits,
    ) -> None:
        """Make a codec of a compiled component; nothing of the guest runs yet."""
        self._component = component
        self._signature = signature
        self._engine = engine
        self._limits = limits
        self._stack = StackCheck(engine)
        self._idle: list[_Instance] = []

    def signature(self) -> Signature:
        """Give the codec's typed ports."""
        return self._signature

    def answer(self, direction: Direction, port_map: Mapping[str, Buffer]) -> Answer:
        """Run the codec."""
        try:
            if not self._stack.is_enough:
                self._stack.look()
            instance = self._idle.pop() if self._idle else self._start()
            instance.served += 1
            rows = [(name, bytes(data)) for name, data in port_map.items()]
            function = instance.functions[direction]
            returned = self._guarded(instance, lambda: function(instance.wasm_store, rows))
            said = refusal(returned) if isinstance(returned, str) else None
            # Only now: an instance that trapped is in no state to be called again.
            if not isinstance(said, OutOfMemory):
                self._idle.append(instance)
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
        self._idle.clear()

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
        instance = _Instance(wasm_store, {})
        started = self._guarded(
            instance, lambda: self._linker().instantiate(wasm_store, self._component)
        )
        exported = started.get_export_index(wasm_store, INTERFACE)
        for direction in DIRECTIONS:
            index = exported and started.get_export_index(wasm_store, direction, exported)
            function = index and started.get_func(wasm_store, index)
            assert isinstance(function, wasm_component.Func)  # noqa: S101 - the types were checked
            instance.functions[direction] = function
        return instance

    def _linker(self) -> wasm_component.Linker:
        linker = wasm_component.Linker(self._engine.wasmtime)
        for interface, functions in imported_functions(self._component, self._engine.wasmtime):
            answers = {name: allowed(interface, name, type_) for name, type_ in functions.items()}
            if any(answers.values()):
                with linker.root() as root, root.add_instance(interface) as defined:
                    for name, answer in answers.items():
                        if answer is not None:
                            defined.add_func(name, _without_store(answer))
        # Deny by default: an import that is called traps, and the trap names it.
        linker.define_unknown_imports_as_traps(self._component)
        return linker

    def _guarded[R](self, instance: _Instance, run: Callable[[], R]) -> R:
        try:
            with self._engine.deadline(instance.wasm_store, self._limits.timeout_s):
                return run()
        except (wasmtime.Trap, wasmtime.WasmtimeError) as failure:
            raise trap_error(failure, self._limits) from failure
        except RefusedError as failure:
            raise CodecTrap(
                f"the guest called for {failure}, which the sandbox denies"
            ) from failure


def _without_store(function: WasiFunction) -> Callable[..., Value]:
    return lambda _store, *arguments: function.value(*arguments)
