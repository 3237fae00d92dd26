"""Components that cannot be flattened, run through wasmtime's own Component Model support."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from functools import partial
from typing import Any

import wasmtime
from wasmtime import component as wasm_component

from chonkle.backends.wasm.component_interface import INTERFACE, imported_functions
from chonkle.backends.wasm.guest_codec import GuestCodec, GuestInstance, GuestSetup, Refused
from chonkle.backends.wasm.guest_errors import starting
from chonkle.backends.wasm.unchecked_calls import call_component
from chonkle.backends.wasm.wasi import RefusedError, Value, WasiFunction, allowed
from chonkle.errors import ChonkleError, CodecTrap
from chonkle.formats.portmap import NAME_MAX_BYTES, PORTS_MAX, Buffer
from chonkle.formats.signature import DIRECTIONS, Direction

# wasmtime's package does not tell how much memory a component has, so few of them wait for a call.
_ASSUMED_BYTES = 128 << 20


class HostComponentCodec(GuestCodec):
    """A codec in a component that wasmtime runs as a whole.

    Args of the constructor:
        component: the compiled component, whose interface was checked.
        setup: what its instances share.
    """

    def __init__(self, component: wasm_component.Component, setup: GuestSetup) -> None:
        imports = _allowed_imports(component, setup.engine.wasmtime)
        start = partial(_Instance, component=component, imports=imports)
        super().__init__(start, "component", replace(setup, open_trampoline=None))

    def memory_bytes(self) -> None:
        """Give None: wasmtime's package does not tell."""


class _Instance(GuestInstance):
    def __init__(
        self,
        setup: GuestSetup,
        *,
        component: wasm_component.Component,
        imports: Mapping[str, Mapping[str, WasiFunction]],
    ) -> None:
        super().__init__(setup)
        self._import_failures: list[BaseException] = []
        linker = wasm_component.Linker(setup.engine.wasmtime)
        for interface, functions in imports.items():
            with linker.root() as root, root.add_instance(interface) as defined:
                for name, function in functions.items():
                    defined.add_func(name, _import(function, self._import_failures))
        # Deny by default: a call of an import traps, and the trap names the import.
        linker.define_unknown_imports_as_traps(component)
        self.functions.begin(is_start=True)
        try:
            with self._deadline(), starting():
                started = linker.instantiate(self._wasm_store, component)
        except (wasmtime.Trap, wasmtime.WasmtimeError) as failure:
            raise self.explain(failure, 0) from failure
        exported = started.get_export_index(self._wasm_store, INTERFACE)
        self._functions: dict[Direction, wasm_component.Func] = {}
        for direction in DIRECTIONS:
            index = exported and started.get_export_index(self._wasm_store, direction, exported)
            found = index and started.get_func(self._wasm_store, index)
            assert isinstance(found, wasm_component.Func)  # noqa: S101 - the types were checked
            self._functions[direction] = found

    def transform(
        self,
        direction: Direction,
        port_map: Mapping[str, Buffer],
        segments: Sequence[Buffer],  # noqa: ARG002 - wasmtime takes Python's values
        size: int,  # noqa: ARG002
    ) -> list[tuple[str, bytes]] | str:
        """Run the guest; gives rows of ports, or the text of a refusal."""
        rows = [(name, bytes(data)) for name, data in port_map.items()]
        self.functions.begin()
        with self._deadline():
            found: list[tuple[str, bytes]] | str = call_component(
                self._functions[direction], self._wasm_store, rows
            )
            return found

    def read(self, direction: Direction, result: Any) -> Mapping[str, bytes]:  # noqa: ANN401, ARG002
        if isinstance(result, str):
            raise Refused(result)
        if len(result) > PORTS_MAX or any(len(name) > NAME_MAX_BYTES for name, _ in result):
            raise CodecTrap(
                "the guest returned too many ports or too long a name",
                expected=f"at most {PORTS_MAX} ports and {NAME_MAX_BYTES} bytes",
            )
        ports = dict(result)
        if len(ports) != len(result):
            raise CodecTrap("the guest returned a port twice")
        return ports

    def free(self, direction: Direction, result: object) -> None:
        """Do nothing: wasmtime let the guest free the result already."""

    def memory_bytes(self) -> int:
        return _ASSUMED_BYTES

    def explain(self, failure: Exception, size: int) -> ChonkleError:
        """Turn wasmtime's failure of a call into an error of ours."""
        for kept in self._import_failures:
            if not isinstance(kept, RefusedError):
                raise kept from None
            return CodecTrap(f"the guest called for {kept}, which the sandbox denies")
        return super().explain(failure, size)

    def _deadline(self) -> AbstractContextManager[None]:
        return self._setup.engine.deadline(self._wasm_store, self.functions.left_s())


def _allowed_imports(
    component: wasm_component.Component, engine: wasmtime.Engine
) -> dict[str, dict[str, WasiFunction]]:
    """Give the allowed imports, by interface and name."""
    found = {
        interface: {
            name: function
            for name, type_ in functions.items()
            if (function := allowed(interface, name, type_)) is not None
        }
        for interface, functions in imported_functions(component, engine)
    }
    return {interface: imports for interface, imports in found.items() if imports}


def _import(function: WasiFunction, failures: list[BaseException]) -> Callable[..., Value]:
    def call(_store: object, *arguments: int) -> Value:
        try:
            return function.value(*arguments)
        except BaseException as failure:
            failures.append(failure)
            # wasmtime's package would keep any other for the next call of any user that fails.
            raise wasmtime.WasmtimeError("an import failed") from failure

    return call
