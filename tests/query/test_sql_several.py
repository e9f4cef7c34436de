"""``sql`` over several batches: the column ``batch``, what is indexed once, what may be read."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from conftest import Outcome, write_tree

import codebatch
from codebatch.model.errors import (
    BatchNotFoundError,
    BatchUnfinishedError,
    SqlInvalidError,
    UsageError,
)
from codebatch.query import index
from codebatch.store.indexes.segments import load_segments, remove_segment

Main = Callable[..., Outcome]


@dataclass(frozen=True)
class Item:
    name: str
    batch: int


@codebatch.task(version=1, records=[Item])
def items(file: codebatch.SourceFile) -> Iterator[Item]:
    """Give an item for each line."""
    for number, line in enumerate(file.text.splitlines()):
        yield Item(line, number)


def of_other_fields() -> Any:
    """Return a task whose kind of that name has other fields."""

    @dataclass(frozen=True)
    class Item:
        name: str
        size: str

    @codebatch.task(version=1, records=[Item])
    def items(file: codebatch.SourceFile) -> Iterator[Item]:
        for line in file.text.splitlines():
            yield Item(line, line)

    return items


COUNTS = "SELECT batch, count(*) AS n FROM records GROUP BY batch ORDER BY n"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """A store with three batches of 24 files, of which the second differs in one and the third in
    two.
    """
    folder = tmp_path_factory.mktemp("several")
    files = {f"m{n}.py": f"import os\nvalue_{n} = {n}\n" for n in range(24)}
    store = codebatch.open_store(folder / "s", create=True)
    ids = []
    for changed in range(3):
        files.update({f"m{n}.py": f"def changed_{changed}():\n    pass\n" for n in range(changed)})
        tree = write_tree(folder / f"tree{changed}", files)
        batch = store.batch(store.snapshot(tree), shards=16)
        batch.run("sync")
        ids.append(batch.id)
    return store.path, ids


@pytest.fixture
def several(
    made: tuple[Path, list[str]], tmp_path: Path
) -> tuple[codebatch.Store, list[codebatch.Batch]]:
    """A copy of the store, and its batches."""
    shutil.copytree(made[0], tmp_path / "store")
    store = codebatch.open_store(tmp_path / "store")
    return store, [store.find_batch(one) for one in made[1]]


Several = tuple[codebatch.Store, list[codebatch.Batch]]


def test_each_batch_is_as_it_is_alone(several: Several) -> None:
    store, batches = several
    for table in ("files", "records", "symbols", "edges", "metrics", "diagnostics"):
        together = store.sql(f"SELECT * FROM {table} ORDER BY batch, id")
        alone = [
            {**row, "batch": batch.id}
            for batch in sorted(batches, key=lambda batch: batch.id)
            for row in batch.sql(f"SELECT * FROM {table} ORDER BY id")
        ]
        assert together == alone
    some = store.sql(COUNTS, batches=[batches[0], batches[2].id, batches[0].id])
    assert {row["batch"] for row in some} == {batches[0].id, batches[2].id}
    assert store.sql(COUNTS, batches="all") == store.sql(COUNTS)
    assert store.sql(COUNTS, batches=batches[0]) == [
        {"batch": batches[0].id, "n": len(list(batches[0].records()))}
    ]


def test_an_id_is_that_of_a_record_in_all_tables_of_a_batch(several: Several) -> None:
    store, batches = several
    joined = store.sql(
        "SELECT batch, count(*) AS n FROM symbols JOIN records USING (batch, id, path) GROUP BY 1"
    )
    expected = {one.id: len(list(one.records(kind="symbol"))) for one in batches}
    assert {row["batch"]: row["n"] for row in joined} == expected
    distinct = "SELECT count(*) - count(DISTINCT batch || id) AS n FROM records"
    assert store.sql(distinct) == [{"n": 0}]
    # An unchanged place has the same id everywhere.
    places = "SELECT count(DISTINCT id) AS n FROM records WHERE path = 'm20.py'"
    assert store.sql(places) == store.sql(places, batches=batches[:1])


def test_what_batches_share_is_indexed_once(several: Several) -> None:
    store, batches = several
    first, *_ = [batch.sql("SELECT count(*) AS n FROM records") for batch in batches[:1]]
    (before,) = load_segments(store.directory.layout)
    store.sql(COUNTS)
    (segment,) = load_segments(store.directory.layout)
    assert segment.keys[: len(before.keys)] == before.keys
    assert len(segment.keys) - len(before.keys) < len(before.keys)
    names = {path.name for path in store.directory.layout.sql_indexes.iterdir()}
    database = f"{segment.name}.sqlite"
    assert names == {f"{segment.name}.keys", database, f"{database}.sha256"}
    assert [batches[0].sql("SELECT count(*) AS n FROM records")] == [first]
    assert load_segments(store.directory.layout) == [segment]


def test_the_index_is_the_same_however_it_came_about(several: Several, tmp_path: Path) -> None:
    store, batches = several
    statement = "SELECT * FROM records ORDER BY batch, id"
    expected = store.sql(statement)
    store.path.joinpath("indexes").rename(tmp_path / "away")
    for batch in reversed(batches):
        batch.sql("SELECT 1")
        assert store.sql(statement, batches=[batch]) == [
            row for row in expected if row["batch"] == batch.id
        ]
    assert store.sql(statement) == expected


def test_gc_drops_what_no_batch_has(several: Several, main: Main) -> None:
    store, batches = several
    sql_indexes = store.directory.layout.sql_indexes
    batches[1].sql("SELECT 1")
    (sql_indexes / f"{batches[0].id}.sqlite").write_bytes(b"of an earlier version")
    kept = load_segments(store.directory.layout)
    store.gc(grace=0)
    assert load_segments(store.directory.layout) == kept
    assert not (sql_indexes / f"{batches[0].id}.sqlite").exists()
    store.sql(COUNTS)
    store.remove_batch(batches[2].id)
    store.gc(grace=0)
    assert not list(sql_indexes.iterdir())  # what was removed is in no segment any more
    assert len(store.sql(COUNTS)) == 2
    for batch in batches[:2]:
        store.remove_batch(batch.id)
    store.gc(grace=0)
    assert not list(sql_indexes.iterdir())
    done = main("sql", "--all", COUNTS, "--store", store.path)
    assert (done.code, "no batch" in done.err) == (2, True)


def test_a_store_that_cannot_be_written(several: Several, main: Main) -> None:
    store, _ = several
    expected = store.sql(COUNTS)
    shutil.rmtree(store.path / "indexes" / "sql")
    (store.path / "indexes" / "sql").write_text("in the way")
    assert store.sql(COUNTS) == expected


def test_commands(several: Several, main: Main) -> None:
    store, batches = several
    where = ("--store", store.path, "--json")
    every = json.loads(main("sql", "--all", COUNTS, *where).stdout)
    assert every == store.sql(COUNTS)
    named = f"{batches[0].id}, {batches[1].id} "
    some = json.loads(main("sql", "--batches", named, COUNTS, *where).stdout)
    assert {row["batch"] for row in some} == {batches[0].id, batches[1].id}
    schema = json.loads(main("sql", "--schema", "--all", "edges", *where).stdout)
    assert schema == store.sql_schema("edges")
    assert [row["column"] for row in schema][:3] == ["id", "batch", "path"]
    assert schema[0]["rows"] == sum(len(list(one.records(kind="edge"))) for one in batches)
    for words in (("--all", "--batch", "latest"), ("--all", "--batches", "latest")):
        assert main("sql", COUNTS, *words, *where).code == 2
    for batches_wanted in ("", ","):
        assert main("sql", COUNTS, "--batches", batches_wanted, *where).code == 2
    assert main("sql", COUNTS, "--batches", "latest,nothing", *where).code == 4


def test_batches_that_are_not_done(several: Several, tmp_path: Path) -> None:
    store, batches = several
    state = next(store.path.glob(f"batches/{batches[0].id}/tasks/lint/shards/*/state.json"))
    state.unlink()
    with pytest.warns(codebatch.UnfinishedBatchWarning, match=f"{batches[0].id} is partial"):
        assert len(store.sql(COUNTS)) == 3
    pending = store.batch(store.snapshot(write_tree(tmp_path / "t", {"a.py": "x = 1\n"})))
    with pytest.warns(codebatch.UnfinishedBatchWarning):
        assert len(store.sql(COUNTS)) == 3
    with pytest.raises(BatchUnfinishedError):
        store.sql(COUNTS, batches=[batches[1], pending])
    with pytest.raises(BatchNotFoundError):
        store.sql(COUNTS, batches=["batch-0000000000000000"])
    with pytest.raises(UsageError, match="no batch is named"):
        store.sql(COUNTS, batches=[])


def test_kinds_of_tasks_in_several_forms(tmp_path: Path) -> None:
    """One kind that means other fields in another batch, and a field called batch."""
    store = codebatch.open_store(tmp_path / "s", create=True)
    snapshot = store.snapshot(write_tree(tmp_path / "t", {"a.py": "x = 1\n", "b.py": "y\n"}))
    for task in (items, of_other_fields()):
        store.batch(snapshot, [task]).run("sync")
    rows: list[Any] = store.sql("SELECT * FROM items ORDER BY name, size")
    assert [(row["name"], row["batch_2"], row["size"]) for row in rows] == [
        *(("x = 1", 0, None), ("x = 1", None, "x = 1")),
        *(("y", 0, None), ("y", None, "y")),
    ]
    assert len({row["batch"] for row in rows}) == 2
    types = {row["column"]: row["type"] for row in store.sql_schema("items")}
    names = ("id", "batch", "path", "name", "batch_2", "size", "task_id", "shard_id")
    assert sorted(types) == sorted(names)
    assert [name for name in names if types[name] == "INTEGER"] == ["id", "batch_2"]


def test_types_of_fields_in_several_forms(tmp_path: Path) -> None:
    """The lines of outputs are the same, the tables they belong to are not."""
    store = codebatch.open_store(tmp_path / "s", create=True)
    snapshot = store.snapshot(write_tree(tmp_path / "t", {"a.py": "x = 1\n"}))
    batches = [store.batch(snapshot, [task]) for task in (of_numbers(int), of_numbers(int | str))]
    for batch in batches:
        batch.run("sync")
    count = "SELECT count(*) AS n, sum(number) AS s FROM numbers"
    assert store.sql(count) == [{"n": 2, "s": 14}]
    assert [batch.sql(count) for batch in batches] == [[{"n": 1, "s": 7}]] * 2


def of_numbers(of_type: Any) -> Any:
    """Return a task that gives the same records whatever the type of their field is."""
    number = dataclasses.make_dataclass("Number", [("number", of_type)], frozen=True)

    @codebatch.task(version=1, records=[number])
    def numbers(file: codebatch.SourceFile) -> Iterator[Any]:
        yield number(7)

    return numbers


@pytest.mark.slow
def test_a_start_that_another_process_removes(
    several: Several, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, batches = several
    batches[0].sql("SELECT 1")
    copy, removed = index._copy, []

    def interfered(store_: Any, base: Any, made: Any) -> None:
        if base is not None and not removed:
            removed.append(base)
            remove_segment(store.directory.layout, base.name)
        copy(store_, base, made)

    monkeypatch.setattr(index, "_copy", interfered)
    assert len(store.sql(COUNTS)) == 3
    assert removed


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> codebatch.Store:
    """A store with a kind of a task, indexed."""
    folder = tmp_path_factory.mktemp("own")
    store = codebatch.open_store(folder / "s", create=True)
    store.batch(store.snapshot(write_tree(folder / "t", {"a.py": "x = 1\n"})), [items]).run("sync")
    store.sql("SELECT 1")
    return store


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT count(*) FROM sqlite_master",
        "SELECT * FROM sqlite_temp_master",
        "SELECT sql FROM sqlite_schema",
        "SELECT count(*) FROM {0}",
        "SELECT * FROM {0}",
        "WITH items AS (SELECT * FROM {0}) SELECT name FROM items",
        "WITH records AS (SELECT path FROM {0}) SELECT path FROM records",
        "SELECT [$content] FROM files",
    ],
)
def test_a_segment_is_read_through_the_tables_alone(statement: str, own: codebatch.Store) -> None:
    (segment,) = load_segments(own.directory.layout)
    (held,) = segment.own
    with pytest.raises(SqlInvalidError):
        own.sql(statement.format(held))
