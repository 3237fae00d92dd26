import multiprocessing
from collections.abc import Callable
from pathlib import Path

import pytest

from chonkle.digest import Digest
from chonkle.errors import SignatureError, StoreError, WasmFormatError
from chonkle.formats.signature import Signature
from chonkle.storage.store import CodecStore, WasmCodec, bundled_store, without_conflicts
from tests.fixture_types import MakeCodec


@pytest.fixture
def store(tmp_path: Path) -> CodecStore:
    return CodecStore(tmp_path / "store")


def codec_of(wasm: bytes) -> WasmCodec:
    return WasmCodec.from_bytes(wasm, "here")


def files_in(root: Path) -> set[str]:
    return {str(path.relative_to(root)) for path in root.rglob("*.wasm")}


def test_a_codec_goes_where_its_signature_says(store: CodecStore, make_codec: MakeCodec) -> None:
    wasm = make_codec("echo", "echo-a", "1.0.0")
    installed = store.install(codec_of(wasm))
    path = store.root / "echo" / "echo-a@1.0.0.core.wasm"
    assert installed.origin == str(path)
    assert path.read_bytes() == wasm
    assert store.find("echo") == [installed]
    assert installed.digest == Digest.blake3(wasm)


def test_installing_again_changes_nothing(store: CodecStore, make_codec: MakeCodec) -> None:
    codec = codec_of(make_codec())
    first = store.install(codec)
    before = Path(first.origin).stat()
    assert store.install(codec) == first
    after = Path(first.origin).stat()
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)


def test_a_store_has_bytes_whatever_their_name(store: CodecStore, make_codec: MakeCodec) -> None:
    wasm, other = make_codec(note="one"), make_codec(note="two")
    assert len(wasm) == len(other)
    assert not store.has(Digest.blake3(wasm), size=len(wasm))
    path = store.root / "anything" / "at-all.wasm"
    path.parent.mkdir(parents=True)
    path.write_bytes(wasm)
    assert store.has(Digest.blake3(wasm), size=len(wasm))
    assert not store.has(Digest.blake3(other), size=len(other))


def test_versions_kinds_and_implementations_coexist(
    store: CodecStore, make_codec: MakeCodec
) -> None:
    for wasm in (
        make_codec(version="1.0.0"),
        make_codec(version="2.0.0-rc.1+b.2"),
        make_codec(version=""),
        make_codec(kind="component"),
        make_codec(implementation="echo-b"),
        make_codec(codec_id="other"),
    ):
        store.install(codec_of(wasm))
    assert files_in(store.root) == {
        "echo/echo-a@1.0.0.core.wasm",
        "echo/echo-a@2.0.0-rc.1+b.2.core.wasm",
        "echo/echo-a.core.wasm",
        "echo/echo-a@1.0.0.component.wasm",
        "echo/echo-b@1.0.0.core.wasm",
        "other/echo-a@1.0.0.core.wasm",
    }
    assert store.codec_ids() == ["echo", "other"]
    assert len(list(store.all())) == 6
    assert len(store.find("echo")) == 5


def test_other_bytes_of_a_name_are_refused(store: CodecStore, make_codec: MakeCodec) -> None:
    first = store.install(codec_of(make_codec(note="one")))
    with pytest.raises(StoreError, match="two different files claim codec `echo`") as caught:
        store.install(codec_of(make_codec(note="two")))
    assert str(first.digest) in str(caught.value)
    assert "here" in str(caught.value)
    assert store.find("echo") == [first]


@pytest.mark.parametrize("name", ["../evil", "/evil", "a/b", "..", "nul"])
def test_a_hostile_identity_never_reaches_the_store(name: str, make_codec: MakeCodec) -> None:
    with pytest.raises(SignatureError, match="bad `codec_id`"):
        make_codec(codec_id=name)
    with pytest.raises(SignatureError, match="bad `implementation`"):
        make_codec(implementation=name)
    wasm = make_codec(codec_id="victim").replace(b'"victim"', b'"../../"')
    with pytest.raises(SignatureError, match="bad `codec_id`"):
        codec_of(wasm)


def test_a_file_in_the_wrong_place_is_refused(store: CodecStore, make_codec: MakeCodec) -> None:
    installed = store.install(codec_of(make_codec(codec_id="echo")))
    place = store.root / "zlib"
    place.mkdir()
    Path(installed.origin).rename(place / "zlib-rs@1.0.0.core.wasm")
    with pytest.raises(StoreError, match="wrong place in the codec store, expected a codec `zlib`"):
        store.find("zlib")


@pytest.mark.parametrize(
    ("data", "kind", "words"),
    [
        (b"", WasmFormatError, "no bytes at all"),
        (b"{}", WasmFormatError, "not a WebAssembly binary"),
        (b"\0asm\x01\0\0\0", SignatureError, "no `chonkle:signature` section"),
        (b"\0asm\x01\0\0\0\x01\x09", WasmFormatError, "truncated"),
    ],
)
def test_a_damaged_file_is_named(
    store: CodecStore, data: bytes, kind: type[Exception], words: str
) -> None:
    path = store.root / "echo" / "echo-a.core.wasm"
    path.parent.mkdir(parents=True)
    path.write_bytes(data)
    with pytest.raises(kind, match=words) as caught:
        store.find("echo")
    assert str(path) in str(caught.value)


def test_a_survey_tells_good_files_from_bad_ones(store: CodecStore, make_codec: MakeCodec) -> None:
    good = store.install(codec_of(make_codec()))
    damaged = store.root / "echo" / "damaged.wasm"
    damaged.write_bytes(b"damaged")
    misplaced = store.root / "echo" / "misplaced.wasm"
    misplaced.write_bytes(make_codec("other"))
    found, bad_files = store.survey("echo")
    assert found == [good]
    assert [bad.path for bad in bad_files] == [damaged, misplaced]
    assert [type(bad.failure) for bad in bad_files] == [WasmFormatError, StoreError]
    with pytest.raises(WasmFormatError, match=r"damaged\.wasm"):
        store.find("echo")


def test_a_store_that_is_a_file_is_said(tmp_path: Path) -> None:
    store = CodecStore(tmp_path / "store")
    store.root.write_bytes(b"")
    with pytest.raises(StoreError, match="store: not a directory"):
        store.find("echo")
    with pytest.raises(StoreError, match="store: not a directory"):
        store.codec_ids()


def test_what_is_no_codec_file_is_passed_over(store: CodecStore, make_codec: MakeCodec) -> None:
    store.install(codec_of(make_codec()))
    (store.root / "echo" / ".echo.wasm.0011.tmp").write_bytes(b"half")
    (store.root / "echo" / "README").write_bytes(b"")
    (store.root / "file").write_bytes(b"")
    (store.root / "empty").mkdir()
    assert store.codec_ids() == ["echo"]
    assert len(store.find("echo")) == 1
    assert store.find("file") == store.find("empty") == store.find("nothing") == []


def test_a_store_need_not_exist(store: CodecStore) -> None:
    assert store.find("echo") == []
    assert store.codec_ids() == []
    assert list(store.all()) == []
    assert store.kept.find(Digest.blake3(b"x"), size_max=1) is None


def test_a_file_that_cannot_be_read_is_said(store: CodecStore, make_codec: MakeCodec) -> None:
    (store.root / "echo" / "echo-a.core.wasm").mkdir(parents=True)
    with pytest.raises(StoreError, match=r"cannot read .*echo-a.core.wasm"):
        store.find("echo")
    blocked = CodecStore(Path(store.root / "file"))
    blocked.root.write_bytes(b"")
    with pytest.raises(StoreError, match=r"cannot install echo-a@1.0.0.core.wasm"):
        blocked.install(codec_of(make_codec()))
    with pytest.raises(StoreError, match="cannot keep"):
        blocked.kept.keep(Digest.blake3(b""), b"")


def test_a_folder_that_cannot_be_read_is_said(
    store: CodecStore, make_codec: MakeCodec, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.install(codec_of(make_codec()))

    def denied(path: Path) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "iterdir", denied)
    with pytest.raises(StoreError, match=r"cannot read .*echo: Permission denied"):
        store.find("echo")
    found, (bad,) = store.survey("echo")
    assert (found, bad.path) == ([], store.root / "echo")


def test_an_installed_file_knows_its_origin(store: CodecStore, make_codec: MakeCodec) -> None:
    codec = codec_of(make_codec())
    store.install(codec)
    assert store.kept.origin(codec.digest) == ""
    store.install(codec, source="file:///x#blake3=1")
    assert store.kept.origin(codec.digest) == "file:///x#blake3=1"
    assert store.codec_ids() == ["echo"]


def test_a_codec_that_occurs_twice_is_one_and_others_are_not(make_codec: MakeCodec) -> None:
    one, again, other = (
        codec_of(make_codec()),
        codec_of(make_codec()),
        codec_of(make_codec(note="x")),
    )
    assert without_conflicts([one, again]) == ([one], [])
    third = codec_of(make_codec(version="2.0.0"))
    found, (bad,) = without_conflicts([one, again, third, other])
    # Nothing tells which of the two is meant.
    assert found == [third]
    assert bad.is_named("echo-a")
    assert str(bad.failure).startswith("two different files claim codec `echo`")


@pytest.mark.parametrize(
    ("name", "override", "is_named"),
    [
        ("a@1.0.0.core.wasm", "a", True),
        ("a@1.0.0.core.wasm", "a@1.0.0", True),
        ("a@1.0.0.component.wasm", "a@1.0.0", True),
        ("a.core.wasm", "a", True),
        ("a.wasm", "a", True),
        ("a@1.0.0.core.wasm", "a@2.0.0", False),
        ("a@1.0.0.core.wasm", "b", False),
        ("ab@1.0.0.core.wasm", "a", False),
    ],
)
def test_a_bad_file_is_named_by_its_overrides(
    *, store: CodecStore, name: str, override: str, is_named: bool
) -> None:
    (store.root / "echo").mkdir(parents=True)
    (store.root / "echo" / name).write_bytes(b"junk")
    _, (bad,) = store.survey("echo")
    assert bad.is_named(override) == is_named


def test_the_shipped_codecs_are_a_store() -> None:
    shipped = bundled_store()
    found = list(shipped.all())
    assert {codec.signature.codec_id for codec in found} == set(shipped.codec_ids())
    assert {"zlib", "identity"} <= set(shipped.codec_ids())
    for codec in found:
        assert Path(codec.origin).name == codec.file_name
        assert isinstance(codec.signature, Signature)


def install_many(root: str, wasm: bytes, begin: Callable[[], int]) -> None:
    begin()
    for _ in range(5):
        CodecStore(Path(root)).install(WasmCodec.from_bytes(wasm, "elsewhere"))


def test_processes_that_install_at_once_agree(store: CodecStore, make_codec: MakeCodec) -> None:
    context = multiprocessing.get_context("fork")
    wasm = make_codec(note="x" * 500_000)
    barrier = context.Barrier(8)
    processes = [
        context.Process(target=install_many, args=(str(store.root), wasm, barrier.wait))
        for _ in range(8)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0] * 8
    assert files_in(store.root) == {"echo/echo-a@1.0.0.core.wasm"}
    assert [codec.wasm for codec in store.find("echo")] == [wasm]
    assert not list(store.root.rglob("*.tmp"))
