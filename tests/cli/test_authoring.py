"""``task new``, ``task run`` and ``task list``: a task before it is in a batch."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from conftest import Outcome, write_tree

from codebatch.model.resources import load_schema
from codebatch.tasks import registry

Main = Callable[..., Outcome]
_numbers = itertools.count()

TASKS = '''
import dataclasses
import codebatch


@dataclasses.dataclass
class Load:
    functions: int
    words: list[str]


@codebatch.task(
    version=1, needs=["symbols", "first"], depends="path", config={"least": 0}, records=[Load]
)
def load(file, config):
    """How much a file defines."""
    functions = [r for r in file.records["symbols"] if r.get("symbol_type") == "function"]
    if len(functions) >= config["least"]:
        yield Load(len(functions) + len(file.records["first"]), [file.path])


@codebatch.task(version=1)
def first(file):
    yield codebatch.Metric("first", len(file.lines))


@codebatch.task(version=1)
def failing(file):
    """Fails on what it does not like."""
    if "boom" in file.text:
        raise RuntimeError("I do not like it")
    yield codebatch.Metric("length", len(file.text))
'''


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with a small tree in it."""
    monkeypatch.chdir(tmp_path)
    write_tree(tmp_path / "src", {"a.py": "def f():\n    pass\n", "b/c.py": "x = 'boom'\n"})
    return tmp_path


@pytest.fixture
def own(here: Path) -> str:
    """A file of tasks there; a process has a module of one name once."""
    name = f"authoring_{next(_numbers)}.py"
    write_tree(here, {name: TASKS})
    return name


def checked(done: Outcome, schema: str) -> Any:
    document = json.loads(done.stdout)
    jsonschema.Draft202012Validator(load_schema(schema)).validate(document)
    return document


def test_a_new_task_works_and_so_does_its_test(here: Path, main: Main) -> None:
    done = main("task", "new", "dead_code", "--json")
    written = checked(done, "cli.task-new")
    assert written == {"name": "dead_code", "files": ["dead_code.py", "test_dead_code.py"]}
    (here / "src/todo.py").write_text("# FIXME: soon\n")
    found = checked(main("task", "run", "dead_code.py:dead_code", "src", "--json"), "cli.task-run")
    assert [(one["path"], one["code"], one["line"]) for one in found] == [("todo.py", "FIXME", 1)]
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_dead_code.py"]
    tested = subprocess.run(command, cwd=here, capture_output=True, text=True, check=False)
    assert tested.returncode == 0, tested.stdout
    assert "2 passed" in tested.stdout


@pytest.mark.parametrize("taken", ["dead_code.py", "test_dead_code.py"])
def test_new_overwrites_nothing(taken: str, here: Path, main: Main) -> None:
    (here / taken).write_text("mine")
    done = main("task", "new", "dead_code")
    assert (done.code, done.err.splitlines()[0]) == (2, f"error: {taken} is there already")
    assert (here / taken).read_text() == "mine"
    assert sorted(path.name for path in here.glob("*dead_code*")) == [taken]


@pytest.mark.parametrize("name", ["lint", "json", "codebatch", "class", "a-b", "../x", "A", ""])
def test_new_refuses_names(name: str, here: Path, main: Main) -> None:
    done = main("task", "new", name, "--json")
    assert (done.code, json.loads(done.stdout)["error"]["code"]) == (2, "TASK_INVALID")
    assert [path.name for path in here.iterdir()] == ["src"]


def test_what_a_task_needs_runs_with_it(own: str, main: Main) -> None:
    words = ["task", "run", f"{own}:load", "--with", f"{own}:first"]
    done = main(*words, "src", "--json")
    assert checked(done, "cli.task-run") == [
        {"kind": "load", "path": "a.py", "functions": 2, "words": ["a.py"]},
        {"kind": "load", "path": "b/c.py", "functions": 1, "words": ["b/c.py"]},
    ]
    done = main(*words, "src/a.py", "--config", "least=1", "--format", "csv")
    head, row = done.out.splitlines()
    assert head.startswith("kind,path,line,")
    assert head.endswith(",functions,words")
    assert "task_id" not in head
    assert row.startswith("load,src/a.py,")
    done = main(*words, "src", "--config", "least=1")
    assert done.out.splitlines()[0] == 'a.py: load functions=2 words=["a.py"]'
    assert done.err == "1 record in 1 file\n"
    done = main(*words, "src", "--config", "lest=1")
    assert (done.code, "'lest'" in done.err) == (2, True)


def test_a_task_over_a_whole_batch(here: Path, main: Main) -> None:
    write_tree(here / "src", {"d.py": "def f():\n    pass\n", "e.py": "def f():\n    pass\n"})
    words = ("task", "run", "duplicates", "src", "--config", "shapes.min_lines=2", "--json")
    found = checked(main(*words), "cli.task-run")
    assert {one["path"] for one in found} == {"a.py", "d.py", "e.py"}
    assert {one["kind"] for one in found} == {"duplicate"}


def test_a_failure_is_shown_and_told_by_the_exit_code(own: str, main: Main) -> None:
    done = main("task", "run", f"{own}:failing", "src")
    assert done.code == 1
    assert done.out.splitlines()[0] == "a.py: metric metric=length value=18"
    assert "b/c.py:1:1: diagnostic code=E0002" in done.out
    assert "RuntimeError: I do not like it" in done.out
    assert main("task", "run", f"{own}:failing", "src/a.py").code == 0


MISTAKES = {
    "task run OWN:load": "no file is named",
    "task run OWN:lod src": "lod",
    "task run missing.py:x src": "no file missing.py",
    "task run nonsense src": "unknown task: nonsense",
    "task run lint missing": "cannot read missing",
    "task run lint src --config x": "not a setting: 'x'",
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakes(mistake: str, own: str, main: Main) -> None:
    done = main(*mistake.replace("OWN", own).split())
    assert (done.code, done.out) == (2, "")
    assert MISTAKES[mistake] in done.err.splitlines()[0]


def test_tasks_are_listed_with_where_they_are_from(main: Main) -> None:
    rows = {row["name"]: row for row in checked(main("task", "list", "--json"), "cli.task-list")}
    assert rows["lint"]["source"] == "built-in"
    assert rows["lint"]["needs"] == ["parse"]
    assert set(rows) >= {"parse", "analyze", "symbols", "lint"}


def test_tasks_of_packages_are_listed_even_where_they_cannot_be_loaded(
    main: Main, monkeypatch: pytest.MonkeyPatch
) -> None:
    offered = {"ghost": [("haunted", "nowhere_at_all:ghost")]}
    monkeypatch.setattr(registry, "_entry_points", lambda: offered)
    done = main("task", "list", "--json")
    rows = {row["name"]: row for row in checked(done, "cli.task-list")}
    assert rows["ghost"]["source"] == "haunted (nowhere_at_all:ghost)"
    assert "haunted" in rows["ghost"]["error"]
    assert "note: task ghost" in done.err
