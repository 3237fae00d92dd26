"""Signing and policies, as a user meets them: on the command line, with a registry and files."""

import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from chonkle.oci.layout import LayoutRepository
from chonkle.oci.model import INDEX_TYPE
from tests.e2e.registries import Registry
from tests.fixture_types import Chonkle, ErrorOf, PipelineOf
from tests.loopback import sha256

pytestmark = [pytest.mark.network, pytest.mark.slow]

type Run = Callable[..., Any]

SIGNER = {"CHONKLE_KEY_PASSWORD": "of a key"}
STORE = ("--codec-store", "store")
POLICY = """\
version = 1
default = "deny"
keys.release = "release.pub"
[[rules]]
codecs = ["packbits"]
repositories = ["{registry}/codecs/**"]
signed-by = ["release"]
identities = ["{registry}/codecs/**"]
"""


@pytest.fixture
def uri(tmp_path: Path, registry: Registry, chonkle: Chonkle, pipeline_of: PipelineOf) -> str:
    """Publish a codec with its golden vectors and provenance, and make a key and a policy."""
    codec = Path(__file__).parents[2] / "codec/packbits/packbits-c@1.0.0.core.wasm"
    target = f"oci://{registry.address}/codecs/packbits:1"
    chonkle("publish", codec, target, "--no-verify")
    chonkle("keygen", "--output-prefix", "release", environment=SIGNER)
    (tmp_path / "policy.toml").write_text(POLICY.format(registry=registry.address))
    (tmp_path / "store").mkdir()
    document = pipeline_of("packbits", sources={"packbits": target})
    (tmp_path / "pipeline.json").write_text(json.dumps(document))
    (tmp_path / "input").write_bytes(b"\x00a")
    return target


RUN = ("run", "pipeline.json", "--input", "bytes=input", "--output", "bytes=out", *STORE)


def test_an_author_signs_and_a_reader_demands_it(
    uri: str, tmp_path: Path, chonkle: Chonkle, error_of: ErrorOf, registry: Registry
) -> None:
    digest = sha256(registry.read("codecs/packbits/manifests/1"))
    pinned = f"{uri}@{digest}"
    strict = {"CHONKLE_POLICY": str(tmp_path / "policy.toml")}
    # Unsigned: refused by every command, and nothing is left.
    for arguments in (
        ("pull", uri, *STORE, "--policy", "policy.toml"),
        (*RUN, "--source", f"packbits={uri}", "--policy", "policy.toml"),
        ("lock", "pipeline.json", "--source", f"packbits={uri}", *STORE, "--policy", "policy.toml"),
    ):
        assert "rule 1: it is not signed, and has to be by `release`" in error_of(*arguments)
    assert list((tmp_path / "store").iterdir()) == []
    assert "it is not signed" in error_of("pull", uri, *STORE, environment=strict)

    done = chonkle("sign", uri, "--key", "release.key", environment=SIGNER)
    assert f"signed  {pinned}" in done.stdout.decode()
    report = json.loads(
        chonkle("verify", uri, "--key", "release.pub", "--policy", "policy.toml", "--json").stdout
    )[0]
    checks = {each["name"]: each for each in report["checks"]}
    assert checks["attestation"]["reason"] == (
        "signed by `release.pub` (classic), `release.pub` (bundle)"
    )
    assert checks["policy"]["reason"] == "rule 1: signed by `release` (classic)"
    assert checks["provenance"]["outcome"] == "passed"
    assert "as codecs.lock says" in checks["provenance"]["reason"]

    found = json.loads(chonkle("pull", uri, *STORE, "--json", environment=strict).stdout)
    assert found["policy"] == "rule 1: signed by `release` (classic)"
    key = found["signed_by"]
    assert key.startswith("ecdsa-p256 sha256:")
    chonkle("lock", "pipeline.json", "--source", f"packbits={uri}", *STORE, environment=strict)
    assert f'signed_by = "{key}"' in (tmp_path / "pipeline.json.lock").read_text()
    # From here on no network is needed, and the policy is still demanded.
    registry.stop()
    offline = {**strict, "CHONKLE_OFFLINE": "1"}
    chonkle(*RUN, "--locked", environment=offline)
    chonkle(*RUN, "--source", f"packbits={pinned}", environment=offline)
    assert (tmp_path / "out").read_bytes() == bytes([0, 1, 1, 0, 0, 0, 0, 1])
    policy = tmp_path / "policy.toml"
    policy.write_text(f"{policy.read_text()}until = 2020-01-01\n")
    (tmp_path / "out").unlink()
    assert "rule 1: it expired at 2020-01-01" in error_of(*RUN, "--locked", environment=offline)


def test_a_wrong_policy_stops_every_command(uri: str, tmp_path: Path, error_of: ErrorOf) -> None:
    (tmp_path / "policy.toml").write_text('version = 1\ndefault = "deny"\nruls = []\n')
    for arguments in (RUN, ("pull", uri, *STORE), ("validate", "pipeline.json", *STORE)):
        words = error_of(*arguments, "--policy", "policy.toml")
        assert 'policy policy.toml: unknown field `"ruls"`' in words
        assert "did you mean `rules`?" in words


def test_a_key_of_another_repository_is_refused(
    uri: str, chonkle: Chonkle, error_of: ErrorOf
) -> None:
    chonkle("keygen", "--output-prefix", "mallory", environment=SIGNER)
    chonkle("sign", uri, "--key", "mallory.key", environment=SIGNER)
    chonkle(
        *("sign", uri, "--key", "release.key", "--identity", "elsewhere.test/x"), environment=SIGNER
    )
    words = error_of("pull", uri, *STORE, "--policy", "policy.toml")
    assert "no accepted key made this signature" in words
    assert 'signed by `release` as `"elsewhere.test/x"`, which is none of' in words


@pytest.mark.usefixtures("uri")
def test_an_image_layout_is_signed_and_checked(
    tmp_path: Path, chonkle: Chonkle, error_of: ErrorOf, chonkle_done: Chonkle
) -> None:
    codec = Path(__file__).parents[2] / "codec/packbits/packbits-c@1.0.0.core.wasm"
    layout = "oci-layout://layout:1"
    chonkle("publish", codec, layout, "--no-verify")
    upper = layout.replace("oci-layout", "OCI-Layout")
    chonkle("sign", upper, "--key", "release.key", environment=SIGNER)
    again = chonkle("sign", layout, "--key", "release.key", environment=SIGNER).stdout
    assert again.startswith(b"signed already  oci-layout://layout:1@sha256:")
    chonkle("verify", upper, "--key", "release.pub")
    chonkle("keygen", "--output-prefix", "other", environment=SIGNER)
    done = chonkle_done("verify", layout, "--key", "other.pub", cwd=tmp_path)
    assert done.returncode == 1
    assert b"attestation" in done.stdout
    assert "no such artifact" in error_of(
        "sign", "oci-layout://layout:2", "--key", "release.key", environment=SIGNER
    )


def test_an_index_is_signed_for_all_that_it_leads_to(
    tmp_path: Path, chonkle: Chonkle, error_of: ErrorOf, pipeline_of: PipelineOf
) -> None:
    folder = Path(__file__).parents[2] / "codec/packbits"
    layout = LayoutRepository(tmp_path / "layout")
    entries = []
    for form, system in (("core", "wasip1"), ("component", "wasip2")):
        codec = folder / f"packbits-c@1.0.0.{form}.wasm"
        chonkle("publish", codec, f"oci-layout://layout:{form}", "--no-verify")
        entry = layout.manifest(form).descriptor
        entries.append(replace(entry, platform_os=system).to_json())
    document = {"schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": entries}
    layout.write_manifest(json.dumps(document).encode(), INDEX_TYPE, tag="both")
    uri = f"oci-layout://{tmp_path}/layout:both"
    chonkle("keygen", "--output-prefix", "release", environment=SIGNER)
    chonkle("sign", uri, "--key", "release.key", environment=SIGNER)
    reports = json.loads(chonkle("verify", uri, "--key", "release.pub", "--json").stdout)
    assert [each["codec"] for each in reports] == [
        "packbits-c@1.0.0 (component)",
        "packbits-c@1.0.0 (core)",
    ]
    assert [each["file"].rpartition("@")[2] for each in reports] == [
        entries[1]["digest"],
        entries[0]["digest"],
    ]
    (tmp_path / "policy.toml").write_text(
        'version = 1\ndefault = "deny"\nkeys.release = "release.pub"\n'
        '[[rules]]\nsigned-by = ["release"]\n'
    )
    for store in ("store", "other"):
        (tmp_path / store).mkdir()
    # A manifest of the index has no attestation of its own.
    strict = {"CHONKLE_POLICY": "policy.toml"}
    pinned = f"oci-layout://{tmp_path}/layout@{entries[0]['digest']}"
    assert "it is not signed" in error_of("pull", pinned, *STORE, environment=strict)
    pipeline = pipeline_of("packbits", sources={"packbits": uri})
    (tmp_path / "pipeline.json").write_text(json.dumps(pipeline))
    more = ("--preference", "component", "--source", f"packbits={uri}")
    chonkle("lock", "pipeline.json", *STORE, *more, environment=strict)
    # The lock pins the index, so that another store finds the attestation too.
    digest = layout.manifest("both").descriptor.digest
    assert f'source = "{uri}@{digest}"' in (tmp_path / "pipeline.json.lock").read_text()
    (tmp_path / "input").write_bytes(b"\x00a")
    for store in ("store", "other"):
        chonkle(*RUN[:-1], store, "--locked", environment=strict)
    found = json.loads(chonkle("pull", uri, *STORE, "--json", environment=strict).stdout)
    assert found["policy"] == "rule 1: signed by `release` (classic)"


@pytest.mark.usefixtures("uri")
def test_a_file_is_signed_and_checked(
    tmp_path: Path, chonkle: Chonkle, error_of: ErrorOf, chonkle_done: Chonkle
) -> None:
    codec = tmp_path / "packbits.wasm"
    source = Path(__file__).parents[2] / "codec/packbits/packbits-c@1.0.0.core.wasm"
    codec.write_bytes(source.read_bytes())
    chonkle("sign", codec, "--key", "release.key", environment=SIGNER)
    chonkle("verify", codec, "--key", "release.pub")
    # From a program that knows the password, and with the wrong one.
    done = chonkle(
        "sign", codec, "--key", "release.key", "--key-password-stdin", stdin=b"of a key\n"
    )
    assert done.stdout.startswith(b"signed already")
    words = error_of(
        "sign", codec, "--key", "release.key", environment={"COSIGN_PASSWORD": "wrong"}
    )
    assert "release.key: the password is wrong, or the file damaged" in words
    assert "no password for the key" in error_of("sign", codec, "--key", "release.key")
    words = error_of("keygen", "--output-prefix", "release", environment=SIGNER)
    assert "release.key is there already" in words
    # Another key does not take the place of this one.
    chonkle("keygen", "--output-prefix", "other", environment=SIGNER)
    words = error_of("sign", codec, "--key", "other.key", environment=SIGNER)
    assert "packbits.wasm.bundle.json is there, and is not this key's attestation" in words
    codec.write_bytes(source.read_bytes() + b"\x00\x01\x00")
    done = chonkle_done("verify", codec, "--key", "release.pub", cwd=tmp_path)
    assert done.returncode == 1
    assert b"it attests another artifact" in done.stdout


@pytest.mark.skipif(os.name == "nt", reason="file modes and links are POSIX")
def test_the_files_of_a_new_key_are_closed_to_other_writers_and_replace_nothing(
    tmp_path: Path, chonkle: Chonkle, error_of: ErrorOf
) -> None:
    old = os.umask(0)
    try:
        chonkle("keygen", environment=SIGNER)
    finally:
        os.umask(old)
    modes = {
        name: (tmp_path / name).stat().st_mode & 0o777 for name in ("chonkle.key", "chonkle.pub")
    }
    assert modes == {"chonkle.key": 0o600, "chonkle.pub": 0o644}
    for ending in ("key", "pub"):
        link = tmp_path / f"linked.{ending}"
        link.symlink_to("nowhere")
        words = error_of("keygen", "--output-prefix", "linked", environment=SIGNER)
        assert f"linked.{ending} is there already" in words
        assert link.is_symlink()
        link.unlink()


@pytest.mark.parametrize("name", ["CHONKLE_KEY_PASSWORD", "COSIGN_PASSWORD"])
@pytest.mark.parametrize("password", ["", " "])
def test_a_new_key_has_no_empty_password(name: str, password: str, error_of: ErrorOf) -> None:
    words = error_of("keygen", environment={name: password})
    assert f"an empty password for the new key, from {name}, expected a password" in words


@pytest.mark.parametrize("line", [b"\n", b"\r\n", b" \t\n"])
def test_a_new_key_has_no_blank_line_as_its_password(line: bytes, error_of: ErrorOf) -> None:
    words = error_of("keygen", "--key-password-stdin", stdin=line)
    assert "an empty password for the new key, from standard input" in words


@pytest.mark.usefixtures("uri")
def test_only_codecs_and_pipelines_are_signed(
    tmp_path: Path, chonkle: Chonkle, error_of: ErrorOf
) -> None:
    pipeline = {
        "codec_id": "echo",
        "direction": "decode",
        "inputs": {"bytes": {"type": "bytes"}},
        "outputs": {"bytes": "copy.bytes"},
        "steps": {"copy": {"codec_id": "identity", "inputs": {"bytes": "input.bytes"}}},
    }
    (tmp_path / "echo.json").write_text(json.dumps(pipeline))
    chonkle("sign", "echo.json", "--key", "release.key", environment=SIGNER)
    # Signed as a file, this would be a signature of an image in cosign's classic layout.
    image = {
        "identity": {"docker-reference": ""},
        "image": {"docker-manifest-digest": f"sha256:{'0' * 64}"},
        "type": "cosign container image signature",
    }
    for name, data in {
        "innocent.json": json.dumps({"critical": image, "optional": None}).encode(),
        "mixed.json": json.dumps({**pipeline, "critical": image}).encode(),
        "bare.wasm": b"\0asm\1\0\0\0",
        "words.txt": b"words",
        "empty": b"",
    }.items():
        (tmp_path / name).write_bytes(data)
        words = error_of("sign", name, "--key", "release.key", environment=SIGNER)
        assert f"cannot sign {name}: not a codec or a pipeline: " in words


@pytest.mark.parametrize("arguments", [("--layout", "both"), ("--identity", "x")])
@pytest.mark.usefixtures("uri")
def test_options_that_would_do_nothing_are_usage_errors(
    arguments: tuple[str, ...], tmp_path: Path, chonkle_done: Chonkle
) -> None:
    done = chonkle_done(
        "sign", "input", "--key", "release.key", *arguments, cwd=tmp_path, environment=SIGNER
    )
    assert done.returncode == 2
    done = chonkle_done("verify", "store", "--key", "release.pub", cwd=tmp_path)
    assert done.returncode == 2
    assert b"are for a file, or what is published" in done.stderr
