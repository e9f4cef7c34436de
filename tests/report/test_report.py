"""The page of a report: what is in it, what is left out, and how it is written."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import Outcome, Scanned, write_tree
from report_samples import HOSTILE, hostile_batch, levels

import codebatch
from codebatch.model.errors import (
    BatchNotFoundError,
    BatchUnfinishedError,
    OutputError,
)
from codebatch.report import write
from codebatch.report.findings import Findings, rule_rows
from codebatch.report.tables import NUMBER, TEXT, Budget, Column, Strings, Table, script_json
from codebatch.tasks.rules import Rule

Main = Callable[..., Outcome]
_DATA = re.compile(r'<script type="application/json" id="data">(.*?)</script>', re.DOTALL)


def page_of(batch: codebatch.Batch, **options: Any) -> str:
    stream = io.BytesIO()
    batch.report(stream, **options)
    return stream.getvalue().decode()


def data_of(page: str) -> dict[str, Any]:
    (text,) = _DATA.findall(page)
    found: dict[str, Any] = json.loads(text)
    return found


def rows_of(data: dict[str, Any], table: dict[str, Any]) -> list[dict[str, Any]]:
    """The rows of a table as the script of the page reads them."""

    def value(column: dict[str, Any], row: int) -> Any:
        cell = column["values"][row]
        if cell is None or column["type"] == "number":
            return cell
        if column["type"] != "path":
            return data["strings"][cell]
        folder, name = (data["strings"][data["paths"][part][cell]] for part in ("folder", "name"))
        return f"{folder}/{name}" if folder else name

    return [
        {column["name"]: value(column, row) for column in table["columns"]}
        for row in range(table["rows"])
    ]


def said(row: dict[str, Any]) -> str:
    """The message of a row of findings."""
    parts = iter(row["parts"].split("\n"))
    return re.sub("\n", lambda _: next(parts), row["message"])


@pytest.fixture(scope="module")
def page(scanned: Scanned) -> str:
    return page_of(scanned.batch)


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> codebatch.Batch:
    return hostile_batch(tmp_path_factory.mktemp("hostile"))


def test_the_tables_hold_what_the_batch_does(page: str, scanned: Scanned) -> None:
    data = data_of(page)
    names = ("path", "line", "column", "severity", "code", "message", "task_id")
    found = sorted(
        (
            row["path"],
            row["line"],
            row["column"],
            row["severity"],
            row["code"],
            said(row),
            row["task"],
        )
        for row in rows_of(data, data["tables"]["findings"])
    )
    records = scanned.batch.records(kind="diagnostic")
    assert found == sorted(tuple(record[name] for name in names) for record in records)
    files = rows_of(data, data["tables"]["files"])
    assert sorted(row["path"] for row in files) == [row["path"] for row in scanned.batch.files()]
    lines = {
        r["path"]: r["value"]
        for r in scanned.batch.records(kind="metric")
        if r["metric"] == "lines"
    }
    assert {row["path"]: row["lines"] for row in files if row["lines"] is not None} == lines
    (deepest, *_) = rows_of(data, data["tables"]["functions"])
    (top, *_) = scanned.batch.top("function_complexity")
    assert deepest["complexity"] == top["value"]
    skipped = rows_of(data, data["tables"]["skipped"])
    assert [(row["path"], row["reason"]) for row in skipped] == [
        (row["path"], row["reason"]) for row in scanned.batch.skipped()
    ]


def test_lines_of_source_are_around_findings(page: str, scanned: Scanned) -> None:
    data = data_of(page)
    findings = rows_of(data, data["tables"]["findings"])
    excerpts = rows_of(data, data["tables"]["excerpts"])
    assert len(excerpts) == len(findings)
    one = next(e for e in excerpts if findings[e["finding"]]["path"] == "pkg/broken.py")
    assert (one["first"], one["text"]) == (1, "def broken(:\n    pass")


def test_the_page_says_where_it_comes_from(page: str, scanned: Scanned) -> None:
    plan = scanned.batch.load_status().plan
    for words in (scanned.batch.id, plan.snapshot_id, scanned.report.result, codebatch.__version__):
        assert words in page
    assert plan.task("lint").fingerprint in page
    for absent in (str(scanned.tree), str(scanned.path), "20" + "26-"):
        assert absent not in page


def test_the_policy_has_the_digests_of_what_is_written(page: str) -> None:
    policy = re.search(r'Content-Security-Policy" content="([^"]+)"', page)
    assert policy is not None
    for tag, name in (("style", "style-src"), ("script", "script-src")):
        (text,) = re.findall(f"<{tag}>(.*?)</{tag}>", page, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"{name} &#39;sha256-{digest}&#39;" in policy[1]
    assert policy[1].startswith("default-src &#39;none&#39;")
    assert not re.search(r"<[a-z][^>]*\s(on\w+|style)\s*=", page.partition("</style>")[2])


def test_the_same_batch_gives_the_same_bytes(page: str, scanned: Scanned, tmp_path: Path) -> None:
    """In whatever shards, and wherever the tree and the store are."""
    again = page_of(scanned.batch)
    assert again == page
    batch, _ = codebatch.scan(scanned.tree, tmp_path / "elsewhere", shards=256, scheduler="sync")
    assert page_of(batch) == page


def test_nothing_of_a_tree_is_markup(hostile: codebatch.Batch) -> None:
    page = page_of(hostile, title=HOSTILE[0], history=[hostile])
    (text,) = _DATA.findall(page)
    assert not set("<>&\u2028\u2029\u202e") & set(text)
    rest = _DATA.sub("", page)
    assert rest.count("<script") == 1
    assert "<img" not in rest
    assert "{{ 7" in rest  # the title of a rule, as it is
    data = json.loads(text)
    findings = rows_of(data, data["tables"]["findings"])
    assert {said(row) for row in findings} >= {HOSTILE[0], HOSTILE[2], HOSTILE[4]}
    assert any("\\u202e" in said(row) for row in findings)
    paths = [row["path"] for row in rows_of(data, data["tables"]["files"])]
    assert "bytes \\udcff\\udcfe.py" in paths
    assert any(path.startswith("two\\nlines\\ttab\\r") for path in paths)


def test_records_of_kinds_of_tasks_are_tables(hostile: codebatch.Batch) -> None:
    data = data_of(page_of(hostile))
    notes, metrics = data["records"]
    assert (notes["name"], metrics["name"]) == ("note", "metric of remarks")
    rows = rows_of(data, notes)
    assert len(rows) == len(list(hostile.records(kind="note")))
    assert {row["text"] for row in rows} >= {HOSTILE[0]}
    assert rows[0]["items"].startswith("[")
    assert {row["metric"] for row in rows_of(data, metrics)} == {"length"}


def test_only_links_to_the_web_are_kept() -> None:
    """A plan of a store that somebody else has written may say anything."""
    links = {
        "A1": "javascript:alert(1)",
        "A2": "https://a.test/x",
        "A3": "file:///etc",
        "A4": None,
        "A5": "http://[x",
        "A6": "HTTPS://exa\u2100mple.com",
        "A7": "http:/x",
    }
    rules = {code: Rule(code, code, link=link) for code, link in links.items()}
    record = {"rule": "r", "severity": "info"}
    listed = [write.finding.Result({**record, "code": code}, None) for code in links]
    rows = rule_rows(Findings(listed, {}, {}, rules, ()), len(listed))
    assert [row["link"] for row in rows] == [
        None,
        links["A2"],
        None,
        None,
        links["A5"],
        links["A6"],
        None,
    ]


def test_a_base_tells_new_from_fixed(tmp_path: Path) -> None:
    files = {"a.py": "import os\n", "b.py": "x = 1   \n"}
    old, _ = codebatch.scan(write_tree(tmp_path / "a", files), tmp_path / "s", scheduler="sync")
    files = {"a.py": "import os\n", "b.py": "x = 1\n", "c.py": "import re\n"}
    new, _ = codebatch.scan(write_tree(tmp_path / "b", files), tmp_path / "s", scheduler="sync")
    page = page_of(new, base=old, history=[old])
    data = data_of(page)
    states = {(row["path"], row["state"]) for row in rows_of(data, data["tables"]["findings"])}
    assert states == {("a.py", "known"), ("b.py", "fixed"), ("c.py", "new")}
    assert "1 new" in page
    assert "1 fixed, 1 as before" in page
    fixed = next(
        n
        for n, row in enumerate(rows_of(data, data["tables"]["findings"]))
        if row["state"] == "fixed"
    )
    excerpts = rows_of(data, data["tables"]["excerpts"])
    assert next(row["text"] for row in excerpts if row["finding"] == fixed) == "x = 1   "
    assert f"2 batches, from {old.id} to this batch" in page
    assert '<polyline points="0.0,' in page


def test_a_base_tells_what_became_of_each_finding(tmp_path: Path) -> None:
    """As ``check`` and ``diff`` do: of files that no longer parse nothing is known."""
    old = {
        "changed.py": "x = 1\n\n",
        "same.py": "x = 1\n\n",
        "silenced.py": "import os\n\n",
        "broken.py": "import os\n\n",
        "fixed.py": "import os\n",
    }
    new = {
        **old,
        "changed.py": "x = 1\nworse\n",
        "silenced.py": "import os  # noqa: F401\n\n",
        "broken.py": "import os\ndef (:\n",
        "fixed.py": "\n",
    }
    base, head = (
        codebatch.scan(
            write_tree(tmp_path / name, tree),
            tmp_path / "s",
            tasks=["parse", "lint", levels],
            scheduler="sync",
        )[0]
        for name, tree in (("a", old), ("b", new))
    )
    page = page_of(head, base=base)
    data = data_of(page)
    found = {
        (row["path"], row["code"]): row["state"]
        for row in rows_of(data, data["tables"]["findings"])
        if row["state"] not in ("new", "known")
    }
    assert found == {
        ("broken.py", "L101"): "unread",
        ("changed.py", "C1"): "changed",
        ("fixed.py", "C1"): "fixed",
        ("fixed.py", "L101"): "fixed",
        ("silenced.py", "C1"): "fixed",  # its line is another one
        ("silenced.py", "L101"): "suppressed",
    }
    assert "3 fixed, 1 changed, 1 suppressed, 1 in files not read now, 2 as before" in page


def test_every_failure_is_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also those for which the list of findings has no room."""
    monkeypatch.setattr(write.finding, "MOST_FINDINGS", 1)
    tree = write_tree(tmp_path / "t", {f"{n}.txt": "x\nfail\n" for n in range(3)})
    batch, _ = codebatch.scan(
        tree, tmp_path / "s", tasks=[levels], pipeline="parse", scheduler="sync"
    )
    data = data_of(page_of(batch))
    failed = rows_of(data, data["tables"]["quarantined"])
    assert [(row["path"], row["task"]) for row in failed] == [
        (f"{n}.txt", "levels") for n in range(3)
    ]


def test_a_zero_is_known_in_the_trend(tmp_path: Path) -> None:
    """And what no task has measured is not."""
    trees = {"a": {"a.txt": "x\n"}, "b": {"a.py": "def f(x):\n    return x if x else 1\n"}}
    unmeasured, empty, last = (
        codebatch.scan(
            write_tree(tmp_path / pipeline / name, trees[name]),
            tmp_path / "s",
            pipeline=pipeline,
            scheduler="sync",
        )[0]
        for pipeline, name in (("parse", "b"), ("analyze", "a"), ("analyze", "b"))
    )
    page = page_of(last, history=[unmeasured, empty])
    assert 'aria-label="Complexity: 0 at first, 3 at last"' in page
    rows = re.findall(r'<tr><th scope="row">(?:batch|this).*?</tr>', page)
    assert [re.findall(r'<td class="n">(.*?)</td>', row)[1:3] for row in rows] == [
        ["\N{EN DASH}", "\N{EN DASH}"],
        ["1", "0"],
        ["2", "3"],
    ]


def test_what_there_is_no_room_for_is_said(
    scanned: Scanned, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(write, "_FINDINGS", 600)
    monkeypatch.setattr(write, "_FILES", 300)
    stream = io.BytesIO()
    report = scanned.batch.report(stream)
    total = scanned.batch.summary()["diagnostics"]["total"]  # type: ignore[index,call-overload]
    kept, files = report.written["findings"], report.written["files"]
    assert 0 < kept < total
    assert report.left_out["findings"] == total - kept
    page = stream.getvalue().decode()
    assert f"{kept} of {total} findings are listed, the most severe first" in page
    assert f"The {files} largest files are drawn; {report.left_out['files']} smaller ones" in page
    assert f"findings: {kept} of {total}, for want of room" in report.notes
    data = data_of(page)
    severities = [row["severity"] for row in rows_of(data, data["tables"]["findings"])]
    assert severities == sorted(severities, key=("error", "warning", "info").index)


def test_a_table_is_no_larger_than_its_part() -> None:
    strings, budget = Strings(), Budget(1000)
    table = Table([Column("text", TEXT), Column("number", NUMBER)], strings, budget.part(400))
    rows = ({"text": f"<{n}>" * 3, "number": n * 10**15} for n in range(100))
    table.extend(rows)
    size = len(script_json(strings.document())) + len(script_json(table.document()))
    assert 0 < table.rows < 100 == table.total
    assert table.left_out == 100 - table.rows
    assert size < 400 + 300  # what is around the values, and the row that was still begun
    assert budget.left == 600


def test_numbers_that_a_script_would_round_are_texts() -> None:
    table = Table([Column("n", NUMBER)], Strings(), Budget(1000))
    table.extend({"n": n} for n in (2**53 - 1, 2**53 + 1, -1.5, True))
    (column,) = table.document()["columns"]  # type: ignore[misc]
    assert column["values"][:3] == [2**53 - 1, str(2**53 + 1), -1.5]  # type: ignore[index]


def test_a_batch_that_is_not_run_has_no_report(batch: codebatch.Batch, tmp_path: Path) -> None:
    with pytest.raises(BatchUnfinishedError):
        batch.report(tmp_path / "page.html")
    assert not list(tmp_path.glob("page*"))


def test_files_that_cannot_be_written(scanned: Scanned, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    for name in ("folder", "none/page.html"):
        with pytest.raises(OutputError):
            scanned.batch.report(tmp_path / name)
    with pytest.raises(BatchNotFoundError):
        scanned.batch.report(tmp_path / "page.html", base="batch-0000")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["folder"]


def test_the_command(main: Main, scanned: Scanned, tmp_path: Path, page: str) -> None:
    where, file = ("--store", scanned.path), tmp_path / "page.html"
    done = main("report", "--output", file, *where)
    assert (done.code, file.read_text("utf-8")) == (0, page)
    assert done.out.startswith(f"{file}  ")
    assert main("report", "-o", "-", *where).out == page
    done = main(
        "report", "-o", file, "--title", "Ours", "--base", scanned.batch.id, *where, "--json"
    )
    document = json.loads(done.stdout)
    assert (document["output"], document["bytes"]) == (str(file), file.stat().st_size)
    assert document["base"] == scanned.batch.id
    assert "<h1>Ours</h1>" in file.read_text("utf-8")
    done = main("report", "-o", tmp_path, *where)
    assert (done.code, "Is a directory" in done.err) == (2, True)
    assert main("report", "-o", "-", "--json", *where).code == 2
    assert main("report", *where).code == 2
    done = main("report", "-o", "", *where)
    assert (done.code, "the name of the file to write is empty" in done.err) == (2, True)
