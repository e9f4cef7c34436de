"""Comparison of batches: moved lines, renames, lost findings, and exactness against sets."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import read_outputs, write_outputs
from hypothesis import given, settings
from hypothesis import strategies as st

import codebatch

Edit = Callable[[Path], object]

PLACE = {"line", "column", "end_line", "path", "task_id", "shard_id"}
CART = (
    '"""A cart."""\n\nfrom os import path\n\n\ndef add(items, item):\n    if item:\n'
    "        items.append(item)\n    return path.join(*items)\n\n\ndef clear(items):\n"
    "    old = len(items)\n    items.clear()\n"
)


def write(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        target = root / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")
    return root


@pytest.fixture
def before(tmp_path: Path) -> Path:
    return write(
        tmp_path / "before",
        {
            "cart.py": CART,
            "shop/__init__.py": "",
            "shop/view.tsx": "import a from 'a';\nexport const V = () => <p />;\n",
            "shop/old.py": "import json\nimport sys\n\nprint(sys.argv)\n" + "x = 1\n" * 5,
            "notes.md": "# Notes\n\ntrailing   \n",
        },
    )


@pytest.fixture
def compare(before: Path, tmp_path: Path, main: Any) -> Callable[..., dict[str, Any]]:
    """Batch the tree before and after an edit, and run a comparing command on both."""

    def call(edit: Edit, command: str = "diff", *options: str) -> dict[str, Any]:
        store = codebatch.open_store(tmp_path / "store", create=True)
        after = tmp_path / "after"
        shutil.copytree(before, after)
        edit(after)
        ids = []
        for tree in (before, after):
            batch = store.batch(store.snapshot(tree))
            assert batch.run("sync").status == "done"
            ids.append(batch.id)
        outcome = main(command, *ids, "--json", "--store", tmp_path / "store", *options)
        document: dict[str, Any] = json.loads(outcome.out)
        return {**document, "code": outcome.code}

    return call


def put(name: str, text: str) -> Edit:
    return lambda root: (root / name).write_text(text, encoding="utf-8")


def insert_everywhere(root: Path) -> None:
    for file in root.rglob("*.py"):
        file.write_text("# a line above\n" + file.read_text(encoding="utf-8"), encoding="utf-8")


@pytest.mark.parametrize("command", ["regressions", "improvements"])
def test_moved_lines_are_no_change(compare: Any, command: str) -> None:
    assert compare(insert_everywhere, command)["items"] == []


def test_a_new_finding_is_one_regression(compare: Any) -> None:
    found = compare(put("cart.py", f"import re\n{CART}"), "regressions")
    assert [(item["code"], item["path"], item["line"]) for item in found["items"]] == [
        ("L101", "cart.py", 1)
    ]
    assert found["summary"] == {
        "count": 1,
        "by_severity": {"warning": 1},
        "by_code": {"L101": 1},
    }


def test_the_findings_of_a_deleted_file_are_improvements(compare: Any) -> None:
    found = compare(lambda root: (root / "shop/old.py").unlink(), "improvements")
    assert [(i["code"], i["path"], i["change"]) for i in found["items"]] == [
        ("L101", "shop/old.py", "removed")
    ]


def test_a_renamed_file_is_one_rename_and_nothing_else(compare: Any) -> None:
    found = compare(lambda root: (root / "shop/old.py").rename(root / "shop/new.py"))
    assert found["renamed"] == [{"from": "shop/old.py", "to": "shop/new.py"}]
    assert found["added"] == found["removed"] == found["changed"] == []


def test_a_file_renamed_and_edited_is_a_rename_with_changes(compare: Any) -> None:
    def edit(root: Path) -> None:
        (root / "cart.py").unlink()
        put("basket.py", CART.replace("old = len", "size = len"))(root)

    found = compare(edit)
    assert found["renamed"] == [{"from": "cart.py", "to": "basket.py"}]
    assert {r["name"] for r in found["added"] if r["kind"] == "symbol"} == {"size"}
    assert {r["name"] for r in found["removed"] if r["kind"] == "symbol"} == {"old"}


def test_an_unrelated_file_is_no_rename(compare: Any) -> None:
    def edit(root: Path) -> None:
        (root / "cart.py").unlink()
        put("other.py", "value = 1\n" * 30)(root)

    assert compare(edit)["renamed"] == []


def test_a_file_that_stops_parsing_improves_nothing(compare: Any) -> None:
    edit = put("cart.py", CART + "def broken(:\n")
    assert [item["code"] for item in compare(edit, "regressions")["items"]] == ["E0001"]


def test_findings_lost_in_a_broken_file_are_no_improvements(compare: Any) -> None:
    edit = put("cart.py", CART + "def broken(:\n")
    assert compare(edit, "improvements")["items"] == []


def test_two_findings_alike_on_one_line_count_as_two(compare: Any) -> None:
    found = compare(put("cart.py", f"import re, sys\n{CART}"), "regressions")
    places = [(i["code"], i["line"]) for i in found["items"] if i["code"] == "L101"]
    assert places == [("L101", 1), ("L101", 1)]


def test_a_larger_metric_is_a_changed_record(compare: Any) -> None:
    found = compare(put("cart.py", CART.replace("if item:", "if item and items:")))
    changed = {
        (c["old"]["name"], c["old"]["value"], c["new"]["value"])
        for c in found["changed"]
        if c["new"].get("metric") == "function_complexity"
    }
    assert changed == {("add", 2, 3)}


@pytest.mark.parametrize(("level", "code"), [("error", 0), ("warning", 1), ("info", 1), ("any", 1)])
def test_fail_on_compares_severities(compare: Any, level: str, code: int) -> None:
    edit = put("cart.py", f"import re\n{CART}")
    assert compare(edit, "regressions", "--fail-on", level)["code"] == code


def test_fail_on_any_passes_when_nothing_differs(compare: Any) -> None:
    assert compare(lambda _: None, "diff", "--fail-on", "any")["code"] == 0


def test_filters_narrow_the_comparison(compare: Any) -> None:
    edit = put("cart.py", f"import re\n{CART}")
    found = compare(edit, "diff", "--kind", "diagnostic", "--path", "cart*")
    assert {record["code"] for record in found["added"]} == {"L101"}
    assert found["changed"] == []


def test_a_severity_that_rises_is_a_regression_and_back_an_improvement(
    before: Path, tmp_path: Path
) -> None:
    store = codebatch.open_store(tmp_path / "store", create=True)
    snapshot = store.snapshot(before)
    ids = []
    for severity in ("info", "error"):
        config = {"severities": {"L101": severity}}
        document = {"name": "p", "tasks": [{"id": "lint", "task": "lint", "config": config}]}
        batch = store.batch(snapshot, document)
        batch.run("sync")
        ids.append(batch.id)
    comparison = store.compare(*ids)
    assert {change.new["severity"] for change in comparison.diff.changed} == {"error"}
    assert comparison.notes == ("task lint differs in config",)


def test_an_unfinished_batch_cannot_be_compared(before: Path, tmp_path: Path, main: Any) -> None:
    store = codebatch.open_store(tmp_path / "store", create=True)
    batch = store.batch(store.snapshot(before))
    outcome = main("diff", batch.id, batch.id, "--json", "--store", store.path)
    assert outcome.code == 2
    assert json.loads(outcome.out)["error"]["code"] == "BATCH_UNFINISHED"


def test_equal_shards_are_not_read(before: Path, tmp_path: Path) -> None:
    store = codebatch.open_store(tmp_path / "store", create=True)
    batches = []
    for pipeline in ("full", "analyze"):
        batch = store.batch(store.snapshot(before), pipeline)
        batch.run("sync")
        batches.append(batch)
    for outputs in store.path.rglob("outputs.index.jsonl.zst"):
        write_outputs(outputs, b"x" * len(read_outputs(outputs)))
    diff = store.compare(batches[0].id, batches[1].id).diff
    assert (diff.added, diff.removed, diff.changed) == ((), (), ())
    assert diff.unchanged == batches[1].load_status().counts().records


NAMES = st.sampled_from(["a.py", "b.py", "c/d.py", "c/e.js", "f.md"])
LINES = st.sampled_from(
    [
        "import os",
        "x = 1",
        "def f(a):\n    b = a",
        "y = 2   ",
        "if (x) { y() }",
        "",
        "(",
        "import os",
    ]
)
TREES = st.dictionaries(NAMES, st.lists(LINES, max_size=5).map(lambda ls: "\n".join(ls) + "\n"))


@pytest.mark.slow
@settings(max_examples=40)
@given(TREES, TREES)
def test_diff_equals_set_arithmetic(
    tmp_path_factory: pytest.TempPathFactory, old: dict[str, str], new: dict[str, str]
) -> None:
    base = tmp_path_factory.mktemp("diff")
    store = codebatch.open_store(base / "store", create=True)
    batches = []
    for name, files in (("old", old), ("new", new)):
        (base / name).mkdir()
        batch = store.batch(store.snapshot(write(base / name, files)))
        batch.run("sync")
        batches.append(batch)
    comparison = store.compare(batches[0].id, batches[1].id)
    renames = comparison.rename_map
    assert all(r.old not in new and r.new not in old for r in comparison.renames)
    before, after = (_identities(b, m) for b, m in zip(batches, (renames, {}), strict=True))
    diff = comparison.diff
    assert len(diff.added) == sum((after - before).values())
    assert len(diff.removed) == sum((before - after).values())
    assert len(diff.changed) + diff.unchanged == sum((before & after).values())
    assert diff.unchanged == _equal_contents(batches, renames)


def _identities(batch: codebatch.Batch, renames: dict[str, str]) -> Counter[str]:
    """How often each identity occurs; written from the documented table alone."""
    fields = {
        "diagnostic": ["code", "fingerprint"],
        "symbol": ["scope", "name", "symbol_type"],
        "metric": ["metric", "name"],
        "edge": ["edge_type", "target", "name", "alias"],
        "ast": [],
        "skip": ["reason"],
    }
    return Counter(
        json.dumps(
            [r["task_id"], r["kind"], renames.get(str(r["path"]), str(r["path"]))]
            + [r.get(name) for name in fields[str(r["kind"])]]
        )
        for r in batch.records()
    )


def _equal_contents(batches: list[codebatch.Batch], renames: dict[str, str]) -> int:
    """Records that pair up by identity and order of occurrence and say the same."""
    sides: list[dict[tuple[str, int], dict[str, object]]] = []
    for batch, mapping in zip(batches, (renames, {}), strict=True):
        seen: Counter[str] = Counter()
        side = {}
        for record in batch.records():
            key = next(iter(_identities(_One(record), mapping)))  # type: ignore[arg-type]
            unplaced = PLACE | ({"object", "chunked"} if record["kind"] == "ast" else set())
            side[key, seen[key]] = {k: v for k, v in record.items() if k not in unplaced}
            seen[key] += 1
        sides.append(side)
    return sum(sides[1].get(key) == content for key, content in sides[0].items())


class _One:
    """A batch of one record."""

    def __init__(self, record: dict[str, object]) -> None:
        self._record = record

    def records(self) -> list[dict[str, object]]:
        return [self._record]


def test_a_path_filter_does_not_break_a_rename(compare: Any) -> None:
    found = compare(
        lambda root: (root / "shop/old.py").rename(root / "shop/new.py"), "diff", "--path", "*new*"
    )
    assert found["renamed"] == [{"from": "shop/old.py", "to": "shop/new.py"}]
    assert found["added"] == found["removed"] == found["changed"] == []


def test_a_rename_elsewhere_does_not_pass_a_path_filter(compare: Any) -> None:
    found = compare(
        lambda root: (root / "shop/old.py").rename(root / "shop/new.py"),
        *("diff", "--path", "cart*", "--fail-on", "any"),
    )
    assert (found["renamed"], found["code"]) == ([], 0)
