"""Other projects' tools read what chonkle publishes, and chonkle what they push.

Where a tool is missing, its test is skipped with a reason, and fails in CI.
"""

import json
import os
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.registries import CONFIG_TYPE, WASM_TYPE, Registry
from tests.fixture_types import Chonkle, Explain, PipelineOf
from tests.loopback import sha256

pytestmark = [pytest.mark.network, pytest.mark.slow]

type RunTool = Callable[..., str]

ROOT = Path(__file__).parents[2]
CODEC = ROOT / "codec/zlib/zlib-rs@1.0.0.component.wasm"
FORMS = ("core", "component")
NAME = "codecs/zlib-rs"
TIMEOUT_S = 120


@pytest.fixture(autouse=True)
def pipeline(tmp_path: Path, pipeline_of: PipelineOf) -> None:
    (tmp_path / "pipeline.json").write_text(json.dumps(pipeline_of("zlib")))


@pytest.fixture
def tool(tmp_path: Path, external_program: Callable[[str], str]) -> RunTool:
    """Run another project's tool, which finds nothing of the user's, and give what it prints."""
    home = tmp_path / "home"
    home.mkdir()

    def run(name: str, *arguments: str | Path, **environment: str) -> str:
        inherited = {key: value for key, value in os.environ.items() if key != "DOCKER_CONFIG"}
        done = subprocess.run(
            [external_program(name), *map(str, arguments)],
            cwd=tmp_path,
            env={**inherited, "HOME": str(home), **environment},
            capture_output=True,
            check=False,
            timeout=TIMEOUT_S,
        )
        assert done.returncode == 0, (name, arguments, done.stdout, done.stderr)
        return done.stdout.decode()

    return run


@dataclass(frozen=True, slots=True)
class Published:
    """A codec in a registry.

    Attributes:
        registry: where it is.
        tag: its tag.
        wasm: its bytes.
    """

    registry: Registry
    tag: str
    wasm: bytes

    @property
    def manifest(self) -> bytes:
        return self.registry.read(f"{NAME}/manifests/{self.tag}")

    @property
    def digest(self) -> str:
        return sha256(self.manifest)

    @property
    def repository(self) -> str:
        return f"{self.registry.address}/{NAME}"

    @property
    def tagged(self) -> str:
        return f"{self.repository}:{self.tag}"

    @property
    def pinned(self) -> str:
        return f"{self.repository}@{self.digest}"


@pytest.fixture(scope="module", params=FORMS)
def published(
    request: pytest.FixtureRequest,
    shared_registry: Registry,
    chonkle_done: Chonkle,
) -> Published:
    file = CODEC.with_name(CODEC.name.replace("component", request.param))
    found = Published(shared_registry, f"of-{request.param}", file.read_bytes())
    uri = f"oci://{found.tagged}"
    done = chonkle_done("publish", file, uri, "--no-verify", cwd=ROOT)
    assert done.returncode == 0, done
    assert found.digest in done.stdout.decode()
    return found


def test_oras_pulls_it(tmp_path: Path, tool: RunTool, published: Published) -> None:
    tool("oras", "pull", "--plain-http", "--output", "pulled", published.pinned)
    (file,) = (tmp_path / "pulled").iterdir()
    assert file.suffix == ".wasm"
    assert file.read_bytes() == published.wasm


def test_oras_discovers_what_refers_to_it(
    tmp_path: Path, tool: RunTool, published: Published
) -> None:
    arguments = ("oras", "discover", "--plain-http", "--format", "json", published.tagged)
    found = json.loads(tool(*arguments))
    assert found["digest"] == published.digest
    known = found["referrers"]
    (tmp_path / "note.txt").write_text("a note")
    tool(
        *("oras", "attach", "--plain-http", "--artifact-type", "text/x-note"),
        *(published.pinned, "note.txt:text/plain"),
    )
    kinds = [each["artifactType"] for each in json.loads(tool(*arguments))["referrers"]]
    assert sorted(kinds) == sorted([*(each["artifactType"] for each in known), "text/x-note"])


def test_crane_says_that_it_is_valid(tool: RunTool, published: Published) -> None:
    assert "PASS" in tool("crane", "validate", "--insecure", "--remote", published.tagged)
    assert tool("crane", "digest", "--insecure", published.tagged).strip() == published.digest
    manifest = tool("crane", "manifest", "--insecure", published.pinned)
    assert manifest.rstrip("\n").encode() == published.manifest


def test_skopeo_copies_it_to_a_layout(
    tmp_path: Path, tool: RunTool, explain: Explain, published: Published
) -> None:
    tool(
        *("skopeo", "copy", "--preserve-digests", "--src-tls-verify=false"),
        *(f"docker://{published.tagged}", f"oci:layout:{published.tag}"),
    )
    layout = tmp_path / "layout"
    (entry,) = json.loads((layout / "index.json").read_text())["manifests"]
    assert entry["digest"] == published.digest
    blob = layout / "blobs" / sha256(published.wasm).replace(":", "/")
    assert blob.read_bytes() == published.wasm
    found = found_in(explain, f"oci-layout://{layout}:{published.tag}")
    assert found["implementation"] == "zlib-rs@1.0.0"


def test_wkg_pulls_it(tmp_path: Path, tool: RunTool, published: Published) -> None:
    address = published.registry.address
    tool(
        *("wkg", "oci", "pull", "--insecure", address, "--output", "pulled.wasm"), published.tagged
    )
    assert (tmp_path / "pulled.wasm").read_bytes() == published.wasm


def push_with_oras(tool: RunTool, registry: Registry, tag: str) -> None:
    tool(
        *("oras", "push", "--plain-http", "--config", f"config.json:{CONFIG_TYPE}"),
        *(f"{registry.address}/{NAME}:{tag}", f"codec.wasm:{WASM_TYPE}"),
    )


def push_with_oras_alone(tool: RunTool, registry: Registry, tag: str) -> None:
    """Push without a config."""
    tool(
        *("oras", "push", "--plain-http"),
        *(f"{registry.address}/{NAME}:{tag}", f"codec.wasm:{WASM_TYPE}"),
    )


def push_with_wkg(tool: RunTool, registry: Registry, tag: str) -> None:
    reference = f"{registry.address}/{NAME}:{tag}"
    tool("wkg", "oci", "push", "--insecure", registry.address, reference, "codec.wasm")


def push_an_index_with_oras(tool: RunTool, registry: Registry, tag: str) -> None:
    push_with_wkg(tool, registry, "in-an-index")
    index = f"{registry.address}/{NAME}:{tag}"
    tool("oras", "manifest", "index", "create", "--plain-http", index, "in-an-index")


def found_in(explain: Explain, source: str) -> Any:
    """Resolve a step with a source, and give what was found; it is installed in its own store."""
    options = ("--codec-store", "store", "--source", f"zlib={source}")
    found = explain("pipeline.json", *options)["steps"][0]
    assert found["reason"].endswith(source)
    return found


@pytest.mark.parametrize(
    "push", [push_with_oras, push_with_oras_alone, push_with_wkg, push_an_index_with_oras]
)
def test_what_others_push_is_pulled(
    *,
    tmp_path: Path,
    tool: RunTool,
    shared_registry: Registry,
    explain: Explain,
    push: Callable[[RunTool, Registry, str], None],
) -> None:
    (tmp_path / "codec.wasm").write_bytes(CODEC.read_bytes())
    (tmp_path / "config.json").write_text("{}")
    tag = push.__name__.replace("_", "-")
    push(tool, shared_registry, tag)
    source = f"oci://{shared_registry.address}/{NAME}:{tag}"
    found = found_in(explain, source)
    assert found["implementation"] == "zlib-rs@1.0.0"
    assert found["backend"] == "component"
