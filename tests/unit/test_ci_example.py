"""The workflow that the documentation offers can be read, and its commands exist."""

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


def test_actions_are_pinned_by_tag(workflow: Any) -> None:
    used = list(steps_of(workflow, "uses"))
    assert used
    for action in used:
        assert re.fullmatch(r"[\w-]+/[\w-]+@v\d+(\.\d+)*", action), action


def test_it_builds_verifies_locks_publishes_and_signs(workflow: Any) -> None:
    assert tuple(workflow["jobs"]) == JOBS
    commands = chonkle_commands(workflow)
    names = [command[0] for command in commands]
    assert names == ["build", "verify", "lock", "publish", "sign", "verify"]
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
