"""``sql``: what its tables hold, what statements may do, and how the index comes and goes."""

from __future__ import annotations

import hashlib
import json
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from conftest import Outcome, Scanned, cli_command, cli_environment, write_tree

import codebatch
from codebatch.model.digest import canonical_json
from codebatch.model.errors import FilterInvalidError, SqlInvalidError, SqlTimeoutError
from codebatch.model.resources import load_schema
from codebatch.query import sql_tables
from codebatch.query.fields import FIELDS, FILE_FIELDS, flat

Main = Callable[..., Outcome]
TABLES = {"diagnostics": "diagnostic", "symbols": "symbol", "edges": "edge", "metrics": "metric"}


@pytest.fixture(scope="module")
def queried(scanned: Scanned, tmp_path_factory: pytest.TempPathFactory) -> codebatch.Batch:
    """A finished batch whose index may be made."""
    path = tmp_path_factory.mktemp("queried") / "store"
    shutil.copytree(scanned.path, path)
    return codebatch.open_store(path).find_batch(scanned.batch.id)


def index_of(batch: codebatch.Batch) -> Path:
    """The only segment of a store."""
    (path,) = batch.directory.layout.sql_indexes.glob("*.sqlite")
    return path


# -- tables -----------------------------------------------------------------------------------


@pytest.mark.parametrize("table", TABLES)
def test_table_of_a_kind_holds_its_records(table: str, scanned_copy: Scanned) -> None:
    batch = scanned_copy.batch
    rows = batch.sql(f"SELECT * FROM {table}")
    kind = TABLES[table]
    assert set(rows[0]) == {"id", *FIELDS[kind], "task_id", "shard_id"}
    found = [
        {name: value for name, value in row.items() if name != "id" and value is not None}
        for row in rows
    ]
    expected = [
        {name: value for name, value in flat(record).items() if value is not None}
        for record in batch.records(kind=kind)
    ]
    assert found == [{k: v for k, v in record.items() if k != "kind"} for record in expected]


def test_tables_of_files_and_records(scanned_copy: Scanned) -> None:
    batch = scanned_copy.batch
    files = batch.sql(f"SELECT {', '.join(FILE_FIELDS)} FROM files ORDER BY path")
    assert files == batch.files()
    records = batch.sql("SELECT * FROM records ORDER BY id")
    assert set(records[0]) == {"id", "path", "task_id", "shard_id", "kind", "json"}
    for row, record in zip(records, batch.records(), strict=True):
        added = {"task_id": row["task_id"], "shard_id": row["shard_id"]}
        assert {**json.loads(str(row["json"])), **added} == record
    joined = batch.sql("SELECT count(*) AS n FROM symbols JOIN records USING (id, path)")
    assert joined == [{"n": len(list(batch.records(kind="symbol")))}]


def test_names_are_looked_up_through_indexes(scanned_copy: Scanned) -> None:
    plan = scanned_copy.batch.sql("EXPLAIN QUERY PLAN SELECT * FROM symbols WHERE name = 'Cart'")
    assert "symbols_name" in str(plan)


def test_text_that_is_no_unicode(tmp_path: Path, main: Main) -> None:
    tree = write_tree(tmp_path / "tree", {"a.py": "import os\n"})
    (tree / "caf\udce9.py").write_text("import sys\n")
    batch, _ = codebatch.scan(tree, tmp_path / "s", scheduler="sync")
    expected = [{"path": "caf\\udce9.py"}]
    assert batch.sql("SELECT path FROM files WHERE path GLOB 'caf*'") == expected
    assert batch.sql("SELECT path FROM files WHERE path = 'caf\udce9.py'") == expected
    assert batch.sql("SELECT CAST(x'ff61' AS TEXT) AS t") == [{"t": "\udcffa"}]
    for form in ("json", "jsonl", "csv", "md", "table"):
        for text in ("SELECT path FROM files", "SELECT CAST(x'ff' AS TEXT)"):
            assert main("sql", text, "--format", form, "--store", tmp_path / "s").code == 0


def test_values_are_those_of_json(queried: codebatch.Batch, main: Main) -> None:
    statement = "SELECT 1 AS a, 2 AS a, 1.5 AS b, x'00ff' AS c, 9e999 AS d, NULL AS e, 'x' AS a_2"
    done = main("sql", statement, "--json", "--store", queried.path)
    rows = json.loads(done.stdout, parse_constant=pytest.fail)
    jsonschema.validate(rows, load_schema("cli.sql"))
    assert rows == [{"a": 1, "a_2": 2, "b": 1.5, "c": "00ff", "d": "inf", "e": None, "a_2_2": "x"}]


def test_csv_of_no_rows_has_its_header(queried: codebatch.Batch, main: Main) -> None:
    done = main(
        "sql", "SELECT path, size FROM files WHERE 0", "--format", "csv", "--store", queried.path
    )
    assert done.stdout == b"path,size\r\n"


# -- what a statement may do ------------------------------------------------------------------

FORBIDDEN = [
    *("DROP TABLE files", "DELETE FROM files", "UPDATE files SET size = 0", "VACUUM", "BEGIN"),
    *("INSERT INTO files VALUES (9, 'a', 'b')", "CREATE TABLE t (a)", "CREATE TEMP TABLE t (a)"),
    *("ATTACH '{0}' AS other", "ATTACH ':memory:' AS other", "VACUUM INTO '{0}'", "REINDEX"),
    *("PRAGMA user_version", "PRAGMA journal_mode = WAL", "PRAGMA writable_schema = 1"),
    *("SELECT * FROM pragma_database_list", "SELECT load_extension('{0}')", "DETACH main"),
    *("CREATE VIRTUAL TABLE t USING fts5(a)", "ANALYZE", "SAVEPOINT a"),
    *("SELECT 1; SELECT 2", "SELECT 1; DROP TABLE files", "WITH x AS (SELECT 1) DELETE FROM files"),
    *("", "-- nothing", "SELECT", "SELECT nothing FROM files", "SELECT * FROM nothing", "\0"),
    *("SELECT ?", "SELECT :a"),
]


@pytest.fixture(scope="module")
def before(queried: codebatch.Batch) -> tuple[dict[Path, bytes], object]:
    """What is below the indexes of a store, and the records that are read from there."""
    records = queried.sql("SELECT * FROM records")
    return below_indexes(queried), records


def below_indexes(batch: codebatch.Batch) -> dict[Path, bytes]:
    folder = index_of(batch).parent
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("statement", FORBIDDEN)
def test_statement_that_does_not_just_read(
    statement: str,
    before: tuple[dict[Path, bytes], object],
    queried: codebatch.Batch,
    tmp_path: Path,
) -> None:
    target = tmp_path / "target"
    with pytest.raises(SqlInvalidError):
        queried.sql(statement.format(target))
    assert not target.exists()
    assert below_indexes(queried) == before[0]


def test_a_refused_statement_leaves_what_is_read(
    before: tuple[dict[Path, bytes], object], queried: codebatch.Batch
) -> None:
    for statement in ("DELETE FROM files", "DROP TABLE files", "CREATE TABLE t (a)"):
        with pytest.raises(SqlInvalidError):
            queried.sql(statement)
    assert queried.sql("SELECT * FROM records") == before[1]


def test_error_is_one_line(queried: codebatch.Batch, main: Main) -> None:
    done = main("sql", "DROP TABLE files", "--store", queried.path)
    assert (done.code, done.stdout) == (2, b"")
    assert done.err.splitlines()[1] == "error: SQL: only reading is allowed"
    done = main("sql", "SELECT colour FROM files", "--store", queried.path, "--json")
    error = json.loads(done.stdout)["error"]
    assert (done.code, error["code"]) == (2, "SQL_INVALID")
    assert any(hint.startswith("files: id, path, object, size") for hint in error["hints"])


@pytest.mark.parametrize(
    ("statement", "told", "first"),
    [
        ("SELECT * FROM symbol", "SQL: no such table: symbol", "the tables: symbols, "),
        ("SELECT symbol_typ FROM symbols", "SQL: no such column: symbol_typ", "symbols: symbol_t"),
        ("SELECT f.Siz FROM files f", "SQL: no such column: f.Siz", "files: size, "),
    ],
)
def test_what_is_not_there_is_named_with_what_is_like_it(
    statement: str, told: str, first: str, queried: codebatch.Batch
) -> None:
    with pytest.raises(SqlInvalidError) as raised:
        queried.sql(statement)
    assert raised.value.message == told
    assert raised.value.hints[0].startswith(first)


# -- what there is to ask ---------------------------------------------------------------------


def test_schema_of_the_tables(queried: codebatch.Batch, main: Main) -> None:
    store = ("--store", queried.path)
    rows = json.loads(main("sql", "--schema", "--json", *store).stdout)
    assert rows == queried.sql_schema()
    tables = {row["table"] for row in rows}
    assert tables == sql_tables.BUILT_IN.keys()
    for table in tables:
        columns = [row["column"] for row in rows if row["table"] == table]
        every = queried.sql(f'SELECT * FROM "{table}"')
        assert {row["rows"] for row in rows if row["table"] == table} == {len(every)}
        assert table in ("patches", "artifacts", "suppressions") or list(every[0]) == columns
    assert queried.sql_schema("edges") == [row for row in rows if row["table"] == "edges"]
    lines = main("sql", "--schema", "edges", *store).out.splitlines()
    assert lines[0].split() == ["table", "rows", "column", "type"]
    done = main("sql", "--schema", "edge", *store)
    assert (done.code, "the tables: edges, " in done.err) == (2, True)
    assert "a SELECT, or --schema" in main("sql", *store).err


def test_headings_are_the_names_of_columns(queried: codebatch.Batch, main: Main) -> None:
    statement = "SELECT symbol_type, 1 AS n_of FROM symbols LIMIT 1"
    for form, heads in (("table", "symbol_type"), ("md", r"| symbol\_type | n\_of |")):
        done = main("sql", statement, "--format", form, "--store", queried.path)
        assert done.out.startswith(heads)


def test_reading_may_be_involved(queried: codebatch.Batch) -> None:
    rows = queried.sql(
        "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < 3) "
        "SELECT x FROM n"
    )
    assert [row["x"] for row in rows] == [1, 2, 3]
    statement = (
        "SELECT e.key FROM records r, json_each(r.json) e "
        "WHERE r.kind = 'skip' GROUP BY 1 ORDER BY 1"
    )
    assert [row["key"] for row in queried.sql(statement)] == ["kind", "path", "reason"]
    assert queried.sql("VALUES (1)") == [{"column1": 1}]


def test_time_limit(queried: codebatch.Batch, main: Main) -> None:
    endless = (
        "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT count(*) FROM n"
    )
    with pytest.raises(SqlTimeoutError):
        queried.sql(endless, timeout=0.2)
    done = main("sql", endless, "--timeout", "0.2", "--json", "--store", queried.path)
    assert (done.code, json.loads(done.stdout)["error"]["code"]) == (2, "SQL_TIMEOUT")
    for limit in (-1, float("inf"), float("nan")):
        with pytest.raises(FilterInvalidError):
            queried.sql("SELECT 1", timeout=limit)
    assert queried.sql("SELECT 1 AS a", timeout=0) == [{"a": 1}]


COUNTING = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) "
LONG = "printf('%.*c', 60000000, '{0}')"
BOMBS = {
    "one step": ("SELECT length(printf('%.*c', 2000000000, 'x'))", "SQL_TIMEOUT"),
    "endless": (f"{COUNTING} SELECT count(*) FROM n", "SQL_TIMEOUT"),
    "sorted": (f"{COUNTING} SELECT x FROM n ORDER BY x DESC", "SQL_TIMEOUT"),
    "growing": (COUNTING.replace("x + 1", "x || x") + "SELECT max(x) FROM n", "SQL_INVALID"),
    "joined": ("SELECT count(*) FROM records, symbols, edges, metrics, files", "SQL_TIMEOUT"),
    "blob": ("SELECT length(zeroblob(2000000000))", "SQL_INVALID"),
    "replaced": (
        "SELECT length(replace(printf('%.*c', 30000, 'x'), 'x', printf('%.*c', 30000, 'y')))",
        "SQL_INVALID",
    ),
    "wide": (f"SELECT {', '.join(map(LONG.format, 'abcdefghijkl'))}", "SQL_TOO_LARGE"),
    "rows": (f"{COUNTING} SELECT x, printf('%.*c', 1000000, 'x') FROM n", "SQL_TOO_LARGE"),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", BOMBS)
def test_a_statement_that_would_take_for_ever_or_everything(
    name: str, queried: codebatch.Batch, main: Main
) -> None:
    statement, code = BOMBS[name]
    limit = "1" if code == "SQL_TIMEOUT" else "60"
    # What is written in one form alone is not held.
    several = ("--format", f"csv:{queried.path.parent / 'rows'}") if name == "rows" else ()
    words = ("--timeout", limit, "--json", *several, "--store", queried.path)
    done = main("sql", statement, *words)
    error = json.loads(done.stdout)["error"]
    # Python 3.10 cannot say how long a text may be: there the memory is the limit.
    codes = {code, "SQL_TOO_LARGE"} if sys.version_info < (3, 11) else {code}
    assert (done.code, done.stderr) == (2, b"")
    assert error["code"] in codes
    assert "\n" not in error["message"]


@pytest.mark.usefixtures("interrupt")  # a process that ignores it has children that do
@pytest.mark.parametrize("name", ["one step", "endless", "rows"])
def test_a_statement_is_interrupted(name: str, queried: codebatch.Batch) -> None:
    command = cli_command("sql", BOMBS[name][0], "--format", "jsonl", "--timeout", "0")
    process = subprocess.Popen(
        [*command, "--store", queried.path],
        env=cli_environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    worker = child_of(process.pid)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (130, b"interrupted\n")
    assert has_ended(worker)


def test_a_statement_ends_with_who_wants_the_answer(queried: codebatch.Batch) -> None:
    statement = BOMBS["endless"][0]
    command = cli_command("sql", statement, "--timeout", "0", "--store", queried.path)
    process = subprocess.Popen(command, env=cli_environment())
    worker = child_of(process.pid)
    process.kill()
    process.wait()
    assert has_ended(worker)


def child_of(pid: int) -> int:
    """The child that a process starts, as soon as it has."""
    children = Path(f"/proc/{pid}/task/{pid}/children")
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if found := children.read_text().split():
            return int(found[0])
        time.sleep(0.01)
    raise AssertionError("no child was started")


def has_ended(pid: int) -> bool:
    """Whether a process ends, sooner or later."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0]
        except (FileNotFoundError, ProcessLookupError):
            return True
        if state == "Z":
            return True
        time.sleep(0.01)
    return False


def test_rows_are_written_as_they_come(queried: codebatch.Batch) -> None:
    """However many there are, and whoever takes his time over them."""
    command = cli_command("sql", f"{COUNTING} SELECT x FROM n", "--format", "jsonl")
    process = subprocess.Popen(
        [*command, "--timeout", "5", "--store", queried.path],
        env=cli_environment(),
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert [json.loads(process.stdout.readline()) for _ in range(3)] == [
        {"x": n} for n in (1, 2, 3)
    ]
    process.stdout.close()
    assert process.wait() == 0


def test_no_room_for_temporary_files(
    queried: codebatch.Batch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SQLite may find another folder for them; it never is a bug."""
    statement = f"{COUNTING[:-2]} LIMIT 200000) SELECT x, hex(x) FROM n ORDER BY 2, 1"
    monkeypatch.setenv("SQLITE_TMPDIR", str(tmp_path / "missing"))
    monkeypatch.setenv("TMPDIR", str(tmp_path / "missing"))
    assert len(queried.sql(statement)) == 200_000


def test_the_current_folder_holds_modules(
    queried: codebatch.Batch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("sqlite3", "socket", "codebatch", "sitecustomize"):
        write_tree(tmp_path, {f"{name}.py": f"open({str(tmp_path / 'ran')!r}, 'w')\n"})
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    assert queried.sql("SELECT 1 AS a") == [{"a": 1}]
    assert not (tmp_path / "ran").exists()


# -- the index comes and goes -----------------------------------------------------------------

COUNT = "SELECT count(*) AS n FROM records"


def test_index_is_made_once_and_may_be_deleted(scanned_copy: Scanned) -> None:
    batch = scanned_copy.batch
    first = batch.sql(COUNT)
    path = index_of(batch)
    made = path.stat()
    assert batch.sql(COUNT) == first
    assert index_of(batch).stat().st_ino == made.st_ino
    data = path.read_bytes()
    folder = scanned_copy.path / "indexes" / "sql"
    names = [f"{path.stem}.keys", path.name, f"{path.name}.sha256"]
    assert sorted(path.name for path in folder.rglob("*.*")) == names
    assert hashlib.sha256((folder / names[0]).read_bytes()).hexdigest()[:32] == path.stem
    subprocess.run(["sha256sum", "--check", "--quiet", names[2]], cwd=folder, check=True)
    subprocess.run(["rm", "-r", str(folder)], check=True)
    assert batch.sql(COUNT) == first
    assert index_of(batch).read_bytes() == data


@pytest.mark.parametrize("damage", ["cut", "flip", "empty", "text", "other", "checksum"])
def test_damaged_index_is_made_again(damage: str, scanned_copy: Scanned) -> None:
    batch = scanned_copy.batch
    statement = "SELECT json FROM records ORDER BY id"
    expected = batch.sql(statement)
    path = index_of(batch)
    data = path.read_bytes()
    position = data.index(b'"kind":"symbol"')
    other = {
        "cut": data[: len(data) // 2],
        "flip": data[:position] + b"X" + data[position + 1 :],
        "empty": b"",
        "text": b"not a database",
        "other": data + b"\0",
        "checksum": data,
    }
    path.write_bytes(other[damage])
    if damage == "checksum":
        path.with_name(path.name + ".sha256").unlink()
    assert batch.sql(statement) == expected
    assert path.read_bytes() == data


def test_index_follows_the_states_of_a_batch(tmp_path: Path) -> None:
    tree = write_tree(tmp_path / "tree", {f"{n}.py": f"value_{n} = {n}\n" for n in range(40)})
    store = codebatch.open_store(tmp_path / "s", create=True)
    batch = store.batch(store.snapshot(tree), shards=16)
    batch.on_unfinished = lambda _: None
    batch.run("sync")
    done = [{"n": len(list(batch.records()))}]
    assert batch.sql(COUNT) == done
    assert batch.sql("SELECT count(*) AS n FROM files") == [{"n": 40}]
    state = next(tmp_path.glob("s/batches/*/tasks/analyze/shards/*/state.json"))
    state.rename(tmp_path / "away")
    fewer = [{"n": len(list(batch.records()))}]
    assert fewer != done
    assert batch.sql(COUNT) == fewer
    (tmp_path / "away").rename(state)
    assert batch.sql(COUNT) == done


def test_foreign_index_is_not_believed(scanned_copy: Scanned, tmp_path: Path) -> None:
    """One with a right checksum of which its list says that it is about something else."""
    tree = write_tree(tmp_path / "tree", {"a.py": "x = 1\n"})
    other, _ = codebatch.scan(tree, scanned_copy.path, scheduler="sync")
    expected = scanned_copy.batch.sql(COUNT)
    path = index_of(scanned_copy.batch)
    other.sql(COUNT)
    (foreign,) = {*path.parent.glob("*.sqlite")} - {path}
    foreign.with_suffix(".keys").write_bytes(path.with_suffix(".keys").read_bytes())
    path.with_suffix(".keys").unlink()
    assert scanned_copy.batch.sql(COUNT) == expected
    assert path.with_suffix(".keys").exists()


def test_index_of_other_tables_is_not_asked(scanned_copy: Scanned) -> None:
    """A view, say, that never ends, where a table should be."""
    batch = scanned_copy.batch
    expected = batch.sql(COUNT)
    path = index_of(batch)
    database = sqlite3.connect(path)
    database.executescript(
        "ALTER TABLE edges RENAME TO said; CREATE VIEW edges AS WITH RECURSIVE n(x) AS "
        "(SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT s.* FROM said s, n WHERE n.x < 0;"
    )
    database.close()
    sums = path.with_name(f"{path.name}.sha256")
    sums.write_text(f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n")
    assert batch.sql(COUNT) == expected
    assert batch.outputs(name="Cart").to_list()


def test_index_is_made_by_several_at_once(scanned_copy: Scanned) -> None:
    found: list[Any] = []
    store = codebatch.open_store(scanned_copy.path)

    def ask() -> None:
        found.append(store.find_batch(scanned_copy.batch.id).sql(COUNT))

    threads = [threading.Thread(target=ask) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [scanned_copy.batch.sql(COUNT)] * 6
    assert not list(scanned_copy.path.rglob(".tmp-*"))


def test_index_is_a_database_for_others(scanned_copy: Scanned) -> None:
    expected = scanned_copy.batch.sql(COUNT)
    connection = sqlite3.connect(index_of(scanned_copy.batch))
    try:
        assert connection.execute(COUNT).fetchall() == [(expected[0]["n"],)]  # one batch is in it
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    finally:
        connection.close()


@pytest.mark.parametrize("name", ["Cart", "item", "os", "Cart.add", "nothing", "f"])
def test_a_name_is_found_whether_or_not_there_is_an_index(name: str, scanned_copy: Scanned) -> None:
    batch = scanned_copy.batch
    before = list(map(canonical_json, batch.outputs(name=name)))
    batch.sql(COUNT)
    assert list(map(canonical_json, batch.outputs(name=name))) == before
    named = [r for r in batch.records() if r.get("name") == name]
    assert before == list(map(canonical_json, named))
