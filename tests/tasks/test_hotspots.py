"""Task ``hotspots``: known answers, ties, and independence of the tree of the reduction."""

from __future__ import annotations

import random
from operator import itemgetter
from pathlib import Path
from typing import Any

import pytest
from conftest import write_tree
from hypothesis import given
from hypothesis import strategies as st

import codebatch
from codebatch.model.records import Record
from codebatch.tasks.hotspots import Hotspots

LIMIT = {"limit": 100}


def metric(path: str, name: str, line: int, value: int) -> Record:
    return {
        "kind": "metric",
        "path": path,
        "metric": "function_complexity",
        "name": name,
        "line": line,
        "value": value,
    }


def symbol(path: str, name: str, line: int, end_line: int, scope: str = "module") -> Record:
    return {
        "kind": "symbol",
        "path": path,
        "symbol_type": "method" if scope != "module" else "function",
        "name": name,
        "scope": scope,
        "line": line,
        "column": 1,
        "end_line": end_line,
    }


def finding(path: str, line: int) -> Record:
    return {"kind": "diagnostic", "path": path, "line": line, "code": "L001"}


def hotspots(*parts: list[Record], config: dict[str, Any] = LIMIT) -> list[tuple[Any, ...]]:
    task = Hotspots()
    total = task.map([], config)
    for part in parts:
        total = task.combine(total, task.map(part, config))
    return [tuple(vars(hotspot).values()) for hotspot in task.finish(total, config)]


def test_a_finding_counts_for_the_innermost_function() -> None:
    records = [
        metric("a.py", "A.f", 2, 3),
        metric("a.py", "A.f.g", 4, 1),
        metric("a.py", "h", 12, 2),
        symbol("a.py", "f", 2, 10, "A"),
        symbol("a.py", "g", 4, 6, "A.f"),
        symbol("a.py", "h", 12, 12),
        *(finding("a.py", line) for line in (1, 2, 4, 6, 6, 7, 11, 12, 13)),
    ]
    assert hotspots(records) == [
        ("a.py", "A.f", 2, 9, 3, 2, 666, 1),
        ("a.py", "A.f.g", 4, 4, 1, 3, 0, 2),
        ("a.py", "h", 12, 4, 2, 1, 0, 3),
    ]


def test_functions_of_one_name_are_told_apart() -> None:
    records = [
        metric("a.py", "p", 2, 1),
        metric("a.py", "p", 5, 2),
        symbol("a.py", "p", 2, 3),
        symbol("a.py", "p", 5, 6),
        finding("a.py", 3),
        finding("a.py", 6),
        finding("a.py", 6),
    ]
    assert [row[2:6] for row in hotspots(records)] == [(5, 6, 2, 2), (2, 2, 1, 1)]


def test_signatures_without_a_body_are_passed_over() -> None:
    records = [
        metric("a.ts", "f", 3, 2),
        symbol("a.ts", "f", 1, 1),
        symbol("a.ts", "f", 2, 2),
        symbol("a.ts", "f", 3, 3),
        symbol("a.ts", "f", 3, 5),
        finding("a.ts", 1),
        finding("a.ts", 5),
    ]
    assert hotspots(records) == [("a.ts", "f", 3, 4, 2, 1, 0, 1)]


def test_what_has_no_symbol_has_no_findings() -> None:
    records = [
        metric("a.js", "f", 1, 2),
        metric("a.js", "f.<anonymous>", 2, 5),
        symbol("a.js", "f", 1, 4),
        finding("a.js", 2),
    ]
    assert [row[1:6] for row in hotspots(records)] == [
        ("f.<anonymous>", 2, 5, 5, 0),
        ("f", 1, 4, 2, 1),
    ]


def test_ties_are_in_the_order_of_path_line_and_name() -> None:
    odd = "a\udcff.py"  # a byte that is not UTF-8: after any that is
    records = [
        [metric(odd, "f", 1, 2)],
        [metric("a\U0001f600.py", "f", 1, 2)],
        [metric("a.py", "g", 3, 2), metric("a.py", "b", 9, 2), metric("a.py", "a", 9, 2)],
    ]
    expected = [("a.py", "g"), ("a.py", "a"), ("a.py", "b"), ("a\U0001f600.py", "f"), (odd, "f")]
    assert [row[:2] for row in hotspots(*records)] == expected
    assert [row[-1] for row in hotspots(*records[::-1])] == [1, 2, 3, 4, 5]


def test_percentiles_are_of_all_functions_and_the_best_are_recorded() -> None:
    records = [metric("a.py", f"f{value}", value, value) for value in range(1, 1001)]
    found = hotspots(records[:500], records[500:], config={"limit": 3})
    assert [(row[3], row[-2], row[-1]) for row in found] == [
        (1000, 999, 1),
        (999, 998, 2),
        (998, 997, 3),
    ]
    assert hotspots() == []


@given(st.lists(st.integers(1, 9), max_size=40), st.integers(1, 5), st.randoms())
def test_the_tree_of_the_reduction_does_not_matter(
    values: list[int], limit: int, chance: random.Random
) -> None:
    config = {"limit": limit}
    task = Hotspots()
    records = [metric(f"{i:02}.py", "f", 1, value) for i, value in enumerate(values)]
    partials = [task.map([record], config) for record in records] or [task.map([], config)]
    while len(partials) > 1:
        place = chance.randrange(len(partials) - 1)
        partials[place : place + 2] = [task.combine(partials[place], partials[place + 1])]
    assert partials == [task.map(records, config)]


BUSY = """import os


def plain():
    return 1


class Cart:
    def add(self, item, list):
        unused = 1
        if item:
            return sum(list)

        def price():  \x20
            return 1 if item else 2

        return price
"""
SCRIPT = "const f = (a) => {\n  let unused = 1;\n  return a ? 1 : () => 2\n};\n"
SOURCES: dict[str, str | bytes] = {
    "a/busy.py": BUSY,
    "b/busy.py": BUSY,
    "c/app.js": SCRIPT,
    "d/README.md": "text   \n",
}
FIELDS = ("path", "name", "line", "score", "complexity", "findings", "percentile", "rank")
EXPECTED = [
    ("a/busy.py", "Cart.add", 9, 6, 2, 2, 750, 1),
    ("b/busy.py", "Cart.add", 9, 6, 2, 2, 750, 2),
    ("a/busy.py", "Cart.add.price", 14, 4, 2, 1, 375, 3),
    ("b/busy.py", "Cart.add.price", 14, 4, 2, 1, 375, 4),
    ("c/app.js", "f", 1, 4, 2, 1, 375, 5),
    ("a/busy.py", "plain", 4, 1, 1, 0, 0, 6),
    ("b/busy.py", "plain", 4, 1, 1, 0, 0, 7),
    ("c/app.js", "f.<anonymous>", 3, 1, 1, 0, 0, 8),
]


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    return write_tree(tmp_path / "sources", SOURCES)


def recorded(batch: codebatch.Batch) -> list[tuple[Any, ...]]:
    found = sorted(batch.records(task="hotspots"), key=itemgetter("rank"))
    return [tuple(record[field] for field in FIELDS) for record in found]


def test_the_pipeline_ranks_the_functions_of_a_tree(store: codebatch.Store, sources: Path) -> None:
    batch = store.batch(store.snapshot(sources), pipeline="hotspots")
    assert batch.run("sync").status == "done"
    assert recorded(batch) == EXPECTED


def test_its_limit_is_that_of_the_document(store: codebatch.Store, sources: Path) -> None:
    document = next(d for d in codebatch.pipelines() if d["name"] == "hotspots")
    document["tasks"][-1]["config"]["limit"] = 2
    batch = store.batch(store.snapshot(sources), pipeline=document)
    batch.run("sync")
    assert recorded(batch) == EXPECTED[:2]
