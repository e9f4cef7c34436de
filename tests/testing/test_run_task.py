"""`codebatch.testing.run_task`: the records that a run keeps, without a store."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest
from conftest import write_tree

import codebatch
from codebatch.model.errors import SourceNotFoundError, TaskInvalidError
from codebatch.testing import run_task


@codebatch.task(version=1, config={"word": "TODO", "most": 2})
def todos(file: codebatch.File, config: dict[str, Any]) -> Iterator[codebatch.Diagnostic]:
    """Lines that say TODO."""
    found = [number for number, line in enumerate(file.lines, 1) if config["word"] in line]
    for number in found[: config["most"]]:
        yield codebatch.Diagnostic("TODO", "info", number, file.lines[number - 1].strip())


@dataclasses.dataclass
class Load:
    kind: ClassVar[str] = "load"
    functions: int
    where: str


@codebatch.task(version=1, needs=["symbols", "todos"], depends="path", records=[Load])
def load(file: codebatch.File) -> Iterator[Load]:
    """How much there is."""
    functions = [one for one in file.records["symbols"] if one.get("symbol_type") == "function"]
    yield Load(len(functions) + len(file.records["todos"]), file.path)


@codebatch.task(version=1)
def broken(file: codebatch.File) -> Iterator[codebatch.Metric]:
    """One that fails, or yields nonsense."""
    if b"raise" in file.bytes:
        raise ValueError("no such thing")
    yield codebatch.Metric("depth", value=[1])  # type: ignore[arg-type]


def test_a_text_is_a_python_file() -> None:
    (found,) = run_task(todos, "x = 1\n# TODO more\n")
    assert (found["kind"], found["code"], found["line"]) == ("diagnostic", "TODO", 2)
    assert found["message"] == "# TODO more"
    assert "path" not in found


def test_settings_are_checked() -> None:
    text = "# FIX a\n# FIX b\n# FIX c\n"
    assert len(run_task(todos, text, config={"word": "FIX"})) == 2
    assert len(run_task(todos, text, config={"word": "FIX", "most": 9})) == 3
    for wrong in ({"words": "FIX"}, {"most": "9"}):
        with pytest.raises(TaskInvalidError, match="task todos: config"):
            run_task(todos, text, config=wrong)


def test_what_is_needed_is_run_or_given() -> None:
    text = "def f():\n    pass\n# TODO\n"
    (found,) = run_task(load, text, path="pkg/a.py", tasks=[todos])
    assert found == {"kind": "load", "functions": 2, "where": "pkg/a.py"}
    given = {"symbols": [{"kind": "symbol", "symbol_type": "function"}] * 5, "todos": []}
    (found,) = run_task(load, text, records=given, tasks=[todos])
    assert found["functions"] == 5


def test_records_are_those_of_a_run(tree: Path, store: codebatch.Store) -> None:
    batch = store.batch(store.snapshot(tree), "full")
    batch.run("sync")
    for task in ("parse", "analyze", "symbols", "lint"):
        for name in ("pkg/cart.py", "pkg/style.py", "web/view.tsx", "README.md"):
            kept = [dict(one) for one in batch.outputs(task=task, path=name)]
            for one in kept:
                del one["path"], one["task_id"], one["shard_id"]
            assert run_task(task, tree / name, path=name) == kept, (task, name)


@pytest.mark.parametrize("task", ["hotspots", "duplicates"])
def test_records_of_a_whole_batch_are_those_of_a_run(
    task: str, tree: Path, store: codebatch.Store
) -> None:
    body = "".join(f"    value = {number}\n" for number in range(12))
    write_tree(tree, {"f.py": f"def f():\n{body}", "g.py": f"def f():\n{body}"})
    batch = store.batch(store.snapshot(tree), [task])
    batch.run("sync")
    kept = [dict(one) for one in batch.sorted_records(task=task)]
    for one in kept:
        del one["task_id"], one["shard_id"]
    assert kept
    files = {
        file.path: store.read_object(file.object) for file in store.find_snapshot("latest").files
    }
    files.pop("link.py")  # a link is no file to this
    assert run_task(task, files) == kept


def test_several_files() -> None:
    found = run_task(todos, {"b.py": "# TODO\n", "a.ts": "// TODO\n", "c.py": ""})
    assert [(one["path"], one["line"]) for one in found] == [("b.py", 1), ("a.ts", 1)]
    with pytest.raises(TaskInvalidError, match="looks at many files"):
        run_task("hotspots", "x = 1\n")
    assert run_task("hotspots", {}) == []


def test_what_does_not_fit_is_one_record() -> None:
    (found,) = run_task(broken, "x = 1\n")
    assert found["code"] == "E0002"
    assert "record 1 (Metric): field value" in str(found["message"])
    (found,) = run_task(broken, b"raise\n")
    assert "ValueError: no such thing" in str(found["message"])


def test_language_by_path_or_given(tmp_path: Path) -> None:
    script = tmp_path / "tool"
    script.write_text("#!/usr/bin/env python3\nimport os\n")
    assert run_task("lint", script)[0]["code"] == "L101"
    assert run_task("lint", "import os\n", language="text") == []
    assert run_task("lint", "import a from 'a';\n", path="web/a.js")[0]["code"] == "L101"


def test_what_cannot_be_run(tmp_path: Path) -> None:
    with pytest.raises(SourceNotFoundError):
        run_task(todos, tmp_path / "missing.py")
    with pytest.raises(TaskInvalidError, match="is no task"):
        run_task(len, "")  # type: ignore[arg-type]
