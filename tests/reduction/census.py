"""Batch tasks for tests: one that folds in an order that shows, and some that fail."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import codebatch


@codebatch.task(version=1)
def words(file: codebatch.File) -> Iterator[codebatch.Metric]:
    """Count the words of a file."""
    yield codebatch.Metric("words", len(file.text.split()))


@dataclass(frozen=True)
class Place:
    """Where a file stands among all."""

    path: str
    number: int
    before: str | None


@codebatch.task(version=1, scope="batch", needs=["words"], records=[Place, codebatch.Diagnostic])
class census:  # noqa: N801 - named as a task
    """Say of each file where it stands: to combine the other way round gives other records."""

    def map(
        self, records: Sequence[Mapping[str, Any]], config: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Return the paths of the records, in their order."""
        return {"paths": [record["path"] for record in records], "shape": "m"}

    def combine(self, a: dict[str, Any], b: dict[str, Any]) -> dict[str, Any]:
        """Return all paths, and how they were put together."""
        shape = f"({a['shape']}{b['shape']})" if len(a["shape"]) < 60 else a["shape"]
        return {"paths": a["paths"] + b["paths"], "shape": shape}

    def finish(
        self, total: dict[str, Any], config: Mapping[str, Any]
    ) -> Iterator[Place | codebatch.Diagnostic]:
        """Yield the number of each file, and how the tree was folded."""
        before = None
        for number, path in enumerate(total["paths"]):
            yield Place(path, number, before)
            before = path
        yield codebatch.Diagnostic(
            code="SHAPE", severity="info", line=1, message=total["shape"], path=total["paths"][0]
        )


@codebatch.task(version=1, scope="batch", needs=["words"], config={"step": "map", "how": "raise"})
class broken:  # noqa: N801 - named as a task
    """Fail at a step."""

    def map(self, records: Sequence[Mapping[str, Any]], config: Mapping[str, Any]) -> list[str]:
        """Return a path."""
        fail("map", config)
        return [str(config["step"]), str(config["how"])]

    def combine(self, a: list[str], b: list[str]) -> list[str]:
        """Return the first."""
        fail("combine", {"step": a[0], "how": a[1]})
        return a

    def finish(self, total: list[str], config: Mapping[str, Any]) -> Iterator[codebatch.Metric]:
        """Yield nothing that fits."""
        fail("finish", config)
        if config["step"] == "path":
            yield codebatch.Metric("m", 1, path="no/such/file.py")


class OwnExit(BaseException):
    """What is no Exception."""


BEYOND: dict[str, type[BaseException]] = {
    "cancel": asyncio.CancelledError,
    "close": GeneratorExit,
    "exit": SystemExit,
    "own": OwnExit,
}


def fail(step: str, config: Mapping[str, Any]) -> None:
    """Fail, if it is the step to fail at."""
    if config["step"] == step:
        if config["how"] == "crash":
            os._exit(3)
        if config["how"] == "hang":
            while True:
                pass
        if config["how"] in BEYOND:
            raise BEYOND[str(config["how"])](f"no {step} today")
        raise ValueError(f"no {step} today")


@codebatch.task(version=1, scope="batch", needs=["words"], config={"step": "map"})
class impure:  # noqa: N801 - named as a task
    """Read the clock at a step."""

    def map(self, records: Sequence[Mapping[str, Any]], config: Mapping[str, Any]) -> list[Any]:
        """Return the first path, and perhaps the time."""
        return [records[0]["path"], time.time_ns() if config["step"] == "map" else 0]

    def combine(self, a: list[Any], b: list[Any]) -> list[Any]:
        """Return the first."""
        return a

    def finish(self, total: list[Any], config: Mapping[str, Any]) -> Iterator[codebatch.Metric]:
        """Yield the time, of one file."""
        path, at = total
        at = time.time_ns() if config["step"] == "finish" else at
        yield codebatch.Metric("at", at % 1_000_000_007, path=path)


@codebatch.task(version=1, scope="batch", needs=["words"])
class unmade:  # noqa: N801 - named as a task
    """Fail before any step."""

    def __init__(self) -> None:
        """Raise what is no Exception."""
        raise OwnExit("not made")

    def map(self, records: Sequence[Mapping[str, Any]], config: Mapping[str, Any]) -> int:
        """Return the number of records."""
        return len(records)

    def combine(self, a: int, b: int) -> int:
        """Return the sum."""
        return a + b

    def finish(self, total: int, config: Mapping[str, Any]) -> Iterator[codebatch.Metric]:
        """Yield nothing."""
        yield from ()
