"""Image layouts: what is written is read again, and hostile ones are refused."""

import io
import json
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from chonkle.digest import Digest
from chonkle.errors import DigestMismatchError, FetchError
from chonkle.oci.attestation import read_attestations
from chonkle.oci.layout import LayoutRepository
from chonkle.oci.model import INDEX_TYPE, MANIFEST_TYPE, WASM_LAYER_TYPE, Descriptor

WASM = b"\0asm a codec"
REF_NAME = "org.opencontainers.image.ref.name"

type Write = Callable[[dict[str, bytes | None]], Path]


def as_json(document: object) -> bytes:
    return json.dumps(document).encode()


def described(data: bytes, media_type: str = MANIFEST_TYPE, **more: object) -> dict[str, Any]:
    digest = str(Digest.sha256(data))
    return {"mediaType": media_type, "digest": digest, "size": len(data), **more}


def manifest_of(data: bytes = WASM, **more: object) -> bytes:
    layers = [described(data, WASM_LAYER_TYPE)]
    config = described(b"{}", "application/vnd.oci.empty.v1+json")
    return as_json({"schemaVersion": 2, "config": config, "layers": layers, **more})


def blob(data: bytes) -> str:
    return f"blobs/sha256/{Digest.sha256(data).hex}"


def files_of(**changed: bytes | None) -> dict[str, bytes | None]:
    """Give the files of a layout with one codec, which is named `1`."""
    manifest = manifest_of()
    return {
        "oci-layout": b'{"imageLayoutVersion": "1.0.0"}',
        "index.json": index_of(described(manifest, annotations={REF_NAME: "1"})),
        blob(manifest): manifest,
        blob(WASM): WASM,
        **changed,
    }


def index_of(*entries: object) -> bytes:
    return as_json({"schemaVersion": 2, "manifests": list(entries)})


@pytest.fixture(params=["directory", "tar"])
def path(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return tmp_path / ("layout.tar" if request.param == "tar" else "layout")


@pytest.fixture
def write(path: Path) -> Write:
    """Write a layout without any code of ours; a file without content is left out."""

    def write(files: dict[str, bytes | None]) -> Path:
        there = {name: data for name, data in files.items() if data is not None}
        if path.suffix == ".tar":
            with tarfile.open(path, "w") as archive:
                for name, data in there.items():
                    member = tarfile.TarInfo(name)
                    member.size = len(data)
                    archive.addfile(member, io.BytesIO(data))
        else:
            for name, data in there.items():
                (path / name).parent.mkdir(parents=True, exist_ok=True)
                (path / name).write_bytes(data)
        return path

    return write


def content(path: Path) -> dict[str, bytes]:
    """Read a layout without any code of ours."""
    if path.suffix != ".tar":
        found = [each for each in path.rglob("*") if each.is_file() and each.name != ".lock"]
        return {str(each.relative_to(path)): each.read_bytes() for each in found}
    with tarfile.open(path) as archive:
        members = [(each.name, archive.extractfile(each)) for each in archive]
        return {name: file.read() for name, file in members if file is not None}


def test_what_is_written_is_read_again(path: Path) -> None:
    with LayoutRepository(path) as layout:
        config = layout.write_blob(b"{}", "application/vnd.oci.empty.v1+json")
        seen: list[tuple[int, int]] = []
        layer = layout.write_blob(
            WASM, WASM_LAYER_TYPE, progress=lambda *counts: seen.append(counts)
        )
        assert seen == [(len(WASM), len(WASM))]
        manifest = manifest_of()
        written = layout.write_manifest(manifest, MANIFEST_TYPE, tag="1.0.0")
    assert content(path).keys() == {
        "oci-layout",
        "index.json",
        blob(b"{}"),
        blob(WASM),
        blob(manifest),
    }
    with LayoutRepository(path) as layout:
        assert layout.tags() == ["1.0.0"]
        for wanted in ("1.0.0", written.digest):
            assert layout.resolve(wanted) == written
            assert layout.manifest(wanted).data == manifest
        assert layout.resolve("2.0.0") is None
        assert layout.resolve(Digest.sha256(b"other")) is None
        assert layout.has_blob(layer)
        assert layout.has_blob(config)
        assert not layout.has_blob(Descriptor("type", layer.digest, layer.size + 1))
        assert layout.blob(layer, progress=lambda *counts: seen.append(counts)) == WASM
        assert seen[1:] == seen[:1]


def test_a_tag_moves_and_the_manifest_that_had_it_stays(path: Path) -> None:
    one, two = manifest_of(b"1"), manifest_of(b"2")
    with LayoutRepository(path) as layout:
        first = layout.write_manifest(one, MANIFEST_TYPE, tag="a")
        layout.write_manifest(one, MANIFEST_TYPE, tag="b")
        layout.write_manifest(one, MANIFEST_TYPE)
        second = layout.write_manifest(two, MANIFEST_TYPE, tag="a")
        assert (layout.resolve("a"), layout.resolve("b")) == (second, first)
        assert layout.tags() == ["a", "b"]
        layout.write_manifest(two, MANIFEST_TYPE, tag="b")
        assert layout.manifest(first.digest).data == one
    listed = json.loads(content(path)["index.json"])["manifests"]
    assert [each["annotations"][REF_NAME] for each in listed] == ["a", "b"]


def test_writing_the_same_again_changes_nothing(path: Path) -> None:
    def write() -> dict[str, bytes]:
        with LayoutRepository(path) as layout:
            layout.write_blob(WASM, WASM_LAYER_TYPE)
            layout.write_manifest(manifest_of(), MANIFEST_TYPE, tag="1")
        return content(path)

    assert write() == write()


@pytest.mark.slow
def test_processes_that_write_at_the_same_time_lose_nothing(path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from chonkle.oci.layout import LayoutRepository\n"
        "with LayoutRepository(Path(sys.argv[1])) as layout:\n"
        "    for number in range(8):\n"
        '        data = f\'{{"layers": [], "a": "{sys.argv[2]}-{number}"}}\'.encode()\n'
        "        layout.write_blob(data * 2, 'text/plain')\n"
        "        layout.write_manifest(data, 'a/b', tag=f'{sys.argv[2]}-{number}')\n"
    )
    command = (sys.executable, "-c", program, str(path))
    writers = [subprocess.Popen([*command, name]) for name in ("a", "b", "c")]
    assert [writer.wait(timeout=120) for writer in writers] == [0, 0, 0]
    with LayoutRepository(path) as layout:
        assert layout.tags() == [f"{name}-{number}" for name in "abc" for number in range(8)]
        for tag in layout.tags():
            data = layout.manifest(tag).data
            assert layout.has_blob(Descriptor("text/plain", Digest.sha256(data * 2), len(data) * 2))


@pytest.mark.slow
def test_processes_that_sign_at_the_same_time_lose_no_signature(path: Path) -> None:
    program = (
        "import sys; from pathlib import Path\n"
        "from chonkle.oci.attestation import LAYOUTS, sign\n"
        "from chonkle.oci.layout import LayoutRepository\n"
        "from chonkle.oci.private_keys import PrivateKey\n"
        "with LayoutRepository(Path(sys.argv[1])) as layout:\n"
        "    for _ in range(8):\n"
        "        key = PrivateKey.generate('ed25519')\n"
        "        subject = layout.manifest('1').descriptor\n"
        "        assert sign(layout, subject, key, layouts=LAYOUTS) == list(LAYOUTS)\n"
    )
    with LayoutRepository(path) as layout:
        for data in (b"{}", WASM):
            layout.write_blob(data, "text/plain")
        subject = layout.write_manifest(manifest_of(), MANIFEST_TYPE, tag="1")
    signers = [subprocess.Popen([sys.executable, "-c", program, str(path)]) for _ in range(3)]
    assert [signer.wait(timeout=120) for signer in signers] == [0, 0, 0]
    with LayoutRepository(path) as layout:
        found = read_attestations(layout, subject.digest).attestations
    assert [each.layout for each in found] == ["classic"] * 24 + ["bundle"] * 24


def test_a_referrer_is_found_by_its_subject(path: Path) -> None:
    with LayoutRepository(path) as layout:
        subject = layout.write_manifest(manifest_of(), MANIFEST_TYPE, tag="1")
        fields = {"subject": subject.to_json(), "annotations": {"a": "b"}}
        signed = layout.write_manifest(
            manifest_of(b"s", artifactType="signature", **fields), MANIFEST_TYPE
        )
        layout.write_manifest(manifest_of(b"t", **fields), MANIFEST_TYPE)
        layout.write_manifest(manifest_of(b"u"), MANIFEST_TYPE)
        found = layout.referrers(subject.digest)
        # Without a type of its own, an artifact has that of its configuration.
        types = ["signature", "application/vnd.oci.empty.v1+json"]
        assert [each.artifact_type for each in found] == types
        (only,) = layout.referrers(subject.digest, artifact_type="signature")
        assert (only.digest, only.annotations) == (signed.digest, {"a": "b"})
        assert layout.referrers(signed.digest) == []


def test_a_layout_that_another_tool_wrote(write: Write) -> None:
    with LayoutRepository(write(files_of())) as layout:
        found = layout.manifest("1")
        assert found.data == manifest_of()
        assert found.descriptor.annotations == {}
        added = layout.write_manifest(manifest_of(b"2"), MANIFEST_TYPE, tag="2")
        assert layout.tags() == ["1", "2"]
        assert layout.manifest("1") == found
        assert layout.resolve("2") == added


def test_one_manifest_without_a_name_is_the_latest(write: Write) -> None:
    manifest = manifest_of()
    with LayoutRepository(write(files_of(**{"index.json": index_of(described(manifest))}))) as it:
        assert it.manifest("latest").data == manifest
        it.write_manifest(manifest_of(b"2"), MANIFEST_TYPE)
        assert it.resolve("latest") is None


def test_a_manifest_is_found_by_its_digest_although_it_is_not_listed(write: Write) -> None:
    inner = index_of()
    with LayoutRepository(write(files_of(**{blob(inner): inner}))) as layout:
        found = layout.manifest(Digest.sha256(inner))
        assert (found.data, found.descriptor.media_type) == (inner, INDEX_TYPE)


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"oci-layout": None}, "not an OCI image layout"),
        ({"oci-layout": b"x" * 5000}, "longer than allowed"),
        ({"oci-layout": b"[]"}, "another version of layouts"),
        ({"oci-layout": b'{"imageLayoutVersion": "2.0.0"}'}, 'got `"2.0.0"`'),
        ({"index.json": None}, "no file `index.json`"),
        ({"index.json": b"{"}, "malformed JSON"),
        ({"index.json": b"{}"}, "index.json: not an index"),
        ({"index.json": index_of(1)}, "malformed descriptor"),
        ({"index.json": b'{"manifests": [], "layers": []}'}, "manifest and an index in one"),
        ({"index.json": b" " * ((4 << 20) + 1)}, "longer than allowed"),
        ({"index.json": as_json({"manifests": [0] * 10_001})}, "too many manifests"),
        ({"index.json": index_of()}, "no manifest `1`, got the tags none"),
        (
            {"index.json": index_of(described(b"missing", annotations={REF_NAME: "1"}))},
            "no blob `sha256:",
        ),
        (
            {
                "index.json": index_of(
                    *(described(each, annotations={REF_NAME: "1"}) for each in (b"a", b"b"))
                )
            },
            "two manifests are named `1`",
        ),
        (
            {
                "index.json": index_of(
                    {**described(b"x"), "size": 5 << 20, "annotations": {REF_NAME: "1"}}
                )
            },
            "manifest: too large",
        ),
        ({blob(manifest_of()): manifest_of()[:-1] + b" "}, "wrong digest"),
        ({blob(manifest_of()): manifest_of()[:-1]}, "wrong size"),
        ({blob(manifest_of()): manifest_of() + b" "}, "longer than allowed"),
    ],
)
def test_hostile_layouts(write: Write, changed: dict[str, bytes | None], words: str) -> None:
    path = write(files_of(**changed))
    with LayoutRepository(path) as layout, pytest.raises(FetchError) as caught:
        layout.manifest("1")
    assert str(caught.value).startswith(f"oci-layout://{path}: ")
    assert words in str(caught.value)


@pytest.mark.parametrize("data", [WASM[:-1] + b"x", WASM[:-1], WASM + b"x"])
def test_other_bytes_of_a_blob_are_refused(write: Write, data: bytes) -> None:
    layer = Descriptor(WASM_LAYER_TYPE, Digest.sha256(WASM), len(WASM))
    with (
        LayoutRepository(write(files_of(**{blob(WASM): data}))) as layout,
        pytest.raises(DigestMismatchError),
    ):
        layout.blob(layer)


@pytest.mark.parametrize("name", ["oci-layout", "index.json", blob(WASM), "blobs", "blobs/sha256"])
def test_a_link_in_a_directory_is_refused(tmp_path: Path, write: Write, name: str) -> None:
    path = write(files_of())
    if path.suffix == ".tar":
        with tarfile.open(path, "a") as archive:
            member = tarfile.TarInfo("other")
            member.type, member.linkname = tarfile.SYMTYPE, name
            archive.addfile(member)
    else:
        target = tmp_path / "elsewhere"
        Path(path / name).replace(target)
        (path / name).symlink_to(target)
    layer = Descriptor(WASM_LAYER_TYPE, Digest.sha256(WASM), len(WASM))
    with LayoutRepository(path) as layout, pytest.raises(FetchError, match=r"oci-layout://"):
        layout.blob(layer)


def add(path: Path, *members: tarfile.TarInfo) -> None:
    with tarfile.open(path, "a") as archive:
        for member in members:
            archive.addfile(member, io.BytesIO(bytes(member.size)))


def long_name() -> tarfile.TarInfo:
    return tarfile.TarInfo("x" * (1 << 17))


def twice() -> tarfile.TarInfo:
    return tarfile.TarInfo("./index.json")


def device() -> tarfile.TarInfo:
    member = tarfile.TarInfo("device")
    member.type = tarfile.CHRTYPE
    return member


@pytest.mark.parametrize(
    ("member", "words"),
    [
        (long_name, "a name or another record in it is too long"),
        (twice, "`index.json` is in it twice"),
        (device, "`device` in it is not a plain file"),
    ],
)
def test_hostile_tar_files(
    tmp_path: Path, member: Callable[[], tarfile.TarInfo], words: str
) -> None:
    path = tmp_path / "a.tar"
    with LayoutRepository(path) as layout:
        layout.write_manifest(manifest_of(), MANIFEST_TYPE, tag="1")
    add(path, member())
    with LayoutRepository(path) as layout, pytest.raises(FetchError, match=words):
        layout.manifest("1")


@pytest.mark.parametrize("data", [b"", b"no tar", bytes(100), b"\x1f\x8b" + bytes(600)])
def test_what_is_no_tar_is_refused(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "a.tar"
    path.write_bytes(data)
    with LayoutRepository(path) as layout, pytest.raises(FetchError, match="oci-layout://"):
        layout.manifest("1")


def test_a_truncated_tar_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.tar"
    with LayoutRepository(path) as layout:
        layout.write_blob(bytes(5000), WASM_LAYER_TYPE)
        layout.write_manifest(manifest_of(), MANIFEST_TYPE, tag="1")
    whole = path.read_bytes()
    for size in range(0, len(whole) - 1024, 512):
        path.write_bytes(whole[: size + 100])
        with LayoutRepository(path) as layout, pytest.raises(FetchError, match="oci-layout://"):
            layout.manifest("1")


def test_a_folder_of_other_files_is_not_written_to(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("mine")
    with LayoutRepository(tmp_path) as layout:
        with pytest.raises(FetchError, match="not an OCI image layout"):
            layout.write_blob(WASM, WASM_LAYER_TYPE)
        with pytest.raises(FetchError, match="not an OCI image layout"):
            layout.write_manifest(manifest_of(), MANIFEST_TYPE, tag="1")
    assert [each.name for each in tmp_path.iterdir()] == ["mine"]


def test_a_layout_that_is_not_there(path: Path) -> None:
    with LayoutRepository(path) as layout, pytest.raises(FetchError, match="does not exist"):
        layout.manifest("1")
    assert not path.exists()


def test_where_nothing_can_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with (
        LayoutRepository(tmp_path / "file/layout") as layout,
        pytest.raises(FetchError, match=r"oci-layout://.*: "),
    ):
        layout.write_blob(WASM, WASM_LAYER_TYPE)
