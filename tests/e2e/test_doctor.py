"""`chonkle doctor`: what it finds right and wrong, and what it keeps to itself."""

import base64
import json
import os
import socket
import sys
import threading
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from chonkle.cli.doctor import doctor
from chonkle.wasmtime_version import wasmtime_version
from tests.fixture_types import Chonkle
from tests.loopback import Server

type Findings = dict[tuple[str, str], dict[str, str]]

# Must not be printed.
SECRET = "s3cret-0f-tests"  # noqa: S105 - made up
KEY = "0123456789abcdef" * 4


@pytest.fixture
def here(tmp_path: Path) -> dict[str, str]:
    """Give the environment of a user who has nothing yet."""
    return {
        "CHONKLE_CACHE_DIR": str(tmp_path / "cache"),
        "CHONKLE_CODEC_STORE": str(tmp_path / "store"),
        "DOCKER_CONFIG": str(tmp_path / "docker"),
    }


@pytest.fixture
def examine(chonkle_done: Chonkle, tmp_path: Path, here: dict[str, str]) -> Any:
    """Run the command, demand that its code fits, and give what it found."""

    def run(*arguments: str, **variables: str) -> Findings:
        environment = {**here, **variables}
        done = chonkle_done("doctor", "--json", *arguments, cwd=tmp_path, environment=environment)
        text = chonkle_done("doctor", *arguments, cwd=tmp_path, environment=environment)
        assert done.stderr == b"", done.stderr
        document = json.loads(done.stdout)
        wrong = [each for each in document["findings"] if each["state"] == "wrong"]
        assert document["is_well"] == (not wrong)
        assert (done.returncode, text.returncode) == ((1, 1) if wrong else (0, 0))
        printed = done.stdout + text.stdout + text.stderr
        assert SECRET.encode() not in printed
        assert KEY.encode() not in printed
        assert base64.b64encode(f"user:{SECRET}".encode()) not in printed
        assert max(map(len, text.stdout.decode().splitlines())) < 240
        words = f"{len(wrong) or 'nothing'}"
        assert text.stderr.decode().startswith(words), text.stderr
        return {(each["section"], each["name"]): each for each in document["findings"]}

    return run


def wrong(found: Findings) -> list[tuple[str, str]]:
    return [place for place, each in found.items() if each["state"] == "wrong"]


def test_a_new_user_has_nothing_wrong_and_nothing_is_made(examine: Any, tmp_path: Path) -> None:
    found = examine()
    assert wrong(found) == []
    assert found["wasmtime", "version"]["value"].startswith(f"{wasmtime_version()}, tested: ")
    assert found["wasmtime", "a component codec"]["state"] == "ok"
    assert found["Python", "numpy"]["value"][0].isdigit()
    assert found["cache", "own"]["value"].endswith("cache will be made at the first use")
    assert found["environment", "CHONKLE_CODEC_STORE"]["value"] == str(tmp_path / "store")
    assert list(tmp_path.iterdir()) == []


def test_secrets_are_not_printed(examine: Any, tmp_path: Path) -> None:
    (tmp_path / "docker").mkdir()
    auth = base64.b64encode(f"user:{SECRET}".encode()).decode()
    config = {"auths": {"registry.example": {"auth": auth}}, "credHelpers": {"b.example": "x"}}
    (tmp_path / "docker/config.json").write_text(json.dumps(config))
    found = examine(
        CHONKLE_REGISTRY="host.example",
        CHONKLE_REGISTRY_USERNAME="user",
        CHONKLE_REGISTRY_PASSWORD=SECRET,
        CHONKLE_CACHE_KEY=KEY,
        CHONKLE_KEY_PASSWORD=SECRET,
        CHONKLE_SOMETHING=SECRET,
    )
    assert wrong(found) == []
    assert found["registries", "environment"]["value"] == "host.example, with credentials"
    assert found["registries", "docker"]["value"] == ("credentials for b.example, registry.example")
    assert found["cache", "key"]["value"] == "configured"
    assert found["environment", "CHONKLE_REGISTRY_PASSWORD"]["value"] == "set"
    assert found["environment", "CHONKLE_SOMETHING"]["state"] == "note"


def test_wrong_and_misspelt_settings(examine: Any) -> None:
    found = examine(
        CHONKLE_AOT="sometimes",
        CHONKLE_CODECSTORE="/x",
        CHONKLE_REGISTRY_PASWORD=SECRET,
        CHONKLE_POLICY="missing.toml",
    )
    assert found["environment", "CHONKLE_CODECSTORE"]["hint"] == (
        "did you mean CHONKLE_CODEC_STORE?"
    )
    assert "CHONKLE_REGISTRY_PASSWORD" in found["environment", "CHONKLE_REGISTRY_PASWORD"]["hint"]
    assert found["environment", "setting"]["value"].startswith("bad CHONKLE_AOT, expected `auto`")
    assert found["policy", "file"]["value"].startswith("cannot read the policy missing.toml")
    assert found["cache", "place"]["state"] == "note"
    assert set(wrong(found)) == {
        ("policy", "file"),
        ("environment", "setting"),
        ("environment", "CHONKLE_CODECSTORE"),
        ("environment", "CHONKLE_REGISTRY_PASWORD"),
    }


def test_options_of_zarr(examine: Any) -> None:
    pipeline = {"ZARR_CODEC_PIPELINE__PATH": "chonkle.zarr.CodecPipeline"}
    found = examine(ZARR_CHONKLE__STRICT="true", **pipeline)
    assert wrong(found) == []
    assert found["environment", "ZARR_CHONKLE__STRICT"]["value"] == "true"
    assert ("environment", "Zarr") not in found

    found = examine(ZARR_CHONKLE__STRICT="true", ZARR_CODEC_PIPELINE__PATH="other.Pipeline")
    assert found["environment", "Zarr"]["state"] == "note"
    assert "=".join(*pipeline.items()) in found["environment", "Zarr"]["hint"]
    assert wrong(found) == []

    misspelt = {"ZARR_CHONKLE_STRICT": "STRICT", "ZARR_CHONKLE__TIMEOUT": "TIMEOUT_S"}
    found = examine(**dict.fromkeys([*misspelt, "ZARR_CHONKLE__OTHER"], SECRET))
    for name, meant in misspelt.items():
        assert found["environment", name]["hint"] == f"did you mean ZARR_CHONKLE__{meant}?"
    names = [*misspelt, "ZARR_CHONKLE__OTHER"]
    assert set(wrong(found)) == {("environment", name) for name in names}


@pytest.mark.skipif(sys.platform == "win32", reason="there are no modes on Windows")
def test_a_cache_that_others_may_write_to(examine: Any, tmp_path: Path) -> None:
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache").chmod(0o777)
    found = examine(CHONKLE_CACHE_SYSTEM=str(tmp_path / "nowhere"))
    assert found["cache", "own"]["value"].startswith("not used: ")
    assert "CHONKLE_CACHE_DIR" in found["cache", "own"]["hint"]
    assert found["cache", "system"]["value"].endswith("nowhere is not there")
    assert wrong(found) == [("cache", "system"), ("cache", "own")]


@pytest.mark.skipif(sys.platform == "win32" or os.geteuid() == 0, reason="root may write")
def test_a_cache_that_cannot_be_written_to(examine: Any, tmp_path: Path) -> None:
    (tmp_path / "home").mkdir(mode=0o500)
    found = examine(CHONKLE_CACHE_DIR=str(tmp_path / "home/cache"))
    assert wrong(found) == [("cache", "writable")]


def test_a_store_with_a_bad_file_or_that_is_none(examine: Any, tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    (tmp_path / "store/damaged.wasm").write_bytes(b"damaged")
    found = examine()
    assert wrong(found) == [("codecs", "bad file")]
    assert found["codecs", "bad file"]["hint"] == f"remove {tmp_path / 'store/damaged.wasm'}"
    assert wrong(examine(CHONKLE_CODEC_STORE=str(tmp_path / "store/damaged.wasm"))) == [
        ("codecs", "store")
    ]


def test_slower_ways_are_noted(examine: Any) -> None:
    found = examine(CHONKLE_CALLS="public", CHONKLE_COMPONENT="fallback", CHONKLE_AOT="off")
    noted = [place for place, each in found.items() if each["state"] == "note"]
    # The tests' own, which is no variable of chonkle.
    noted = [place for place in noted if place != ("environment", "CHONKLE_TOOLS_DIR")]
    assert noted == [("wasmtime", "calls"), ("wasmtime", "components"), ("cache", "mode")]


def test_a_policy_is_described(examine: Any, tmp_path: Path) -> None:
    (tmp_path / "policy.toml").write_text(
        'version = 1\ndefault = "deny"\n[[rules]]\ncodecs = ["zlib"]\nunsigned = true\n'
        "until = 2020-01-01\n"
    )
    found = examine(CHONKLE_POLICY="policy.toml")
    assert found["policy", "rules"]["value"] == "1; otherwise deny"
    assert found["policy", "rule 1"]["state"] == "note"
    assert wrong(found) == []


def test_only_online_asks_a_server(examine: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        registry = f"127.0.0.1:{server.getsockname()[1]}"
        server.settimeout(0.1)
        assert wrong(examine(CHONKLE_REGISTRY=registry)) == []
        with pytest.raises(TimeoutError):
            server.accept()
    found = examine("--online", CHONKLE_REGISTRY=registry)
    assert wrong(found) == [("registries", registry)]
    with Server("127.0.0.1", lambda _: {"status": 401}) as answering:
        threading.Thread(target=answering.serve_forever, daemon=True).start()
        found = examine("--online", CHONKLE_REGISTRY=answering.host)
        answering.shutdown()
    assert found["registries", answering.host]["value"] == "answers"
    assert {each.path for each in answering.seen} == {"/v2/"}
    assert answering.credentials == []
    offline = examine("--online", CHONKLE_REGISTRY=registry, CHONKLE_OFFLINE="1")
    assert wrong(offline) == []
    assert offline["registries", "offline"]["state"] == "note"


def test_what_is_not_installed_is_named_without_an_index(
    monkeypatch: pytest.MonkeyPatch, here: dict[str, str]
) -> None:
    def missing(name: str) -> str:
        raise PackageNotFoundError(name)

    monkeypatch.setattr("chonkle.cli.doctor.version", missing)
    done = CliRunner().invoke(doctor, ["--json"], env=here)
    found = {each["name"]: each["value"] for each in json.loads(done.stdout)["findings"]}
    text = "not installed; to have it, install "
    assert found["distributed"] == f"{text}the extra `dask` of chonkle"
    assert found["chonkle-toolchain"] == f"{text}chonkle-toolchain"
