"""What `diff` says of a change: in words, counted, and as rows."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import Outcome, write_tree

import codebatch

Main = Callable[..., Outcome]

BEFORE: dict[str, str | bytes] = {
    "cart.py": (
        "import json\nimport os\n\n\nclass Cart:\n    def add(self, item):\n"
        "        return json.dumps(item)\n\n\ndef gone(a):\n    return a\n"
    ),
    "moved.py": "value = 1\nother = 2\nthird = 3\n",
    "left.py": "import re\n",
    "broken.py": "import os\n",
}
AFTER: dict[str, str | bytes] = {
    "cart.py": (
        "import json\nfrom os import path as p\n\n\nclass Cart:\n    def add(self, item):\n"
        "        return item and json.dumps(item)\n\n\nclass New:\n    def a(self, x):\n"
        "        y = x\n        return y\n"
    ),
    "kept/moved.py": "value = 1\nother = 2\nthird = 3\n",
    "new.py": "import sys\n\n\ndef f():\n    pass\n",
    "broken.py": "import os\n(\n",
}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two batches: the tree before and after."""
    base = tmp_path_factory.mktemp("changes")
    for name, files in (("before", BEFORE), ("after", AFTER)):
        tree = write_tree(base / name / "tree", files)
        codebatch.scan(tree, base / "store", scheduler="sync")
    return base / "store"


@pytest.fixture
def diff(store: Path, main: Main) -> Callable[..., str]:
    """What the command prints."""

    def call(*words: object, command: str = "diff") -> str:
        done = main(command, "latest~1", "latest", *words, "--store", store)
        assert done.code == 0, done
        return done.stdout.decode()

    return call


def section(text: str, heading: str) -> list[str]:
    """The lines below a heading, up to an empty line."""
    lines = text.splitlines()
    below = lines[lines.index(heading) + 1 :]
    return [line.strip() for line in below[: [*below, ""].index("")]]


def test_changes_of_a_file_are_said_in_words(diff: Any) -> None:
    assert section(diff(), "cart.py") == [
        "- gone warning L101 at 2: `os` imported but unused",
        "+ new warning L101 at 2: `os.path` imported but unused",
        "- function gone removed at 10: complexity 1, cognitive 0, nesting 0, 1 parameter",
        "+ class New added at 10: 1 method, 2 parameters, 1 variable",
        "~ function Cart.add: complexity 1 → 2, cognitive 0 → 1",
        "- import os removed",
        "+ import path from os as p added",
        "~ file: lines 11 → 13, complexity 3 → 4, cognitive complexity 0 → 1",
    ]


def test_files_that_are_new_gone_and_renamed(diff: Any) -> None:
    text = diff()
    assert section(text, "new.py (new)") == [
        "+ new warning L101 at 1: `sys` imported but unused",
        "+ 1 import, 1 function, lines 5, complexity 2",
    ]
    assert (
        section(text, "left.py (gone)")[0] == "- gone warning L101 at 1: `re` imported but unused"
    )
    assert section(text, "moved.py → kept/moved.py") == []


def test_findings_that_were_not_looked_for_are_not_called_gone(diff: Any) -> None:
    lines = section(diff("--kind", "diagnostic"), "broken.py (cannot be analysed any more)")
    assert lines[0] == "- not looked for: warning L101 at 1: `os` imported but unused"
    assert lines[1].startswith("+ new error E0001 at 2: ")


def test_stat_counts_by_kind_code_and_file(diff: Any) -> None:
    text = diff("--stat")
    rows = json.loads(diff("--stat", "--format", "json"))
    changes = json.loads(diff("--format", "json"))
    for by, name in (("kind", "kind"), ("path", "path")):
        for row in (row for row in rows if row["by"] == by):
            of_row = [c["change"] for c in changes if c[name] == row["name"]]
            for what in ("added", "removed", "changed"):
                assert row[what] == of_row.count(what), row
    assert {row["name"] for row in rows if row["by"] == "code"} == {"E0001", "L101"}
    assert text.splitlines()[-1] == diff().splitlines()[-1]
    assert text.splitlines()[-1].startswith("5 files changed (1 new, 1 gone, 1 renamed); records: ")


def test_bars_fit_the_page(diff: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    *lines, _, _ = diff("--stat").splitlines()
    assert max(map(len, lines)) <= 40
    assert all(line.rstrip(" ") == line for line in lines)


def test_rows_are_the_records_of_the_document(diff: Any) -> None:
    document, rows = json.loads(diff("--json")), json.loads(diff("--format", "json"))
    for what in ("added", "removed", "changed", "renamed"):
        assert sum(row["change"] == what for row in rows) == len(document[what])
    changed = {
        (row["code"], row.get("name")): (row["old"], row["new"])
        for row in rows
        if row["change"] == "changed" and row["kind"] == "metric" and row["path"] == "cart.py"
    }
    assert changed["function_complexity", "Cart.add"] == (1, 2)
    (renamed,) = (row for row in rows if row["change"] == "renamed")
    assert renamed == {
        "change": "renamed",
        "kind": "file",
        "path": "kept/moved.py",
        "old_path": "moved.py",
    }
    table = list(csv.DictReader(io.StringIO(diff("--format", "csv"))))
    assert [row["path"] for row in table] == [row["path"] for row in rows]


def test_a_limit_cuts_what_is_listed_and_not_the_numbers(diff: Any) -> None:
    everything = json.loads(diff("--format", "json"))
    assert json.loads(diff("--format", "json", "--limit", 3)) == everything[:3]
    document, whole = json.loads(diff("--json", "--limit", 3)), json.loads(diff("--json"))
    names = ("added", "removed", "changed", "renamed")
    assert sum(len(document[name]) for name in names) == 3
    assert document["summary"] == whole["summary"]
    assert diff("--limit", 3).splitlines()[-1].endswith("; 3 shown")


def test_regressions_and_improvements_look_like_errors(diff: Any) -> None:
    *lines, last = diff(command="regressions").splitlines()
    assert lines[0].startswith("broken.py:2:")
    assert " new error E0001 " in lines[0]
    assert lines[1] == "cart.py:2:24: new warning L101 `os.path` imported but unused"
    assert last == "3 findings: 1 error, 2 warnings; by code: L101 2, E0001 1"
    (gone, left, _) = diff(command="improvements").splitlines()
    assert gone == "cart.py:2:8: gone warning L101 `os` imported but unused"
    assert left == "left.py:1:8: gone warning L101 `re` imported but unused"
    rows = json.loads(diff("--format", "json", "--limit", 1, command="improvements"))
    assert [(row["change"], row["path"]) for row in rows] == [("removed", "cart.py")]


def test_nothing_is_said_of_equal_batches(store: Path, main: Main) -> None:
    text = main("diff", "latest", "latest", "--store", store).out
    assert text.startswith("0 files changed; records: 0 added, ")


def test_two_trees_are_named(store: Path, main: Main) -> None:
    done = main("diff", "latest~1", "latest", "--store", store)
    assert re.match(r"tree  .+ → tree  ", done.err)
    before, after = (store.parent / name / "tree" for name in ("before", "after"))
    assert f"note: these are two trees: {before} and {after}\n" in done.err
    assert "two trees" not in main("diff", "latest", "latest", "--store", store).err
    for form in (["--json"], ["--format", "csv"]):
        assert "tree" not in main("diff", "latest~1", "latest", *form, "--store", store).err
