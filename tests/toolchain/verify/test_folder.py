"""Verifying files and folders: stores, an author's folder, this repository's codecs."""

import json
import os
import shutil
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from chonkle_toolchain.codecs_lock import Artifact, Built, Lock, read_lock, write_lock
from chonkle_toolchain.fingerprint import Fingerprint, vectors_digest
from chonkle_toolchain.recipe import read_recipe
from chonkle_toolchain.verify import Report, verify_file, verify_folder

from chonkle.errors import BuildError
from chonkle.formats.signature import read_signature
from chonkle.formats.wasm_binary import with_custom_section

ROOT = Path(__file__).parents[3]
CORE, COMPONENT = "mask/mask-wat@1.0.0.core.wasm", "mask/mask-wat@1.0.0.component.wasm"

type Make = Callable[..., bytes]


def failures(reports: list[Report]) -> list[tuple[str, str, str]]:
    return [
        (report.file, check.name, check.reason) for report in reports for check in report.failed
    ]


def outcomes(report: Report) -> dict[str, str]:
    return {check.name: check.outcome for check in report.checks}


@pytest.fixture
def store(tmp_path: Path, make_core: Make, make_component: Make) -> Path:
    """Give a codec store with both forms of `mask`, and no lock."""
    folder = tmp_path / "store"
    for file, wasm in ((CORE, make_core()), (COMPONENT, make_component())):
        path = folder / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(wasm)
    return folder


@pytest.fixture
def locked_store(store: Path) -> Path:
    """Give the same store with a lock."""
    core, component = (Artifact.of(file, (store / file).read_bytes()) for file in (CORE, COMPONENT))
    source = Fingerprint(sources={}, parts={}, toolset={"zig": "1"})
    built = Built("mask", "1.0.0", source.digest, source, "", core, component)
    write_lock(store, Lock({"mask-wat": built}))
    return store


@pytest.fixture
def project(tmp_path: Path, locked_store: Path, write_vector: Callable[[Path], None]) -> Path:
    """Give an author's folder, with `mask` built in it."""
    folder = tmp_path / "mask-wat"
    (folder / "src").mkdir(parents=True)
    (folder / "src" / "codec.c").write_text("")
    (folder / "codec.toml").write_text('language = "c"\nsources = ["src/codec.c"]\n')
    signature = read_signature((locked_store / CORE).read_bytes(), what=CORE)
    (folder / "signature.json").write_text(json.dumps(signature.to_json()))
    write_vector(folder / "vectors")
    lock = read_lock(locked_store).codecs["mask-wat"]
    vectors = vectors_digest(read_recipe(folder))
    write_lock(locked_store, Lock({"mask-wat": replace(lock, vectors=vectors)}))
    locked_store.rename(folder / "codec")
    return folder


def test_a_file_is_compared_with_its_other_form_beside_it(store: Path) -> None:
    report = verify_file(store / CORE)
    assert failures([report]) == []
    assert outcomes(report)["both-forms"] == "passed"
    (store / COMPONENT).write_bytes(b"nothing")
    ((file, check, reason),) = failures([verify_file(store / CORE)])
    assert (file, check) == (str(store / CORE), "both-forms")
    assert reason.startswith("the other form: not a WebAssembly binary")
    (store / COMPONENT).unlink()
    (store / CORE).rename(store / "mask.wasm")
    report = verify_file(store / "mask.wasm")
    assert outcomes(report)["both-forms"] == "not applicable"


def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BuildError, match=r"nothing\.wasm: cannot be read: No such file"):
        verify_file(tmp_path / "nothing.wasm")
    with pytest.raises(BuildError, match="not a regular file"):
        verify_file(tmp_path)


def test_a_store_is_verified_file_by_file(store: Path) -> None:
    told: list[Report] = []
    reports = verify_folder(store, report=told.append)
    assert failures(reports) == []
    assert reports == told
    assert [report.file for report in reports] == [str(store), COMPONENT, CORE]
    about, *files = map(outcomes, reports)
    assert about == {"lock": "not applicable", "files": "not applicable"}
    for each in files:
        assert (each["place"], each["digest"], each["both-forms"]) == (
            "passed",
            "not applicable",
            "passed",
        )


def test_what_the_lock_says_is_demanded(locked_store: Path) -> None:
    reports = verify_folder(locked_store)
    assert failures(reports) == []
    assert {outcomes(report).get("digest") for report in reports[1:]} == {"passed"}


def test_a_tampered_file_is_found_by_its_digest(locked_store: Path) -> None:
    path = locked_store / CORE
    path.write_bytes(with_custom_section(path.read_bytes(), "more", b"bytes"))
    ((file, check, reason),) = failures(verify_folder(locked_store))
    assert (file, check) == (CORE, "digest")
    assert reason.startswith("other bytes than codecs.lock says, expected 2")


def test_a_missing_file_and_one_too_many_are_found(locked_store: Path) -> None:
    other = locked_store / "mask" / "mask-wat@2.0.0.core.wasm"
    (locked_store / CORE).rename(other)
    found = failures(verify_folder(locked_store))
    assert found[0] == (
        str(locked_store),
        "files",
        f"`{CORE}` is not there; hint: `chonkle build` builds it",
    )
    file = "mask/mask-wat@2.0.0.core.wasm"
    assert found[1:] == [
        (file, "digest", "codecs.lock does not list it"),
        (file, "place", f"wrong place in the folder, expected {CORE}, got {file}"),
    ]


def test_a_malformed_lock_is_found(locked_store: Path) -> None:
    (locked_store / "codecs.lock").write_text("version = ")
    found = failures(verify_folder(locked_store))
    assert [(file, check) for file, check, _ in found] == [
        (str(locked_store), "lock"),
        (COMPONENT, "digest"),
        (CORE, "digest"),
    ]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('zig = "1"', 'zig = "2"', "what it says `mask-wat` was built from is not what its"),
        ('build = "blake3:', 'build = "blake3:0', "what it says `mask-wat` was built from is not"),
        ('version = "1.0.0"', 'version = "1.1.0"', "the wrong core file of `mask-wat`, expected"),
        ('codec_id = "mask"', 'codec_id = "task"', "the wrong core file of `mask-wat`, expected"),
    ],
)
def test_a_contradictory_lock_is_found(old: str, new: str, said: str, locked_store: Path) -> None:
    path = locked_store / "codecs.lock"
    before = path.read_text("utf-8")
    assert old in before
    path.write_text(before.replace(old, new), "utf-8")
    ((file, check, reason),) = failures(verify_folder(locked_store))
    assert (file, check) == (str(locked_store), "lock")
    assert reason.startswith(said)


@pytest.mark.parametrize("place", ["mask-wat@1.0.0.core.wasm", "mask/more/mask-wat.wasm"])
def test_a_file_where_no_codec_can_be_is_found(place: str, store: Path) -> None:
    (store / place).parent.mkdir(exist_ok=True)
    shutil.copy(store / CORE, store / place)
    ((file, check, reason),) = failures(verify_folder(store))
    assert (file, check) == (str(store), "files")
    assert reason.startswith(f"`{place}` is no codec, or not where one can be")


@pytest.mark.slow
@pytest.mark.parametrize("place", ["mask/run.sh", "mask/Mask.WASM", "more/notes.txt"])
def test_a_file_that_is_no_codec_is_found_among_the_listed(place: str, locked_store: Path) -> None:
    (locked_store / "LICENSE").write_text("words beside the codecs are none of a codec")
    assert failures(verify_folder(locked_store)) == []
    (locked_store / place).parent.mkdir(exist_ok=True)
    (locked_store / place).write_text("")
    ((file, check, reason),) = failures(verify_folder(locked_store))
    assert (file, check) == (str(locked_store), "files")
    assert reason.startswith(f"`{place}` is no codec, or not where one can be")


def test_a_codecs_folder_that_is_a_link_is_followed(locked_store: Path) -> None:
    away = (locked_store / "mask").rename(locked_store.parent / "away")
    (locked_store / "mask").symlink_to(away, target_is_directory=True)
    reports = verify_folder(locked_store)
    assert failures(reports) == []
    assert [report.file for report in reports[1:]] == [COMPONENT, CORE]
    path = away / Path(CORE).name
    path.write_bytes(with_custom_section(path.read_bytes(), "more", b"bytes"))
    ((file, check, _),) = failures(verify_folder(locked_store))
    assert (file, check) == (CORE, "digest")


def test_hostile_files_are_one_report_each(store: Path) -> None:
    evil = store / "evil"
    evil.mkdir()
    (evil / "folder.wasm").mkdir()
    (evil / "nothing\n\x1b[31m.wasm").write_bytes(b"")
    (evil / "dangling.wasm").symlink_to(store / "nowhere")
    expected = {"evil/folder.wasm", "evil/nothing\n\x1b[31m.wasm", "evil/dangling.wasm"}
    if sys.platform != "win32":
        os.mkfifo(evil / "pipe.wasm")
        expected.add("evil/pipe.wasm")
    reports = verify_folder(store)
    assert {file for file, _, _ in failures(reports)} == expected
    assert {check for _, check, _ in failures(reports)} == {"valid"}
    for report in reports:
        assert all(line.isprintable() for line in report.lines(every=True))


def test_an_authors_folder_has_golden_vectors(project: Path) -> None:
    reports = verify_folder(project)
    assert failures(reports) == []
    assert outcomes(reports[0]) == {"lock": "passed", "files": "passed"}
    assert {outcomes(report)["golden-vectors"] for report in reports[1:]} == {"passed"}
    (project / "vectors" / "fourteen.json").write_text("{}")
    with pytest.raises(BuildError, match="malformed golden vector"):
        verify_folder(project)


@pytest.mark.slow
def test_changed_golden_vectors_are_found(
    project: Path, write_vector: Callable[[Path], None]
) -> None:
    def reason() -> str:
        ((file, check, reason),) = failures(verify_folder(project))
        assert (file, check) == (str(project / "codec"), "lock")
        return reason

    lock = project / "codec" / "codecs.lock"
    given = read_lock(project / "codec").codecs["mask-wat"].vectors
    (project / "vectors" / "fourteen.json").unlink()
    said = "the golden vectors of `mask-wat` are not those that its files gave, expected "
    # An empty folder, and none at all.
    assert reason().startswith(f"{said}{given}, got none; hint: take them from where they were")
    (project / "vectors").rmdir()
    assert reason().startswith(f"{said}{given}, got none")
    write_vector(project / "vectors")
    assert failures(verify_folder(project)) == []
    lock.write_text(lock.read_text("utf-8").replace(given, "0" * 64), "utf-8")
    assert reason().startswith(f"{said}{'0' * 64}, got {given}")
    lock.write_text(lock.read_text("utf-8").replace("0" * 64, ""), "utf-8")
    assert reason().startswith(f"{said}none, got {given}")


def test_a_folder_of_codecs_has_golden_vectors_too(project: Path) -> None:
    built = (project / "codec").rename(project.parent / "codec")
    (built / CORE).unlink()
    for folder, sources in ((project.parent, None), (built, project.parent)):
        told: list[Report] = []
        verify_folder(folder, codec_src=sources, report=told.append)
        about, component = told
        assert [check for _, check, _ in failures([about])] == ["files"]
        assert outcomes(component)["golden-vectors"] == "passed"


def test_what_is_not_built_is_named(project: Path) -> None:
    (project / "codec" / CORE).unlink()
    (project / "codec" / "codecs.lock").unlink()
    assert [(check, reason) for _, check, reason in failures(verify_folder(project))] == [
        ("lock", "there is no codecs.lock"),
        ("files", f"`{CORE}` is not there; hint: `chonkle build` builds it"),
    ]
    shutil.rmtree(project / "codec")
    with pytest.raises(BuildError, match=f"hint: `chonkle build {project}` builds them"):
        verify_folder(project)


def test_a_folder_without_codecs_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BuildError, match="no codec in"):
        verify_folder(tmp_path)


def test_a_part_of_a_store_is_refused_with_the_store_to_verify(project: Path) -> None:
    store = project / "codec"
    with pytest.raises(BuildError, match=f"hint: `chonkle verify {store}` verifies the store"):
        verify_folder((store / CORE).parent)


@pytest.mark.slow
def test_all_shipped_codecs_pass(record_property: Callable[[str, object], None]) -> None:
    reports = verify_folder(ROOT / "codec", codec_src=ROOT / "codec-src")
    assert failures(reports) == []
    assert {outcomes(report).get("golden-vectors") for report in reports[1:]} == {"passed"}
    seconds = sum(report.seconds for report in reports)
    record_property("measured", f"{len(reports) - 1} files in {seconds:.1f} s")
