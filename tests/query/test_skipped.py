"""What a batch says nothing of: ``skipped``, and the counts in ``summary``."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import Outcome, Scanned, write_tree

import codebatch
from codebatch.model.errors import FilterInvalidError

Main = Callable[..., Outcome]


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Scanned:
    base = tmp_path_factory.mktemp("skipped")
    files: dict[str, str | bytes] = {
        ".gitignore": "out\n*.log\n",
        "a.py": "x = 1\n",
        "logo.png": b"\x89PNG\r\n\x1a\n\0\0",
        "notes.txt": "text\n",
        "out/x": "x",
        "run.log": "",
        "tests/t.py": "",
    }
    tree = write_tree(base / "tree", files)
    batch, report = codebatch.scan(tree, base / "store", exclude=["tests/"], scheduler="sync")
    return Scanned(tree, codebatch.open_store(batch.path), batch, report)


def test_both_kinds_are_listed_by_path(found: Scanned, main: Main) -> None:
    rows = json.loads(main("skipped", "--store", found.path, "--json").stdout)
    assert rows == found.batch.skipped()
    assert rows == sorted(rows, key=lambda row: (row["path"], row["where"], row["reason"]))
    snapshot = [(row["path"], row["reason"]) for row in rows if row["where"] == "snapshot"]
    assert snapshot == [("out", "ignored"), ("run.log", "ignored"), ("tests", "excluded")]
    pairs = {
        (row["path"], row["reason"], task)
        for row in rows
        if row["where"] == "task"
        for task in row["tasks"]
    }
    records = found.batch.outputs(kind="skip").to_list()
    assert pairs == {(r["path"], r["reason"], r["task_id"]) for r in records}
    assert ("logo.png", "binary", "parse") in pairs


def test_people_read_the_counts_first(found: Scanned, main: Main) -> None:
    rows = found.batch.skipped()
    lines = main("skipped", "--store", found.path).out.splitlines()
    counts = Counter((str(row["reason"]), str(row["where"])) for row in rows)
    assert lines[0].split() == ["count", "reason", "where"]
    for line in lines[1 : len(counts) + 1]:
        number, *words = line.split()
        assert counts[" ".join(words[:-1]), words[-1]] == int(number)
    assert len(lines) == 1 + len(counts) + 1 + 1 + len(rows)
    cut = main("skipped", "--store", found.path, "--limit", 1)
    assert cut.out.splitlines()[: len(counts) + 1] == lines[: len(counts) + 1]
    assert f"1 of {len(rows)} shown" in cut.err


def test_reasons_are_chosen_by_a_glob(found: Scanned, main: Main) -> None:
    rows = found.batch.skipped("ign*")
    assert [row["path"] for row in rows] == ["out", "run.log"]
    with pytest.raises(FilterInvalidError):
        found.batch.skipped("nonsense")
    done = main("skipped", "--reason", "nonsense", "--store", found.path)
    assert done.code == 2
    assert "excluded, ignored" in done.err


def test_summary_and_scan_point_to_it(
    found: Scanned, main: Main, scanned_copy: Scanned, tmp_path: Path
) -> None:
    document = json.loads(main("summary", "--store", found.path, "--json").stdout)
    assert document["skipped"]["left_out"] == {"excluded": 1, "ignored": 2}
    assert (
        f"codebatch skipped --batch {found.batch.id}" in main("summary", "--store", found.path).out
    )
    again = main("scan", found.tree, "--exclude", "tests/", "--store", found.path)
    assert "3 left out" in again.out
    assert f"codebatch skipped --batch {found.batch.id}" in again.out
    plain = write_tree(tmp_path / "plain", {"a.py": "x = 1\n"})
    assert "skipped" not in main("scan", plain, "--store", tmp_path / "store").out
    assert "nothing was left out" in main("skipped", "--store", tmp_path / "store").out
    (next(scanned_copy.path.glob("snapshots/*/snapshot.json"))).unlink()
    lost = json.loads(main("summary", "--store", scanned_copy.path, "--json").stdout)
    assert lost["skipped"]["left_out"] is None
