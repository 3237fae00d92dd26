"""Reports, as lines and as JSON."""

from chonkle_toolchain.verify.report import Check, CheckFailed, NotApplicable, Report, carry_out

from chonkle.errors import CodecTrap


def passes() -> str:
    return "12 calls"


def fails() -> str:
    raise CheckFailed("it leaks", expected="1 byte", got="2\n")


def traps() -> str:
    raise CodecTrap("the guest trapped")


def has_nothing() -> str:
    raise NotApplicable("no port has a default")


def test_a_check_passes_fails_or_does_not_apply() -> None:
    assert carry_out("memory", passes) == Check("memory", "passed", "12 calls")
    assert carry_out("memory", fails) == Check(
        "memory", "failed", r"it leaks, expected 1 byte, got 2\n"
    )
    assert carry_out("types", traps) == Check("types", "failed", "the guest trapped")
    assert carry_out("defaults", has_nothing) == Check(
        "defaults", "not applicable", "no port has a default"
    )


CHECKS = (
    carry_out("memory", fails),
    carry_out("defaults", has_nothing),
    carry_out("answers", passes),
)


def test_a_report_as_lines() -> None:
    report = Report("a\n.wasm", "a@1 (core)", CHECKS, 1.26)
    assert list(report.lines()) == [
        r"failed  a\n.wasm  1 passed, 1 failed, 1 not applicable, 1.3 s",
        r"  failed          memory           it leaks, expected 1 byte, got 2\n",
    ]
    assert list(report.lines(every=True))[2:] == [
        "  not applicable  defaults         no port has a default",
        "  passed          answers          12 calls",
    ]
    assert list(Report("a.wasm", "", CHECKS[1:]).lines()) == [
        "passed  a.wasm  1 passed, 1 not applicable, 0.0 s"
    ]


def test_the_json_is_for_programs() -> None:
    assert Report("a.wasm", "a@1 (core)", CHECKS[:1], 1.23456).to_json() == {
        "file": "a.wasm",
        "codec": "a@1 (core)",
        "passed": False,
        "seconds": 1.235,
        "checks": [
            {"name": "memory", "outcome": "failed", "reason": r"it leaks, expected 1 byte, got 2\n"}
        ],
    }
