"""A codec in a component, run through wasmtime's own Component Model support.

world codec of chonkle:codec@0.1.0, which exports
transform { type port-map = list<tuple<string, list<u8>>>;
            encode, decode: func(inputs: port-map) -> result<port-map, string> }
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import wasmtime
from wasmtime import component as wasm_component

from chonkle.backends.base import Answer, Codec, Limits
from chonkle.backends.guest import one_line, trap_error
from chonkle.engine import Engine
from chonkle.errors import ChonkleError, CodecError, CodecTrap, LimitExceeded, WasmFormatError
from chonkle.formats.portmap import Buffer
from chonkle.formats.signature import Direction, Signature

INTERFACE = "chonkle:codec/transform@0.1.0"

_PORT_MAP = "list<tuple<string, list<u8>>>"


class ComponentCompiler:
    """Compiles whole components, with wasmtime's own support for them."""

    kind = "component"

    def compile(
        self, engine: wasmtime.Engine, wasm: bytes
    ) -> tuple[wasm_component.Component, list[bytes]]:
        """Compile a component; its one artifact is wasmtime's."""
        component = wasm_component.Component(engine, wasm)
        return component, [bytes(component.serialize())]

    def load(self, engine: wasmtime.Engine, paths: Sequence[Path]) -> wasm_component.Component:
        """Map a compiled component."""
        (path,) = paths
        return wasm_component.Component.deserialize_file(engine, str(path))


@dataclass(slots=True)
class _Instance:
    """One instance of a component and its two functions."""

    wasm_store: wasmtime.Store
    functions: Mapping[Direction, wasm_component.Func]


class ComponentCodec(Codec):
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
        self._idle: list[_Instance] = []

    def signature(self) -> Signature:
        """Give the codec's typed ports."""
        return self._signature

    def answer(self, direction: Direction, port_map: Mapping[str, Buffer]) -> Answer:
        """Run the codec."""
        try:
            instance = self._idle.pop() if self._idle else self._start()
            rows = [(name, bytes(data)) for name, data in port_map.items()]
            function = instance.functions[direction]
            returned = self._guarded(instance, lambda: function(instance.wasm_store, rows))
            # Only now: an instance that trapped is in no state to be called again.
            self._idle.append(instance)
            if isinstance(returned, str):
                raise CodecError(one_line(returned) or "the codec failed without a word")
            return Answer(self._checked(returned))
        except ChonkleError as failure:
            label = f"codec `{self._signature.codec_id}` ({self._signature.label}, component)"
            raise failure.within(f"{label}, {direction}") from failure.__cause__

    def close(self) -> None:
        """Free the instances."""
        self._idle.clear()

    def _checked(self, rows: Sequence[Any]) -> dict[str, Buffer]:
        ports: dict[str, Buffer] = dict(rows)
        if len(ports) != len(rows):
            raise CodecTrap("the guest returned a port twice")
        total = sum(map(len, ports.values()))
        if total > self._limits.output_bytes:
            raise LimitExceeded(
                "returned more than allowed",
                expected=f"at most {self._limits.output_bytes} bytes",
                got=str(total),
            )
        return ports

    def _start(self) -> _Instance:
        wasm_store = wasmtime.Store(self._engine.wasmtime)
        wasm_store.set_limits(memory_size=self._limits.memory_bytes)
        linker = wasm_component.Linker(self._engine.wasmtime)
        # Deny by default: an import that is called traps, and the trap names it.
        linker.define_unknown_imports_as_traps(self._component)
        instance = _Instance(wasm_store, {})
        started = self._guarded(instance, lambda: linker.instantiate(wasm_store, self._component))
        exported = started.get_export_index(wasm_store, INTERFACE)
        functions: dict[Direction, wasm_component.Func] = {}
        for direction in ("encode", "decode"):
            index = exported and started.get_export_index(wasm_store, direction, exported)
            function = index and started.get_func(wasm_store, index)
            if not function:
                raise WasmFormatError(
                    f"not a codec component: no function `{direction}` in `{INTERFACE}`"
                )
            functions[direction] = function
        instance.functions = functions
        return instance

    def _guarded[R](self, instance: _Instance, run: Callable[[], R]) -> R:
        try:
            with self._engine.deadline(instance.wasm_store, self._limits.timeout_s):
                return run()
        except (wasmtime.Trap, wasmtime.WasmtimeError) as failure:
            raise trap_error(failure, self._limits) from failure
        except (TypeError, AssertionError) as failure:
            # wasmtime's conversions refuse values of another type: the functions exist but do not
            # have the codec interface's type.
            raise WasmFormatError(
                f"not a codec component: `{INTERFACE}` has other types",
                expected=f"encode, decode: func(inputs: {_PORT_MAP}) -> "
                f"result<{_PORT_MAP}, string>",
            ) from failure
