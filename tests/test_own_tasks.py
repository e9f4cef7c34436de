"""Tasks of one's own from declaration to query: in Python, and on the command line."""

from __future__ import annotations

import ast
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from conftest import Outcome, write_tree
from verifier import verify_store

import codebatch
from codebatch.model.errors import PipelineInvalidError, TaskInvalidError, TaskNotFoundError

TREE: dict[str, str | bytes] = {
    "a.py": "import os\n\n\ndef f(a):\n    return os, a  # TODO now\n",
    "pkg/b.py": "class B:\n    pass\n",
    "pkg/broken.py": "def (\n",
    "web/c.js": "function g(h\u00e9) { return h\u00e9 }\n",
    "web/d.ts": "export const n: number = 1\n",
    "notes.txt": "TODO later\n",
}


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    return write_tree(tmp_path / "tree", TREE)


@dataclass
class Where:
    place: str
    size: int


@codebatch.task(depends="path", records=[Where])
def where(file: codebatch.File) -> Iterator[Where]:
    """Say where a file is."""
    yield Where(file.path, file.size)


@codebatch.task(config={"word": "TODO", "most": 9})
def words(file: codebatch.File, config: dict[str, Any]) -> Iterator[codebatch.Diagnostic]:
    """Find a word."""
    for number, line in enumerate(file.lines, 1):
        if config["word"] in line:
            yield codebatch.Diagnostic("WORD", "info", number, line.strip())


@codebatch.task
def trees(file: codebatch.File) -> Iterator[codebatch.Metric]:
    """Count what a tree has, and spoil it."""
    tree: Any = file.tree
    if isinstance(tree, ast.Module):
        yield codebatch.Metric("statements", len(tree.body))
        for node in tree.body:
            node.parent = tree  # type: ignore[attr-defined]
        tree.body.clear()
    elif tree is not None:
        names = [node for node in tree.children[0].children if node.type == "identifier"]
        yield codebatch.Metric("root", tree.type)
        yield from (codebatch.Metric("named", name.text.decode()) for name in names)


@codebatch.task(needs=["symbols", "words"], config={"of": {"deep": [1]}})
def spoils(file: codebatch.File, config: dict[str, Any]) -> Iterator[codebatch.Metric]:
    """Change all that was given."""
    yield codebatch.Metric("symbols", len(file.records["symbols"]))
    yield from (codebatch.Metric("code", str(one["code"])) for one in file.records["words"])
    yield codebatch.Metric("deep", len(config["of"]["deep"]))
    config["of"]["deep"].append(2)
    file.lines.clear()
    for records in file.records.values():
        for record in records:
            record["name"] = "spoiled"
        records.clear()


@codebatch.task
def names(file: codebatch.File) -> Iterator[codebatch.Metric]:
    """Look at a path, which it does not declare."""
    yield codebatch.Metric("path", file.path)


def counts(report: codebatch.RunReport) -> tuple[int, int]:
    return report.files["computed"], report.files["reused"]


def test_a_path_is_part_of_the_key_of_a_task_that_declares_it(
    tree: Path, store: codebatch.Store
) -> None:
    pipeline = [where, words]
    first = store.batch(store.snapshot(tree), pipeline)
    assert first.made is not None
    assert (first.made.pipeline, first.made.tasks) == ("where+words", ("where", "words"))
    assert counts(first.run("sync")) == (12, 0)
    assert [one["place"] for one in first.sorted_records(kind="where")] == sorted(TREE)
    (tree / "a.py").rename(tree / "z\n.py")
    second = store.batch(store.snapshot(tree), pipeline)
    assert counts(second.run("sync")) == (1, 11)
    (found,) = second.sorted_records(kind="where", path="z*")
    assert found["place"] == found["path"] == "z\n.py"
    explained = second.explain("where", "z\n.py")
    assert 'facet path "z\\n.py"' in explained["preimage"].splitlines()  # type: ignore[attr-defined]
    verify_store(store.path)


def test_each_task_has_trees_and_records_of_its_own(tree: Path, store: codebatch.Store) -> None:
    """On one store in this process, on another in children, and each task alone."""
    snapshot = store.snapshot(tree)
    alone = {
        task: [{**one, "shard_id": ""} for one in batch.sorted_records(task=task)]
        for task in ("trees", "symbols", "lint", "words")
        for batch in [store.batch(snapshot, [words if task == "words" else trees, "full"])]
        if batch.run("sync")
    }
    for scheduler in ("sync", "processes"):
        other = codebatch.open_store(store.path.parent / scheduler, create=True)
        batch = other.batch(other.snapshot(tree), [spoils, trees, "full", words])
        assert batch.run(scheduler).status == "done"
        for task, records in alone.items():
            found = batch.sorted_records(task=task)
            assert [{**one, "shard_id": ""} for one in found] == records, task
        spoiled = {
            (one["path"], one["metric"]): one["value"] for one in batch.records(task="spoils")
        }
        assert {spoiled[path, "deep"] for path in TREE} == {1}
        assert spoiled["a.py", "symbols"] == len(list(batch.records(task="symbols", path="a.py")))
        assert spoiled["a.py", "code"] == "WORD"
    found = {(one["path"], one["metric"]): one["value"] for one in alone["trees"]}
    assert found == {
        ("a.py", "statements"): 2,
        ("pkg/b.py", "statements"): 1,
        ("web/c.js", "root"): "program",
        ("web/c.js", "named"): "g",
        ("web/d.ts", "root"): "program",
    }


def test_settings_are_in_the_fingerprint(tree: Path, store: codebatch.Store) -> None:
    snapshot = store.snapshot(tree)
    assert counts(store.batch(snapshot, [words]).run("sync")) == (6, 0)

    def document(**config: object) -> dict[str, object]:
        return {"name": "own", "tasks": [{"id": "words", "task": "words", "config": config}]}

    batch = store.batch(snapshot, document(word="class"))
    (task,) = batch.forecast().tasks
    assert (task.compute, dict(task.reasons)) == (6, {"config": 6})
    assert counts(batch.run("sync")) == (6, 0)
    assert [one["message"] for one in batch.records(code="WORD")] == ["class B:"]
    assert counts(store.batch(snapshot, document(most=9)).run("sync")) == (0, 6)
    with pytest.raises(PipelineInvalidError, match="'words'; did you mean 'word'"):
        store.batch(snapshot, document(words="class"))


def test_what_is_not_declared_fails(tree: Path, store: codebatch.Store) -> None:
    batch = store.batch(store.snapshot(tree), [names])
    assert batch.run("sync").status == "done"
    (message,) = {str(one["message"]) for one in batch.records(code="E0002")}
    assert "LookupError: the task does not declare that it depends on the path" in message


@pytest.mark.parametrize(
    ("pipeline", "message"),
    [
        ([], "it has no task"),
        ([lambda file: []], "<lambda> is no task"),
        (["full", {"a": 1}], "{'a': 1} is no task"),
        ([words, codebatch.task(name="words")(lambda file: [])], "two tasks are named 'words'"),
        ([codebatch.task(name="lint")(lambda file: [])], "this name is that of a built-in task"),
        ([codebatch.task(name="w", needs=["wrods"])(lambda file: [])], "unknown task: wrods"),
    ],
)
def test_pipelines_that_cannot_be(
    pipeline: list[object], message: str, tree: Path, store: codebatch.Store
) -> None:
    errors = (PipelineInvalidError, TaskInvalidError, TaskNotFoundError)
    with pytest.raises(errors, match=message):
        store.batch(store.snapshot(tree), pipeline)
    assert store.batches() == []


OWN = """\
from dataclasses import dataclass
import time
import codebatch

@dataclass
class Answer:
    number: int

@codebatch.task(records=[Answer, codebatch.Diagnostic],
                rules=[codebatch.Rule("OWN1", "An answer", help="Read it.", link="https://a.test")])
def answers(file):
    "Answer."
    yield Answer(len(file.lines))
    yield codebatch.Diagnostic("OWN1", "warning", 1, "look")

@codebatch.task
def clock(file):
    yield codebatch.Metric("ns", time.time_ns())

calls = [0]

@codebatch.task
def counter(file):
    calls[0] += 1
    yield codebatch.Metric("calls", calls[0])

@codebatch.task
def loud(file):
    print("loud")
    yield codebatch.Metric("share", 1e30)
    yield codebatch.Metric("less", -1)

def plain(file): ...
"""


@pytest.fixture
def own(tmp_path: Path, tree: Path, cli: Callable[..., Outcome]) -> Callable[..., Outcome]:
    """Runs a command in a folder with ``own.py`` and a store, in a process of its own."""
    (tmp_path / "own.py").write_text(OWN)
    return lambda *words: cli(*words, cwd=tmp_path)


def test_tasks_on_the_command_line(own: Callable[..., Outcome]) -> None:
    done = own("scan", "tree", "--task", "own.py:answers", "--scheduler", "sync", "--json")
    first = json.loads(done.stdout)
    assert (done.code, first["status"], first["files"]["computed"]) == (0, "done", 6)
    planned = own("plan", "--pipeline", "parse", "--task", "own.py:answers", "--json")
    tasks = {one["task_id"]: one for one in json.loads(planned.stdout)["tasks"]}
    assert (tasks["answers"]["compute"], tasks["parse"]["compute"]) == (0, 6)
    made = own("batch", "init", "--pipeline", "parse", "--task", "own.py:answers", "--json")
    assert json.loads(made.stdout)["pipeline"] == "parse+answers"
    missing = own("run", "--scheduler", "sync")
    assert missing.code == 2
    assert missing.err.splitlines()[1:] == [
        "error: task answers of the batch is not known here: its code is not in the store",
        "  name it: --task own.py:answers",
        "  in Python: batch.run(tasks=[…])",
    ]
    where = ("--task", "own.py:answers", "--scheduler", "sync")
    done = own("resume", *where, "--json")
    assert json.loads(done.stdout)["files"] == {"computed": 6, "reused": 6, "quarantined": 0}
    assert own("run", "--scheduler", "sync").code == 0  # nothing is left to run
    assert own("run", "--recompute", *where).code == 0
    shown = own("errors", "--code", "OWN1", "--json")
    assert {one["rule"] for one in json.loads(shown.stdout)} == {"OWN1"}
    assert own("verify").code == 0


def test_what_a_task_prints_is_no_answer(own: Callable[..., Outcome]) -> None:
    for scheduler in ("sync", "processes"):
        done = own("scan", "tree", "--task", "own.py:loud", "--scheduler", scheduler, "--json")
        assert json.loads(done.stdout)["status"] == "done"
    found = json.loads(own("query", "outputs", "--path", "a.py", "--json").stdout)
    assert [one["value"] for one in found] == [1e30, -1]


@pytest.mark.parametrize("task", ["clock", "counter"])
def test_what_is_not_deterministic_is_named(task: str, own: Callable[..., Outcome]) -> None:
    where = ("--task", f"own.py:{task}", "--scheduler", "sync")
    assert own("scan", "tree", *where).code == 0
    found = own("run", "--recompute", *where)
    assert found.code == 1
    assert f"a.py: {task} differs\n" in found.out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("scan", "tree", "--task", "own.py:answer"), "own.py has no answer"),
        (("scan", "tree", "--task", "own.py:plain"), "own.py:plain is no task"),
        (("scan", "tree", "--task", "other.py:answers"), "no file other.py"),
        (("scan", "tree", "--task", "nowhere:answers"), "no module nowhere"),
        (("scan", "tree", "--task", "lnit"), "unknown task: lnit"),
    ],
)
def test_tasks_that_are_not_there(
    words: tuple[str, ...], message: str, own: Callable[..., Outcome], tmp_path: Path
) -> None:
    done = own(*words)
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith(f"error: {message}\n")
    assert not (tmp_path / ".codebatch").exists()


def test_a_task_that_the_batch_does_not_run(own: Callable[..., Outcome]) -> None:
    assert own("scan", "tree", "--task", "own.py:answers", "--scheduler", "sync").code == 0
    done = own("run", "--task", "own.py:clock")
    assert (done.code, done.err.splitlines()[1]) == (2, "error: task clock is none of the batch")
