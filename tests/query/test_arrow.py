"""Records as columns: the same as by iterating, whatever the bytes of a shard are."""

from __future__ import annotations

import hashlib
import json
import shutil
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from conftest import Scanned, read_outputs, write_outputs, write_tree
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import codebatch
from codebatch.model.digest import canonical_json
from codebatch.model.errors import (
    MissingExtraError,
    StoreDamagedError,
    StoreWriteError,
    UsageError,
)
from codebatch.model.records import KINDS
from codebatch.query import column_files
from codebatch.query.arrow import arrow_schema, rows_to_batch
from codebatch.query.filters import RecordFilter
from codebatch.query.records import Matcher
from codebatch.query.shard_columns import ShardColumns

pa = pytest.importorskip("pyarrow", reason="the extra parquet is not installed")
parquet = pytest.importorskip("pyarrow.parquet", reason="the extra parquet is not installed")

FILTERS: list[dict[str, Any]] = [
    {},
    *({"kind": kind} for kind in KINDS),
    {"kind": "symbol,metric,diagnostic"},
    {"severity": "warning,error"},
    {"code": "L101"},
    {"path": "pkg"},
    {"path": ["*.py", "web"]},
    {"language": "python", "kind": "symbol"},
    {"language": "typescript,markdown"},
    {"name": "*a*"},
    {"name": "Cart", "kind": "symbol"},
    {"symbol_type": "class,method"},
    {"edge_type": "imports", "target": "o*"},
    {"metric": "loc,language"},
    {"min": 3, "metric": "lines"},
    {"max": 2.5},
    {"min": 1.5, "max": 1e300, "path": "pkg"},
    {"min": 1e300},
    {"kind": "symbol", "severity": "error"},
    {"task": "lint"},
]


def expected(records: codebatch.Records) -> list[dict[str, Any]]:
    """The rows that looking at each record gives."""
    rows: list[dict[str, Any]] = rows_to_batch(records, records.columns).to_pylist()
    return rows


@pytest.mark.sample(14)
@pytest.mark.parametrize("filters", FILTERS, ids=str)
def test_columns_are_the_records(filters: dict[str, Any], scanned: Scanned) -> None:
    task = filters.get("task")
    conditions = {name: value for name, value in filters.items() if name != "task"}
    found = scanned.batch.outputs(task=task, **conditions)
    table = found.to_arrow()
    table.validate(full=True)
    assert table.schema == arrow_schema(found.columns)
    assert table.to_pylist() == expected(found)
    assert pa.table(found).to_pylist() == expected(found)


# -- odd shards -----------------------------------------------------------------------------------

DIGEST = "sha256:" + "0" * 64
BASES: dict[str, dict[str, Any]] = {
    "artifact": {"path": "a", "name": "b", "media_type": "x/y", "size": 1, "object": DIGEST},
    "ast": {"path": "a", "language": "x", "format": "f", "nodes": 3, "object": DIGEST},
    "diagnostic": {
        "path": "a",
        "line": 1,
        "column": 2,
        "severity": "error",
        "code": "E1",
        "rule": "r",
        "message": 'null: "kind":null',
        "fingerprint": "f",
    },
    "edge": {"path": "a", "line": 1, "edge_type": "imports", "target": "os", "name": "n"},
    "metric": {"path": "a", "metric": "loc", "value": 1},
    "patch": {"path": "a", "added": 1, "removed": 0, "result": DIGEST, "object": DIGEST},
    "skip": {"path": "a", "reason": "binary"},
    "symbol": {
        "path": "a",
        "line": 1,
        "column": 2,
        "end_line": 3,
        "symbol_type": "class",
        "scope": "module",
        "name": "n",
    },
    "todo": {
        "path": "a",
        "text": "t",
        "owner": None,
        "urgent": True,
        "weight": 0.5,
        "either": 1,
        "effort": None,
        "tags": ["a"],
        "shares": [0.5],
        "counts": [1],
    },
    "seen": {"path": "a", "seen": {"x": 1}, "several": 1},
}
OWN = {
    "todo": {
        "text": "str",
        "owner": "str | None",
        "urgent": "bool",
        "weight": "float",
        "either": "float | int",
        "effort": "int | None",
        "tags": "list[str]",
        "shares": "list[float]",
        "counts": "list[int] | None",
    },
    "seen": {"seen": "dict[str, int]", "several": "int | str"},
}
ODD = [
    *("0", "1", "-1", "1.0", "1.5", "-0", "-0.0", "1e2", "1e400", "NaN", "Infinity", "1E-3"),
    *("9007199254740993", "9223372036854775807", "9223372036854775808", "-9223372036854775808"),
    *("1e19", "123456789012345678901234567890", "true", "false", "null", "{}", '{"a":1}', "[]"),
    *("[1]", "[1,2.5]", "[0.5,1]", "[null]", '["a",null]', '["\\udc80"]', "[[1]]", "[true]"),
    *('""', '"a"', '"b/c"', '"../x"', '"/a"', '"import"', '"E1"', '"error"', '"\\u0041"'),
    *('"\\udc80"', '"\\ud83d\\ude00"', '"\\ud800"', '"\\\\udc80"', '"a\\u0000b"', '"\x01"'),
    *('"\\"value\\":\\"x"', '"🙂"', '"null"', '": null"', '"}\\n{"', '"}{"', f'"{DIGEST}"', "x"),
    '"\u2028"',
]
BETWEEN = ["\n"] * 12 + ["\n\n", "", " \n", "\r\n", "\n \n", "\n\ufeff", "\n[1]\n"]


def columns_for(kind: str, plan: Any, number: bool) -> ShardColumns:
    """The columns of a kind, with the values of metrics as a user's task has them or not."""
    if kind in OWN:
        tasks = (replace(plan.tasks[0], kinds=(kind,), fields={kind: OWN[kind]}),)
        return ShardColumns.of_plan(kind, replace(plan, tasks=tasks))
    found = ShardColumns.of_plan(kind, plan)
    if kind != "metric" or not number:
        return found
    columns = (replace(c, type="number") if c.name == "value" else c for c in found.columns)
    return ShardColumns(kind, tuple(columns), None)


@st.composite
def shards(draw: st.DrawFn) -> tuple[str, bytes]:
    kind = draw(st.sampled_from(sorted(BASES)))
    whole = ""
    for _ in range(draw(st.integers(0, 4))):
        base = BASES[draw(st.sampled_from([kind] * 6 + sorted(BASES)))]
        record = {name: canonical_json(value).decode() for name, value in base.items()}
        record["kind"] = json.dumps(next(k for k, v in BASES.items() if v is base))
        for name in draw(st.lists(st.sampled_from([*record, "value_text", "more"]), max_size=2)):
            record[name] = draw(st.sampled_from(ODD))
        pairs = [f"{json.dumps(name)}:{value}" for name, value in sorted(record.items())]
        if not draw(st.integers(0, 9)):
            pairs.pop(draw(st.integers(0, len(pairs) - 1)))
        if not draw(st.integers(0, 9)):
            pairs.append(draw(st.sampled_from(pairs or ["1"])))
        whole += "{" + ",".join(pairs) + "}" + draw(st.sampled_from(BETWEEN))
    data = whole.encode()
    return kind, data.replace(b"r", b"\xff", 1) if not draw(st.integers(0, 30)) else data


def outcome(read: Callable[[bytes], Any], data: bytes) -> Any:
    """The rows of the columns, or the fact that they are damaged."""
    try:
        batch = read(data)
    except StoreDamagedError:
        return "damaged"
    batch.validate(full=True)
    return str(batch.to_pylist()), batch.schema


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(shard=shards(), number=st.booleans())
def test_odd_lines_are_read_as_one_by_one(
    shard: tuple[str, bytes], number: bool, scanned: Scanned
) -> None:
    kind, data = shard
    form = columns_for(kind, scanned.batch.load_status().plan, number)
    assert outcome(form.read, data) == outcome(form.read_slowly, data)


def test_a_bad_record_is_damage_however_it_is_read(scanned: Scanned) -> None:
    form = columns_for("patch", scanned.batch.load_status().plan, number=False)
    records = Matcher(RecordFilter(path="a"), {}).records
    bad = canonical_json({"kind": "patch", **BASES["patch"], "object": "no digest"}) + b"\n"
    for read in (form.read, form.read_slowly, lambda data: list(records(data))):
        with pytest.raises(StoreDamagedError, match="not a digest"):
            read(bad)


# -- column files ---------------------------------------------------------------------------------


def column_paths(store: codebatch.Store) -> list[Path]:
    return sorted(store.path.glob("indexes/columns/*/*.arrows.lz4"))


@pytest.fixture
def bare(scanned_copy: Scanned) -> Scanned:
    """A copy of the finished store without column files."""
    shutil.rmtree(scanned_copy.path / "indexes/columns", ignore_errors=True)
    return scanned_copy


def test_equal_shards_share_their_columns(store: codebatch.Store, tmp_path: Path) -> None:
    texts = {f"{name}.py": f"def {name}():\n    pass\n" for name in "abcd"}
    tree = write_tree(tmp_path / "tree", texts)
    batch = store.batch(store.snapshot(tree), ["symbols"])
    batch.run("sync")
    first = batch.outputs(kind="symbol").to_arrow()
    kept = {path: path.read_bytes() for path in column_paths(store)}
    write_tree(tree, {"a.py": "def other():\n    pass\n"})
    changed = store.batch(store.snapshot(tree), ["symbols"])
    changed.run("sync")
    second = changed.outputs(kind="symbol").to_arrow()
    assert {path: path.read_bytes() for path in kept} == kept
    assert len(column_paths(store)) - len(kept) in (1, 2)
    assert pa.concat_tables([first, second]).num_rows == len(first) + len(second)
    usage = {one.kind: one.files for one in store.stats().kinds}
    assert (usage["indexes: columns"], usage["other"]) == (2 * len(column_paths(store)), 1)
    assert store.verify().ok
    store.remove_batch(batch)
    store.gc(grace=0)
    assert changed.outputs(kind="symbol").to_arrow() == second
    assert len(column_paths(store)) < len(kept) + 2
    store.remove_batch(changed)
    store.gc(grace=0)
    assert not column_paths(store)


def sealed(path: Path, data: bytes) -> None:
    """Put bytes into a column file with the checksum that makes them those put into place."""
    path.write_bytes(data)
    line = f"{hashlib.sha256(data).hexdigest()}  {path.name}\n"
    path.with_name(f"{path.name}.sha256").write_text(line)


def test_a_damaged_or_foreign_column_file_is_made_again(bare: Scanned) -> None:
    found = bare.batch.outputs(kind="symbol")
    whole = found.to_arrow()
    kept = {path: path.read_bytes() for path in column_paths(bare.store)}
    paths = list(kept)
    paths[0].write_bytes(kept[paths[0]][:-9] + b"x" * 9)
    sealed(paths[1], packed(table_in(paths[1]).slice(1)))
    sealed(paths[2], packed(pa.table({"id": [1]})))
    sealed(paths[3], b"no such file")
    sealed(paths[4], kept[paths[4]][:40] + b"\xff" * 60 + kept[paths[4]][100:])
    paths[5].unlink()
    paths[5].mkdir()
    assert found.to_arrow() == whole
    again = {path: path.read_bytes() for path in paths if path.is_file()}
    assert again == {path: kept[path] for path in again}
    assert len(again) == len(kept) - 1


def table_in(path: Path) -> Any:
    """The table in a column file."""
    with pa.input_stream(path, compression="lz4") as stream:
        return pa.ipc.open_stream(stream).read_all()


def packed(table: Any, codec: str = "lz4", **options: Any) -> bytes:
    """A column file of a table; ``options`` are those of the stream of Arrow."""
    sink = pa.BufferOutputStream()
    with (
        pa.CompressedOutputStream(sink, codec) as stream,
        pa.ipc.new_stream(
            stream, table.schema, options=pa.ipc.IpcWriteOptions(**options)
        ) as writer,
    ):
        writer.write_table(table)
    return bytes(sink.getvalue())


def rewritten(path: Path, change: Callable[[str, Any], Any], **options: Any) -> None:
    """Change the columns of a column file, and seal it."""
    table = table_in(path)
    arrays = [
        change(name, column) for name, column in zip(table.schema.names, table.columns, strict=True)
    ]
    sealed(path, packed(pa.Table.from_arrays(arrays, schema=table.schema), **options))


def as_it_is(_: str, column: Any) -> Any:
    return column


def indexes_beyond(_: str, column: Any) -> Any:
    """Make each category the millionth of those there are."""
    if not pa.types.is_dictionary(column.type):
        return column
    wrong = pa.array([1_000_000] * len(column), pa.int32())
    texts = column.combine_chunks().dictionary
    return pa.DictionaryArray.from_arrays(wrong, texts, safe=False)


def all_the_same(text: bytes) -> Callable[[str, Any], Any]:
    """Make each text of a column this one."""

    def change(_: str, column: Any) -> Any:
        if pa.types.is_dictionary(column.type):
            value = pa.array([text], pa.binary()).view(pa.string())
            zeros = pa.array([0] * len(column), pa.int32())
            return pa.DictionaryArray.from_arrays(zeros, value)
        if pa.types.is_string(column.type):
            return pa.array([text] * len(column), pa.binary()).view(pa.string())
        return column

    return change


def long_categories(_: str, column: Any) -> Any:
    """Add a text to the categories that a packed stream holds in a few bytes."""
    if not pa.types.is_dictionary(column.type):
        return column
    one = column.combine_chunks()
    texts = pa.concat_arrays([one.dictionary, pa.array(["A" * 10_000_000])])
    return pa.DictionaryArray.from_arrays(one.indices, texts)


def packed_bytes(data: bytes) -> bytes:
    return bytes(pa.compress(data, codec="lz4", asbytes=True))


CRAFTED: dict[str, Callable[[Path], None]] = {
    "text that is none": lambda path: rewritten(path, all_the_same(b"\xff\xfe")),
    "larger than is possible": lambda path: rewritten(path, all_the_same(b"A" * 1_000_000)),
    "packed by another codec": lambda path: rewritten(path, as_it_is, codec="zstd"),
    "without a batch": lambda path: sealed(path, packed(table_in(path).slice(0, 0))),
    "a category that is none": lambda path: rewritten(path, indexes_beyond),
    "packed twice": lambda path: rewritten(path, as_it_is, compression="lz4"),
    "packed to any size": lambda path: rewritten(
        path, all_the_same(b"A" * 10_000_000), compression="lz4"
    ),
    "packed categories": lambda path: rewritten(path, long_categories, compression="zstd"),
    "long after unpacking": lambda path: sealed(path, packed_bytes(b"\0" * 2**30)),
}


@pytest.mark.parametrize("name", CRAFTED)
def test_a_crafted_column_file_is_made_again(name: str, bare: Scanned) -> None:
    found = bare.batch.outputs(kind="diagnostic")
    whole = found.to_arrow()
    kept = {path: path.read_bytes() for path in column_paths(bare.store)}
    for path in kept:
        CRAFTED[name](path)
    assert found.to_arrow() == whole
    assert {path: path.read_bytes() for path in kept} == kept


def test_a_column_file_with_another_path_is_not_asked_for_languages(bare: Scanned) -> None:
    found = bare.batch.outputs(kind="diagnostic", language="python")
    whole = found.to_arrow()
    for path in column_paths(bare.store):
        rewritten(path, all_the_same(b"no-such-file"))
    assert found.to_arrow().num_rows == whole.num_rows


def test_a_store_that_cannot_be_written_has_columns(
    bare: Scanned, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise StoreWriteError("read-only")

    monkeypatch.setattr(column_files, "replacing", refuse)
    batch = bare.batch
    found = batch.outputs(kind="diagnostic")
    assert found.to_arrow().to_pylist() == expected(found)
    assert not column_paths(bare.store)
    monkeypatch.undo()
    assert found.to_arrow().to_pylist() == expected(found)
    assert column_paths(bare.store)


def test_damaged_outputs_are_an_error(bare: Scanned) -> None:
    batch = bare.batch
    for path in bare.path.glob("batches/*/tasks/symbols/shards/*/outputs.index.jsonl.zst"):
        write_outputs(path, read_outputs(path).replace(b"symbol", b"sYmbol"))
    with pytest.raises(StoreDamagedError):
        list(batch.outputs(kind="symbol"))
    with pytest.raises(StoreDamagedError):
        batch.outputs(kind="symbol").to_arrow()


# -- other packages -------------------------------------------------------------------------------


def test_frames_have_the_rows_of_the_table(scanned: Scanned) -> None:
    duckdb = pytest.importorskip("duckdb")
    polars = pytest.importorskip("polars")
    pandas = pytest.importorskip("pandas")
    for kind in ("metric", "diagnostic"):
        found = scanned.batch.outputs(kind=kind)
        rows = found.to_arrow().to_pylist()
        assert found.to_polars().to_dicts() == rows
        if tuple(map(int, polars.__version__.split(".")[:2])) >= (1, 3):
            assert polars.DataFrame(found).to_dicts() == rows
        frame = found.to_pandas().astype(object)
        assert frame.where(frame.notna(), None).to_dict("records") == rows
        assert str(found.to_pandas()["path"].dtype) == "category"
        connection = duckdb.connect()
        relation = found.to_duckdb(connection)
        names = relation.columns
        for _ in range(2):  # a relation is read as often as it is asked
            assert [dict(zip(names, row, strict=True)) for row in relation.fetchall()] == rows
            relation = relation.project("*")
    empty = scanned.batch.outputs(kind="diagnostic", code="L002")
    assert empty.to_arrow().schema == scanned.batch.outputs(kind="diagnostic").to_arrow().schema
    assert [str(one) for one in empty.to_pandas().dtypes] == [
        str(one) for one in scanned.batch.outputs(kind="diagnostic").to_pandas().dtypes
    ]
    assert pandas.DataFrame(empty.to_pandas()).empty


@pytest.mark.parametrize("package", ["pyarrow", "polars", "duckdb", "pandas"])
def test_a_missing_package_is_named(
    package: str, scanned: Scanned, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    found = scanned.batch.outputs(kind="symbol")
    asked = {"pyarrow": "to_arrow", "polars": "to_polars", "duckdb": "to_duckdb"}
    with pytest.raises(MissingExtraError, match=package):
        getattr(found, asked.get(package, "to_pandas"))()


def test_sorted_records_have_columns_in_their_order(scanned: Scanned) -> None:
    found = scanned.batch.sorted_records(kind="diagnostic,symbol")
    assert found.to_arrow().to_pylist() == expected(found)
    with pytest.raises(UsageError, match="in no order"):
        found.to_bag()


def test_collections_of_dask_are_of_shards(scanned: Scanned) -> None:
    found = scanned.batch.records(kind="symbol", path="pkg")
    bag = found.to_bag()
    assert bag.npartitions == scanned.report.shards["total"]
    assert sorted(map(str, bag.compute(scheduler="sync"))) == sorted(map(str, found))
    frame = found.to_dask_dataframe().compute(scheduler="sync")
    assert sorted(frame["name"]) == sorted(found.to_pandas()["name"])
