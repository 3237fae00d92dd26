"""What the tests of other hosts share: golden vectors, and the programs of the hosts.

`make hosts` builds them. Without it their tests skip, except in CI, where they fail.
"""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from threading import Thread
from types import SimpleNamespace
from typing import Any, NoReturn

import pytest
from chonkle_toolchain.conformance import conformance_lines
from chonkle_toolchain.recipe import find_recipes
from filelock import FileLock

from tests.hosts.static_server import StaticServer

HOSTS = Path(__file__).parent
ROOT = HOSTS.parents[1]
STORE = ROOT / "codec"
# What exists once a host was made.
MADE = {
    "zarrs": ROOT / "build/hosts/release/examples",
    "browser": ROOT / "docs/examples/hosts/browser/node_modules",
}
GUIDE = ROOT / "docs/guides/embed-in-another-host.md"

type Command = Callable[[str], list[str]]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark all tests in this folder, so that quick runs leave them out."""
    for item in items:
        if item.path.is_relative_to(HOSTS):
            item.add_marker("hosts")


def missing(what: str) -> NoReturn:
    """Skip a test; in CI, where that would go unseen, let it fail."""
    reason = f"NOT TESTED: {what}"
    if os.environ.get("CI", "").lower() in {"1", "true"}:
        pytest.fail(reason)
    pytest.skip(reason)


def shared_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a folder of this run, the same in all workers."""
    folder = tmp_path_factory.getbasetemp()
    return folder.parent if "PYTEST_XDIST_WORKER" in os.environ else folder


@pytest.fixture(scope="session")
def codec_store() -> Path:
    """Give the folder of the shipped codecs, CODEC_DIR of the hosts' programs."""
    return STORE


@pytest.fixture(scope="session")
def vectors_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give the golden vectors of all shipped codecs as JSON lines, made once for all workers."""
    folder = shared_folder(tmp_path_factory)
    path = folder / "vectors.jsonl"
    with FileLock(folder / "vectors.lock"):
        if not path.exists():
            lines = conformance_lines(STORE, find_recipes(ROOT / "codec-src"))
            text = "".join(f"{line}\n" for line in lines)
            path.with_suffix(".new").write_text(text, encoding="ascii")
            path.with_suffix(".new").rename(path)
    return path


@pytest.fixture(scope="session")
def vectors(vectors_file: Path) -> list[dict[str, Any]]:
    """Give the parsed lines of the golden vectors."""
    return list(map(json.loads, vectors_file.read_text("ascii").splitlines()))


@pytest.fixture(scope="session")
def minimal_host() -> SimpleNamespace:
    """Give what the code of a host in the guide defines."""
    blocks = re.findall(
        r"^```python (?:host|signature)\.py\n(.*?)^```$",
        GUIDE.read_text("utf-8"),
        re.MULTILINE | re.DOTALL,
    )
    assert len(blocks) == 2
    names: dict[str, Any] = {}
    for block in blocks:
        exec(block, names)  # noqa: S102 - running it is what this is for
    return SimpleNamespace(**names)


@pytest.fixture
def serve() -> Iterator[Callable[..., str]]:
    """Give a function that serves folders by name, and gives the origin, `http://127.0.0.1:1234`.

    `serve(codec=STORE)` gives the file `zlib/zlib-rs@1.0.0.core.wasm` at `/codec/zlib/...`.
    """
    with ExitStack() as stack:

        def start(**folders: Path) -> str:
            server = stack.enter_context(StaticServer(folders))
            Thread(target=server.serve_forever, daemon=True).start()
            stack.callback(server.shutdown)
            return server.origin

        yield start


@pytest.fixture(scope="session")
def zarrs_program(tmp_path_factory: pytest.TempPathFactory) -> Command:
    """Give a function that gives the command for an example of the crate for zarrs, by name."""
    folder = equip("zarrs", tmp_path_factory)

    def command(name: str) -> list[str]:
        return [str(folder / name)]

    return command


@pytest.fixture(scope="session")
def node_program(tmp_path_factory: pytest.TempPathFactory) -> Command:
    """Give a function that gives the command for a script of the browser host, by name."""
    folder = equip("browser", tmp_path_factory)

    def command(name: str) -> list[str]:
        return [shutil.which("node") or "node", str(folder / name)]

    return command


@pytest.fixture(scope="session")
def chromium() -> str:
    """Give the path of a browser that can run without a window."""
    for name in ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable"):
        if found := shutil.which(name):
            return found
    return missing("no Chromium; hint: `sh .ci/system-packages` as root on Debian gets it")


def equip(host: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Bring a host up to date that `make hosts` made, and give the folder of its programs."""
    if not MADE[host].exists():
        missing(f"the host `{host}` was not made; hint: `make hosts`")
    with FileLock(shared_folder(tmp_path_factory) / f"{host}.lock"):
        done = subprocess.run(
            ["sh", ROOT / ".ci/hosts", host],  # noqa: S607 - the shell of the system
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    return Path(done.stdout.strip())
