"""Types of fixtures that several test files use."""

from collections.abc import Callable
from subprocess import CompletedProcess
from typing import Any

type Chonkle = Callable[..., CompletedProcess[bytes]]  # `chonkle` and `chonkle_done`
type ErrorOf = Callable[..., str]
type Explain = Callable[..., Any]
type MakeCodec = Callable[..., bytes]
type PipelineOf = Callable[..., dict[str, Any]]
