"""The workflows for codecs and for releases can be read, and their commands exist."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from chonkle.cli import chonkle as command_line

ROOT = Path(__file__).parents[2]
WORKFLOW = ROOT / "docs/examples/ci/codecs.yml"
RELEASE = ROOT / ".github/workflows/release.yml"
JOBS = ("check", "publish")


@pytest.fixture(scope="module")
def workflow() -> Any:
    return yaml.safe_load(WORKFLOW.read_text("utf-8"))


def steps_of(workflow: Any, key: str) -> Iterator[str]:
    for job in workflow["jobs"].values():
        for step in job["steps"]:
            if key in step:
                yield step[key]


def chonkle_commands(workflow: Any) -> list[list[str]]:
    found = []
    for text in steps_of(workflow, "run"):
        for line in text.splitlines():
            command = re.search(r"\bchonkle [a-z].*", line.partition("#")[0])
            if command is not None and not line.startswith("pip "):
                found.append(shlex.split(command[0].partition(">")[0])[1:])
    return found


@pytest.mark.parametrize("path", [WORKFLOW, RELEASE], ids=lambda path: path.stem)
def test_actions_are_pinned_by_tag(path: Path) -> None:
    used = list(steps_of(yaml.safe_load(path.read_text("utf-8")), "uses"))
    assert used
    for action in used:
        assert re.fullmatch(r"[\w-]+/[\w-]+@v\d+(\.\d+)*", action), action


def test_it_builds_verifies_locks_publishes_and_signs(workflow: Any) -> None:
    assert tuple(workflow["jobs"]) == JOBS
    check_commands(workflow, ["build", "verify", "lock", "publish", "sign", "verify"])


def test_a_release_tries_what_it_publishes() -> None:
    workflow = yaml.safe_load(RELEASE.read_text("utf-8"))
    assert tuple(workflow["jobs"]) == ("build", "try", "publish", "codecs")
    check_commands(workflow, ["doctor", "publish", "sign"])


def check_commands(workflow: Any, expected: list[str]) -> None:
    commands = chonkle_commands(workflow)
    assert [command[0] for command in commands] == expected
    for name, *words in commands:
        command = command_line.get_command(click.Context(command_line), name)
        assert command is not None, name
        known = {option for each in command.params for option in each.opts}
        assert {word for word in words if word.startswith("--")} <= known, name


def test_only_the_job_that_publishes_sees_secrets(workflow: Any) -> None:
    for name, job in workflow["jobs"].items():
        assert ("secrets." in yaml.safe_dump(job)) == (name == "publish")
    assert workflow["jobs"]["publish"]["needs"] == "check"
    assert workflow["jobs"]["publish"]["if"].startswith("startsWith(github.ref, 'refs/tags/")
    assert workflow["permissions"] == {"contents": "read"}
