import multiprocessing
import os
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


def found_in(store: CodecStore, codec_id: str | None = None) -> list[WasmCodec]:
    """Give what a store holds, which must all be good."""
    found, bad_files = store.survey(codec_id)
    assert bad_files == []
    return found


def ids_in(store: CodecStore) -> list[str]:
    return sorted({each.codec_id for each in store.signatures()})


def files_in(root: Path) -> set[str]:
    return {str(path.relative_to(root)) for path in root.rglob("*.wasm") if path.is_file()}


def test_a_codec_goes_where_its_signature_says(store: CodecStore, make_codec: MakeCodec) -> None:
    wasm = make_codec("echo", "echo-a", "1.0.0")
    installed = store.install(codec_of(wasm))
    path = store.root / "echo" / "echo-a@1.0.0.core.wasm"
    assert installed.origin == str(path)
    assert path.read_bytes() == wasm
    assert found_in(store, "echo") == [installed]
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
    assert ids_in(store) == ["echo", "other"]
    assert len(found_in(store)) == 6
    assert len(found_in(store, "echo")) == 5


def test_other_bytes_of_a_name_are_refused(store: CodecStore, make_codec: MakeCodec) -> None:
    first = store.install(codec_of(make_codec(note="one")))
    with pytest.raises(StoreError, match="two different files claim codec `echo`") as caught:
        store.install(codec_of(make_codec(note="two")))
    assert str(first.digest) in str(caught.value)
    assert "here" in str(caught.value)
    assert found_in(store, "echo") == [first]


@pytest.mark.parametrize("name", ["../evil", "/evil", "a/b", "..", "nul"])
def test_a_hostile_identity_never_reaches_the_store(name: str, make_codec: MakeCodec) -> None:
    with pytest.raises(SignatureError, match="bad `codec_id`"):
        make_codec(codec_id=name)
    with pytest.raises(SignatureError, match="bad `implementation`"):
        make_codec(implementation=name)
    wasm = make_codec(codec_id="victim").replace(b'"victim"', b'"../../"')
    with pytest.raises(SignatureError, match="bad `codec_id`"):
        codec_of(wasm)


def place(store: CodecStore, name: str, data: bytes) -> Path:
    path = store.root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


@pytest.mark.parametrize(
    "name",
    [
        "echo.wasm",
        "echo-a/echo.wasm",
        "echo/echo-a@1.0.0.core.wasm",
        "zlib/zlib-rs@1.0.0.core.wasm",
        "1/2/3/4/5/6/7/8/x.wasm",
        "folder.wasm/x.wasm",
    ],
)
def test_a_file_is_what_its_signature_says_wherever_it_is(
    store: CodecStore, make_codec: MakeCodec, name: str
) -> None:
    path = place(store, name, make_codec())
    (found,) = found_in(store, "echo")
    assert (found.origin, found.signature.label) == (str(path), "echo-a@1.0.0")
    assert found_in(store) == [found]
    assert found_in(store, "zlib") == []
    assert (store.holds("echo"), store.holds("zlib")) == (True, False)
    # Nothing is installed twice.
    assert store.install(codec_of(make_codec())) == found
    assert files_in(store.root) == {name}
    with pytest.raises(StoreError, match="two different files claim codec `echo`"):
        store.install(codec_of(make_codec(note="other")))


def test_a_file_may_be_exchanged_in_place(store: CodecStore, make_codec: MakeCodec) -> None:
    first, second = make_codec("one", "x-a"), make_codec("two", "x-a")
    assert len(first) == len(second)
    path = place(store, "x.wasm", first)
    assert ids_in(store) == ["one"]
    path.write_bytes(second)
    assert ids_in(store) == ["two"]
    assert found_in(store, "one") == []
    assert [each.wasm for each in found_in(store, "two")] == [second]


@pytest.mark.parametrize(
    "name", ["1/2/3/4/5/6/7/8/9/x.wasm", ".x.wasm", ".hidden/x.wasm", "x.WASM"]
)
def test_some_files_are_passed_over(store: CodecStore, make_codec: MakeCodec, name: str) -> None:
    place(store, name, make_codec())
    assert found_in(store) == []


def test_a_folder_of_everything_is_no_store(
    store: CodecStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chonkle.storage.codec_files._ENTRIES_MAX", 3)
    for name in ("a", "b", "b/c/d"):
        (store.root / name).mkdir(parents=True)
    with pytest.raises(StoreError, match="store: too many files and folders, expected at most 3"):
        store.survey()


def test_links_are_followed_and_loops_are_not(
    store: CodecStore, make_codec: MakeCodec, tmp_path: Path
) -> None:
    wasm = tmp_path / "elsewhere.wasm"
    wasm.write_bytes(make_codec())
    inner = store.root / "a" / "b"
    inner.mkdir(parents=True)
    (inner / "loop").symlink_to(store.root, target_is_directory=True)
    (inner / "self").symlink_to("self")
    (store.root / "codec.wasm").symlink_to(wasm)
    assert [each.origin for each in found_in(store)] == [str(store.root / "codec.wasm")]
    # Replacing the codec leaves alone what the link leads to.
    other = make_codec(note="other")
    store.install(codec_of(other), replace=True)
    assert (store.root / "codec.wasm").read_bytes() == other
    assert wasm.read_bytes() == make_codec()


def test_a_store_that_is_sorted_looks_only_into_the_folder(
    store: CodecStore, make_codec: MakeCodec
) -> None:
    store.install(codec_of(make_codec()))
    place(store, "echo/other.wasm", make_codec("other"))
    place(store, "echo.wasm", make_codec(implementation="echo-b"))
    ordered = CodecStore(store.root, is_sorted=True)
    assert [each.signature.label for each in found_in(ordered, "echo")] == ["echo-a@1.0.0"]
    assert found_in(ordered, "other") == found_in(ordered, "echo.wasm") == []
    assert found_in(ordered) == found_in(store)


def test_a_signature_without_an_implementation_is_named_by_its_file(
    store: CodecStore, make_codec: MakeCodec
) -> None:
    wasm = make_codec(implementation=None)
    path = place(store, "echo-x@3.core.wasm", wasm)
    (found,) = found_in(store)
    assert found.signature.label == "echo-x@1.0.0"
    path.unlink()
    assert codec_of(wasm).signature.implementation == "echo"
    store.install(found)
    assert files_in(store.root) == {"echo/echo-x@1.0.0.core.wasm"}
    assert found_in(store)[0].signature == found.signature


# Bad files


@pytest.mark.parametrize(
    ("data", "kind", "words"),
    [
        (b"", WasmFormatError, "no bytes at all"),
        (b"{}", WasmFormatError, "not a WebAssembly binary"),
        (b"\0asm\x01\0\0\0", SignatureError, "no `chonkle:signature` section"),
        (b"\0asm\x01\0\0\0\x01\x09", WasmFormatError, "truncated"),
    ],
)
@pytest.mark.parametrize(
    ("name", "concerned"),
    [
        ("echo/echo-a@1.0.0.core.wasm", ["echo", "echo-a"]),
        ("echo-a/echo.wasm", ["echo", "echo-a"]),
        ("echo.wasm", ["echo"]),
    ],
)
def test_a_bad_file_concerns_those_that_may_have_it(
    *,
    store: CodecStore,
    make_codec: MakeCodec,
    data: bytes,
    kind: type[Exception],
    words: str,
    name: str,
    concerned: list[str],
) -> None:
    path = place(store, name, data)
    good = place(store, "good.wasm", make_codec("good"))
    found, (bad,) = store.survey()
    assert [each.origin for each in found] == [str(good)]
    assert bad.path == path
    assert type(bad.failure) is kind
    assert words in str(bad.failure)
    assert str(path) in str(bad.failure)
    assert found_in(store, "good") == found
    assert [
        each for each in ("echo", "echo-a", "good", "other") if store.survey(each)[1]
    ] == concerned


def test_a_store_that_is_a_file_is_said(tmp_path: Path) -> None:
    store = CodecStore(tmp_path / "store")
    store.root.write_bytes(b"")
    for ask in (store.survey, store.signatures):
        with pytest.raises(StoreError, match="store: not a directory"):
            ask()


def test_what_is_no_codec_file_is_passed_over(store: CodecStore, make_codec: MakeCodec) -> None:
    store.install(codec_of(make_codec()))
    (store.root / "echo" / ".echo.wasm.0011.tmp").write_bytes(b"half")
    (store.root / "echo" / "README").write_bytes(b"")
    (store.root / "file").write_bytes(b"")
    (store.root / "empty").mkdir()
    assert ids_in(store) == ["echo"]
    assert len(found_in(store, "echo")) == 1
    assert found_in(store, "file") == found_in(store, "nothing") == []


def test_a_store_need_not_exist(store: CodecStore) -> None:
    assert found_in(store, "echo") == []
    assert ids_in(store) == []
    assert found_in(store) == []
    assert store.kept.find(Digest.blake3(b"x"), size_max=1) is None


def test_a_file_that_cannot_be_read_is_said(store: CodecStore, make_codec: MakeCodec) -> None:
    path = place(store, "echo/echo-a.wasm", b"")
    path.unlink()
    path.symlink_to("nowhere")
    _, (bad,) = store.survey("echo")
    assert str(bad.failure) == f"cannot read {path}: No such file or directory"
    path.unlink()
    os.mkfifo(path)
    _, (bad,) = store.survey("echo")
    assert str(bad.failure) == f"cannot read {path}: not a regular file"
    blocked = CodecStore(store.root / "file")
    blocked.root.write_bytes(b"")
    with pytest.raises(StoreError, match=r"cannot install echo-a@1.0.0.core.wasm"):
        blocked.install(codec_of(make_codec()))
    with pytest.raises(StoreError, match="cannot keep"):
        blocked.kept.keep(Digest.blake3(b""), b"")


def test_a_folder_that_cannot_be_read_is_said(
    store: CodecStore, make_codec: MakeCodec, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.install(codec_of(make_codec()))
    store.install(codec_of(make_codec("other")))
    scan, unreadable = os.scandir, str(store.root / "echo")

    def denied(path: str) -> object:
        if path == unreadable:
            raise PermissionError(13, "Permission denied", path)
        return scan(path)

    monkeypatch.setattr(os, "scandir", denied)
    found, (bad,) = store.survey()
    assert ([each.signature.codec_id for each in found], bad.path) == (["other"], Path(unreadable))
    assert str(bad.failure) == f"cannot read {unreadable}: Permission denied"
    assert [each.path for each in store.survey("echo")[1]] == [bad.path]
    assert len(found_in(store, "other")) == 1
    unreadable = str(store.root)
    with pytest.raises(StoreError, match=r"cannot read .*store: Permission denied"):
        store.survey()


def test_an_installed_file_knows_its_origin(store: CodecStore, make_codec: MakeCodec) -> None:
    codec = codec_of(make_codec())
    store.install(codec)
    assert store.kept.origin(codec.digest) == ""
    store.install(codec, source="file:///x#blake3=1")
    assert store.kept.origin(codec.digest) == "file:///x#blake3=1"
    assert ids_in(store) == ["echo"]


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
    found = found_in(shipped)
    assert {codec.signature.codec_id for codec in found} == set(ids_in(shipped))
    assert {"zlib", "identity"} <= set(ids_in(shipped))
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
    assert [codec.wasm for codec in found_in(store, "echo")] == [wasm]
    assert not list(store.root.rglob("*.tmp"))
