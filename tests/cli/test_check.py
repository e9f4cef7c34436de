"""``check``: what is new since a base, in every form, and the exit code that says so."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import Outcome, write_tree

import codebatch

Main = Callable[..., Outcome]
BASE = {
    "pkg/app.py": "import os\nimport re\n\n\ndef use():\n    return helper()\n",
    "pkg/old.py": "import sys\nimport json\n\nNAMES = ['one', 'two', 'three', 'four']\n",
}
# One new finding, one fixed, lines moved, a file renamed.
HEAD = {
    "pkg/app.py": "# moved\nimport os\nimport io\n\n\ndef use():\n    return helper()\n",
    "pkg/new.py": BASE["pkg/old.py"],
}


@pytest.fixture
def compared(tmp_path: Path) -> tuple[Path, Path]:
    """A tree with changes since a batch named ``main``, and its store."""
    tree = write_tree(tmp_path / "tree", {**BASE})
    batch, _ = codebatch.scan(tree, tmp_path / "store", scheduler="sync")
    codebatch.open_store(batch.path).names["main"] = batch
    (tree / "pkg/old.py").unlink()
    return write_tree(tree, {**HEAD}), batch.path


def words(compared: tuple[Path, Path], *more: object) -> tuple[object, ...]:
    tree, store = compared
    return ("check", tree, "--store", store, "--base", "main", "--scheduler", "sync", *more)


def test_what_is_new_is_shown_with_its_source(compared: tuple[Path, Path], main: Main) -> None:
    done = main(*words(compared))
    assert done.code == 1
    assert done.out.splitlines()[:6] == [
        "pkg/app.py",
        "  3:8 warning L101 `io` imported but unused",
        "    3 | import io",
        "      |        ^",
        "",
        "1 new finding: 1 warning; 1 fixed, 3 as before",
    ]
    assert done.err.splitlines()[-1] == "exit code 1: --fail-on warning, 1 new finding"
    plain = main(*words(compared, "--plain")).out.splitlines()
    assert plain[0] == "pkg/app.py:3:8: warning L101 `io` imported but unused"


def test_json_has_both_batches_and_what_differs(compared: tuple[Path, Path], main: Main) -> None:
    document = json.loads(main(*words(compared, "--json")).stdout)
    store = codebatch.open_store(compared[1])
    assert document["base"] == store.names["main"]
    assert document["head"] == store.find_batch("latest").id
    (new,), (fixed,) = document["new"], document["fixed"]
    assert (new["path"], new["line"], new["code"], new["change"]) == (
        "pkg/app.py",
        3,
        "L101",
        "added",
    )
    assert (fixed["path"], fixed["line"], fixed["change"]) == ("pkg/app.py", 2, "removed")
    assert document["summary"] == {
        "new": 1,
        "fixed": 1,
        "unchanged": 3,
        "stale": 0,
        "by_severity": {"warning": 1},
        "by_code": {"L101": 1},
    }


def test_nothing_new_ends_with_zero(compared: tuple[Path, Path], main: Main) -> None:
    write_tree(compared[0], {"pkg/app.py": "# moved\n" + BASE["pkg/app.py"]})
    done = main(*words(compared))
    assert done.code == 0
    assert done.out == "0 new findings; 0 fixed, 4 as before\n"


@pytest.mark.parametrize(
    ("options", "code"),
    [(("--fail-on", "error"), 0), (("--fail-on", "info"), 1), (("--max-new", "1"), 0)],
)
def test_the_gate(
    compared: tuple[Path, Path], main: Main, options: tuple[str, ...], code: int
) -> None:
    assert main(*words(compared, *options)).code == code


def test_several_forms_at_once(compared: tuple[Path, Path], main: Main, tmp_path: Path) -> None:
    forms = [f"{name}:{tmp_path / name}" for name in ("text", "json", "jsonl", "sarif", "github")]
    done = main(*words(compared), *(word for form in forms for word in ("--format", form)))
    assert (done.code, done.stdout) == (1, b"")
    assert (tmp_path / "text").read_text().startswith("pkg/app.py\n")
    document = json.loads((tmp_path / "json").read_text())
    rows = [json.loads(line) for line in (tmp_path / "jsonl").read_text().splitlines()]
    assert rows == document["new"] + document["fixed"]
    results = json.loads((tmp_path / "sarif").read_text())["runs"][0]["results"]
    states = sorted(result["baselineState"] for result in results)
    assert states == ["absent", "new", *["unchanged"] * 3]
    assert (tmp_path / "github").read_text().startswith("::warning file=pkg/app.py,line=3,")


def test_a_base_that_is_done_is_not_computed(compared: tuple[Path, Path], main: Main) -> None:
    """Nothing of the base is, and of the head only the file that changed."""
    store = codebatch.open_store(compared[1])
    attempts = {state.attempt for state in store.find_batch("main").load_status().present()}
    report = store.check(compared[0], "main", scheduler="sync")
    assert report.base == store.names["main"]
    after = store.find_batch("main").load_status()
    assert {state.attempt for state in after.present()} == attempts
    head = store.find_batch(report.head).load_status().of_files
    assert sum(state.computed for state in head.present()) == len(head.plan.tasks)


def test_without_a_base_it_says_what_to_do(tmp_path: Path, main: Main) -> None:
    tree = write_tree(tmp_path / "tree", {"a.py": "x = 1\n"})
    done = main("check", tree, "--store", tmp_path / "store", "--json")
    assert done.code == 2
    error = json.loads(done.stdout)["error"]
    assert error["code"] == "BASE_NOT_FOUND"
    assert any("--baseline" in hint for hint in error["hints"])
