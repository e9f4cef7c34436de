"""Task ``duplicates``: known answers, a grouping by brute force, and what a change costs."""

from __future__ import annotations

import ast
from collections import Counter
from pathlib import Path
from typing import Any

from conftest import write_tree
from hypothesis import given
from hypothesis import strategies as st

import codebatch
from codebatch.model.records import Record
from codebatch.tasks.duplicates import Duplicates


def shape(path: str, digest: int, name: str | None = None, line: int = 1) -> Record:
    return {
        "kind": "shape",
        "path": path,
        "name": name,
        "line": line,
        "end_line": line + 4,
        "digest": f"{digest:024x}",
    }


def duplicates(*parts: list[Record]) -> list[tuple[Any, ...]]:
    task = Duplicates()
    total = task.map([], {})
    for part in parts:
        total = task.combine(total, task.map(part, {}))
    return [tuple(vars(found).values()) for found in task.finish(total, {})]


def test_members_of_classes_are_recorded_in_order() -> None:
    found = duplicates(
        [shape("a.py", 1), shape("a.py", 2, "f", 3), shape("a.py", 3, "g", 9)],
        [{"kind": "skip", "path": "b.py", "reason": "binary"}],
        [shape("c\udcff.py", 2, "f", 5), shape("c\udcff.py", 2, "h.f", 20), shape("d.py", 4)],
    )
    two = f"{2:024x}"
    assert found == [
        ("a.py", "f", 3, 7, 5, two, 3),
        ("c\udcff.py", "f", 5, 9, 5, two, 3),
        ("c\udcff.py", "h.f", 20, 24, 5, two, 3),
    ]
    assert duplicates() == []


@given(st.lists(st.lists(st.integers(0, 30), max_size=5), max_size=8))
def test_classes_are_those_of_a_plain_count(files: list[list[int]]) -> None:
    spread = 0x0101010101010101 << 32  # over several first bytes
    parts = [[shape(f"{i}.py", n * spread) for n in digests] for i, digests in enumerate(files)]
    counts = Counter(n for digests in files for n in digests)
    expected = [
        (f"{i}.py", f"{n * spread:024x}", counts[n])
        for i, digests in enumerate(files)
        for n in digests
        if counts[n] > 1
    ]
    assert [(row[0], *row[-2:]) for row in duplicates(*parts)] == expected


FUNCTION = "def f(a):\n    b = a\n    c = b\n    d = c\n    return d\n"
COMMENTED = FUNCTION.replace("c = b\n", "c  =  b  # a comment\n\n")
TEXT = "one\ntwo\nthree\nfour\nfive\n"
SOURCES: dict[str, str | bytes] = {
    "a.py": FUNCTION,
    "b.py": COMMENTED,
    "c.py": f"import os\n\n{FUNCTION}",
    "d.txt": TEXT,
    "e.txt": TEXT.replace("two", "  two "),
    "f.txt": TEXT.replace("two", "2"),
    "short_a.py": "x = 1\n",
    "short_b.py": "x = 1\n",
}


def classes(batch: codebatch.Batch) -> list[list[tuple[Any, ...]]]:
    """The members of each class, as (path, name or "", line, end_line, lines)."""
    found: dict[Any, list[tuple[Any, ...]]] = {}
    fields = ("path", "name", "line", "end_line", "lines")
    for record in batch.records(task="duplicates"):
        found.setdefault(record["class_id"], []).append(
            tuple(record[field] or "" for field in fields)
        )
        size = record["class_size"]
        assert isinstance(size, int)
        assert size >= 2
    return sorted(sorted(members) for members in found.values())


def test_the_pipeline_groups_files_and_functions(store: codebatch.Store, tmp_path: Path) -> None:
    tree = write_tree(tmp_path / "sources", SOURCES)
    batch = store.batch(store.snapshot(tree), pipeline="duplicates")
    assert batch.run("sync").status == "done"
    assert classes(batch) == [
        [("a.py", "", 1, 5, 5), ("b.py", "", 1, 6, 6)],
        [("a.py", "f", 1, 5, 5), ("b.py", "f", 1, 6, 6), ("c.py", "f", 3, 7, 5)],
        [("d.txt", "", 1, 5, 5), ("e.txt", "", 1, 5, 5)],
    ]


def test_classes_of_a_package_are_those_of_a_plain_grouping(
    store: codebatch.Store, library: Path
) -> None:
    """By `ast.dump`, over some packages of the standard library."""
    document = next(d for d in codebatch.pipelines() if d["name"] == "duplicates")
    document["tasks"][0]["config"]["min_lines"] = 2
    batch = store.batch(store.snapshot(library), pipeline=document)
    batch.run("threads", workers=2)
    dumps: dict[str, list[tuple[Any, ...]]] = {}
    for path in library.rglob("*.py"):
        content = path.read_bytes()
        tree = ast.parse(content)
        name = str(path.relative_to(library))
        lines = content.count(b"\n")
        spans = [(ast.dump(tree), False, 1, lines)]
        spans += [
            (ast.dump(node), True, node.lineno, node.end_lineno or 0)
            for node in ast.walk(tree)
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
        ]
        for dump, is_function, line, end_line in spans:
            if end_line - line + 1 >= 2:
                dumps.setdefault(dump, []).append((name, is_function, line, end_line))
    expected = sorted(sorted(members) for members in dumps.values() if len(members) > 1)
    found = [
        sorted((path, name != "", line, end) for path, name, line, end, _ in members)
        for members in classes(batch)
        if members[0][0].endswith(".py")
    ]
    assert len(expected) > 20
    assert sorted(found) == expected
