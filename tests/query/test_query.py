"""Filters, order, formats and counts of the commands that list things, and of the Python face."""

from __future__ import annotations

import contextlib
import csv
import hashlib
import io
import itertools
import json
import os
import pty
import re
import subprocess
from collections import Counter
from collections.abc import Callable
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from conftest import OBEYING_PERMISSIONS, Outcome, Scanned, cli_command, cli_environment
from hypothesis import given
from hypothesis import strategies as st

import codebatch
from codebatch.cli.render import formats
from codebatch.cli.render.formats import FORMATS, Columns, Destination, write_rows
from codebatch.cli.render.output import table_lines
from codebatch.display.widths import fitted, shortened, text_width
from codebatch.model.digest import canonical_json
from codebatch.model.errors import (
    FilterInvalidError,
    MissingExtraError,
    OutputError,
    TaskNotFoundError,
)
from codebatch.model.records import KINDS
from codebatch.model.resources import load_schema
from codebatch.query.fields import (
    FIELDS,
    FILE_FIELDS,
    VALUE_TEXT,
    flat,
    record_columns,
    sorted_rows,
)
from codebatch.store.shards import Shards
from codebatch.tasks.vocabulary import EDGE_TYPES, METRICS, SYMBOL_TYPES

Main = Callable[..., Outcome]
VIEWS = (
    *(["errors"], ["files"], ["tasks"], ["shards"], ["top"], ["top", "--by", "complexity"]),
    *(["query", name] for name in ("outputs", "diagnostics", "symbols", "edges", "metrics")),
    *(["query", "stats"], ["sql", "SELECT * FROM symbols"]),
)
SCHEMAS = {"top": "cli.top", "query stats": "cli.query-stats", "errors": "cli.errors"}


@pytest.fixture(scope="session")
def odd(tmp_path_factory: pytest.TempPathFactory) -> codebatch.Batch:
    """A batch over files whose names hold what formats trip over."""
    root = tmp_path_factory.mktemp("odd")
    os.mkdir(root / "tree")
    for name in (b"caf\xe9.py", b"a|b__*.py", b"new\nline\r\t.py", b"bad\x1b[31m.py", b'q,"q".py'):
        with open(os.fsencode(root / "tree") + b"/" + name, "wb") as stream:
            stream.write(b"import os\ndef f(a):\n    return a   \n")
    batch, report = codebatch.scan(root / "tree", root / "store", scheduler="sync")
    assert report.status == "done"
    return batch


def rows_of(main: Main, store: Path, *words: str) -> Any:
    done = main(*words, "--store", store, "--format", "json")
    assert (done.code, done.err) == (0, ""), done
    return json.loads(done.stdout)


def all_records(batch: codebatch.Batch) -> list[dict[str, Any]]:
    return list(batch.records())


# -- vocabularies and fields ------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_fields_are_those_of_the_schema(kind: str) -> None:
    of_table = {VALUE_TEXT} if kind == "metric" else set()
    fields = {"kind", *FIELDS[kind]} - of_table
    assert fields == set(load_schema(f"record.{kind}")["properties"])  # type: ignore[call-overload]


def test_vocabularies_are_those_of_the_schemas() -> None:
    def enum(kind: str, field: str) -> list[str]:
        rule = load_schema(f"record.{kind}")["properties"][field]  # type: ignore[index]
        return rule.get("anyOf", [rule])[0]["enum"]

    assert sorted(METRICS) == sorted(enum("metric", "metric"))
    assert sorted(SYMBOL_TYPES) == sorted(enum("symbol", "symbol_type"))
    assert sorted(EDGE_TYPES) == sorted(enum("edge", "edge_type"))


# -- filters ----------------------------------------------------------------------------------

CONDITIONS: list[tuple[str, dict[str, Any], Callable[[dict[str, Any]], bool]]] = [
    ("diagnostics", {"severity": "error"}, lambda r: r["severity"] == "error"),
    ("diagnostics", {"code": "L101,E0001"}, lambda r: r["code"] in {"L101", "E0001"}),
    ("diagnostics", {"path": "*.py"}, lambda r: fnmatchcase(r["path"], "*.py")),
    ("symbols", {"name": "*r*"}, lambda r: fnmatchcase(r["name"], "*r*")),
    ("symbols", {"name": "Cart"}, lambda r: r["name"] == "Cart"),
    ("symbols", {"symbol_type": "class,method"}, lambda r: r["symbol_type"] in {"class", "method"}),
    ("edges", {"target": "*os*"}, lambda r: fnmatchcase(r["target"], "*os*")),
    ("edges", {"edge_type": "imports"}, lambda r: r["edge_type"] == "imports"),
    ("edges", {"name": "C*"}, lambda r: fnmatchcase(r.get("name", ""), "C*")),
    ("metrics", {"metric": "loc,sloc"}, lambda r: r["metric"] in {"loc", "sloc"}),
    (
        "metrics",
        {"min": 2, "max": 5},
        lambda r: r["value"] != str(r["value"]) and 2 <= r["value"] <= 5,
    ),
    ("metrics", {"name": "Cart.add"}, lambda r: r.get("name") == "Cart.add"),
    ("outputs", {"kind": "skip,ast"}, lambda r: r["kind"] in {"skip", "ast"}),
    ("outputs", {"task": "lint"}, lambda r: r["task_id"] == "lint"),
    ("outputs", {"min": 3}, lambda r: isinstance(r.get("value"), int) and r["value"] >= 3),
]


@pytest.mark.parametrize(
    ("command", "filters", "fits"),
    CONDITIONS,
    ids=lambda value: "" if callable(value) else str(value),
)
def test_filter_keeps_exactly_what_fits(
    command: str,
    filters: dict[str, Any],
    fits: Callable[[dict[str, Any]], bool],
    scanned: Scanned,
    main: Main,
) -> None:
    kinds = KINDS if command == "outputs" else (command[:-1],)
    expected = [r for r in all_records(scanned.batch) if r["kind"] in kinds and fits(r)]
    assert expected
    words = [f"--{name.replace('_', '-')}={value}" for name, value in filters.items()]
    found = rows_of(main, scanned.path, "query", command, *words)
    assert sorted(map(canonical_json, found)) == sorted(map(canonical_json, expected))
    if command == "outputs":
        assert list(map(canonical_json, scanned.batch.outputs(**filters))) == list(
            map(canonical_json, expected)
        )


def test_language_is_that_of_the_file(scanned: Scanned, main: Main) -> None:
    languages = {row["path"]: row["language"] for row in scanned.batch.files()}
    found = rows_of(main, scanned.path, "query", "outputs", "--language", "typescript,tsx")
    assert {languages[row["path"]] for row in found} == {"typescript", "tsx"}
    assert len(found) == sum(
        languages[str(record["path"])] in {"typescript", "tsx"}
        for record in all_records(scanned.batch)
    )


@pytest.mark.parametrize(
    "words",
    [
        "query outputs --kind huge",
        "query outputs --kind symbol,huge",
        "errors --severity warnings",
        "errors --language cobold",
        "errors --code nonsense",
        "query symbols --symbol-type klass",
        "query edges --edge-type arrow",
        "query metrics --metric size",
        "query metrics --sort size",
        "query metrics --min nan",
        "query metrics --min 3 --max 2",
        "files --sort line",
        "errors --sort -",
        "top --by size",
    ],
)
def test_unknown_values_are_refused(words: str, scanned: Scanned, main: Main) -> None:
    for form in ("--json", "--format=json"):
        done = main(*words.split(), "--store", scanned.path, form)
        assert (done.code, done.err) == (2, "")
        error = json.loads(done.stdout)["error"]
        assert error["code"] == "FILTER_INVALID"
    done = main(*words.split(), "--store", scanned.path)
    assert (done.code, done.stdout) == (2, b"")
    assert "\nerror: " in f"\n{done.err}"


def test_unknown_task_is_refused(scanned: Scanned, main: Main) -> None:
    for words in (["top"], ["query", "stats"], ["files"], ["errors"]):
        assert main(*words, "--task", "no", "--store", scanned.path).code == 2
    with pytest.raises(TaskNotFoundError):
        scanned.batch.top("code", task="no")


def test_option_given_twice_is_refused_but_a_format(
    scanned: Scanned, main: Main, tmp_path: Path
) -> None:
    store = ("--store", scanned.path)
    assert "--code is given twice" in main("errors", "--code", "L1", "--code", "L2", *store).err
    done = main("errors", "--format", f"csv:{tmp_path}/a", "--format", f"md:{tmp_path}/b", *store)
    assert (done.code, done.stdout) == (0, b"")
    assert (tmp_path / "a").read_bytes().startswith(b"kind,path,")
    assert (tmp_path / "b").read_bytes().startswith(b"| path |")


# -- order and limit --------------------------------------------------------------------------

VALUES = st.one_of(st.none(), st.integers(-3, 3), st.sampled_from(["", "a", "b", "\udce9"]))


@given(st.lists(VALUES), st.booleans())
def test_sorted_rows(values: list[Any], descending: bool) -> None:
    rows: list[dict[str, object]] = [{"v": v, "n": n} for n, v in enumerate(values)]
    found = sorted_rows(rows, "-v" if descending else "v")
    assert sorted(row["n"] for row in found) == list(range(len(rows)))  # type: ignore[type-var]
    present = [row for row in found if row["v"] is not None]
    assert found[: len(present)] == present
    for first, second in itertools.pairwise(present):
        a, b = first["v"], second["v"]
        if a == b:
            assert first["n"] < second["n"]  # type: ignore[operator]
        elif isinstance(a, str) == isinstance(b, str):
            assert (a > b) == descending  # type: ignore[operator]
        else:
            assert isinstance(b, str)  # numbers first, either way


def test_limit_leaves_the_same_records_in_every_format(scanned: Scanned, main: Main) -> None:
    for sort in ([], ["--sort", "-line"], ["--sort", "kind"]):
        words = ["query", "outputs", "--limit", "7", *sort, "--store", scanned.path]
        lines = main(*words, "--format", "jsonl").stdout.splitlines()
        assert [json.loads(line) for line in lines] == json.loads(main(*words, "--json").stdout)
        assert len(lines) == 7


def test_limit_of_nothing(scanned: Scanned, main: Main) -> None:
    for words in VIEWS:
        if words[0] in {"errors", "files", "top", "query"} and words[-1] != "stats":
            assert rows_of(main, scanned.path, *words, "--limit", "0") == []


# -- counts -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("by", "kind"),
    [
        *(("kind", None), ("code", "diagnostic"), ("severity", "diagnostic")),
        *(("rule", "diagnostic"), ("path", "diagnostic"), ("target", "edge")),
        *(("symbol_type", "symbol"), ("edge_type", "edge"), ("reason", "skip")),
    ],
)
def test_top_counts(by: str, kind: str | None, scanned: Scanned, main: Main) -> None:
    records = [r for r in all_records(scanned.batch) if kind in (None, r["kind"])]
    counts = Counter(str(record[by]) for record in records)
    rows = rows_of(main, scanned.path, "top", "--by", by)
    jsonschema.validate(rows, load_schema("cli.top"))
    assert {row["name"]: row["count"] for row in rows} == counts
    assert rows == sorted(rows, key=lambda row: (-row["count"], row["name"].encode()))
    chosen = rows_of(main, scanned.path, "top", "--by", by, "--path", "pkg/*")
    inside = Counter(str(r[by]) for r in records if r["path"].startswith("pkg/"))
    assert {row["name"]: row["count"] for row in chosen} == inside


def test_top_by_language_and_of_another_kind(scanned: Scanned, main: Main) -> None:
    rows = rows_of(main, scanned.path, "top", "--by", "language")
    assert sum(row["count"] for row in rows) == len(list(scanned.batch.records(kind="diagnostic")))
    rows = rows_of(main, scanned.path, "top", "--by", "path", "--kind", "symbol")
    assert sum(row["count"] for row in rows) == len(list(scanned.batch.records(kind="symbol")))
    assert scanned.batch.top("path", kind="symbol") == rows


@pytest.mark.parametrize("metric", ["loc", "function_complexity"])
def test_top_by_metric(metric: str, scanned: Scanned, main: Main) -> None:
    rows = rows_of(main, scanned.path, "top", "--by", metric)
    jsonschema.validate(rows, load_schema("cli.top"))
    names = ("path", "value", "name", "line")
    expected = [
        {name: r[name] for name in names if name in r}
        for r in all_records(scanned.batch)
        if r.get("metric") == metric
    ]
    expected.sort(key=lambda r: (-r["value"], r["path"].encode(), r.get("line", 0)))
    assert rows == expected
    assert ("name" in rows[0]) == metric.startswith("function")
    few = rows_of(main, scanned.path, "top", "--by", metric, "--min", "2", "--limit", "2")
    assert few == [row for row in expected if row["value"] >= 2][:2]


def test_top_cuts_the_table_alone(small_library: Path, tmp_path: Path, main: Main) -> None:
    batch, _ = codebatch.scan(small_library, tmp_path / "s", scheduler="sync")
    words = ("top", "--by", "path", "--kind", "symbol", "--store", tmp_path / "s")
    done = main(*words)
    assert len(done.stdout.splitlines()) == 11
    number = len(batch.top("path", kind="symbol"))
    assert done.err.splitlines()[-1] == f"10 of {number:,} shown (more: --limit N)"
    assert len(main(*words, "--limit", "12").stdout.splitlines()) == 13
    assert len(main(*words, "--format", "csv").stdout.splitlines()) == number + 1
    assert len(json.loads(main(*words, "--json").stdout)) == number


def test_stats(scanned: Scanned, main: Main, monkeypatch: pytest.MonkeyPatch) -> None:
    records = all_records(scanned.batch)
    languages = {row["path"]: row["language"] for row in scanned.batch.files()}

    def refuse(*_: object) -> None:
        raise AssertionError("outputs are read")

    monkeypatch.setattr(Shards, "iter_outputs", refuse)
    monkeypatch.setattr(Shards, "read_outputs", refuse)
    rows = rows_of(main, scanned.path, "query", "stats")
    jsonschema.validate(rows, load_schema("cli.query-stats"))
    found = [r for r in records if r["kind"] == "diagnostic"]
    expected = {
        "task": Counter(r["task_id"] for r in records),
        "kind": Counter(r["kind"] for r in records),
        "language": Counter(languages[str(r["path"])] for r in records),
        "severity": Counter(r["severity"] for r in found),
        "code": Counter(r["code"] for r in found),
    }
    for by, counts in expected.items():
        assert {row["name"]: row["count"] for row in rows if row["by"] == by} == counts
    assert {row["by"] for row in rows} == set(expected)
    alone = rows_of(main, scanned.path, "query", "stats", "--task", "lint")
    assert {row["name"] for row in alone if row["by"] == "task"} == {"lint"}
    # What the states count needs no outputs either.
    assert rows_of(main, scanned.path, "top", "--by", "code")


# -- formats ----------------------------------------------------------------------------------


@pytest.mark.parametrize("words", VIEWS, ids=" ".join)
def test_formats_hold_the_same(
    words: list[str], odd: codebatch.Batch, main: Main, tmp_path: Path
) -> None:
    forms = [
        f"--format={name}:{tmp_path}/{name}" for name in ("json", "jsonl", "csv", "md", "table")
    ]
    done = main(*words, *forms, "--store", odd.path, "--json")
    assert (done.code, done.err) == (0, "")
    rows = json.loads(done.stdout)
    assert rows
    name = " ".join(words[:2] if words[0] == "query" else words[:1])
    if name in SCHEMAS:
        jsonschema.validate(rows, load_schema(SCHEMAS[name]))
    assert json.loads((tmp_path / "json").read_bytes()) == rows
    lines = (tmp_path / "jsonl").read_bytes().split(b"\n")
    assert lines.pop() == b""
    assert lines == [canonical_json(row) for row in rows]
    with open(tmp_path / "csv", encoding="utf-8", newline="") as stream:
        read = list(csv.DictReader(stream, strict=True))
    assert read == [{name: as_csv(flat(row).get(name)) for name in read[0]} for row in rows]
    assert set(read[0]) >= {name for row in rows for name in row}
    for form, extra in (("md", 2), ("table", 1)):
        text = (tmp_path / form).read_text("utf-8")
        assert len(text.split("\n")) == len(rows) + extra + 1
        assert not re.search("[\x00-\x09\x0b-\x1f]", text)


def as_csv(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode()
    return str(value) if isinstance(value, int | float) else canonical_json(value).decode()


TEXT = st.text(st.characters(blacklist_characters="\0"))
ROWS = st.lists(st.fixed_dictionaries({"a": TEXT, "b": st.one_of(TEXT, st.integers())}))


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file to write to, again and again."""
    return tmp_path_factory.mktemp("formats") / "file"


@given(rows=ROWS)
def test_any_text_survives_csv_and_lines(rows: list[dict[str, object]], target: Path) -> None:
    """Written to files and read back by the readers of other tools."""
    columns = Columns(("a", "b"), ("a", "b"))
    write_rows(rows, columns, [Destination("csv", str(target))])
    with open(target, encoding="utf-8", newline="") as stream:
        read = list(csv.reader(stream, strict=True))
    assert read == [["a", "b"], *([as_csv(row["a"]), as_csv(row["b"])] for row in rows)]
    write_rows(rows, columns, [Destination("jsonl", str(target))])
    lines = target.read_bytes().split(b"\n")
    assert [json.loads(line) for line in lines if line] == rows
    write_rows(rows, columns, [Destination("md", str(target))])
    assert len(target.read_bytes().split(b"\n")) == len(rows) + 3


def test_markdown_escapes_what_marks(odd: codebatch.Batch, main: Main) -> None:
    done = main("files", "--format", "md", "--store", odd.path, "--path", "a*")
    line = done.out.splitlines()[2]
    assert line.endswith(r"| a\|b\_\_\*.py |")
    assert len(re.findall(r"(?<!\\)\|", line)) == len(
        re.findall(r"(?<!\\)\|", done.out.splitlines()[0])
    )


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--format", "xml"], "unknown format 'xml'"),
        (["--format", "csv:"], "'csv:' names no file"),
        (["--format", "csv", "--format", "md"], "two formats for stdout"),
        (["--format", "csv", "--json"], "two formats for stdout"),
        (["--format", "csv:x", "--format", "md:x"], "two formats for the same file: x"),
        (["--format", "csv:/missing/x"], "cannot write /missing/x: No such file"),
        (["--format", "csv:/dev/full"], "cannot write /dev/full: No space left"),
        (["--format", "jsonl:/"], "cannot write /: Is a directory"),
    ],
)
def test_formats_that_cannot_be(
    words: list[str], message: str, scanned: Scanned, main: Main
) -> None:
    done = main("errors", *words, "--store", scanned.path)
    assert done.code == 2
    if "--json" in words:
        assert message in json.loads(done.stdout)["error"]["message"]
    else:
        assert message in done.err.splitlines()[0]
        assert done.err.startswith("error: ")


def test_lines_are_written_while_records_are_read(scanned: Scanned) -> None:
    """The reader of the first line goes away; nothing is said, and not everything is read."""
    command = [*cli_command("query", "outputs", "--format", "jsonl", "--store", scanned.path)]
    done = subprocess.run(
        ["bash", "-c", 'set -o pipefail; "$@" | head -n 1', "bash", *command],
        env=cli_environment(),
        capture_output=True,
        check=True,
    )
    assert json.loads(done.stdout)["kind"]
    assert done.stderr == b""
    assert len(done.stdout.splitlines()) == 1


FIRST_LINES = {
    "table": ["  n", "  0"],
    "json": ['[{"n": 0},', '{"n": 1},'],
    "jsonl": ['{"n":0}', '{"n":1}'],
    "csv": ["n\r", "0\r"],
    "md": ["| n |", "| ---: |"],
}


@pytest.mark.parametrize("form", FORMATS)
def test_rows_are_written_while_they_are_read(
    form: str, capfdbinary: pytest.CaptureFixture[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the form, and as `head -n 1` sees them: before the last row is there."""
    assert FIRST_LINES.keys() == {*FORMATS}
    monkeypatch.setattr(formats, "_HELD_BYTES", 1_000)

    def rows() -> Any:
        yield from ({"n": number} for number in range(1_500))
        raise RuntimeError("the end")

    with pytest.raises(RuntimeError, match="the end"):
        write_rows(rows(), Columns(("n",), ("n",)), [Destination(form)])
    print(end="", flush=True)
    lines = capfdbinary.readouterr().out.decode().split("\n")
    assert [line.rstrip("\n") for line in lines[:2]] == FIRST_LINES[form]
    assert any("1499" in line.replace(",", "") for line in lines)


def test_an_error_among_the_first_rows_is_before_an_array(
    capfdbinary: pytest.CaptureFixture[bytes],
) -> None:
    def rows() -> Any:
        yield {"n": 1}
        raise RuntimeError("the end")

    with pytest.raises(RuntimeError, match="the end"):
        write_rows(rows(), Columns(("n",), ("n",)), [Destination("json")])
    print(end="", flush=True)
    assert capfdbinary.readouterr().out == b""


def test_a_wider_value_further_down_widens_a_table() -> None:
    rows = [{"a": "x", "b": "y"}] * 1_000 + [{"a": "xyz", "b": "y"}, {"a": "x", "b": "y"}]
    lines = [*table_lines(("a", "b"), rows)]
    assert (lines[1], *lines[-2:]) == ("x  y", "xyz  y", "x    y")


def test_a_field_that_csv_has_no_column_for_is_an_error(tmp_path: Path) -> None:
    rows = [{"a": 1}] * 1_000 + [{"a": 1, "late": 2}]
    with pytest.raises(OutputError, match="late"):
        write_rows(rows, Columns(("a",), ("a",)), [Destination("csv", str(tmp_path / "f"))])
    assert not (tmp_path / "f").exists()
    write_rows(rows[-1:], Columns(("a",), ("a",)), [Destination("csv", str(tmp_path / "f"))])
    assert (tmp_path / "f").read_bytes() == b"a,late\r\n1,2\r\n"


# -- terminals --------------------------------------------------------------------------------


def on_terminal(columns: int, *words: object) -> str:
    """What a command prints to a terminal of that width, errors included."""
    parent, child = pty.openpty()
    environment = cli_environment(COLUMNS=str(columns), NO_COLOR="1")
    process = subprocess.Popen(
        cli_command(*words), stdin=child, stdout=child, stderr=child, env=environment
    )
    os.close(child)
    found = io.BytesIO()
    with contextlib.suppress(OSError):  # Linux: the other side has closed it
        while portion := os.read(parent, 65536):
            found.write(portion)
    os.close(parent)
    assert process.wait(60) == 0
    return found.getvalue().decode().replace("\r\n", "\n")


def test_table_fits_the_terminal_and_says_what_it_cut(scanned: Scanned) -> None:
    text = on_terminal(50, "query", "symbols", "--store", scanned.path)
    *table, note = text.splitlines()
    assert max(map(len, table)) <= 50
    assert note.startswith("cut to the terminal: ")
    wide = on_terminal(300, "query", "symbols", "--store", scanned.path)
    assert "cut to the terminal" not in wide
    assert len(wide.splitlines()) == len(table)


def test_nothing_steers_a_terminal(odd: codebatch.Batch) -> None:
    for form in ("table", "json", "jsonl", "csv", "md"):
        text = on_terminal(200, "files", "--format", form, "--store", odd.path)
        assert "\x1b" not in text
        assert "31m" in text


@given(st.lists(st.tuples(st.integers(1, 60), st.booleans()), min_size=1), st.integers(1, 200))
def test_widths_fit_where_they_can(shape: list[tuple[int, bool]], width: int) -> None:
    natural, numeric = [size for size, _ in shape], [number for _, number in shape]
    widths = fitted(natural, numeric, width, range(len(shape)), 1)
    assert all(0 <= now <= before for now, before in zip(widths, natural, strict=True))
    shown = [size for size in widths if size]
    assert sum(shown) + 2 * (len(shown) - 1) <= width or shown == [widths[0]]
    if sum(natural) + 2 * (len(natural) - 1) <= width:
        assert widths == natural


def test_numbers_of_lines_have_no_separators() -> None:
    lines = [*table_lines(("path", "line", "size"), [{"path": "a", "line": 12345, "size": 12345}])]
    assert lines == ["path   line    size", "a     12345  12,345"]


ROW = {"path": "django/contrib/admin/locale/de/formats.py", "line": 7, "name": "a" * 30, "value": 9}


def test_what_was_asked_for_stays() -> None:
    """Then the path; the others go from the right."""
    columns = (*ROW, "scope")
    rows = [{**ROW, "scope": "b" * 30}]
    for asked in columns:
        head, line = table_lines(columns, rows, 44, [asked])
        assert asked in head.split()
        assert max(map(len, (head, line))) <= 44
        assert "path" in head.split()
    assert next(table_lines(columns, rows, 44)).split() == ["path", "line", "value"]
    assert next(table_lines(columns, rows, 54)).split() == ["path", "line", "name"]


def test_columns_without_values_are_left_out_first() -> None:
    rows = [{**ROW, "name": None}]
    assert next(table_lines((*ROW,), rows, 100)).split() == ["path", "line", "value"]
    assert next(table_lines((*ROW,), rows, 100, ["name"])).split() == [*ROW]
    assert next(table_lines((*ROW,), rows)).split() == [*ROW]


def test_sql_on_a_narrow_terminal_has_a_line_for_each_value(scanned: Scanned) -> None:
    statement = "SELECT path, name, scope, symbol_type FROM symbols WHERE name = 'Cart'"
    table = on_terminal(100, "sql", statement, "--store", scanned.path)
    assert table.splitlines()[1].split() == ["path", "name", "scope", "symbol_type"]
    _, first, *lines = on_terminal(30, "sql", statement, "--store", scanned.path).splitlines()
    assert first.startswith("-[ RECORD 1 ]-")
    assert [line.split()[0] for line in lines[:4]] == ["path", "name", "scope", "symbol_type"]


@pytest.mark.parametrize(
    ("text", "width", "short"),
    [
        ("django/contrib/admin/locale/formats.py", 40, "django/contrib/admin/locale/formats.py"),
        ("django/contrib/admin/locale/formats.py", 24, "django/…/formats.py"),
        ("django/contrib/admin/locale/formats.py", 12, "…/formats.py"),
        ("django/contrib/admin/locale/formats.py", 5, "…s.py"),
        ("a message of words", 10, "a message…"),
        ("either/or is said here", 10, "either/or…"),
        ("日本語の名前", 7, "日本語…"),
        ("日本/語/名.py", 9, "…語/名.py"),
        ("e\u0301" * 5, 5, "e\u0301" * 5),
        ("e\u0301" * 5, 3, "e\u0301e\u0301…"),
        ("ab", 1, "a"),
    ],
)
def test_short_texts_keep_what_says_most(text: str, width: int, short: str) -> None:
    assert text_width(shortened(text, width, "…")) <= width
    assert shortened(text, width, "…") == short


def test_columns_of_wide_letters_are_aligned() -> None:
    names = ("日本", "e\u0301", "plain", "🙂")
    lines = [*table_lines(("name", "x"), [{"name": name, "x": "|"} for name in names])]
    assert {text_width(line.partition("|")[0]) for line in lines[1:]} == {7}


# -- the Python face --------------------------------------------------------------------------


def test_records_can_be_read_again(scanned: Scanned) -> None:
    found = scanned.batch.outputs(kind="symbol", symbol_type="class")
    assert found.to_list() == list(found) == list(found)
    assert {record["name"] for record in found} >= {"Cart", "Box"}
    with pytest.raises(FilterInvalidError):
        scanned.batch.outputs(kind="nothing")
    with pytest.raises(TypeError):
        scanned.batch.outputs(colour="red")


def test_data_frame(odd: codebatch.Batch) -> None:
    pandas = pytest.importorskip("pandas")
    frame = odd.outputs(kind="diagnostic").to_pandas()
    assert list(frame.columns) == list(record_columns(["diagnostic"]))
    assert len(frame) == len(odd.outputs(kind="diagnostic").to_list())
    assert "caf\\udce9.py" in set(frame["path"])
    empty = odd.outputs(kind="edge", target="nothing").to_pandas()
    assert isinstance(empty, pandas.DataFrame)
    assert list(empty.columns) == list(record_columns(["edge"]))


def test_data_frame_without_pandas(scanned: Scanned, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pandas", None)
    with pytest.raises(MissingExtraError, match="pandas"):
        scanned.batch.outputs().to_pandas()


def test_files_of_one_task(scanned: Scanned, main: Main) -> None:
    rows = rows_of(main, scanned.path, "files", "--task", "lint")
    counts = Counter(r["path"] for r in all_records(scanned.batch) if r["task_id"] == "lint")
    assert {row["path"]: row["records"] for row in rows if row["records"]} == counts
    assert list(rows[0]) == list(FILE_FIELDS)


# -- the store is only looked at --------------------------------------------------------------


def fingerprint(store: Path) -> dict[str, object]:
    found: dict[str, object] = {}
    for path in sorted(store.rglob("*")):
        name = str(path.relative_to(store))
        if name.split("/", 1)[0] != "indexes":
            kind = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "folder"
            found[name] = kind, path.stat().st_mode
    return found


def test_views_change_nothing_but_indexes(scanned_copy: Scanned, main: Main) -> None:
    before = fingerprint(scanned_copy.path)
    for words in VIEWS:
        assert main(*words, "--store", scanned_copy.path).code == 0
    assert fingerprint(scanned_copy.path) == before
    assert (scanned_copy.path / "indexes" / "sql").is_dir()


@pytest.mark.parametrize("words", VIEWS, ids=" ".join)
def test_views_of_a_store_that_cannot_be_written(
    words: list[str], scanned_copy: Scanned, cli: Main, main: Main
) -> None:
    expected = main(*words, "--store", scanned_copy.path, "--json")
    for folder in scanned_copy.path.rglob("indexes"):
        subprocess.run(["rm", "-r", str(folder)], check=True)
    folders = [scanned_copy.path, *(p for p in scanned_copy.path.rglob("*") if p.is_dir())]
    for folder in folders:
        folder.chmod(0o555)
    try:
        command = (*words, "--store", scanned_copy.path, "--json")
        done = cli(*command, before=OBEYING_PERMISSIONS)
        assert not (scanned_copy.path / "indexes").exists()
    finally:
        for folder in folders:
            folder.chmod(0o755)
    assert (done.code, done.err, done.stdout) == (0, "", expected.stdout)
