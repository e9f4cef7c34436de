"""``sql`` with either engine: the same tables, answers and errors, and nothing outside of them."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import re
import resource
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from conftest import Outcome, cli_command, cli_environment, write_tree

import codebatch
from codebatch.model.errors import (
    CodeBatchError,
    FilterInvalidError,
    MachineExhaustedError,
    MissingExtraError,
    SqlInvalidError,
    SqlTimeoutError,
    SqlTooLargeError,
)
from codebatch.query import sql as module
from codebatch.store.indexes.segments import load_segments

Main = Callable[..., Outcome]
ENGINES = ("sqlite", "duckdb")

pytest.importorskip("duckdb")
pa = pytest.importorskip("pyarrow")
parquet = pytest.importorskip("pyarrow.parquet")


@dataclass(frozen=True)
class Thing:
    line: int
    text: str
    weight: float
    many: list[str]
    sure: bool
    either: int | str
    large: int
    absent: str | None


@codebatch.task(version=1, records=[Thing, codebatch.Metric])
def things(file: codebatch.SourceFile) -> Iterator[Thing | codebatch.Metric]:
    """Give values of all types."""
    for number, text in enumerate(file.text.splitlines(), 1):
        either = number if number % 2 else text
        many = [text, '"', "é"][:number]
        yield Thing(number, text, number / 2, many, number > 1, either, 3**20 * number, None)
        yield codebatch.Metric("share", number / 3)


@dataclass(frozen=True)
class Size:
    size: int | str


@codebatch.task(version=1, records=[Size])
def sizes(file: codebatch.SourceFile) -> Iterator[Size]:
    """Give each line, as a number where it is one."""
    for line in file.text.splitlines():
        yield Size(int(line) if line.isdigit() else line)


FILES = {
    "a.py": "import os\nclass Cart:\n    def add(self, item):\n        if item: pass\n",
    "b.py": "x = 1 \nÄ = 'grün'\nx = 'nul'\n",
    "b/c.js": "import {a} from './a';\nexport function f(x) { return x ? 1 : 2 }\n",
    "broken.py": "def f(:\n",
    "caf\udce9.py": "import sys\n",
    "notes.md": "trailing \n",
}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> codebatch.Store:
    """A store with two batches of all kinds of records, and a third of another tree."""
    folder = tmp_path_factory.mktemp("engines")
    store = codebatch.open_store(folder / "s", create=True)
    for number in range(2):
        files = {**FILES, "new.py": "y = 2\n" * number}
        tree = write_tree(folder / f"t{number}", {k: v for k, v in files.items() if "caf" not in k})
        Path(os.fsencode(tree).decode(errors="surrogateescape"), "caf\udce9.py").write_text(
            FILES["caf\udce9.py"]
        )
        store.batch(store.snapshot(tree), ["full", things], shards=16).run("sync")
    other = store.snapshot(write_tree(folder / "other", {"z.py": "z = 3\n"}))
    store.names["other"] = store.batch(other)
    store.find_batch("other").run("sync")
    return store


def answers(store: codebatch.Store, statement: str, **options: Any) -> list[Any]:
    """Return what each engine answers, or its error."""
    return [answer(store, statement, engine, **options) for engine in ENGINES]


def answer(store: codebatch.Store, statement: str, engine: str, **options: Any) -> Any:
    try:
        return store.sql(statement, engine=engine, **options)
    except CodeBatchError as error:
        return error.code, error.message, [*error.hints]


# -- the same answers ---------------------------------------------------------------------------

STATEMENTS = [
    *("SELECT * FROM {table} ORDER BY batch, id", "SELECT count(*) FROM {table}"),
    "SELECT batch, count(*) AS n, min(id) AS least FROM {table} GROUP BY batch ORDER BY batch",
]
TABLES = ("files", "records", "diagnostics", "symbols", "edges", "metrics", "suppressions")
SAME = [
    *(one.format(table=table) for table in (*TABLES, "patches", "artifacts") for one in STATEMENTS),
    (
        "SELECT batch, id, path, line, text, weight, many, sure, large, absent FROM things "
        "ORDER BY batch, id"
    ),
    "SELECT 7 / 2 AS a, -7 / 2 AS b, 7 % 3 AS c, 7 / 2.0 AS d, 1.5 AS e, 1e3 AS f",
    "SELECT 5 / 0 AS a, 5 % 0 AS b, 5.0 / 0 AS c",
    "SELECT value FROM metrics WHERE metric = 'share' ORDER BY value",
    "SELECT name, alias FROM edges ORDER BY alias, name, batch, id",
    "SELECT name, alias FROM edges ORDER BY alias DESC, name, batch, id",
    "SELECT path FROM files WHERE path >= 'b' AND path < 'c' ORDER BY path, batch",
    "SELECT DISTINCT path FROM files WHERE path GLOB 'caf*'",
    "SELECT path, upper(path) AS up, length(path) AS n FROM files ORDER BY path, batch LIMIT 3",
    (
        "SELECT sum(size) AS s, avg(size) AS a, max(path) AS m, total FROM files, "
        "(SELECT count(*) AS total FROM records) GROUP BY total"
    ),
    "SELECT s.name, r.kind FROM symbols s JOIN records r USING (batch, id) ORDER BY batch, id",
    "SELECT path, line FROM diagnostics WHERE code IN ('L001', 'E0001') ORDER BY 1, 2, batch",
    "SELECT path FROM files EXCEPT SELECT path FROM symbols ORDER BY 1",
    "SELECT sure, size > 10 AS big FROM things JOIN files USING (batch, path) ORDER BY 1, 2, size",
    "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < 3) SELECT x FROM n",
    "SELECT symbol_type, row_number() OVER (ORDER BY batch, id) AS n FROM symbols ORDER BY n",
    (
        "SELECT coalesce(alias, '-') AS a, CASE WHEN line > 1 THEN 'b' ELSE 'c' END AS d "
        "FROM edges ORDER BY batch, id"
    ),
    "SELECT NULL AS a, x'00ff' AS b, 'it''s' AS c, 'é' AS d",
    *("SELECT colour FROM files", "SELECT f.siz FROM files f", "SELECT * FROM symbol"),
    *("DROP TABLE files", "INSERT INTO files VALUES (1)", "PRAGMA user_version", "VACUUM"),
    *("SELECT 1; SELECT 2", "ATTACH 'x' AS y"),
]


@pytest.mark.slow
@pytest.mark.parametrize("statement", SAME)
def test_both_engines_answer_alike(statement: str, store: codebatch.Store) -> None:
    ours, other = answers(store, statement)
    if isinstance(ours, tuple):
        is_unknown = "no such" in ours[1] or "only reading" in ours[1]
        assert ours[0] == other[0] == "SQL_INVALID"
        ends = [re.split("[ .]", message)[-1] for message in (ours[1], other[1])]
        assert not is_unknown or ends[0] == ends[1]
        assert not is_unknown or ours[2][0] == other[2][0]
    else:
        assert other == ours


def test_engines_answer_alike(store: codebatch.Store) -> None:
    """A few questions at once; there are more in the slow tests."""
    unions = " UNION ALL ".join(f"SELECT '{t}', count(*), max(id) FROM {t}" for t in TABLES)
    ours, other = answers(store, unions)
    assert [[*row.values()] for row in ours] == [[*row.values()] for row in other]
    ours, other = answers(store, "SELECT colour FROM files")
    assert ours == other
    ours, other = answers(store, "SELECT 5 / 0 AS a, 5 % 0 AS b, 5.0 / 0 AS c")
    assert ours == other == [{"a": None, "b": None, "c": None}]
    with pytest.raises(FilterInvalidError):
        store.sql("SELECT 1", engine="postgres")


def test_schema_is_the_same(store: codebatch.Store, main: Main) -> None:
    documents = [
        json.loads(main("sql", "--schema", "--json", "--engine", one, "--store", store.path).stdout)
        for one in ENGINES
    ]
    assert documents[0] == documents[1]


def test_a_column_of_no_type_is_text_where_it_is_not_of_numbers(store: codebatch.Store) -> None:
    statement = "SELECT either FROM things WHERE path = 'b.py' ORDER BY batch, id LIMIT 3"
    ours, other = answers(store, statement)
    assert [row["either"] for row in ours] == [1, "Ä = 'grün'", 3]
    assert [row["either"] for row in other] == ["1", "Ä = 'grün'", "3"]


@pytest.mark.slow
def test_an_answer_does_not_depend_on_what_else_is_in_the_index(tmp_path: Path) -> None:
    store = codebatch.open_store(tmp_path / "s", create=True)
    batches = []
    for name, text in (("numbers", "1\n2\n"), ("texts", "many\n")):
        snapshot = store.snapshot(write_tree(tmp_path / name, {f"{name}.txt": text}))
        batches.append(store.batch(snapshot, [sizes]))
        batches[-1].run("sync")
    statement = "SELECT size, typeof(size) AS t FROM sizes ORDER BY id"
    alone = batches[0].sql(statement, engine="duckdb")
    assert alone == [{"size": "1", "t": "VARCHAR"}, {"size": "2", "t": "VARCHAR"}]
    assert len(store.sql(statement, engine="duckdb")) == 3
    assert batches[0].sql(statement, engine="duckdb") == alone
    assert [row["size"] for row in batches[0].sql(statement)] == [1, 2]


def test_without_duckdb(store: codebatch.Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "find_spec", lambda name: None if name == "duckdb" else name)
    assert store.sql("SELECT 1 AS a") == [{"a": 1}]
    with pytest.raises(MissingExtraError) as raised:
        store.sql("SELECT 1", engine="duckdb")
    assert [*raised.value.hints] == ["pip install 'codebatch[sql]'"]


# -- the files of tables --------------------------------------------------------------------------


@pytest.mark.sample(2)
@pytest.mark.parametrize("damage", ["cut", "text", "gone", "checksum"])
def test_a_damaged_file_is_made_again(damage: str, store: codebatch.Store, tmp_path: Path) -> None:
    shutil.copytree(store.path, tmp_path / "s")
    copy = codebatch.open_store(tmp_path / "s")
    shutil.rmtree(copy.path / "indexes" / "sql", ignore_errors=True)
    statement = "SELECT * FROM edges ORDER BY batch, id"
    expected = copy.sql(statement, engine="duckdb")
    (path,) = copy.path.glob("indexes/sql/*.edges.parquet")
    data = path.read_bytes()
    if damage in ("gone", "checksum"):
        (path if damage == "gone" else path.with_name(f"{path.name}.sha256")).unlink()
    else:
        path.write_bytes(data[:100] if damage == "cut" else b"not a table")
    assert copy.verify(read_data=True).ok or damage != "gone"
    assert copy.sql(statement, engine="duckdb") == expected
    assert path.read_bytes() == data


def forge(path: Path, change: Callable[[bytes], bytes]) -> None:
    """Change a file, and its checksum so that it is right."""
    data = change(path.read_bytes())
    beside = path.with_name(f"{path.name}.sha256")
    beside.write_text(f"{hashlib.sha256(data).hexdigest()}{beside.read_text()[64:]}")
    path.write_bytes(data)


def table_of_one(data: bytes) -> bytes:
    """Return a table of the same columns and of its first row."""
    return as_file(parquet.read_table(io.BytesIO(data)).slice(0, 1))


def as_file(table: Any) -> bytes:
    stream = io.BytesIO()
    parquet.write_table(table, stream)
    return stream.getvalue()


FORGED: dict[str, Callable[[bytes], bytes]] = {
    "text": lambda data: b"not a table",
    "columns": lambda data: as_file(pa.table({"a": [1]})),
    "rows": table_of_one,
    "types": lambda data: as_file(
        pa.table(
            [column.cast("string") for column in parquet.read_table(io.BytesIO(data)).columns],
            names=parquet.read_schema(io.BytesIO(data)).names,
        )
    ),
}


@pytest.fixture
def copy(store: codebatch.Store, tmp_path: Path) -> codebatch.Store:
    """A copy of the store, indexed, in a folder whose name looks like a column and its value, and
    as a pattern of its neighbour's.
    """
    shutil.copytree(store.path, tmp_path / "path=[z]?" / "s")
    copied = codebatch.open_store(tmp_path / "path=[z]?" / "s")
    shutil.rmtree(copied.path / "indexes" / "sql", ignore_errors=True)
    copied.sql("SELECT count(*) FROM edges", engine="duckdb")
    return copied


@pytest.mark.slow
def test_a_forged_file_is_made_again(copy: codebatch.Store) -> None:
    statement = "SELECT * FROM edges ORDER BY batch, id"
    expected = copy.sql(statement)
    (path,) = copy.path.glob("indexes/sql/*.edges.parquet")
    data = path.read_bytes()
    for change in FORGED.values():
        forge(path, change)
        assert copy.sql(statement, engine="duckdb") == expected
        assert path.read_bytes() == data


@pytest.mark.slow
def test_an_error_of_a_file_is_not_one_of_the_statement(copy: codebatch.Store) -> None:
    (path,) = copy.path.glob("indexes/sql/*.edges.parquet")
    forge(path, lambda data: data[:4] + bytes(len(data) // 8) + data[4 + len(data) // 8 :])
    with pytest.raises(MachineExhaustedError):
        copy.sql("SELECT * FROM edges", engine="duckdb")


@pytest.mark.slow
@pytest.mark.parametrize("gone", ["*", "*.edges.*"])
@pytest.mark.parametrize("when", ["before", "after"])
def test_files_that_another_process_removes(
    gone: str, when: str, copy: codebatch.Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before the files of tables are looked for, or after."""
    expected = copy.sql("SELECT count(*) AS n FROM edges")
    files, calls = module._files, []

    def remove() -> None:
        for path in copy.path.glob(f"indexes/sql/{gone}"):
            path.unlink()

    def interfered(*words: Any) -> dict[str, object]:
        calls.append(words)
        if len(calls) == 1 and when == "before":
            remove()
        found = files(*words)
        if len(calls) == 1 and when == "after":
            remove()
        return found

    monkeypatch.setattr(module, "_files", interfered)
    assert copy.sql("SELECT count(*) AS n FROM edges", engine="duckdb") == expected
    is_asked_again = when == "after" or gone == "*"
    assert len(calls) == (2 if is_asked_again else 1)


def test_a_store_that_cannot_be_written(store: codebatch.Store, tmp_path: Path) -> None:
    shutil.copytree(store.path, tmp_path / "s")
    copy = codebatch.open_store(tmp_path / "s")
    expected = copy.sql("SELECT count(*) AS n FROM edges")
    shutil.rmtree(copy.path / "indexes" / "sql", ignore_errors=True)
    (copy.path / "indexes" / "sql").write_text("in the way")
    assert copy.sql("SELECT count(*) AS n FROM edges", engine="duckdb") == expected


# -- nothing outside ------------------------------------------------------------------------------

OUTSIDE = [
    *("SELECT * FROM read_text('{f}')", "SELECT * FROM read_blob('{f}')", "SELECT * FROM '{f}'"),
    *("SELECT * FROM read_csv('{f}')", "SELECT * FROM read_csv_auto('{f}')", 'SELECT * FROM "{f}"'),
    *(
        "SELECT * FROM read_json('{f}')",
        "SELECT * FROM read_ndjson('{f}')",
        "SELECT * FROM glob('*')",
    ),
    *(
        "SELECT * FROM read_parquet('{p}')",
        "SELECT * FROM '{p}'",
        "SELECT * FROM parquet_scan('{p}')",
    ),
    *(
        "SELECT * FROM parquet_metadata('{p}')",
        "SELECT * FROM sniff_csv('{f}')",
        "SELECT getenv('HOME')",
    ),
    *(
        "SELECT * FROM (SELECT * FROM read_text('{f}'))",
        "SELECT (SELECT content FROM read_text('{f}'))",
    ),
    *("SELECT 1 WHERE EXISTS (FROM read_text('{f}'))", "FROM read_text('{f}')", "SUMMARIZE files"),
    "WITH a AS (SELECT * FROM read_text('{f}')) SELECT * FROM a",
    "WITH a AS MATERIALIZED (FROM '{f}') SELECT * FROM a",
    'SELECT * FROM (WITH "{p}" AS (SELECT 1) SELECT 1) a, "{p}"',
    "SELECT * FROM (WITH sqlite_master AS (SELECT 1) SELECT 1) a, sqlite_master",
    *(
        f"SELECT b.* FROM (WITH {name} AS (SELECT 1) SELECT 1) a, {name} b"
        for name in ("pg_settings", "duckdb_tables", "pragma_database_list", "duckdb_logs")
    ),
    "SELECT * FROM (WITH duckdb_views AS (SELECT 1) SELECT 1) a, duckdb_views",
    "SELECT * FROM files, LATERAL (SELECT * FROM read_text(files.path))",
    "SELECT path FROM files UNION ALL SELECT content FROM read_text('{f}')",
    "SELECT path FROM files ORDER BY (SELECT content FROM read_text('{f}'))",
    *("SELECT * FROM query('SELECT 1')", "SELECT * FROM query_table('files')", "SHOW TABLES"),
    *(
        "SELECT * FROM duckdb_settings()",
        "SELECT * FROM duckdb_views()",
        "SELECT * FROM duckdb_views",
    ),
    *(
        "SELECT * FROM information_schema.tables",
        "SELECT * FROM pg_catalog.pg_class",
        "DESCRIBE files",
    ),
    *(
        "SELECT * FROM pragma_database_list",
        "SELECT * FROM pragma_table_info('files')",
        "CALL pragma_version()",
    ),
    *(
        "SELECT * FROM sqlite_master",
        "SELECT * FROM sqlite_temp_master",
        "SELECT * FROM main.sqlite_master",
    ),
    *(
        "SELECT current_setting('temp_directory')",
        "SELECT * FROM which_secret('x', 's3')",
        "LOAD httpfs",
    ),
    *("INSTALL httpfs", "INSTALL '{f}'", "FORCE INSTALL json FROM community", "LOAD '{f}'"),
    *("ATTACH '{f}' AS other", "ATTACH ':memory:' AS other", "DETACH main", "USE main"),
    *(
        "COPY files TO '{o}'",
        "COPY (SELECT 1) TO '{o}'",
        "EXPORT DATABASE '{o}'",
        "IMPORT DATABASE '{o}'",
    ),
    *(
        "PRAGMA version",
        "PRAGMA database_list",
        "PRAGMA enable_profiling",
        "PRAGMA user_version = 1",
    ),
    *("SET memory_limit = '8GB'", "SET enable_external_access = true", "RESET lock_configuration"),
    *("SET lock_configuration = false", "SET VARIABLE a = 1", "SET temp_directory = '{o}'"),
    *(
        "SELECT * FROM read_text('https://example.org/')",
        "SELECT * FROM 'https://example.org/a.csv'",
    ),
    *("SELECT * FROM 's3://bucket/a.parquet'", "SELECT load_extension('{f}')", "CHECKPOINT"),
    *("CREATE TABLE t AS SELECT 1", "CREATE VIEW v AS SELECT 1", "CREATE MACRO m() AS 1"),
    *("CREATE SECRET s (TYPE s3)", "CREATE TEMP TABLE t (a INTEGER)", "DROP VIEW files"),
    *("VACUUM INTO '{o}'", "BEGIN", "COMMIT", "EXECUTE a", "PREPARE a AS SELECT 1", "DEALLOCATE a"),
    *("EXPLAIN ANALYZE SELECT * FROM read_text('{f}')", "ALTER TABLE files ADD COLUMN a INTEGER"),
    *(
        "SELECT * FROM json_execute_serialized_sql(json_serialize_sql('SELECT 1'))",
        "SELECT 1; SELECT 2",
    ),
    *(
        "PIVOT files ON path",
        "UNPIVOT files ON path INTO NAME a VALUE b",
        "SELECT writefile('{o}', 'a')",
    ),
    *(
        "SELECT readfile('{f}')",
        "SELECT edit('a')",
        "SELECT fts3_tokenizer('a')",
        "SELECT * FROM fsdir('/')",
    ),
    "SELECT * FROM json_each((SELECT content FROM read_text('{f}')))",
    "INSERT INTO files SELECT * FROM read_text('{f}')",
    "WITH a AS (DELETE FROM files RETURNING *) SELECT * FROM a",
    "SELECT * FROM st_read('{f}')",
    "SELECT * FROM read_xlsx('{f}')",
    "SELECT * FROM sqlite_scan('{f}', 'a')",
    "SELECT * FROM python_object",
    "SELECT * FROM repeat_row(1, num_rows = 2)",
    "SELECT * FROM test_all_types()",
]


@pytest.mark.slow
@pytest.mark.sample(60)
@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("statement", OUTSIDE)
def test_nothing_outside_is_read_or_written(
    statement: str, engine: str, store: codebatch.Store, tmp_path: Path
) -> None:
    secret = tmp_path / "secret.csv"
    secret.write_text("a,b\nsecret,1\n")
    store.sql("SELECT count(*) FROM files", engine="duckdb")
    parquet = min(store.path.glob("indexes/sql/*.files.parquet"))
    filled = statement.format(f=secret, o=tmp_path / "out", p=parquet)
    with pytest.raises(SqlInvalidError) as raised:
        store.sql(filled, engine=engine)
    assert "secret,1" not in f"{raised.value.message}{raised.value.hints}"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["secret.csv"]


def test_files_are_not_read(store: codebatch.Store, tmp_path: Path) -> None:
    """A few of the ways; there are more in the slow tests."""
    (tmp_path / "secret.csv").write_text("a,b\nsecret,1\n")
    statement = "SELECT 1 FROM read_text('{0}') UNION ALL SELECT 1 FROM '{0}'"
    for engine in ENGINES:
        with pytest.raises(SqlInvalidError):
            store.sql(statement.format(tmp_path / "secret.csv"), engine=engine)


@pytest.mark.slow
def test_every_function_that_gives_a_table_is_refused(store: codebatch.Store) -> None:
    duckdb = pytest.importorskip("duckdb")
    found = duckdb.sql(
        "SELECT DISTINCT function_name FROM duckdb_functions() WHERE function_type LIKE 'table%' "
        "AND function_name SIMILAR TO '[a-z_0-9]+'"
    ).fetchall()
    allowed = {"unnest", "range", "generate_series", "json_each", "json_tree"}
    names = sorted({name for (name,) in found} - allowed)
    assert len(names) > 20
    statement = " UNION ALL ".join(f"SELECT 1 FROM {name}()" for name in names)
    for name in names:
        with pytest.raises(ValueError, match="only reading"):
            _check(f"SELECT 1 FROM {name}()")
    with pytest.raises(SqlInvalidError, match="only reading"):
        store.sql(statement, engine="duckdb")


def _check(statement: str) -> None:
    from codebatch.query import sql_duckdb  # noqa: PLC0415 - an optional package

    with sql_duckdb.duckdb.connect(":memory:") as database:
        sql_duckdb.check(database, statement, {"files": None})


@pytest.mark.slow
def test_rows_of_other_batches_are_not_read(store: codebatch.Store) -> None:
    store.sql("SELECT count(*) FROM files")
    first = next(one for one in store.batches() if one["batch_id"] != store.find_batch("other").id)
    batch = store.find_batch(str(first["batch_id"]))
    held = {table for one in load_segments(store.directory.layout) for table in one.own}
    assert held
    for engine in ENGINES:
        rows = batch.sql("SELECT path FROM files WHERE path = 'z.py'", engine=engine)
        assert rows == []
        for table in held:
            with pytest.raises(SqlInvalidError):
                batch.sql(f"SELECT count(*) FROM {table}", engine=engine)


# -- statements that never end --------------------------------------------------------------------

ENDLESS = {
    "recursive": "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) "
    "SELECT count(*) FROM n",
    "joined": f"SELECT count(*) FROM records, {', '.join(f'records {n}' for n in 'abcdef')}",
}


@pytest.mark.parametrize("engine", ENGINES)
def test_a_statement_that_never_ends_is_stopped(engine: str, store: codebatch.Store) -> None:
    with pytest.raises(SqlTimeoutError):
        store.sql(ENDLESS["recursive"], engine=engine, timeout=0.3)


@pytest.mark.slow
@pytest.mark.parametrize("engine", ENGINES)
def test_a_join_that_never_ends_is_stopped(engine: str, store: codebatch.Store) -> None:
    with pytest.raises(SqlTimeoutError):
        store.sql(ENDLESS["joined"], engine=engine, timeout=1)


@pytest.mark.slow
@pytest.mark.usefixtures("interrupt")
@pytest.mark.parametrize("engine", ENGINES)
def test_a_statement_is_interrupted(engine: str, store: codebatch.Store) -> None:
    store.sql("SELECT count(*) FROM records", engine=engine)
    words = ("--all", "--engine", engine, "--timeout", "0", "--store", store.path)
    process = subprocess.Popen(
        cli_command("sql", ENDLESS["joined"], *words),
        env=cli_environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    while not (found := children.read_text().split()):
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert (process.returncode, err.splitlines()[-1]) == (130, b"interrupted")
    while Path(f"/proc/{found[0]}").exists():
        state = Path(f"/proc/{found[0]}/stat").read_text().rpartition(") ")[2][0]
        if state == "Z":
            break


@pytest.mark.slow
@pytest.mark.parametrize(
    "statement",
    [
        "SELECT length(repeat('x', 100000000) || repeat('y', 2000000000)) FROM records",
        "SELECT max(length(l)) FROM (SELECT list(r) AS l FROM range(1000000000) t(r))",
        "SELECT count(*) FROM (SELECT DISTINCT hash(r) FROM range(100000000000) t(r))",
        "SELECT string_agg(repeat('x', 1000000), '') FROM range(100000)",
    ],
)
def test_a_statement_that_would_take_everything(statement: str, store: codebatch.Store) -> None:
    with pytest.raises(CodeBatchError) as raised:
        store.sql(statement, engine="duckdb", timeout=20)
    assert raised.value.code in ("SQL_TIMEOUT", "SQL_TOO_LARGE", "SQL_INVALID", "MACHINE_EXHAUSTED")


@pytest.mark.slow
@pytest.mark.parametrize(
    "statement",
    [
        "SELECT length(repeat('x', 1200000000))",
        "SELECT len(range(100000000))",
        "SELECT string_agg(path, repeat('y', 20000000)) FROM records",
    ],
)
def test_a_value_that_would_take_more_memory(statement: str, store: codebatch.Store) -> None:
    with pytest.raises(SqlTooLargeError, match="1024 MiB"):
        store.sql(statement, engine="duckdb")
    assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss < 1200 * 2**10


def test_what_python_cannot_hold_is_refused(store: codebatch.Store) -> None:
    with pytest.raises(SqlInvalidError):
        store.sql("SELECT interval 100000000 years", engine="duckdb")


def test_a_statement_that_nests_deeply_is_answered_or_refused(store: codebatch.Store) -> None:
    """DuckDB before 2 takes so many parentheses, and later ones do not."""
    with contextlib.suppress(SqlInvalidError):
        found = store.sql(f"SELECT {'(' * 5000}1{')' * 5000}", engine="duckdb")
        assert [[*row.values()] for row in found] == [[1]]
