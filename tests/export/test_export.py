"""Exports: read back with independent readers, they hold what the batch holds."""

from __future__ import annotations

import contextlib
import csv
import gzip
import io
import json
import os
import pty
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import unquote_to_bytes

import jsonschema
import pytest
from conftest import (
    REPOSITORY,
    Outcome,
    Scanned,
    cli_command,
    cli_environment,
    read_outputs,
    write_outputs,
    write_tree,
)
from official import official_schema

import codebatch
import codebatch.model.digest
from codebatch.export import FORMATS, github, sarif, tables
from codebatch.model.errors import MissingExtraError, OutputError, UsageError
from codebatch.model.records import KINDS, Record
from codebatch.query.fields import flat

Main = Callable[..., Outcome]

SCHEMAS = REPOSITORY / "schemas"
FAULTS = {"E0001", "E0002", "E0003", "E0004", "E0005"}
HOSTILE = {
    b"new\nline.py": b"import os\n",
    b"::error::x.py": b"import os\n",
    b"a%0Ab,c=d.py": b"import os\n",
    b"\x1b[31mred.py": b"import os\n",
    b"quo\"te's.py": b"import os\n",
    b"caf\xe9 #?.py": b"import os\n",
    "\u202eyp.exe:\u540d.py".encode(): b"import os\n",
    b"web/[x](y).js": b"import {'[a](http://b)' as c, '\\n::error::d' as e} from 'f';\n",
    b"web/broken.ts": b"export function ( { ;\n",
}


def exported(batch: codebatch.Batch, name: str, **options: Any) -> bytes:
    stream = io.BytesIO()
    batch.export(name, stream, **options)
    return stream.getvalue()


def run_of(data: bytes) -> dict[str, Any]:
    document = json.loads(data)
    assert document["version"] == "2.1.0"
    (run,) = document["runs"]
    return run


def scan_files(root: Path, files: dict[str, str | bytes]) -> codebatch.Batch:
    batch, report = codebatch.scan(
        write_tree(root / "tree", files), root / "store", scheduler="sync"
    )
    assert report.status == "done"
    return batch


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> codebatch.Batch:
    root = tmp_path_factory.mktemp("hostile")
    for name, content in HOSTILE.items():
        path = os.path.join(os.fsencode(root), b"tree", name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as stream:
            stream.write(content)
    batch, report = codebatch.scan(root / "tree", root / "store", scheduler="sync")
    assert report.status == "done"
    return batch


@pytest.fixture(scope="module")
def crowded(tmp_path_factory: pytest.TempPathFactory) -> codebatch.Batch:
    """26,000 findings of severity info, 300 warnings, 12 errors."""
    files: dict[str, str | bytes] = {f"bad{n:02}.py": "def (:\n" for n in range(12)}
    files |= {f"m{n:02}.py": "import os, sys, re\n" for n in range(100)}
    files |= {f"w{n:02}.txt": "word \n" * 1000 for n in range(26)}
    return scan_files(tmp_path_factory.mktemp("crowded"), files)


# -- jsonl, csv, parquet -----------------------------------------------------------------------


def test_jsonl_holds_every_record(scanned: Scanned, main: Main) -> None:
    done = main("export", "--format", "jsonl", "--store", scanned.path)
    assert (done.code, done.err) == (0, "")
    assert [json.loads(line) for line in done.stdout.splitlines()] == [*scanned.batch.records()]
    assert done.stdout == exported(scanned.batch, "jsonl")
    line = done.stdout.splitlines()[0]
    assert line == codebatch.model.digest.canonical_json(json.loads(line))


@pytest.mark.parametrize(
    "filters",
    [
        {"kind": "symbol"},
        {"task": "lint"},
        {"severity": "error"},
        {"code": "L101"},
        {"path": "pkg/*", "language": "python"},
    ],
    ids=str,
)
def test_filters_are_those_of_records(
    scanned: Scanned, main: Main, filters: dict[str, str]
) -> None:
    words = [word for name, value in filters.items() for word in (f"--{name}", value)]
    done = main("export", "--format", "jsonl", "--store", scanned.path, *words)
    expected = [*scanned.batch.records(**filters)]
    assert expected
    assert [json.loads(line) for line in done.stdout.splitlines()] == expected


def cell(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else str(value)


@pytest.mark.parametrize("kind", KINDS)
def test_csv_read_back(scanned: Scanned, kind: str) -> None:
    data = exported(scanned.batch, "csv", kind=kind)
    assert data.count(b"\r\n") == data.count(b"\n")
    header, *rows = csv.reader(io.StringIO(data.decode(), newline=""))
    schema = json.loads((SCHEMAS / f"record.{kind}.schema.json").read_text())
    split = {"value_text"} if kind == "metric" else set()
    assert {*header} == {*schema["properties"], "task_id", "shard_id", *split}
    assert len(header) == len({*header})
    records = [*map(flat, scanned.batch.records(kind=kind))]
    assert rows == [[cell(record.get(name)) for name in header] for record in records]
    assert {name for record in records for name in record} <= {*header}


def test_csv_of_hostile_names(hostile: codebatch.Batch) -> None:
    data = exported(hostile, "csv", kind="diagnostic")
    header, *rows = csv.reader(io.StringIO(data.decode(), newline=""))
    read = [dict(zip(header, row, strict=True)) for row in rows]
    records = [*hostile.records(kind="diagnostic")]
    assert len(read) == len(records)
    for name in ("path", "message"):
        spelled = [str(r[name]).encode("utf-8", "backslashreplace").decode() for r in records]
        assert [row[name] for row in read] == spelled
    assert "caf\\udce9 #?.py" in {row["path"] for row in read}


@pytest.mark.parametrize("name", ["csv", "parquet"])
def test_a_table_holds_one_kind(scanned: Scanned, main: Main, name: str) -> None:
    if name == "parquet":
        pytest.importorskip("pyarrow", reason="the extra parquet is not installed")
    done = main("export", "--format", name, "--store", scanned.path)
    assert done.code == 2
    assert done.stdout == b""
    assert "one kind" in done.err
    assert "--kind" in done.err
    assert exported(scanned.batch, name, severity="error")
    assert exported(scanned.batch, name, kind="symbol")


def test_the_kind_that_is_the_only_one_need_not_be_named(scanned: Scanned) -> None:
    tasks = scanned.batch.load_status().states
    alone = {
        task: kinds
        for task in tasks
        if len(kinds := {str(r["kind"]) for r in scanned.batch.records(task=task)}) == 1
    }
    for task, kinds in alone.items():
        assert exported(scanned.batch, "csv", task=task) == exported(
            scanned.batch, "csv", task=task, kind=kinds.pop()
        )
    assert exported(scanned.batch, "csv", code="L101") == exported(
        scanned.batch, "csv", code="L101", kind="diagnostic"
    )


def test_an_empty_table_has_a_header(scanned: Scanned) -> None:
    data = exported(scanned.batch, "csv", kind="diagnostic", code="L002")
    assert data == exported(scanned.batch, "csv", kind="diagnostic").splitlines(keepends=True)[0]


@pytest.mark.parametrize("kind", KINDS)
def test_parquet_read_back(scanned: Scanned, kind: str) -> None:
    reader = pytest.importorskip("pyarrow.parquet", reason="the extra parquet is not installed")
    data = exported(scanned.batch, "parquet", kind=kind)
    table = reader.read_table(io.BytesIO(data))
    rows = [{k: v for k, v in row.items() if v is not None} for row in table.to_pylist()]
    for row in rows:
        if "value_text" in row:
            assert "value" not in row
            row["value"] = row.pop("value_text")
    assert rows == [*scanned.batch.records(kind=kind)]
    types = {field.name: str(field.type) for field in table.schema}
    assert {types[name] for name in ("line", "nodes", "value") if name in types} <= {"int64"}
    assert {types[name].partition(",")[0] for name in ("path", "kind", "task_id")} == {
        "dictionary<values=string"
    }
    assert not table.schema.field("path").nullable
    assert data == exported(scanned.batch, "parquet", kind=kind)


def test_parquet_in_row_groups(hostile: codebatch.Batch, monkeypatch: pytest.MonkeyPatch) -> None:
    reader = pytest.importorskip("pyarrow.parquet", reason="the extra parquet is not installed")
    monkeypatch.setattr(tables, "ROW_GROUP", 3)
    records = [*hostile.records(kind="diagnostic")]
    file = reader.ParquetFile(io.BytesIO(exported(hostile, "parquet", kind="diagnostic")))
    assert file.num_row_groups == -(-len(records) // 3) > 1
    paths = [row["path"] for row in file.read().to_pylist()]
    assert "caf\\udce9 #?.py" in paths
    assert len(paths) == len(records)


def test_parquet_without_pyarrow(
    scanned: Scanned, main: Main, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MissingExtraError, match="pyarrow"):
        exported(scanned.batch, "parquet", kind="symbol")
    done = main("export", "--format", "parquet", "--kind", "symbol", "--store", scanned.path)
    assert done.code == 2
    assert "pip install 'codebatch[parquet]'" in done.err


# -- sarif -------------------------------------------------------------------------------------


@pytest.mark.oracle
def test_sarif_is_valid(
    scanned: Scanned, hostile: codebatch.Batch, crowded: codebatch.Batch, tmp_path: Path
) -> None:
    schema = official_schema(
        b"oasis-tcs/sarif-spec", lambda it: "2.1.0" in it.get("title", "") and "$id" in it
    )
    validator = jsonschema.validators.validator_for(schema)(
        schema, format_checker=jsonschema.FormatChecker()
    )
    old, new = edited_pair(tmp_path)
    for data in (
        exported(scanned.batch, "sarif"),
        exported(hostile, "sarif"),
        exported(crowded, "sarif"),
        exported(new, "sarif", base=old),
        exported(scanned.batch, "sarif", code="L002"),
    ):
        assert [error.message for error in validator.iter_errors(json.loads(data))] == []
    broken = json.loads(exported(scanned.batch, "sarif"))
    broken["runs"][0]["results"][0]["level"] = "info"
    assert not validator.is_valid(broken)


def test_sarif_says_what_the_records_say(scanned: Scanned) -> None:
    run = run_of(exported(scanned.batch, "sarif"))
    records = scanned.batch.sorted_records(kind="diagnostic")
    rules = run["tool"]["driver"]["rules"]
    levels = {"error": "error", "warning": "warning", "info": "note"}
    expected = Counter(
        (
            *(r["path"], r["line"], r["column"], r["code"]),
            *(levels[str(r["severity"])], r["message"], r["fingerprint"]),
        )
        for r in records
    )
    found: Counter[Any] = Counter()
    for result in run["results"]:
        assert rules[result["ruleIndex"]]["id"] == result["ruleId"]
        assert "baselineState" not in result
        (location,) = result["locations"]
        place, region = (
            location["physicalLocation"]["artifactLocation"],
            location["physicalLocation"]["region"],
        )
        assert place["uriBaseId"] in run["originalUriBaseIds"]
        path = unquote_to_bytes(place["uri"]).decode()
        found[
            path,
            region["startLine"],
            region["startColumn"],
            result["ruleId"],
            result["level"],
            result["message"]["text"],
            result["partialFingerprints"]["codebatch/v1"],
        ] += 1
    assert found == expected
    assert run["columnKind"] == "unicodeCodePoints"
    places = [r["locations"][0]["physicalLocation"] for r in run["results"]]
    keys = [
        (unquote_to_bytes(p["artifactLocation"]["uri"]), p["region"]["startLine"]) for p in places
    ]
    assert keys == sorted(keys)


def test_sarif_describes_every_rule(scanned: Scanned) -> None:
    driver = run_of(exported(scanned.batch, "sarif"))["tool"]["driver"]
    assert (driver["name"], driver["version"]) == ("CodeBatch", codebatch.__version__)
    assert driver["semanticVersion"] == codebatch.__version__
    codes = [rule["id"] for rule in driver["rules"]]
    assert codes == sorted(set(codes))
    schema = json.loads((SCHEMAS / "config.lint.schema.json").read_text())
    assert {*schema["properties"]["rules"]["default"], *FAULTS} == {*codes}
    for rule in driver["rules"]:
        assert rule["shortDescription"]["text"]
        assert rule["fullDescription"]["text"].endswith(".")
        assert rule["help"]["text"]
        assert rule["name"] == rule["name"].lower()
    levels = {rule["id"]: rule["defaultConfiguration"]["level"] for rule in driver["rules"]}
    assert (levels["E0001"], levels["L101"], levels["L001"]) == ("error", "warning", "note")


def test_sarif_uris_of_hostile_names(hostile: codebatch.Batch) -> None:
    data = exported(hostile, "sarif")
    data.decode("utf-8")
    assert not re.search(rb"[\x00-\x09\x0b-\x1f]", data)
    run = run_of(data)
    uris = {
        r["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] for r in run["results"]
    }
    assert {unquote_to_bytes(uri) for uri in uris} == {*HOSTILE}
    assert all(re.fullmatch(r"[A-Za-z0-9._~/%-]+", uri) for uri in uris)
    messages = [result["message"]["text"] for result in run["results"]]
    assert not any(re.search(r"(?<!\\)\]\(", message) for message in messages)
    assert not any("\ud800" <= char <= "\udfff" for message in messages for char in message)


def test_sarif_is_the_same_whatever_the_shards_and_the_place(
    scanned: Scanned, tmp_path: Path
) -> None:
    store = codebatch.open_store(tmp_path / "elsewhere", create=True)
    batch = store.batch(store.snapshot(scanned.tree), "full", shards=256)
    assert batch.run("sync").status == "done"
    for name in ("sarif", "github"):
        data = exported(batch, name)
        assert data == exported(scanned.batch, name)
        assert str(scanned.tree.parent).encode() not in data
        assert os.uname().nodename.encode() not in data or len(os.uname().nodename) < 4


def edited_pair(root: Path) -> tuple[codebatch.Batch, codebatch.Batch]:
    """Two batches of a store: moved, new, gone, and of another message; an equal file."""
    tree = root / "tree"
    write_tree(
        tree,
        {
            "kept.py": "import os\n",
            "moved.py": "import re\n",
            "more.py": "import io\n",
            "less.py": "import json\nimport sys\n",
            "gone.py": "import csv\n",
            "long.py": f"x = {'y' * 130!r}\n",
            "web/gone.js": "import a from 'b';\n",
        },
    )
    store = codebatch.open_store(root / "store", create=True)
    pipeline: dict[str, Any] = {
        "name": "strict",
        "tasks": [
            {"id": "parse", "task": "parse"},
            {"id": "lint", "task": "lint", "needs": ["parse"], "config": {}},
        ],
    }
    old = store.batch(store.snapshot(tree), pipeline)
    assert old.run("sync").status == "done"
    (tree / "moved.py").write_text("x = 1\ny = 2\nimport re\n")
    (tree / "more.py").write_text("import io\nimport abc\n")
    (tree / "less.py").write_text("import json\n")
    (tree / "gone.py").unlink()
    (tree / "web/gone.js").unlink()
    pipeline["tasks"][1]["config"] = {"severities": {"L003": "warning"}}
    new = store.batch(store.snapshot(tree), pipeline)
    assert new.run("sync").status == "done"
    return old, new


@pytest.fixture(scope="module")
def edited(
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[codebatch.Batch, codebatch.Batch]:
    return edited_pair(tmp_path_factory.mktemp("edited"))


def states_of(data: bytes) -> set[tuple[str, str, str]]:
    return {
        (
            r["locations"][0]["physicalLocation"]["artifactLocation"]["uri"],
            r["ruleId"],
            r["baselineState"],
        )
        for r in run_of(data)["results"]
    }


def test_baseline_states(edited: tuple[codebatch.Batch, codebatch.Batch], main: Main) -> None:
    old, new = edited
    done = main(
        *("export", "--format", "sarif", "--batch", new.id, "--base", old.id),
        *("--store", new.path),
    )
    assert done.code == 0
    assert "task lint differs in" in done.err
    assert done.stdout == exported(new, "sarif", base=old) == exported(new, "sarif", base=old.id)
    assert states_of(done.stdout) == {
        ("kept.py", "L101", "unchanged"),
        ("moved.py", "L101", "unchanged"),
        ("more.py", "L101", "unchanged"),
        ("more.py", "L101", "new"),
        ("less.py", "L101", "unchanged"),
        ("less.py", "L101", "absent"),
        ("gone.py", "L101", "absent"),
        ("web/gone.js", "L101", "absent"),
        ("long.py", "L003", "updated"),
    }
    assert run_of(done.stdout)["properties"] == {"batch": new.id, "base": old.id}


def test_filters_hold_for_absent_results(
    edited: tuple[codebatch.Batch, codebatch.Batch],
) -> None:
    old, new = edited
    assert states_of(exported(new, "sarif", base=old, language="javascript")) == {
        ("web/gone.js", "L101", "absent")
    }
    assert states_of(exported(new, "sarif", base=old, path="g*")) == {("gone.py", "L101", "absent")}
    assert states_of(exported(new, "sarif", base=old, code="L003")) == {
        ("long.py", "L003", "updated")
    }
    assert states_of(exported(new, "sarif", base=old, task="parse")) == set()


def test_against_itself_everything_is_unchanged(scanned: Scanned) -> None:
    run = run_of(exported(scanned.batch, "sarif", base=scanned.batch))
    assert {result["baselineState"] for result in run["results"]} == {"unchanged"}
    assert exported(scanned.batch, "github", base=scanned.batch) == b""


@pytest.mark.slow
def test_sarif_keeps_to_the_number_of_results(crowded: codebatch.Batch, main: Main) -> None:
    done = main("export", "--format", "sarif", "--store", crowded.path)
    run = run_of(done.stdout)
    counts = Counter(result["level"] for result in run["results"])
    total = Counter(r["severity"] for r in crowded.records(kind="diagnostic"))
    left = sum(total.values()) - 25_000
    assert total["info"] > left > 0
    assert counts == {
        "error": total["error"],
        "warning": total["warning"],
        "note": total["info"] - left,
    }
    assert run["properties"]["leftOut"]["total"] == left
    assert run["properties"]["leftOut"]["bySeverity"] == {"info": left}
    assert f"{left:,} of {sum(total.values()):,} results are left out" in done.err
    assert "25,000" in done.err
    assert "5,000" in done.err
    assert len(gzip.compress(done.stdout)) < 10_000_000
    unlimited = run_of(exported(crowded, "sarif", limited=False))
    assert len(unlimited["results"]) == sum(total.values())
    assert "leftOut" not in unlimited["properties"]


def test_sarif_keeps_to_the_compressed_size(
    crowded: codebatch.Batch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sarif, "MAX_COMPRESSED_BYTES", 60_000)
    stream = io.BytesIO()
    report = crowded.export("sarif", stream)
    assert len(gzip.compress(stream.getvalue(), 6)) <= 60_000
    results = run_of(stream.getvalue())["results"]
    assert len(results) == report.written > 312
    levels = Counter(result["level"] for result in results)
    total = Counter(r["severity"] for r in crowded.records(kind="diagnostic"))
    assert (levels["error"], levels["warning"]) == (total["error"], total["warning"])
    assert sum(report.left_out.values()) + report.written == sum(total.values())


def test_sarif_of_an_unfinished_batch(tmp_path: Path) -> None:
    store = codebatch.open_store(tmp_path / "store", create=True)
    batch = store.batch(store.snapshot(write_tree(tmp_path / "tree", {"a.py": "import os\n"})))
    batch.run("sync")
    next(store.path.glob("batches/*/tasks/lint/shards/*/state.json")).unlink()
    stream = io.BytesIO()
    with pytest.warns(codebatch.UnfinishedBatchWarning, match="partial"):
        report = batch.export("sarif", stream)
    run = run_of(stream.getvalue())
    assert run["results"] == []
    assert run["invocations"] == [{"executionSuccessful": False}]
    assert any("partial" in note for note in report.notes)


# -- github ------------------------------------------------------------------------------------

COMMAND = re.compile(r"::(error|warning|notice) ([^\n]*?)::([^\n]*)\n")


def annotations(data: bytes) -> list[tuple[str, dict[str, str], str]]:
    """Read workflow commands as a runner does: properties up to the next ``::``, unescaped."""
    found = []
    for line in data.decode().splitlines(keepends=True):
        match = COMMAND.fullmatch(line)
        if match is None:
            assert not line.startswith("::")
            continue
        pairs = (part.split("=", 1) for part in match[2].split(","))
        properties = {key: unescaped(value) for key, value in pairs}
        found.append((match[1], properties, unescaped(match[3])))
    return found


def unescaped(text: str) -> str:
    for code, char in (("%3A", ":"), ("%2C", ","), ("%0D", "\r"), ("%0A", "\n"), ("%25", "%")):
        text = text.replace(code, char)
    return text


def test_formats_are_named_in_a_line_where_none_is_given(scanned: Scanned, main: Main) -> None:
    told = "Missing option '--format'. Choose from: jsonl, csv, parquet, sarif, github, "
    told += "gitlab, junit, md, patch"
    done = main("export", "--store", scanned.path)
    assert (done.code, done.err.splitlines()[0]) == (2, f"error: {told}")
    done = main("export", "--store", scanned.path, "--json")
    assert json.loads(done.stdout)["error"]["message"] == told


def test_annotations_read_back(scanned: Scanned, main: Main) -> None:
    done = main("export", "--format", "github", "--store", scanned.path, "--severity", "error")
    records = scanned.batch.sorted_records(severity="error")
    expected = [
        ("error", str(r["path"]), str(r["line"]), str(r["column"]), r["message"]) for r in records
    ]
    assert [
        (command, p["file"], p["line"], p["col"], message.partition("\n")[0])
        for command, p, message in annotations(done.stdout)
    ] == expected
    assert all(p["title"] == "E0001 Syntax error" for _, p, _ in annotations(done.stdout))


def test_annotations_of_hostile_names(hostile: codebatch.Batch) -> None:
    data = exported(hostile, "github", limited=False)
    assert not re.search(rb"[\x00-\x09\x0b-\x1f\x7f]", data)
    found = annotations(data)
    assert len(found) == len([*hostile.records(kind="diagnostic")]) == data.count(b"\n")
    files = {properties["file"] for _, properties, _ in found}
    assert {"new\nline.py", "::error::x.py", "a%0Ab,c=d.py", "quo\"te's.py"} <= files
    assert {"\\x1b[31mred.py", "caf\\udce9 #?.py", "\\u202eyp.exe:\u540d.py"} <= files


def test_annotations_keep_to_the_limit(crowded: codebatch.Batch, main: Main) -> None:
    done = main("export", "--format", "github", "--store", crowded.path)
    found = [command for command, _, _ in annotations(done.stdout)]
    assert found == ["error"] * 10 + ["warning"] * 10 + ["notice"] * 10
    *_, last = done.stdout.decode().splitlines()
    assert "findings are not annotated" in last
    assert last in done.err
    assert "--no-limit" in done.err
    everything = main("export", "--format", "github", "--no-limit", "--store", crowded.path)
    assert len(annotations(everything.stdout)) == len([*crowded.records(kind="diagnostic")])
    assert everything.err == ""


def test_annotations_against_a_base_are_the_new_ones(
    edited: tuple[codebatch.Batch, codebatch.Batch],
) -> None:
    old, new = edited
    found = {
        (p["file"], command) for command, p, _ in annotations(exported(new, "github", base=old))
    }
    assert found == {("more.py", "warning"), ("long.py", "warning")}


def test_the_limit_is_that_of_github() -> None:
    assert github.STEP_LIMIT == 10
    assert (sarif.MAX_RESULTS, sarif.SHOWN_RESULTS) == (25_000, 5_000)
    assert sarif.MAX_COMPRESSED_BYTES <= 10 * 2**20


# -- where it goes -----------------------------------------------------------------------------


@pytest.mark.parametrize("name", FORMATS)
def test_output_file(scanned: Scanned, main: Main, tmp_path: Path, name: str) -> None:
    if name == "parquet":
        pytest.importorskip("pyarrow", reason="the extra parquet is not installed")
    target = tmp_path / "out file"
    target.write_text("old")
    link = tmp_path / "link"
    link.symlink_to(target)
    kind = "patch" if name == "patch" else "diagnostic"
    words = ["--kind", kind, "--store", scanned.path]
    done = main("export", "--format", name, "--output", link, *words)
    assert (done.code, done.stdout) == (0, b"")
    assert target.read_bytes() == exported(scanned.batch, name, kind=kind)
    assert main("export", "--format", name, *words).stdout == target.read_bytes()
    assert sorted(os.listdir(tmp_path)) == ["link", "out file"]
    assert link.is_symlink()


def test_a_failed_export_leaves_the_file_as_it_was(
    scanned_copy: Scanned, main: Main, tmp_path: Path
) -> None:
    for outputs in scanned_copy.path.rglob("outputs.index.jsonl.zst"):
        write_outputs(outputs, read_outputs(outputs)[::-1])
    folder = tmp_path / "out"
    folder.mkdir()
    (folder / "a.jsonl").write_text("old")
    done = main(
        *("export", "--format", "jsonl", "--output", folder / "a.jsonl"),
        *("--store", scanned_copy.path),
    )
    assert done.code == 4
    assert [path.read_text() for path in folder.iterdir()] == ["old"]


def test_output_that_cannot_be_written(scanned: Scanned, main: Main, tmp_path: Path) -> None:
    for target in (tmp_path, tmp_path / "none" / "a.sarif"):
        done = main(
            *("export", "--format", "sarif", "--output", target, "--json"),
            *("--store", scanned.path),
        )
        assert done.code == 2
        assert json.loads(done.stdout)["error"]["code"] == OutputError.code


def test_a_device_is_written_as_it_is(scanned: Scanned, main: Main) -> None:
    done = main(
        *("export", "--format", "sarif", "--output", os.devnull, "--json"),
        *("--store", scanned.path),
    )
    assert json.loads(done.stdout)["written"] == len([*scanned.batch.records(kind="diagnostic")])
    assert not os.path.isfile(os.devnull)


def test_nothing_steers_a_terminal(hostile: codebatch.Batch) -> None:
    for name in ("jsonl", "csv", "sarif", "github"):
        code, data = on_terminal(hostile, name)
        assert code == 0
        assert b"red.py" in data or name == "github"
        text = re.sub("\r+\n", "\n", data.decode())  # a terminal adds a return of its own
        assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e]", text)
    code, data = on_terminal(hostile, "parquet")
    assert (code, b"--output" in data) == (2, True)


def on_terminal(batch: codebatch.Batch, name: str) -> tuple[int, bytes]:
    """Exit code and output of the command where its streams are a terminal."""
    words = ("export", "--format", name, "--kind", "diagnostic", "--store", batch.path)
    reader, terminal = pty.openpty()
    done = subprocess.Popen(
        cli_command(*words),
        env=cli_environment(NO_COLOR="1"),
        stdin=subprocess.DEVNULL,
        stdout=terminal,
        stderr=terminal,
    )
    os.close(terminal)
    data = b""
    with contextlib.suppress(OSError), open(reader, "rb", buffering=0) as stream:
        while portion := stream.read(65536):
            data += portion
    return done.wait(), data


@pytest.mark.parametrize("name", ["jsonl", "csv", "sarif"])
def test_a_reader_that_leaves_is_no_error(scanned: Scanned, name: str) -> None:
    command = cli_command(
        *("export", "--format", name, "--kind", "diagnostic", "--store", scanned.path)
    )
    read, write = os.pipe()
    os.close(read)
    try:
        done = subprocess.run(
            command, stdout=write, stderr=subprocess.PIPE, env=cli_environment(), check=False
        )
    finally:
        os.close(write)
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--format", "xml"], "xml"),
        ([], "--format"),
        (["--format", "csv", "--kind", "symbol", "--base", "latest"], "base"),
        (["--format", "jsonl", "--no-limit"], "no limit"),
        (["--format", "sarif", "--kind", "metric"], "metric"),
        (["--format", "github", "--severity", "huge"], "huge"),
        (["--format", "jsonl", "--task", "none"], "none"),
        (["--format", "jsonl", "--json"], "--output"),
    ],
    ids=" ".join,
)
def test_what_cannot_be_exported(scanned: Scanned, main: Main, words: list[str], said: str) -> None:
    done = main("export", "--store", scanned.path, *words)
    assert done.code == 2
    assert said in done.err + done.out
    if "--json" not in words:
        assert done.stdout == b""


def test_an_unknown_format_in_python(scanned: Scanned) -> None:
    with pytest.raises(UsageError, match="unknown format: xml"):
        exported(scanned.batch, "xml")


def test_columns_know_every_field(scanned: Scanned) -> None:
    plan = scanned.batch.load_status().plan
    for kind in KINDS:
        names = [column.name for column in tables.columns_of(kind, plan)]
        assert names[0] == "kind"
        assert names[-2:] == ["task_id", "shard_id"]
        assert all(column.type for column in tables.columns_of(kind, plan))


def test_reports_count(scanned: Scanned) -> None:
    records: list[Record] = [*scanned.batch.records(kind="diagnostic")]
    for name in ("jsonl", "csv", "sarif"):
        report = scanned.batch.export(name, io.BytesIO(), kind="diagnostic")
        assert (report.written, report.left_out, report.notes) == (len(records), {}, ())
