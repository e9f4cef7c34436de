"""A pipeline of built-in tasks, a user's task with a helper module, and tasks over a whole batch.

One result everywhere, and after each kind of change exactly what it must, as `plan` says before
and the counts after.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from clusters import connected_client, two_workers
from conftest import write_tree
from usercode import Project
from verifier import verify_store

import codebatch
from codebatch.batch.forecast import Forecast

pytestmark = pytest.mark.filterwarnings("default::ResourceWarning")

WAYS = ("sync", "threads", "processes", "shared", "shipped")
FILES: dict[str, str | bytes] = {
    f"{number}.py": f"import os\n\ndef f(a):\n    if a:\n        return {number}  # TODO {number}\n"
    for number in range(40)
}
TASKS = """\
from dataclasses import dataclass
import codebatch
from .helper import is_due

@codebatch.task(version=1)
def todos(file: codebatch.File):
    for number, line in enumerate(file.lines, 1):
        if is_due(line):
            yield codebatch.Diagnostic(code="TODO", severity="info", line=number, message=line)

@dataclass(frozen=True)
class Debt:
    path: str
    lines: list[int]
    of_all: int

@codebatch.task(version=1, scope="batch", needs=["todos"], records=[Debt])
class debt:
    def map(self, records, config):
        return [[record["path"], record["line"]] for record in records]

    def combine(self, a, b):
        return a + b

    def finish(self, total, config):
        for path in dict(total):
            yield Debt(path, [line for one, line in total if one == path], len(total))
"""
HELPER = "def is_due(line):\n    return 'TODO' in line\n"

cluster = pytest.fixture(two_workers, scope="module")
client = pytest.fixture(connected_client, scope="module")


@pytest.fixture
def project(tmp_path: Path) -> Project:
    project = Project(tmp_path)
    project.write({"PKG/__init__.py": "", "PKG/helper.py": HELPER, "PKG/tasks.py": TASKS})
    return project


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    return write_tree(tmp_path / "tree", FILES)


def pipeline(project: Project) -> list[Any]:
    todos, debt = (project.load(f"PKG/tasks.py:{name}") for name in ("todos", "debt"))
    return ["full", "hotspots", "duplicates", todos, debt]


def run(batch: codebatch.Batch, way: str, client: Callable[[], Any]) -> codebatch.RunReport:
    if way in ("shared", "shipped"):
        return batch.run(client=client(), transport=way)
    return batch.run(way, workers=2)


@pytest.mark.slow
@pytest.mark.parametrize("way", WAYS)
def test_one_result_everywhere(
    way: str, project: Project, tree: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    results = {}
    for one in ("sync", way):
        store = codebatch.open_store(tmp_path / f"store-{one}", create=True)
        batch = store.batch(store.snapshot(tree), pipeline=pipeline(project))
        report = run(batch, one, lambda: request.getfixturevalue("client"))
        assert (report.status, report.errors) == ("done", ())
        results[one] = report.result
        found = {kind: len([*batch.sorted_records(kind=kind)]) for kind in ("debt", "hotspot")}
        assert found == {"debt": 40, "hotspot": 40}
        assert verify_store(store.path)["states"]
    assert len(set(results.values())) == 1, results


def planned(forecast: Forecast) -> dict[str, int]:
    return {task.task_id: task.compute for task in forecast.tasks}


def test_each_change_computes_what_it_must(
    project: Project, tree: Path, store: codebatch.Store
) -> None:
    file_tasks = {"parse", "analyze", "symbols", "lint", "shapes", "todos"}

    def go() -> tuple[dict[str, int], codebatch.RunReport]:
        batch = store.batch(store.snapshot(tree), pipeline=pipeline(project))
        plan = planned(batch.forecast())
        report = batch.run("processes", workers=2)
        assert report.status == "done"
        of_files = sum(number for task, number in plan.items() if task in file_tasks)
        assert report.files["computed"] == of_files
        assert report.nodes["computed"] <= sum(plan.values()) - of_files
        return plan, report

    plan, cold = go()
    assert {plan[task] for task in file_tasks} == {40}

    (tree / "7.py").write_text("def f(a):\n    return 7  # TODO\n")
    plan, one = go()
    assert {plan[task] for task in file_tasks} == {1}
    assert 0 < one.nodes["computed"] < cold.nodes["computed"] / 3

    project.write({"PKG/helper.py": f"# a comment\n\n{HELPER}"})
    plan, same = go()
    assert set(plan.values()) == {0}
    assert (same.batch_id, same.nodes["computed"]) == (one.batch_id, 0)

    project.write({"PKG/helper.py": HELPER.replace("'TODO'", "'TODO 1'")})
    plan, changed = go()
    assert plan["todos"] == 40
    assert plan["debt"] > 0
    assert not any(plan[task] for task in plan.keys() - {"todos", "debt"})
    assert changed.result != one.result
