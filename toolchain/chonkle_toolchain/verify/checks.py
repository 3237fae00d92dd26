"""Verifying one wasm file: every check, in an order in which each may depend on earlier ones."""

import time
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from chonkle.backends.base import Limits
from chonkle.limits import CompileLimits
from chonkle.storage.store import WasmCodec
from chonkle_toolchain.direct_call import COMPILE_LIMITS, LIMITS
from chonkle_toolchain.vectors import Vector
from chonkle_toolchain.verify import data, declarations, endurance, hostile, ports, structure
from chonkle_toolchain.verify.codec_under_test import CodecUnderTest
from chonkle_toolchain.verify.report import Check, Report, carry_out
from chonkle_toolchain.verify.round_trip import find_examples
from chonkle_toolchain.verify.runner import BUDGET_S, Runner

# The checks that call the codec. The last ones repeat the calls of those before them.
_CALLING: tuple[tuple[str, Callable[[CodecUnderTest], str]], ...] = (
    ("answers", find_examples),
    ("outputs", ports.check_outputs),
    ("required-ports", ports.check_required),
    ("optional-ports", ports.check_optional),
    ("defaults", ports.check_defaults),
    ("directions", ports.check_directions),
    ("types", ports.check_types),
    ("unknown-ports", ports.check_unknown_ports),
    ("golden-vectors", data.check_golden_vectors),
    ("round-trip", data.check_round_trip),
    ("bad-input", hostile.check_bad_input),
    ("bad-port-maps", hostile.check_bad_port_maps),
    ("ranges", declarations.check_ranges),
    ("choices", declarations.check_choices),
    ("identity", declarations.check_identity),
    ("partial-decode", declarations.check_partial_decode),
    ("array", declarations.check_array),
    ("encoded-size", declarations.check_encoded_size),
    ("memory", endurance.check_memory),
    ("determinism", data.check_determinism),
    ("both-forms", data.check_both_forms),
)

_IF_VALID = ("valid",)
# Not `imports`: a forbidden import traps when called, so the codec can be called until then.
_BEFORE_CALLS = ("valid", "exports", "start", "signature")


def verify_wasm(
    wasm: bytes,
    *,
    file: str = "codec.wasm",
    vectors: Sequence[Vector] = (),
    allowed_imports: Iterable[str] = (),
    partner: bytes | None = None,
    limits: Limits = LIMITS,
    budget_s: float = BUDGET_S,
    cache: Path | None = None,
    compile_limits: CompileLimits = COMPILE_LIMITS,
) -> Report:
    """Verify one codec. Whatever is wrong with the file is in the report.

    Args:
        wasm: any bytes.
        file: its name in the report.
        vectors: its golden vectors.
        allowed_imports: what it may import; names, or patterns with `*`.
        partner: its other form: the component of a core module, or the core module of a component.
        limits: the limits of one call.
        budget_s: how long all calls together may take.
        cache: a private folder for its native code, so that verifying its partner compiles
            nothing; a temporary one by default.
        compile_limits: the limits of compiling it.

    Returns:
        The checks; those that depend on a failed one are not applicable.
    """
    started = time.monotonic()
    checks = _Checks()
    codec = None
    with (
        # Not every system can delete a codec that is still mapped.
        TemporaryDirectory(prefix="chonkle-verify-", ignore_cleanup_errors=True) as folder,
        Runner(
            cache or Path(folder), limits=limits, budget_s=budget_s, compile_limits=compile_limits
        ) as runner,
    ):
        checks.add("valid", lambda: structure.check_valid(wasm, compile_limits))
        checks.add("imports", lambda: structure.check_imports(wasm, allowed_imports), _IF_VALID)
        checks.add("exports", lambda: structure.check_exports(wasm, compile_limits), _IF_VALID)
        checks.add(
            "start",
            lambda: structure.check_start(wasm, limits, compile_limits),
            (*_IF_VALID, "exports"),
        )
        checks.add("signature", lambda: structure.check_signature(wasm), _IF_VALID)
        if checks.all_right(_BEFORE_CALLS):
            codec = WasmCodec.from_bytes(wasm, file)
            tested = CodecUnderTest(codec, runner=runner, vectors=tuple(vectors), partner=partner)
            for check_name, check in _CALLING:
                checks.add(check_name, partial(check, tested))
        else:
            for check_name, _ in _CALLING:
                checks.add(check_name, str, _BEFORE_CALLS)
    label = "" if codec is None else f"{codec.signature.label} ({codec.kind})"
    return Report(file, label, tuple(checks.done.values()), time.monotonic() - started)


class _Checks:
    """Checks as they are carried out; those that depend on a failed one are not applicable."""

    def __init__(self) -> None:
        self.done: dict[str, Check] = {}

    def add(self, name: str, check: Callable[[], str], needs: Sequence[str] = ()) -> None:
        wrong = next((need for need in needs if self.done[need].outcome == "failed"), None)
        if wrong is None:
            self.done[name] = carry_out(name, check)
        else:
            reason = f"not checked, because `{wrong}` failed"
            self.done[name] = Check(name, "not applicable", reason)

    def all_right(self, names: Sequence[str]) -> bool:
        return all(self.done[name].outcome != "failed" for name in names)
