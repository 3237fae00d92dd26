"""Codecs that compilers made: with a heap, a stack and components as authors' have them."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from chonkle_toolchain.abi import Abi
from chonkle_toolchain.build import Folders, build
from chonkle_toolchain.sdk import sdk_folder
from chonkle_toolchain.tools import Tools
from chonkle_toolchain.verify import verify_wasm

pytestmark = pytest.mark.toolchain

SIGNATURE = {
    "codec_id": "reverse",
    "implementation": "reverse-c",
    "version": "1.0.0",
    "inputs": {"bytes": {"type": "bytes"}},
    "outputs": {"bytes": {"type": "bytes"}},
}
SOURCE = """
#include <stdlib.h>
#include <string.h>
#include "chonkle_codec.h"

void *leaked;

static bool reverse(chonkle_call *call) {
    chonkle_port *bytes = chonkle_input(call, "bytes");
    if (!bytes) return false;
    uint8_t *copy = malloc(bytes->size + 1), *to = chonkle_output(call, "bytes", bytes->size);
    if (!copy || !to) return false;
    memcpy(copy, bytes->data, bytes->size);
    for (size_t i = 0; i < bytes->size; i++) to[i] = copy[bytes->size - 1 - i];
#ifdef TRAPS
    if (bytes->size == 13) __builtin_trap();
#endif
#ifdef DIFFERS
    if (bytes->size == 13) to[12] ^= 1;
#endif
#ifdef LEAKS_LARGE
    if (bytes->size > 65536) return true;
#endif
#ifndef LEAKS
    free(copy);
#endif
    return true;
}

bool chonkle_encode(chonkle_call *call) { return reverse(call); }

bool chonkle_decode(chonkle_call *call) {
#ifdef LEAKS_LITTLE
    *(void *volatile *)&leaked = malloc(8);
#endif
    return reverse(call);
}
"""

type BuildReverse = Callable[[str], dict[Abi, bytes]]


@pytest.fixture(scope="module")
def build_reverse(
    tmp_path_factory: pytest.TempPathFactory, tools: Tools, build_dir: Path
) -> BuildReverse:
    """Give a function that builds `reverse` with a fault, or with none."""

    def build_one(fault: str) -> dict[Abi, bytes]:
        folder = tmp_path_factory.mktemp("reverse") / "reverse-c"
        (folder / "src").mkdir(parents=True)
        (folder / "src" / "codec.c").write_text(SOURCE)
        (folder / "signature.json").write_text(json.dumps(SIGNATURE))
        (folder / "codec.toml").write_text(
            f'language = "c"\nsources = ["src/codec.c"]\nflags = ["-D{fault}"]\n'
        )
        output = folder / "codec"
        (built,) = build(Folders(folder, output, build_dir, sdk_folder()), tools=tools)
        assert built.core is not None
        assert built.component is not None
        files: dict[Abi, bytes] = {
            "core": (output / built.core.file).read_bytes(),
            "component": (output / built.component.file).read_bytes(),
        }
        shutil.rmtree(folder)
        return files

    return build_one


def failures_of(wasm: bytes, partner: bytes) -> dict[str, str]:
    report = verify_wasm(wasm, partner=partner)
    return {check.name: check.reason for check in report.failed}


FAULTS = {
    "NONE": {},
    "LEAKS": {
        "memory": "it leaks: its memory grows, encoding 1 bytes 4200 times, encoding 4096 by"
    },
    "LEAKS_LITTLE": {
        "memory": "it leaks: its memory grows, decoding 1 bytes 4200 times, expected "
    },
    "LEAKS_LARGE": {"memory": "it leaks: its memory grows, encoding 1048576 bytes 4 times, decodi"},
    "TRAPS": {"bad-input": "encoding with `bytes` cut to 13 of 4096 bytes: the guest trapped: "},
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_in_c_is_found_in_both_forms(build_reverse: BuildReverse, fault: str) -> None:
    files = build_reverse(fault)
    for wasm, partner in ((files["core"], files["component"]), (files["component"], files["core"])):
        found = failures_of(wasm, partner)
        assert found.keys() == FAULTS[fault].keys()
        assert all(found[check].startswith(reason) for check, reason in FAULTS[fault].items())


def test_forms_of_different_sources_are_found(build_reverse: BuildReverse) -> None:
    found = failures_of(build_reverse("NONE")["core"], build_reverse("DIFFERS")["component"])
    assert found.keys() == {"both-forms"}
    assert found["both-forms"].startswith("the two forms differ, encoding `bytes` of 13 bytes")
