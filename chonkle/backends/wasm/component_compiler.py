"""Compiling components for the AOT cache.

An entry of kind `component` is a plan and the compiled core modules that it links; for a component
that the planner does not support it is only the reason. An entry of kind `component-whole` is the
component as wasmtime compiles it.
"""

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

import wasmtime
from wasmtime import component as wasm_component

from chonkle.backends.wasm.component_interface import INTERFACE, check_interface
from chonkle.backends.wasm.component_plan import ComponentPlan
from chonkle.backends.wasm.component_planner import plan_component
from chonkle.cache.compilers import ArtifactSource, load_native
from chonkle.engine import EngineConfig, base_settings
from chonkle.errors import WasmFormatError
from chonkle.formats.component_binary import Unsupported
from chonkle.formats.json_text import parse_json
from chonkle.formats.signature import DIRECTIONS

if TYPE_CHECKING:
    from chonkle.backends.wasm.component_abi import FlattenedComponent


class FlatteningCompiler:
    """Compiles a flattened component, or gives the reason why it cannot be flattened."""

    kind = "component"

    def compile(self, engine: wasmtime.Engine, wasm: bytes) -> list[bytes]:
        """Validate, plan and compile a component."""
        _validate(wasm)
        try:
            plan = plan_component(wasm, interface=INTERFACE, functions=DIRECTIONS)
        except Unsupported as reason:
            return [json.dumps({"unsupported": str(reason)}).encode()]
        document = json.dumps({"plan": plan.to_json()}).encode()
        modules = (wasmtime.Module(engine, wasm[each.start : each.end]) for each in plan.modules)
        return [document, *(bytes(module.serialize()) for module in modules)]

    def load(
        self, engine: wasmtime.Engine, artifacts: Sequence[ArtifactSource]
    ) -> "FlattenedComponent | str":
        """Read the plan and load the compiled core modules."""
        # The compiling process needs nothing that runs codecs.
        from chonkle.backends.wasm.component_abi import FlattenedComponent  # noqa: PLC0415

        written, *compiled = artifacts
        text = written if isinstance(written, bytes) else written.read_bytes()
        document = parse_json(text, what="plan", error=WasmFormatError)
        fields = document if isinstance(document, dict) else {}
        reason = fields.get("unsupported")
        if isinstance(reason, str):
            return reason
        plan = ComponentPlan.from_json(fields.get("plan"))
        modules = [load_native(wasmtime.Module, engine, artifact) for artifact in compiled]
        if len(modules) != len(plan.modules):
            raise WasmFormatError("a plan with another number of modules")
        return FlattenedComponent(plan, modules)


class ComponentCompiler:
    """Compiles components of any interface with wasmtime's own support."""

    kind = "component"

    def compile(self, engine: wasmtime.Engine, wasm: bytes) -> list[bytes]:
        """Compile a component; its one artifact is wasmtime's."""
        return [bytes(self._compiled(engine, wasm).serialize())]

    def _compiled(self, engine: wasmtime.Engine, wasm: bytes) -> wasm_component.Component:
        return wasm_component.Component(engine, wasm)

    def load(
        self, engine: wasmtime.Engine, artifacts: Sequence[ArtifactSource]
    ) -> wasm_component.Component:
        """Load a compiled component."""
        (artifact,) = artifacts
        return load_native(wasm_component.Component, engine, artifact)


class HostComponentCompiler(ComponentCompiler):
    """Compiles codecs that cannot be flattened."""

    kind = "component-whole"

    def _compiled(self, engine: wasmtime.Engine, wasm: bytes) -> wasm_component.Component:
        component = super()._compiled(engine, wasm)
        check_interface(component, engine)
        return component


def _validate(wasm: bytes) -> None:
    """Have wasmtime validate a component, as the planner needs, and check its interface."""
    # wasmtime validates only by compiling. The code is discarded, so it is not optimized.
    settings = base_settings()
    settings.cranelift_opt_level = "none"
    settings.parallel_compilation = EngineConfig().parallel_compilation
    engine = wasmtime.Engine(settings)
    check_interface(wasm_component.Component(engine, wasm), engine)
