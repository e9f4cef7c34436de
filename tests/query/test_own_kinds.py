"""Every reader on the records of users' tasks whose module is gone: the plan has all they need."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import click
import jsonschema
import pytest
from conftest import Outcome, cli_environment, write_tree
from official import official_schema

import codebatch
from codebatch.cli.commands.results import outputs
from codebatch.model.errors import FilterInvalidError
from codebatch.model.resources import load_schema
from codebatch.query.fields import flat

Main = Callable[..., Outcome]

MODULE = '''
"""Two tasks: one with a kind of its own, one with findings and measures."""
import re
from dataclasses import dataclass

import codebatch

NOTE = re.compile(r"TODO(?:\\((\\w+)\\))?(!*): (\\w+)(.*)")


@dataclass(frozen=True)
class Todo:
    text: str
    owner: str | None
    urgent: bool
    weight: float
    effort: int | None
    tags: list[str]
    seen: dict[str, int]
    either: int | str
    line: int


@codebatch.task(version=1, records=[Todo])
def todos(file):
    for number, line in enumerate(file.text.splitlines(), 1):
        if match := NOTE.search(line):
            owner, marks, word, rest = match.groups()
            tags = re.findall(r"#(\\w+)", rest)
            yield Todo(
                text=word, owner=owner, urgent=bool(marks), weight=len(marks) + 0.5,
                effort=len(rest) or None, tags=tags, seen={tag: 1 for tag in tags},
                either=len(tags) or "none", line=number,
            )


@codebatch.task(
    version=1,
    rules=[
        codebatch.Rule(
            "todo.found", title="Something to do", help="Somebody left this for later.",
            link="https://example.org/todo", severity="info",
        )
    ],
)
def measures(file):
    found = [n for n, line in enumerate(file.text.splitlines(), 1) if "TODO" in line]
    yield codebatch.Metric("todo_share", len(found) / 4)
    yield codebatch.Metric("todo_count", len(found))
    for number in found:
        yield codebatch.Diagnostic("todo.found", "info", number, "to do", column=3)
'''
BUILD = """
import sys
import codebatch, todo_tasks
store = codebatch.open_store(sys.argv[1], create=True)
for tree in sys.argv[2:]:
    batch = store.batch(store.snapshot(tree), [todo_tasks.todos, todo_tasks.measures, "analyze"])
    assert batch.run("sync").status == "done"
    print(batch.id)
"""
OLD = {
    "a.py": "x = 1\n# TODO(ann): first #io #net\n# TODO: second\n",
    "b/c.py": "# TODO(bob)!!: third #io\n",
    "empty.py": "",
}
NEW = {**OLD, "a.py": "\n\n" + str(OLD["a.py"]).replace("(ann)", "(ann)!").replace("second", "2nd")}
TODO = {"kind": "todo", "task_id": "todos"}


class Built(NamedTuple):
    """A store with a batch of each tree, made by tasks that are nowhere any more."""

    path: Path
    old: str
    new: str
    batch: codebatch.Batch


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    base = tmp_path_factory.mktemp("own")
    (base / "code").mkdir()
    module = base / "code/todo_tasks.py"
    module.write_text(MODULE)
    trees = [write_tree(base / name, dict(tree)) for name, tree in (("old", OLD), ("new", NEW))]
    done = subprocess.run(
        [sys.executable, "-c", BUILD, base / "store", *trees],
        env=cli_environment(PYTHONPATH=str(module.parent), PYTHONDONTWRITEBYTECODE="1"),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    module.unlink()
    old, new = done.stdout.split()
    store = codebatch.open_store(base / "store")
    return Built(base / "store", old, new, store.find_batch(old))


@pytest.fixture
def ask(built: Built, main: Main) -> Callable[..., Any]:
    """Callable for what a command says about the older batch as JSON."""

    def call(*words: str) -> Any:
        done = main(*words, "--batch", built.old, "--store", built.path, "--json")
        assert (done.code, done.err) == (0, ""), done
        return json.loads(done.stdout)

    return call


def refused(main: Main, built: Built, *words: str) -> dict[str, Any]:
    done = main(*words, "--batch", built.old, "--store", built.path, "--json")
    assert done.code == 2, done
    error: dict[str, Any] = json.loads(done.stdout)["error"]
    return error


def test_collections_of_dask_need_no_code_of_what_is_done(built: Built) -> None:
    todos = built.batch.records(kind="todo")
    read = todos.to_bag().compute(scheduler="sync")
    assert sorted(map(json.dumps, read)) == sorted(map(json.dumps, todos))
    assert len(read) == 3


def test_another_process_reads_them(built: Built, cli: Main) -> None:
    done = cli("errors", "--code", "todo.found", "--batch", built.old, "--store", built.path)
    assert done.code == 0, done
    assert done.out.splitlines() == [
        "a.py:2:3: info todo.found to do",
        "a.py:3:3: info todo.found to do",
        "b/c.py:1:3: info todo.found to do",
        "3 findings: 3 info; by code: todo.found 3",
    ]


def test_records_have_their_fields(ask: Callable[..., Any]) -> None:
    found = ask("query", "outputs", "--kind", "todo")
    assert found[0] == {
        **TODO,
        "path": "a.py",
        "line": 2,
        "text": "first",
        "owner": "ann",
        "urgent": False,
        "weight": 0.5,
        "effort": 9,
        "tags": ["io", "net"],
        "seen": {"io": 1, "net": 1},
        "either": 2,
        "shard_id": found[0]["shard_id"],
    }
    jsonschema.validate(found, load_schema("cli.query-outputs"))
    for record in found:
        stored = {n: v for n, v in record.items() if n not in {"task_id", "shard_id"}}
        jsonschema.validate(stored, load_schema("record"))


def test_columns_are_those_of_the_kind(built: Built, main: Main) -> None:
    words = ("query", "outputs", "--kind", "todo", "--batch", built.old, "--store", built.path)
    header, first, *_ = csv.reader(io.StringIO(main(*words, "--format", "csv").out))
    fields = [
        "path",
        "line",
        "effort",
        "either",
        "owner",
        "seen",
        "tags",
        "text",
        "urgent",
        "weight",
    ]
    assert header == ["kind", *fields, "task_id", "shard_id"]
    assert first[1:11] == [
        *("a.py", "2", "9", "2", "ann", '{"io":1,"net":1}', '["io","net"]', "first", "false", "0.5")
    ]
    table = main(*words, "--format", "table", "--sort", "-weight").out.splitlines()
    assert table[0].split() == fields
    assert table[1].split()[0] == "b/c.py"
    assert main(*words).out.splitlines()[1].startswith("a.py:3: todo either=none seen={} tags=[]")


def test_counts(ask: Callable[..., Any]) -> None:
    assert ask("summary")["records"]["by_kind"]["todo"] == 3
    assert ask("summary")["diagnostics"]["by_code"] == {"todo.found": 3}
    assert {"by": "kind", "name": "todo", "count": 3} in ask("query", "stats")
    rows = {row["path"]: row["records"] for row in ask("files", "--task", "todos")}
    assert rows == {"a.py": 2, "b/c.py": 1, "empty.py": 0}


@pytest.mark.parametrize(
    ("by", "expected"),
    [
        ("todo", [{"name": "a.py", "count": 2}, {"name": "b/c.py", "count": 1}]),
        ("owner", [{"name": "ann", "count": 1}, {"name": "bob", "count": 1}]),
        ("todo.tags", [{"name": "io", "count": 2}, {"name": "net", "count": 1}]),
        ("urgent", [{"name": "false", "count": 2}, {"name": "true", "count": 1}]),
        ("code", [{"name": "todo.found", "count": 3}]),
        (
            "weight",
            [
                {"path": "b/c.py", "value": 2.5, "line": 1},
                {"path": "a.py", "value": 0.5, "line": 2},
                {"path": "a.py", "value": 0.5, "line": 3},
            ],
        ),
        (
            "todo_share",
            [
                {"path": "a.py", "value": 0.5},
                {"path": "b/c.py", "value": 0.25},
                {"path": "empty.py", "value": 0.0},
            ],
        ),
    ],
)
def test_top(by: str, expected: list[Any], ask: Callable[..., Any]) -> None:
    assert ask("top", "--by", by) == expected
    jsonschema.validate(expected, load_schema("cli.top"))


def test_top_of_one_kind(built: Built, ask: Callable[..., Any], main: Main) -> None:
    assert ask("top", "--kind", "todo", "--by", "path")[0] == {"name": "a.py", "count": 2}
    assert ask("top", "--kind", "skip", "--by", "owner") == []
    table = main("top", "--by", "weight", "--batch", built.old, "--store", built.path).out
    assert table.splitlines()[0].split() == ["value", "path", "line", "name"]


def test_sql(built: Built) -> None:
    rows = built.batch.sql("SELECT * FROM todos ORDER BY path, line")
    assert rows[0]["tags"] == '["io","net"]'
    assert rows[0]["seen"] == '{"io":1,"net":1}'
    assert (rows[0]["urgent"], rows[0]["weight"], rows[1]["effort"]) == (0, 0.5, None)
    assert [row["either"] for row in rows] == [2, "none", 1]
    (row,) = built.batch.sql(
        "SELECT sum(value) AS shares, typeof(value) AS type FROM metrics "
        "WHERE metric = 'todo_share'"
    )
    assert row == {"shares": 0.75, "type": "real"}
    (joined,) = built.batch.sql(
        "SELECT count(*) AS n FROM todos JOIN records USING (id) WHERE records.kind = 'todo'"
    )
    assert joined == {"n": 3}


def test_sql_names_the_tables_of_the_batch(built: Built, main: Main) -> None:
    error = refused(main, built, "sql", "SELECT * FROM nowhere")
    assert ", suppressions, todos" in str(error["hints"])
    error = refused(main, built, "sql", "SELECT efort FROM todos")
    assert "todos: effort, " in str(error["hints"])


def test_exported_tables(built: Built) -> None:
    stream = io.BytesIO()
    built.batch.export("csv", stream, kind="todo")
    header, *rows = csv.reader(io.StringIO(stream.getvalue().decode(), newline=""))
    assert dict(zip(header, rows[0], strict=True))["tags"] == '["io","net"]'
    stream = io.BytesIO()
    built.batch.export("jsonl", stream, kind="todo")
    assert [json.loads(line)["text"] for line in stream.getvalue().splitlines()] == [
        record["text"] for record in built.batch.records(kind="todo")
    ]


def test_parquet_is_typed(built: Built) -> None:
    pa = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    stream = io.BytesIO()
    built.batch.export("parquet", stream, kind="todo")
    table = parquet.read_table(io.BytesIO(stream.getvalue()))
    types = {field.name: (field.type, field.nullable) for field in table.schema}
    assert types["tags"] == (pa.list_(pa.string()), False)
    assert types["weight"] == (pa.float64(), False)
    assert types["effort"] == (pa.int64(), True)
    assert types["urgent"] == (pa.bool_(), False)
    assert types["seen"] == types["either"] == (pa.string(), False)
    first = min(table.to_pylist(), key=lambda row: (row["path"], row["line"]))
    assert (first["tags"], first["seen"]) == (["io", "net"], '{"io":1,"net":1}')
    stream = io.BytesIO()
    built.batch.export("parquet", stream, kind="metric")
    metrics = parquet.read_table(io.BytesIO(stream.getvalue()))
    assert metrics.schema.field("value").type == pa.float64()
    assert 0.25 in metrics.column("value").to_pylist()


def test_data_frame_is_typed(built: Built) -> None:
    pytest.importorskip("pandas")
    types = {
        "line": "int64",
        "effort": "Int64",
        "weight": "float64",
        "urgent": "bool",
        "text": "object",
        "tags": "object",
    }
    frame = built.batch.outputs(kind="todo").to_pandas()
    assert {name: str(frame[name].dtype) for name in types if name != "text"} == {
        name: dtype for name, dtype in types.items() if name != "text"
    }
    empty = built.batch.outputs(kind="todo", name="nothing").to_pandas()
    assert str(empty["effort"].dtype) == "Int64"
    assert list(frame.columns) == list(empty.columns)


@pytest.mark.parametrize("kind", ["todo", "todo,metric", None])
def test_columns_are_the_records(kind: str | None, built: Built) -> None:
    pytest.importorskip("pyarrow")
    rows = built.batch.outputs(kind=kind).to_arrow().to_pylist()
    found = [*map(flat, built.batch.outputs(kind=kind))]
    assert len(rows) == len(found) > 0
    for row, record in zip(rows, found, strict=True):
        there = {name: value for name, value in row.items() if value is not None}
        expected = {name: value for name, value in record.items() if value is not None}
        for name in ("seen", "either", "value"):
            if name in expected and isinstance(there[name], str):
                there[name] = json.loads(there[name]) if there[name] != "none" else "none"
        assert there == expected


def test_rules_have_title_help_and_link(built: Built, main: Main) -> None:
    stream = io.BytesIO()
    built.batch.export("sarif", stream)
    (run,) = json.loads(stream.getvalue())["runs"]
    (rule,) = [one for one in run["tool"]["driver"]["rules"] if one["id"] == "todo.found"]
    assert rule["shortDescription"] == {"text": "Something to do"}
    assert rule["fullDescription"] == {"text": "Somebody left this for later."}
    assert rule["help"] == {"text": "Somebody left this for later.\nhttps://example.org/todo"}
    assert rule["helpUri"] == "https://example.org/todo"
    assert {"L101", "E0002"} < {one["id"] for one in run["tool"]["driver"]["rules"]}
    stream = io.BytesIO()
    built.batch.export("github", stream)
    assert stream.getvalue().splitlines()[0].decode() == (
        "::notice file=a.py,line=2,col=3,title=todo.found Something to do::"
        "to do%0ASomebody left this for later.%0Ahttps://example.org/todo"
    )


def test_sarif_with_links_is_valid(built: Built) -> None:
    schema = official_schema(
        b"oasis-tcs/sarif-spec", lambda it: "2.1.0" in it.get("title", "") and "$id" in it
    )
    stream = io.BytesIO()
    built.batch.export("sarif", stream)
    jsonschema.validate(
        json.loads(stream.getvalue()), schema, format_checker=jsonschema.FormatChecker()
    )


def test_built_in_words_are_completed() -> None:
    (option,) = [one for one in outputs.params if one.name == "kind"]
    context = click.Context(outputs)
    assert [one.value for one in option.shell_complete(context, "sy")] == ["symbol"]
    assert [one.value for one in option.shell_complete(context, "ast,e")] == ["ast,edge"]


def test_inspect(built: Built, ask: Callable[..., Any], main: Main) -> None:
    document = ask("inspect", "b/c.py")
    jsonschema.validate(document, load_schema("cli.inspect"))
    assert [rule["title"] for rule in document["rules"]] == ["Something to do"]
    page = main("inspect", "b/c.py", "--batch", built.old, "--store", built.path).out
    assert "rules\n  todo.found Something to do: Somebody left this for later.\n" in page
    assert "https://example.org/todo" in page
    assert "\ntodo\n  1  effort=4 either=1 owner=bob" in page


@pytest.mark.parametrize(
    ("words", "message", "hint"),
    [
        (
            ("query", "outputs", "--kind", "todos"),
            "unknown kind: todos",
            "kinds of this batch: ast, diagnostic, edge, metric, skip, symbol, todo",
        ),
        (("query", "outputs", "--kind", "nope,todo"), "unknown kind: nope", "kinds of"),
        (("top", "--by", "no such"), "unknown field to count by: no such", "choose one of"),
        (("query", "outputs", "--code", "1x"), "unknown code: 1x", "a code reads"),
        (("query", "outputs", "--kind", "todo", "--sort", "code"), "unknown sort key", "choose"),
    ],
)
def test_unknown_words_are_refused(
    words: tuple[str, ...], message: str, hint: str, built: Built, main: Main
) -> None:
    error = refused(main, built, *words)
    assert error["message"].startswith(message)
    assert error["hints"][0].startswith(hint[:12]), error
    assert "todo" in error["hints"][0] or not hint.startswith("kinds")


def test_unknown_words_of_built_in_batches(scanned: Any, main: Main) -> None:
    with pytest.raises(FilterInvalidError, match="unknown kind: todo"):
        scanned.batch.outputs(kind="todo")
    with pytest.raises(FilterInvalidError, match="unknown metric: todo_share"):
        scanned.batch.outputs(metric="todo_share")
    with pytest.raises(FilterInvalidError, match=r"unknown code: todo\.found"):
        scanned.batch.outputs(code="todo.found")


def compared(main: Main, built: Built, command: str, *words: str) -> Any:
    done = main(command, built.old, built.new, *words, "--store", built.path, "--json")
    assert done.code == 0, done
    return json.loads(done.stdout)


def test_diff(built: Built, main: Main) -> None:
    """Moved lines are no change, another number is one, another text is another record."""
    found = compared(main, built, "diff", "--kind", "todo")
    jsonschema.validate(found, load_schema("cli.diff"))
    assert [record["text"] for record in found["added"]] == ["first", "2nd"]
    assert [record["text"] for record in found["removed"]] == ["first", "second"]
    assert found["changed"] == []
    assert found["summary"]["unchanged"] == 1
    lines = main("diff", built.old, built.new, "--kind", "todo", "--store", built.path).out
    assert "+ todo at 5 added: either=none seen={} tags=[] text=2nd" in lines


def test_regressions(built: Built, main: Main) -> None:
    assert compared(main, built, "regressions")["items"]
    assert compared(main, built, "improvements")["items"]


def test_verify(built: Built, main: Main) -> None:
    done = main("verify", "--store", built.path)
    assert done.code == 0, done
