"""The pure functions of ``duplicates``: known answers, and a grouping by brute force."""

from __future__ import annotations

from collections import Counter
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

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
