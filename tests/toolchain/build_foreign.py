"""Codec components as other toolchains make them, built where those toolchains are.

Both codecs do the same. `encode` gives its ports back, and asks for the time when there is a port
named `clock`; `decode` gives them back in reverse order, and refuses a port named `refuse` with
`refused: ` and that port's data. The one in C asks for an environment variable when it refuses.

    build_c_component       zig cc with wasi-libc, the adapter for WASI preview 1, wasm-tools:
                            4 core modules, imports of wasi:cli, wasi:clocks and wasi:io
    build_python_component  componentize-py: CPython and its libraries as 14 core modules, 18 MB,
                            imports of most of WASI, of which a run needs the environment, the
                            arguments and random bytes
"""

import json
import subprocess
from collections.abc import Sequence
from pathlib import Path

WIT = Path(__file__).parents[2] / "codec-src" / "sdk" / "wit"
WORLD = "codec"

ADAPTER_CRATE = "wasi-preview1-component-adapter-provider"
ADAPTER_VERSION = "50.0.1"
ADAPTER_MANIFEST = f"""\
[package]
name = "adapter"
version = "0.0.0"
edition = "2021"

[lib]
path = "adapter.rs"

[dependencies]
{ADAPTER_CRATE} = "={ADAPTER_VERSION}"

[workspace]
"""

PYTHON_SOURCE = """\
import time

from componentize_py_types import Err


class Transform:
    def encode(self, inputs):
        if any(name == "clock" for name, _ in inputs):
            time.time()
        return inputs

    def decode(self, inputs):
        for name, data in inputs:
            if name == "refuse":
                raise Err("refused: " + data.decode())
        return list(reversed(inputs))
"""

C_SOURCE = r"""
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define EXPORT(name) __attribute__((export_name(name)))
#define TRANSFORM "chonkle:codec/transform@0.1.0#"

typedef struct { char *start; size_t size; } bytes;
typedef struct { bytes name, data; } row;
/* result<port-map, string>: discriminant, pointer, length */
static struct { uint32_t is_error; void *start; size_t size; } result;

EXPORT("cabi_realloc")
void *cabi_realloc(void *old, size_t old_size, size_t align, size_t size) {
  if (size == 0) return (void *)align;
  void *start = realloc(old, size);
  if (start == NULL) abort();
  return start;
}

static int is_named(const row *row, const char *name) {
  return row->name.size == strlen(name) && memcmp(row->name.start, name, row->name.size) == 0;
}

EXPORT(TRANSFORM "encode")
void *encode(row *rows, size_t count) {
  for (size_t i = 0; i < count; i++)
    if (is_named(&rows[i], "clock") && time(NULL) == 0) abort();
  result.is_error = 0;
  result.start = rows;
  result.size = count;
  return &result;
}

EXPORT(TRANSFORM "decode")
void *decode(row *rows, size_t count) {
  for (size_t i = 0; i < count; i++) {
    if (!is_named(&rows[i], "refuse")) continue;
    const char *word = getenv("CHONKLE_WORD");
    char *text = malloc(rows[i].data.size + 64);
    if (text == NULL) abort();
    result.is_error = 1;
    result.start = text;
    result.size = sprintf(text, "%.20s: %.*s", word == NULL ? "refused" : word,
                          (int)rows[i].data.size, rows[i].data.start);
    return &result;
  }
  for (size_t i = 0; i < count / 2; i++) {
    row other = rows[i];
    rows[i] = rows[count - 1 - i];
    rows[count - 1 - i] = other;
  }
  return encode(rows, count);
}

static void release(void) {
  row *rows = result.start;
  if (!result.is_error)
    for (size_t i = 0; i < result.size; i++) {
      if (rows[i].name.size) free(rows[i].name.start);
      if (rows[i].data.size) free(rows[i].data.start);
    }
  if (result.size) free(result.start);
}

EXPORT("cabi_post_" TRANSFORM "encode") void release_encoded(void *answer) { release(); }
EXPORT("cabi_post_" TRANSFORM "decode") void release_decoded(void *answer) { release(); }
"""


def find_adapter(folder: Path, *, cargo: str = "cargo") -> Path:
    """Give the adapter from WASI preview 1 for libraries, out of the crate that carries it.

    Args:
        folder: an empty folder to work in.
        cargo: the command; it downloads the crate unless it has it.
    """
    (folder / "Cargo.toml").write_text(ADAPTER_MANIFEST, encoding="utf-8")
    (folder / "adapter.rs").touch()
    said = run(folder, cargo, "metadata", "--format-version", "1")
    (crate,) = (
        package for package in json.loads(said)["packages"] if package["name"] == ADAPTER_CRATE
    )
    return Path(crate["manifest_path"]).parent / "artefacts/wasi_snapshot_preview1.reactor.wasm"


def build_c_component(
    folder: Path, *, zig: Sequence[str], wasm_tools: Sequence[str], adapter: Path
) -> bytes:
    """Build the codec in C, with a libc that wants WASI.

    Args:
        folder: an empty folder to work in.
        zig: the command for Zig.
        wasm_tools: the command for wasm-tools.
        adapter: see `find_adapter`.
    """
    (folder / "codec.c").write_text(C_SOURCE, encoding="utf-8")
    reactor = ("--target=wasm32-wasi", "-mexec-model=reactor", "-O2", "-s")
    adapt = ("--adapt", f"wasi_snapshot_preview1={adapter}")
    component = (*wasm_tools, "component")
    run(folder, *zig, "cc", *reactor, "codec.c", "-o", "core.wasm")
    run(folder, *component, "embed", str(WIT), "-w", WORLD, "core.wasm", "-o", "embedded.wasm")
    run(folder, *component, "new", "embedded.wasm", *adapt, "-o", "component.wasm")
    return (folder / "component.wasm").read_bytes()


def build_python_component(folder: Path, *, componentize_py: str = "componentize-py") -> bytes:
    """Build the codec in Python, interpreter and all.

    Args:
        folder: an empty folder to work in.
        componentize_py: the command.
    """
    (folder / "codec.py").write_text(PYTHON_SOURCE, encoding="utf-8")
    world = ("-d", str(WIT), "-w", WORLD)
    run(folder, componentize_py, *world, "componentize", "codec", "-p", ".", "-o", "component.wasm")
    return (folder / "component.wasm").read_bytes()


def run(folder: Path, *command: str) -> str:
    """Run a command in a folder and give what it says."""
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command[0]}: {done.stdout}{done.stderr}"
    return done.stdout
