"""cosign itself: it checks what chonkle signs, and chonkle checks what it signs; keys go both ways.

Where cosign is missing, its tests are skipped with a reason, and fail in CI.
"""

import json
import os
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.registries import Registry
from tests.fixture_types import Chonkle

pytestmark = [pytest.mark.network, pytest.mark.slow]

type Completed = subprocess.CompletedProcess[bytes]

PASSWORD = "of a key"  # noqa: S105 - of a key that lives as long as a test
TIMEOUT_S = 120
CODEC = Path(__file__).parents[2] / "codec/packbits/packbits-c@1.0.0.core.wasm"
LAYOUTS = {"classic": "--new-bundle-format=false", "bundle": "--new-bundle-format=true"}


@dataclass(frozen=True, slots=True)
class Table:
    """A folder in which both programs work, and a codec that each test pushes anew.

    Attributes:
        folder: the folder.
        program: the path of cosign.
        registry: where the codec is.
        name: of its repository.
        digest: of its manifest.
        run: runs chonkle.
    """

    folder: Path
    program: str
    registry: Registry
    name: str
    digest: str
    run: Callable[..., Completed]

    @property
    def image(self) -> str:
        return f"{self.registry.address}/{self.name}@{self.digest}"

    @property
    def uri(self) -> str:
        return f"oci://{self.image}"

    def try_cosign(self, *arguments: str | Path) -> Completed:
        environment = {"HOME": str(self.folder), "COSIGN_PASSWORD": PASSWORD}
        return subprocess.run(
            [self.program, *map(str, arguments)],
            cwd=self.folder,
            env={**os.environ, **environment},
            capture_output=True,
            check=False,
            timeout=TIMEOUT_S,
        )

    def cosign(self, *arguments: str | Path) -> str:
        done = self.try_cosign(*arguments)
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout.decode()

    def check(self, layout: str, key: str = "chonkle.pub") -> Completed:
        """Let cosign check the codec, with a key and without a network but the registry."""
        return self.try_cosign(
            "verify",
            *("--key", key, "--insecure-ignore-tlog", "--allow-http-registry"),
            LAYOUTS[layout],
            self.image,
        )

    def chonkle(self, *arguments: str | Path, passes: bool = True) -> dict[str, Any]:
        done = self.run(
            *arguments, "--json", cwd=self.folder, environment={"CHONKLE_KEY_PASSWORD": PASSWORD}
        )
        assert (done.returncode == 0) == passes, (done.stdout + done.stderr).decode()
        found: Any = json.loads(done.stdout)
        document: dict[str, Any] = found[0] if isinstance(found, list) else found
        return document

    def attestation(self, key: str, *, passes: bool = True) -> dict[str, str]:
        """Let chonkle check the codec, and give what it says of its attestation."""
        report = self.chonkle("verify", self.uri, "--key", key, passes=passes)
        checks: dict[str, dict[str, str]] = {each["name"]: each for each in report["checks"]}
        return checks["attestation"]


@pytest.fixture
def table(
    tmp_path: Path,
    shared_registry: Registry,
    external_program: Callable[[str], str],
    chonkle_done: Chonkle,
) -> Table:
    # A repository of its own for each test, in which nothing is signed yet.
    name = f"codecs/{tmp_path.name.replace('_', '-').strip('-')}"
    digest = shared_registry.push(name, "1", CODEC.read_bytes())
    return Table(tmp_path, external_program("cosign"), shared_registry, name, digest, chonkle_done)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_cosign_checks_what_chonkle_signs(layout: str, table: Table) -> None:
    table.chonkle("keygen")
    signed = table.chonkle("sign", table.uri, "--key", "chonkle.key", "--layout", layout)
    assert signed["digest"] == table.digest
    assert signed["written"] == [layout]
    done = table.check(layout)
    assert done.returncode == 0, done.stderr.decode()
    assert table.digest in done.stdout.decode()
    # Another key's signature is none.
    table.chonkle("keygen", "--output-prefix", "other")
    assert table.check(layout, "other.pub").returncode != 0
    assert table.attestation("other.pub", passes=False)["outcome"] == "failed"


@pytest.mark.parametrize("layout", LAYOUTS)
def test_chonkle_checks_what_cosign_signs(layout: str, table: Table) -> None:
    table.cosign("generate-key-pair")
    table.cosign(
        *("sign", "--key", "cosign.key", "--tlog-upload=false", "--use-signing-config=false"),
        *(LAYOUTS[layout], "--allow-http-registry", "--yes", table.image),
    )
    check = table.attestation("cosign.pub")
    assert check["outcome"] == "passed"
    assert check["reason"] == f"signed by `cosign.pub` ({layout})"


def test_both_sign_one_codec_and_none_loses_the_other(table: Table) -> None:
    table.cosign("generate-key-pair")
    table.chonkle("keygen")

    def cosign_signs() -> None:
        for option in LAYOUTS.values():
            table.cosign(
                *("sign", "--key", "cosign.key", "--tlog-upload=false"),
                *("--use-signing-config=false", option, "--allow-http-registry", "--yes"),
                table.image,
            )

    cosign_signs()
    table.chonkle("sign", table.uri, "--key", "chonkle.key")
    cosign_signs()
    for layout in LAYOUTS:
        for key in ("chonkle.pub", "cosign.pub"):
            done = table.check(layout, key)
            assert done.returncode == 0, (layout, key, done.stderr.decode())
    for key in ("chonkle.pub", "cosign.pub"):
        assert "(classic)" in table.attestation(key)["reason"]
        assert "(bundle)" in table.attestation(key)["reason"]
    assert table.chonkle("sign", table.uri, "--key", "chonkle.key")["written"] == []


def test_chonkle_signs_with_a_key_of_cosign(table: Table) -> None:
    table.cosign("generate-key-pair")
    table.chonkle("sign", table.uri, "--key", "cosign.key")
    for layout in LAYOUTS:
        assert table.check(layout, "cosign.pub").returncode == 0


def test_cosign_signs_with_a_key_of_chonkle(table: Table) -> None:
    table.chonkle("keygen")
    assert table.cosign("public-key", "--key", "chonkle.key") == (
        (table.folder / "chonkle.pub").read_text()
    )
    table.cosign(
        *("sign", "--key", "chonkle.key", "--tlog-upload=false", "--use-signing-config=false"),
        *("--allow-http-registry", "--yes", table.image),
    )
    assert table.attestation("chonkle.pub")["outcome"] == "passed"


def test_files_are_signed_and_checked_by_both(table: Table) -> None:
    table.chonkle("keygen")
    ours, theirs = table.folder / "ours.wasm", table.folder / "theirs.wasm"
    for path in (ours, theirs):
        path.write_bytes(CODEC.read_bytes())
    table.chonkle("sign", ours, "--key", "chonkle.key")
    offline = ("--key", "chonkle.pub", "--insecure-ignore-tlog")
    table.cosign("verify-blob", *offline, "--bundle", f"{ours}.bundle.json", ours)
    table.cosign(
        *("sign-blob", "--key", "chonkle.key", "--tlog-upload=false"),
        *("--use-signing-config=false", "--bundle", f"{theirs}.bundle.json", "--yes", theirs),
    )
    report = table.chonkle("verify", theirs, "--key", "chonkle.pub")
    assert report["checks"][-1]["name"] == "attestation"
    assert report["checks"][-1]["outcome"] == "passed"
