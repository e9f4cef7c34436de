"""Task ``sarif``: the findings of a log of SARIF that was imported, whatever tool has made it.

Its settings name an object of the store that has the findings, with the paths that the files have
in the snapshot, and say where they are from. Nothing of the files is looked at.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from functools import lru_cache
from typing import Any, NamedTuple

from codebatch.model.digest import canonical_json, check_digest
from codebatch.model.errors import CodeBatchError
from codebatch.model.records import BATCH_SCOPE, PlannedTask, Record
from codebatch.tasks.base import Config, Task
from codebatch.tasks.decorator import CONTRACT
from codebatch.tasks.records import Diagnostic
from codebatch.tasks.rules import Rule

SCHEMA = "config.sarif"


class LogFinding(NamedTuple):
    """A finding of a log, in the order of these fields."""

    path: str
    line: int
    column: int
    code: str
    rule: str
    severity: str
    message: str


def pack_findings(found: Iterable[LogFinding]) -> bytes:
    """Return findings as the bytes of an object, each once and in order."""
    return canonical_json({"findings": [[*one] for one in sorted(set(found))]})


class Findings:
    """Gives the findings; no value is passed up the tree."""

    def map(self, _: Iterable[Record], __: Config) -> None:
        """Return nothing."""

    def combine(self, _: None, __: None) -> None:
        """Return nothing."""

    def reads(self, _: None, config: Config) -> set[tuple[str, int]]:
        """Return the object with the findings, and its size."""
        return {(config["object"], config["size"])}

    def finish(
        self, _: None, config: Config, read: Callable[[str, int], bytes]
    ) -> Iterator[Diagnostic]:
        """Yield each finding."""
        data = json.loads(read(config["object"], config["size"]))
        for one in map(LogFinding._make, data["findings"]):
            yield Diagnostic(
                one.code, one.severity, one.line, one.message, one.column, one.rule, one.path
            )


def object_of(task: PlannedTask) -> str | None:
    """Return the object with the findings of a planned task, if it is an import; a plan may come
    from anybody.
    """
    if task.task != SARIF.name:
        return None
    try:
        return check_digest(task.config.get("object"))
    except CodeBatchError:
        return None


def bind(config: Config) -> Task:
    """Return the task of an import, under the name of its own."""
    return _bound(canonical_json(dict(config)))


def _rules(config: Config) -> tuple[Rule, ...]:
    return tuple(map(Rule.from_document, config["rules"]))


SARIF = Task(
    name="sarif",
    version=1,
    function=Findings,
    summary="what a log of SARIF says, which sarif import takes",
    kinds=("diagnostic", "suppression"),
    toolchain=lambda: {"contract": CONTRACT},
    scope=BATCH_SCOPE,
    schema=SCHEMA,
    classes={Diagnostic: "diagnostic"},
    selected_rules=_rules,
    bind=bind,
    definition="sarif",
    inputs=True,
)


@lru_cache(maxsize=64)
def _bound(config: bytes) -> Task:
    settings: Mapping[str, Any] = json.loads(config)
    return replace(SARIF, name=settings["name"], config=settings)
