"""Levels of findings: by code and by path, for every task, and what is computed again for them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from conftest import Outcome, write_tree

import codebatch
from codebatch.model.errors import ConfigInvalidError
from codebatch.model.patterns import PathPattern
from codebatch.snapshot.ignore import FolderRules

Main = Callable[..., Outcome]
TREE: dict[str, str | bytes] = {
    "src/app.py": "import os\nx = 1 \n",
    "src/lib.py": "import re\n",
    "tests/test_app.py": "import sys\nx = 1 \n",
    "tests/unit/test_lib.py": "import json\n",
    "broken.py": "def f(:\n",
}


@codebatch.task(rules=[codebatch.Rule("T100", "A name")])
def names(file: codebatch.File) -> Iterator[codebatch.Diagnostic]:
    """One finding of each file with an import."""
    if "import" in file.text:
        yield codebatch.Diagnostic("T100", "warning", 1, "a name")


@codebatch.task(scope="batch", needs=["lint"])
class Counted:
    """A finding over the whole batch for each file with findings."""

    def map(self, records: list[dict[str, Any]], config: object) -> list[str]:
        return sorted({one["path"] for one in records if one["kind"] == "diagnostic"})

    def combine(self, a: list[str], b: list[str]) -> list[str]:
        return sorted({*a, *b})

    def finish(self, total: list[str], config: object) -> Iterator[codebatch.Diagnostic]:
        for path in total or ():
            yield codebatch.Diagnostic("W1", "info", 1, "counted", path=path)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    return write_tree(tmp_path / "tree", TREE)


def scanned(
    tree: Path, values: Mapping[str, Any], *tasks: codebatch.Task, pipeline: str = "full"
) -> tuple[codebatch.Batch, codebatch.RunReport]:
    settings = codebatch.Config(values).settings
    store = codebatch.open_store(tree.parent / "store", create=True)
    batch = store.batch(store.snapshot(tree), pipeline, tasks=tasks, settings=settings)
    return batch, batch.run("sync")


def hidden(batch: codebatch.Batch) -> set[tuple[str, str, str]]:
    """Path, code, and what suppresses it, of findings that are not shown."""
    return {
        (str(one["path"]), str(one["code"]), str(one["how"]))
        for one in batch.records(kind="suppression")
    }


def found(batch: codebatch.Batch) -> set[tuple[str, str, str]]:
    return {
        (str(one["path"]), str(one["code"]), str(one["severity"]))
        for one in batch.records(kind="diagnostic")
    }


def test_levels_everywhere(tree: Path) -> None:
    plain, _ = scanned(tree, {}, names)
    values = {"severities": {"L001": "error", "L1": "info", "L": "off", "T": "off", "E": "off"}}
    batch, _ = scanned(tree, values, names)
    assert found(batch) == {
        ("src/app.py", "L001", "error"),
        ("tests/test_app.py", "L001", "error"),
        *((path, "L101", "info") for path in TREE if path != "broken.py"),
        ("broken.py", "E0001", "error"),  # nothing that could not be looked at is passed over
    }
    assert batch.id != plain.id
    prints = {
        one["fingerprint"] for one in plain.records(kind="diagnostic") if one["code"] == "L101"
    }
    assert prints == {
        one["fingerprint"] for one in batch.records(kind="diagnostic") if one["code"] == "L101"
    }
    assert batch.summary()["diagnostics"]["by_severity"] == {"error": 3, "info": 4}
    assert hidden(batch) == {  # nothing is hidden without a trace
        (path, code, "configuration") for path, code, _ in found(plain) if code in ("T100", "L004")
    }


def test_what_is_off_leaves_a_record(tree: Path, main: Main) -> None:
    write_tree(tree, {"src/lib.py": "import re  # noqa: L101 for others\n"})
    plain, _ = scanned(tree, {})
    batch, _ = scanned(tree, {"severities": {"L1": "off"}, "per-path": {"t*": {"ignore": ["L"]}}})
    off = {
        ("src/app.py", "L101"),
        ("tests/test_app.py", "L101"),
        ("tests/unit/test_lib.py", "L101"),
    }
    off |= {("tests/test_app.py", "L001")}
    by_file = ("src/lib.py", "L101", "noqa")  # which stays what it was
    assert hidden(batch) == {by_file, *((*one, "configuration") for one in off)}
    by = {(one["path"], one["code"]): one for one in plain.records(kind="diagnostic")}
    for one in batch.records(kind="suppression", path="tests"):
        before = by[one["path"], one["code"]]
        assert one == {**before, "kind": "suppression", "how": "configuration", "reason": ""}
    assert batch.summary()["suppressed"] == {
        "total": 5,
        "by_code": {"L001": 1, "L101": 4},
        "by_how": {"configuration": 4, "noqa": 1},
    }
    told = main("summary", "--store", batch.path, "--batch", batch.id).out
    assert "  suppressed by configuration 4, noqa 1\n" in told
    assert codebatch.open_store(batch.path).verify(read_data=True).ok


def test_levels_by_path(tree: Path) -> None:
    values = {
        "severities": {"T100": "error"},
        "per-path": {
            "tests/": {"ignore": ["L101", "T"], "severities": {"L0": "error"}},
            "/tests/unit/*.py": {"severities": {"T100": "info"}},
            "app.py": {"ignore": ["L"]},
        },
    }
    batch, _ = scanned(tree, values, names)
    assert found(batch) == {
        ("src/app.py", "T100", "error"),
        ("src/lib.py", "L101", "warning"),
        ("src/lib.py", "T100", "error"),
        ("tests/test_app.py", "L001", "error"),
        ("tests/unit/test_lib.py", "T100", "info"),
        ("broken.py", "E0001", "error"),
    }
    assert codebatch.open_store(batch.path).verify(read_data=True).ok


def test_tasks_over_the_whole_batch(tree: Path) -> None:
    values = {
        "severities": {"W1": "error", "L001": "off"},
        "per-path": {"/src": {"ignore": ["L101"]}, "unit/": {"ignore": ["W1"]}},
    }
    batch, _ = scanned(tree, values, Counted)
    counted = {one for one in found(batch) if one[1] == "W1"}
    assert counted == {("tests/test_app.py", "W1", "error")}  # of src nothing is left to count
    assert {one for one in hidden(batch) if one[1] == "W1"} == {
        ("tests/unit/test_lib.py", "W1", "configuration")
    }


def test_processes_apply_them_as_well(tree: Path) -> None:
    values = {"severities": {"L101": "error"}, "per-path": {"tests/": {"ignore": ["L101"]}}}
    batch, report = scanned(tree, values)
    store = codebatch.open_store(tree.parent / "other", create=True)
    settings = codebatch.Config(values).settings
    other = store.batch(store.snapshot(tree), "full", settings=settings)
    assert other.run("processes", workers=2).result == report.result
    assert other.id == batch.id
    assert other.recheck().differ == ()


def test_only_what_changes_is_computed_again(tree: Path) -> None:
    _, first = scanned(tree, {})
    assert first.files["computed"] == 5 * 4
    _, again = scanned(tree, {"per-path": {"tests/": {"ignore": ["L101"]}}})
    # All once: lint is another task from now on. What has no findings of these codes stays.
    assert (again.files["computed"], again.files["reused"]) == (5, 15)
    _, wider = scanned(
        tree, {"per-path": {"tests/": {"ignore": ["L101"]}, "lib.py": {"ignore": ["L101"]}}}
    )
    assert wider.files["computed"] == 1
    _, other = scanned(tree, {"per-path": {"/tests/**": {"ignore": ["L101"]}}})
    assert other.files["computed"] == 0
    _, codes = scanned(tree, {"per-path": {"tests/": {"ignore": ["B"]}}})  # of no task here
    assert codes.files["computed"] == 0


def test_without_levels_a_batch_is_as_it_was(tree: Path) -> None:
    store = codebatch.open_store(tree.parent / "store", create=True)
    snapshot = store.snapshot(tree)
    plain = store.batch(snapshot, "full")
    assert store.batch(snapshot, "full", settings=codebatch.Config({}).settings).id == plain.id
    document = json.loads(json.dumps(store.show(plain)))
    assert "levels" not in json.dumps(document)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"severities": {"E0001": "off"}}, "E0001 is always an error"),
        ({"severities": {"E0004": "warning"}}, "E0004 is always an error"),
        ({"per-path": {"a": {"ignore": ["E0002"]}}}, "E0002 is always an error"),
        ({"severities": {"L101": "fatal"}}, "severities: L101: 'fatal' is none of error"),
        ({"severities": {"": "off"}}, "'' is no code"),
        ({"per-path": {"a": {"ignor": []}}}, "per-path: a: unknown key 'ignor'"),
        ({"per-path": {"!a": {}}}, "'!a' is no pattern"),
        ({"per-path": {"/": {}}}, "'/' is no pattern"),
    ],
)
def test_what_may_not_be_said(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigInvalidError) as caught:
        codebatch.Config(values)
    assert message in caught.value.message


def test_levels_of_a_file_hold_for_every_root(
    tree: Path, main: Main, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tree)
    file = tree / "codebatch.toml"
    file.write_text(
        'pipeline = "full"\nstore = "kept"\n[per-path."/src/lib.py"]\nignore = ["L101"]\n'
        '[per-path."tests/"]\nseverities = {L101 = "error"}\n'
    )
    for root, path in ((".", "src/"), ("src", "")):
        assert main("scan", root, "--scheduler", "sync").code == 0
        found = main("errors", "--batch", "latest", "--code", "L101", "--json")
        rows = json.loads(found.out)
        by_path = {row["path"]: row["severity"] for row in rows}
        assert f"{path}lib.py" not in by_path
        assert by_path[f"{path}app.py"] == "warning"
        assert by_path.get("tests/unit/test_lib.py", "error") == "error"
    monkeypatch.chdir(tree / "src")
    assert main("scan", "../tests", "--scheduler", "sync").code == 0
    rows = json.loads(main("errors", "--batch", "latest", "--code", "L101", "--json").out)
    assert {row["severity"] for row in rows} == {"error"}
    assert main("scan", "..", "--fail-on", "error", "--scheduler", "sync").code == 1
    assert main("scan", "..", "--scheduler", "sync").code == 0
    page = main("explain", "--batch", "latest", "--task", "lint", "--file", "src/app.py").out
    assert "levels" in page


def test_levels_of_a_file_hold_in_trees_elsewhere(
    tree: Path, main: Main, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The folder that a tree was taken of is no part of what is said of it."""
    here = write_tree(
        tree.parent / "here",
        {"codebatch.toml": 'exclude = ["/tests/"]\n[per-path."/src/lib.py"]\nignore = ["L101"]\n'},
    )
    monkeypatch.chdir(here)
    assert main("scan", tree, "--scheduler", "sync").code == 0
    rows = json.loads(main("errors", "--code", "L101", "--json").out)
    assert [row["path"] for row in rows] == ["src/app.py"]


@pytest.mark.parametrize(
    "pattern",
    [
        "tests",
        "tests/",
        "/tests",
        "*.py",
        "src/*.py",
        "/src/*",
        "**/unit",
        "tests/**",
        "un*/",
        "a b",
    ],
)
def test_patterns_are_those_of_ignore_files(pattern: str) -> None:
    rules = FolderRules(b"", pattern.encode())
    for path in (*TREE, "tests", "a b/c", "src/tests", "src/tests/a.py", "unit", "caf\udce9.py"):
        raw = path.encode("utf-8", "surrogateescape").split(b"/")
        ways = [b"/".join(raw[:end]) for end in range(1, len(raw) + 1)]
        ignored = any(rules.decide(way, is_folder=way != ways[-1]) is True for way in ways)
        assert PathPattern(pattern).matches(path) == ignored, path
