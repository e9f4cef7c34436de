"""What a plan may say about kinds and rules, and which values fit the types of fields."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import Outcome, Scanned, read_outputs, write_outputs
from hypothesis import given
from hypothesis import strategies as st
from test_checks import seal_again
from verifier import sha256

import codebatch
from codebatch.model.checks import record_check
from codebatch.model.errors import StoreDamagedError, TaskInvalidError
from codebatch.model.field_types import MOST_CHARACTERS, MOST_ITEMS, fits, words_of
from codebatch.model.kinds import check_fields, check_rule, own_kinds
from codebatch.model.records import KINDS

Main = Callable[..., Outcome]
Change = Callable[[dict[str, Any]], object]

RULE = {
    "code": "X1",
    "title": "A title",
    "help": "",
    "severity": "info",
    "name": "x",
    "link": None,
}


# -- types -------------------------------------------------------------------------------------

VALUES = {
    "str": "text",
    "int": 3,
    "float": 0.5,
    "bool": True,
    "None": None,
    "list[int]": [1, 2],
    "list[str | None]": ["a", None],
    "dict[str, int]": {"a": 1},
    "dict[str, list[dict[str, float]]]": {"a": [{"b": 0.5}]},
    "int | str": "text",
}


@pytest.mark.parametrize("words", VALUES)
def test_a_value_fits_its_type(words: str) -> None:
    assert fits(words)(VALUES[words])
    assert fits(f"{words} | None")(None)


@pytest.mark.parametrize(
    ("words", "value"),
    [
        ("int", True),
        ("int", 2**63),
        ("int", 1.0),
        ("float", 1),
        ("float", float("nan")),
        ("float", float("inf")),
        ("bool", 1),
        ("str", None),
        ("str", "\ud800"),
        ("str", "x" * (MOST_CHARACTERS + 1)),
        ("list[int]", ["a"]),
        ("list[int]", (1,)),
        ("list[int]", [1] * (MOST_ITEMS + 1)),
        ("list[str]", ["\ud800"]),
        ("dict[str, int]", {1: 1}),
        ("dict[str, int]", {"\udfff": 1}),
        ("dict[str, int]", {"a": None}),
    ],
)
def test_a_value_that_does_not_fit(words: str, value: object) -> None:
    assert not fits(words)(value)


def test_a_byte_of_a_path_is_text() -> None:
    assert fits("str")("caf\udce9")


@pytest.mark.parametrize(
    "words",
    [
        *("", "bytes", "list[", "list[]", "dict[int, str]", "dict[str, ]", "int | ", "int]"),
        *("[int]", "list[int]]", "list[" * 500, "x" * 1000),
    ],
)
def test_words_that_are_no_type(words: str) -> None:
    with pytest.raises(ValueError, match="type of a field"):
        fits(words)


ATOMS = st.sampled_from([str, int, float, bool, type(None)])
TYPES = st.recursive(
    ATOMS,
    lambda inner: st.one_of(
        inner.map(lambda one: list[one]),
        inner.map(lambda one: dict[str, one]),  # type: ignore[valid-type]
    ),
    max_leaves=4,
)


@given(TYPES)
def test_what_is_declared_is_a_type(annotation: Any) -> None:
    assert callable(fits(words_of(annotation)))


# -- kinds -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "types"),
    [
        ("Todo", {"a": "int"}),
        ('x"; DROP TABLE records; --', {"a": "int"}),
        ("sqlite_master", {"a": "int"}),
        ("", {"a": "int"}),
        ("k" * 65, {"a": "int"}),
        ("todo\n", {"a": "int"}),
        ("metric", {"a": "int"}),
        ("todo", {}),
        ("todo", {'a" INTEGER); DROP TABLE records; --': "int"}),
        ("todo", {"a b": "int"}),
        ("todo", {"a\n": "int"}),
        ("todo", {"é": "int"}),
        ("todo", {"": "int"}),
        ("todo", {"path": "str"}),
        ("todo", {"Path": "str"}),
        ("todo", {"kind": "str"}),
        ("todo", {"task_id": "str"}),
        ("todo", {"shard_id": "str"}),
        ("todo", {"id": "int"}),
        ("todo", {"a": "int", "A": "int"}),
        ("todo", {"a": "code"}),
        ("todo", {f"f{n}": "int" for n in range(5_000)}),
    ],
)
def test_a_kind_that_may_not_be(kind: str, types: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=r"^.") as caught:
        check_fields(kind, types)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 250


@pytest.mark.parametrize(
    "change",
    [
        {"code": "1x"},
        {"code": None},
        {"title": ""},
        {"title": "x" * 201},
        {"help": None},
        {"help": "x" * 10_001},
        {"help": "\ud800"},
        {"link": "javascript:alert(1)"},
        {"link": "https://example.org/a b"},
        {"link": "https://example.org/\x1b[2J"},
        {"link": 3},
        {"severity": "fatal"},
        {"more": "x"},
    ],
)
def test_a_rule_that_may_not_be(change: dict[str, object]) -> None:
    check_rule(RULE)
    check_rule({**RULE, "link": "https://example.org/x?y#z"})
    with pytest.raises(ValueError, match="rule"):
        check_rule({**RULE, **change})


def declare(d: dict[str, Any], *tasks: int, **fields: object) -> None:
    for task in tasks:
        d["tasks"][task].update(kinds=[*d["tasks"][task]["kinds"], *fields], fields=fields)


PLANS: dict[str, Change] = {
    "a field that is SQL": lambda d: declare(d, 0, todo={'a"); DROP TABLE records; --': "int"}),
    "a kind that is SQL": lambda d: declare(d, 0, **{'t"; DROP TABLE files; --': {"a": "int"}}),
    "a field that is taken": lambda d: declare(d, 0, todo={"path": "str"}),
    "a built-in kind": lambda d: declare(d, 0, symbol={"a": "str"}),
    "thousands of fields": lambda d: declare(d, 0, todo={f"f{n}": "int" for n in range(5000)}),
    "hundreds of kinds": lambda d: declare(d, 0, **{f"k{n}": {"a": "int"} for n in range(500)}),
    "a type that is none": lambda d: declare(d, 0, todo={"a": "list[" * 40}),
    "fields of no kind": lambda d: d["tasks"][0].update(fields={"todo": {"a": "int"}}),
    "a kind in two forms": lambda d: (
        declare(d, 0, todo={"a": "int"}),
        declare(d, 1, todo={"b": "int"}),
    ),
    "a rule that is none": lambda d: d["tasks"][0].update(rules=[{"code": "X1"}]),
    "a link that is a program": lambda d: d["tasks"][0].update(
        rules=[{**RULE, "link": "javascript:alert(1)"}]
    ),
    "thousands of rules": lambda d: d["tasks"][0].update(rules=[RULE] * 2_000),
}


@pytest.mark.parametrize("name", PLANS)
def test_a_plan_that_may_not_be(name: str, scanned_copy: Scanned, main: Main) -> None:
    (plan,) = scanned_copy.path.glob("batches/*/plan.json")
    seal_again(plan, PLANS[name])
    for command in (["files"], ["sql", "SELECT 1"], ["errors"]):
        done = main(*command, "--store", scanned_copy.path, "--json")
        assert done.code == 4, (command, done)
        error = json.loads(done.stdout)["error"]
        assert error["code"] == "STORE_DAMAGED"
        assert "\n" not in error["message"]


# -- tables and records of a plan --------------------------------------------------------------

# Words of SQL, the names of tables there are, and one the plural of another.
NAMES = ("a", "file", "record", "select", "xs", "x", "todos_path")


@pytest.fixture
def declared(scanned_copy: Scanned) -> codebatch.Batch:
    """A batch whose first task has kinds of its own, and a record of each."""
    (plan,) = scanned_copy.path.glob("batches/*/plan.json")
    fields = {"order": "int", "group": "str", "tags": "list[str]", "name": "str"}
    seal_again(plan, lambda d: declare(d, 0, **dict.fromkeys(NAMES, fields)))
    return scanned_copy.batch


def add_records(batch: codebatch.Batch, *records: dict[str, object]) -> None:
    """Put records of the first file of a shard behind those it has."""
    path = next(
        one for one in sorted(batch.path.glob("batches/*/tasks/parse/shards/*/*.jsonl.zst"))
    )
    lines = read_outputs(path).splitlines()
    first = json.loads(lines[-1])["path"]
    lines += [canonical({"path": first, **record}) for record in records]
    data = b"".join(line + b"\n" for line in lines)
    path.unlink()
    write_outputs(path, data)

    def recount(d: dict[str, Any]) -> None:
        d.update(outputs=sha256(data), size=len(data))
        d["counts"]["records"] += len(records)
        d["per_file"][-1][0] += len(records)
        for record in records:
            d["counts"]["by_kind"][str(record["kind"])] = 1

    seal_again(path.with_name("state.json"), recount)
    for derived in batch.path.glob("indexes/**/*"):
        if derived.is_file():
            derived.unlink()


def canonical(record: dict[str, object]) -> bytes:
    return json.dumps(record, sort_keys=True, separators=(",", ":")).encode()


def test_any_name_of_a_kind_is_a_table(declared: codebatch.Batch) -> None:
    values = {"order": 1, "group": "g", "tags": ["t"], "name": "n-1"}
    add_records(declared, *({"kind": kind, **values} for kind in NAMES))
    tables = {"a": "as", "select": "selects", "file": "file", "record": "record"}
    tables |= {"x": "xs", "xs": "xss", "todos_path": "todos_paths"}
    for kind, table in tables.items():
        (row,) = declared.sql(f'SELECT "order", "group", tags FROM "{table}"')
        assert row == {"order": 1, "group": "g", "tags": '["t"]'}, kind
    assert [record["kind"] for record in declared.outputs(kind="select,xs")] == ["select", "xs"]
    assert [record["kind"] for record in declared.outputs(name="n-*")] == [*NAMES]
    assert declared.outputs(name="n-*", kind="symbol").to_list() == []


@pytest.mark.parametrize(
    "change",
    [
        {"order": "1"},
        {"order": 2**63},
        {"group": None},
        {"group": 3},
        {"tags": [1]},
        {"tags": {}},
        {"more": 1},
        {"path": "../x"},
    ],
)
def test_a_record_that_its_kind_does_not_have(
    change: dict[str, object], declared: codebatch.Batch
) -> None:
    good: dict[str, object] = {"kind": "x", "order": 1, "group": "g", "tags": [], "name": "n"}
    add_records(declared, {**good, **change})
    with pytest.raises(StoreDamagedError, match="not what the format says"):
        list(declared.outputs(kind="x"))
    assert list(declared.outputs(kind="symbol"))


def test_kinds_of_newer_versions_are_read() -> None:
    check = record_check({"todo": {"a": "int"}})
    record: dict[str, object] = {"kind": "newer", "path": "a.py", "any": [None]}
    assert check(dict(record)) == record
    with pytest.raises(KeyError):
        check({"kind": "todo", "path": "a.py"})


# -- planning ----------------------------------------------------------------------------------

CLASHING = """
import codebatch
from dataclasses import dataclass

@dataclass
class Todo:
    {field}: int

@codebatch.task(version=1, records=[Todo])
def {name}(file):
    yield Todo(1)
"""


def test_two_tasks_that_mean_other_things_by_a_kind(
    store: codebatch.Store, tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    for name, field in (("clash_a", "one"), ("clash_b", "two")):
        (tmp_path / f"{name}.py").write_text(CLASHING.format(name=name, field=field))
    import clash_a  # type: ignore[import-not-found]  # noqa: PLC0415
    import clash_b  # type: ignore[import-not-found]  # noqa: PLC0415

    with pytest.raises(TaskInvalidError, match="the kind 'todo' of task 'clash_b' has other"):
        store.batch(store.snapshot(tree), [clash_a.clash_a, clash_b.clash_b])


def test_a_field_that_is_taken_is_refused_where_it_is_declared() -> None:
    from dataclasses import make_dataclass  # noqa: PLC0415

    for kind, field in (("todo", "id"), ("Todo", "a"), ("symbol", "a")):
        cls = make_dataclass("Any", [(field, int)], namespace={"kind": kind})
        with pytest.raises(TaskInvalidError, match="task any:"):
            codebatch.task(version=1, name="any", records=[cls])(lambda file: ())


def test_built_in_kinds_are_no_tables_of_their_own(scanned_copy: Scanned) -> None:
    plan = scanned_copy.batch.load_status().plan
    assert own_kinds(plan.tasks) == {}
    scanned_copy.batch.sql("SELECT 1")
    (index,) = scanned_copy.path.glob("indexes/sql/*.sqlite")
    with contextlib.closing(sqlite3.connect(index)) as database:
        found = database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        names = {name for (name,) in found}
    assert names - {"sqlite_stat1"} == {
        *("files", "records", "diagnostics", "symbols", "edges", "metrics"),
        *("patches", "artifacts", "suppressions"),
    }
    assert not names & {*KINDS}
