"""The schemas in `schemas/` are valid, and describe what the store holds and the commands print."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from conftest import REPOSITORY, read_outputs
from faults import Server
from repositories import git, git_init

import codebatch
import codebatch.shard.compute
from codebatch.model import checks, records

SCHEMAS = REPOSITORY / "schemas"
SUFFIX = ".schema.json"
NAMES = sorted(path.name[: -len(SUFFIX)] for path in SCHEMAS.iterdir())

TREE = {
    b"cart.py": b"import json\nimport os as system\nfrom . import a as a\n__all__ = ['Cart']\n"
    b"class Cart(dict):\n    def add(self, item):\n        unused = 1\n        list = [item]\n"
    b"        return [i for i in list if i] \n",
    b"twin.py": b"x = 1\n",
    b"quiet.py": b"import re  # codebatch-ignore L101: for others to import\n",
    b"folder/twin.py": b"x = 1\n",
    b"broken.py": b"def broken(:\n",
    b"web/page.tsx": b"import React, {useState as state} from 'react';\nexport * from './x';\n"
    b"export interface Shape extends Base {}\nexport enum Colour { Red }\n"
    b"export namespace N { export type T = string }\n"
    b"export const Page = ({a}: {a: number}) => <p>{a}</p>;\nfunction f() { let unused = 0; }\n",
    b"web/broken.js": b"function (\n",
    b"web/app.min.js": b"var a=1\n",
    b"web/old.jsx": b"const a = <b/>;\n",
    b"web/plain.ts": b"let a: number = 1;\n",
    b"tool.py": b"#!/usr/bin/env python\n\tx = 1",
    b"stub.pyi": b"import os\n",
    b"types.d.ts": b"declare const a: number;\n",
    b"package-lock.json": b"{}\n",
    b"data.json": b"{}\n",
    b"flow.js": b"// @flow\n(x: any);\n",
    b"template.js": b"a = <%= b %>;\n",
    b"old.py": b"print 'a'\n",
    b"newer.py": b"a = t'{b}'\n",
    b"made.py": b"# @generated\nx = 1\n",
    b"vendor/broken.py": b"def broken(:\n",
    b"dist/app.js": b"f()\n",
    b"a.egg-info/top_level.txt": b"a\n",
    b"large.py": b"x = 1\n" * 200,
    b"tokens.js": b"x=[" + b"0," * 400 + b"];\n",
    b"deep.py": b"x = 1" + b"+1" * 21_000 + b"\n",
    b"lines.txt": b"\n" * 200_001,
    b"blob.bin": b"\0\1",
    b"notes.txt": b"a\n\n\n\n\nb   \n",
    b"caf\xe9.py": b"x = 1  # latin-1 name\n",
    b"empty.py": b"",
}
PIPELINE = {
    "name": "limited",
    "tasks": [
        {"id": "parse", "task": "parse", "config": {"max_bytes": 1000, "max_tokens": 500}},
        {"id": "analyze", "task": "analyze", "needs": ["parse"]},
        {"id": "symbols", "task": "symbols", "needs": ["parse"]},
        {"id": "lint", "task": "lint", "needs": ["parse"], "config": {"severities": {}}},
        {"id": "shapes", "task": "shapes", "config": {"min_lines": 1}},
        {
            "id": "hotspots",
            "task": "hotspots",
            "needs": ["analyze", "symbols", "lint"],
            "config": {"limit": 10},
        },
        {"id": "duplicates", "task": "duplicates", "needs": ["shapes"]},
    ],
}


COMMANDS = [
    ("cli.api", ["api"]),
    ("cli.batches", ["batches"]),
    ("cli.cat", ["cat", "cart.py"]),
    ("cli.diagnose", ["diagnose"]),
    ("cli.errors", ["errors"]),
    ("cli.explain-result", ["explain", "--task", "lint", "--file", "cart.py"]),
    ("cli.files", ["files"]),
    ("cli.gc", ["gc", "--dry-run"]),
    ("cli.inspect", ["inspect", "cart.py"]),
    ("cli.pipeline", ["pipeline", "full"]),
    ("cli.pipelines", ["pipelines"]),
    ("cli.names", ["names"]),
    ("cli.plan", ["plan"]),
    ("cli.plan", ["plan", "--pipeline", "parse"]),
    ("cli.query-outputs", ["query", "outputs"]),
    ("cli.query-stats", ["query", "stats"]),
    ("cli.memo", ["memo", "export", "memo.tar"]),
    ("cli.memo", ["memo", "import", "memo.tar"]),
    ("cli.memo-push", ["memo", "push", "remote"]),
    ("cli.memo-pull", ["memo", "pull", "remote"]),
    ("cli.recheck", ["run", "--recompute"]),
    ("cli.run", ["resume"]),
    ("cli.run", ["scan", "tree"]),
    ("cli.run", ["scan", "tree", "--shards", "256", "--memo", "remote"]),
    ("cli.shards", ["shards"]),
    ("cli.shards", ["shards", "--task", "lint"]),
    ("cli.show-batch", ["show", "latest"]),
    ("cli.skipped", ["skipped"]),
    ("cli.snapshots", ["snapshots"]),
    ("cli.sql", ["sql", "SELECT * FROM files"]),
    ("cli.status", ["status"]),
    ("cli.store-stats", ["store-stats"]),
    ("cli.store-upgrade", ["store", "upgrade"]),
    ("cli.summary", ["summary"]),
    ("cli.tasks", ["tasks"]),
    ("cli.top", ["top"]),
    ("cli.tree", ["tree", "cart.py"]),
    ("cli.verify", ["verify", "--read-data"]),
]
DOCUMENTS = {
    "asked.json": "asked",
    "batch.json": "batch",
    "events.jsonl": "event",
    "files.index.jsonl": "file",
    "inputs.index.jsonl": "input",
    "plan.json": "plan",
    "snapshot.json": "snapshot",
    "state.json": "state",
    "store.json": "store",
    "task.json": "task",
}
FILES = {"record.artifact", "record.patch"}  # which no task of the package gives
OPEN = {"cli.query-outputs", "cli.sql"}  # columns follow from the question
RECORDS = {name for name in NAMES if name.startswith("record.")}
CONFIGS = {name for name in NAMES if name.startswith("config.")}
OTHERS = {
    *("chunks", "cli.batch-init", "cli.detach", "cli.diff", "cli.error", "cli.init", "name"),
    *("cli.baseline", "cli.blame", "cli.check", "cli.history"),
    *(
        "cli.apply",
        "cli.export",
        "cli.name-rm",
        "cli.name-set",
        "cli.regressions",
        "cli.report",
        "cli.rm",
        "cli.watch",
        "pipeline",
    ),
    *("cli.show-object", "cli.show-snapshot", "cli.snapshot"),
    *("cli.diff-rows", "cli.pipeline-validate", "cli.task-list", "cli.task-new", "cli.task-run"),
    *("cli.tool-certify", "cli.tool-import", "cli.tools", "verdict"),
}


class Tree:
    """A store over the example tree, finished, and a pipeline document beside it."""

    def __init__(self, folder: Path, server: Server) -> None:
        self.folder = folder
        self.server = server
        self.store = folder / "store"
        self.source = folder / "tree"

    def run(self, *arguments: str, code: int = 0) -> Any:
        done = self.server.run(*arguments, "--json", root=os.devnull, folder=self.folder)
        assert done.code == code, done.stderr
        return done.json

    def on_store(self, *arguments: str, code: int = 0) -> Any:
        return self.run(*arguments, "--store", str(self.store), code=code)

    def rows(self, *arguments: str) -> Any:
        words = (*arguments, "--format", "json", "--store", str(self.store))
        return self.server.run(*words, root=os.devnull, folder=self.folder).json


def load(name: str) -> dict[str, Any]:
    return json.loads((SCHEMAS / (name + SUFFIX)).read_text(encoding="utf-8"))


def check(document: object, schema: str) -> None:
    jsonschema.Draft202012Validator(load(schema)).validate(document)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = Server(tmp_path_factory.mktemp("server"))
    yield server
    server.close()


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory, server: Server) -> Tree:
    """Made by the commands that make things, whose output is checked on the way."""
    tree = Tree(tmp_path_factory.mktemp("schemas"), server)
    for name, content in TREE.items():
        path = os.path.join(os.fsencode(tree.source), name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as stream:
            stream.write(content)
    (tree.source / "link").symlink_to("cart.py")
    os.mkfifo(tree.source / "pipe")
    (tree.folder / "limited.json").write_text(json.dumps(PIPELINE))
    check(PIPELINE, "pipeline")
    for task in PIPELINE["tasks"]:
        check(task.get("config", {}), f"config.{task['task']}")
    check(tree.run("init", str(tree.store)), "cli.init")
    taken = tree.on_store("snapshot", str(tree.source))
    check(taken, "cli.snapshot")
    assert taken["skipped"]
    made = tree.on_store("batch", "init", "--pipeline", "limited.json")
    check(made, "cli.batch-init")
    check(tree.on_store("status"), "cli.status")
    check(tree.on_store("summary"), "cli.summary")
    check(tree.on_store("run"), "cli.run")
    check(tree.on_store("name", "set", "kept", "latest"), "cli.name-set")
    check(tree.on_store("name", "set", "other", "latest"), "cli.name-set")
    check(tree.on_store("name", "rm", "other"), "cli.name-rm")
    check(json.loads((tree.store / "names" / "kept").read_bytes()), "name")
    return tree


@pytest.mark.parametrize("name", NAMES)
def test_schema_is_valid_and_described(name: str) -> None:
    schema = load(name)
    jsonschema.Draft202012Validator.check_schema(schema)
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert schema["title"]


@pytest.mark.parametrize(
    ("schema", "arguments"), COMMANDS, ids=[" ".join(words) for _, words in COMMANDS]
)
def test_output_of_a_command(tree: Tree, schema: str, arguments: list[str]) -> None:
    output = tree.on_store(*arguments)
    check(output, schema)
    rows = output if isinstance(output, list) else [output]
    declared = load(schema).get("items", load(schema)).get("properties", {})
    assert rows
    if schema not in OPEN:
        assert all(row.keys() <= declared.keys() for row in rows)


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["status", "--batch", "batch-0000000000000000"], 4),
        (["errors", "--severity", "huge"], 2),
        (["run", "--workers", "none"], 2),
        (["snapshot", "missing"], 2),
        (["pipeline", "missing"], 2),
    ],
)
def test_output_of_an_error(tree: Tree, arguments: list[str], code: int) -> None:
    check(tree.on_store(*arguments, code=code), "cli.error")


def test_documents_of_a_store(tree: Tree) -> None:
    found = set()
    for path in sorted([*tree.store.rglob("*.json"), *tree.store.rglob("*.jsonl")]):
        found.add(path.name)
        data = path.read_bytes()
        for text in data.splitlines() if path.suffix == ".jsonl" else [data]:
            check(json.loads(text), DOCUMENTS[path.name])
    assert found == set(DOCUMENTS)


def test_records_of_a_store(tree: Tree) -> None:
    """Every stored record; those of the tree have each kind, and every form of a metric."""
    seen: set[tuple[str, object]] = set()
    for path in tree.store.rglob("outputs.index.jsonl.zst"):
        for line in read_outputs(path).splitlines():
            record = json.loads(line)
            check(record, f"record.{record['kind']}")
            names = ("kind", "metric", *(["reason"] if record["kind"] == "skip" else []))
            seen.update((name, record[name]) for name in names if name in record)
    assert {f"record.{value}" for name, value in seen if name == "kind"} == RECORDS - FILES
    values = {value for name, value in seen if name == "metric"}
    assert values == set(load("record.metric")["properties"]["metric"]["anyOf"][0]["enum"])
    reasons = {value for name, value in seen if name == "reason"}
    reasons.remove("vendored, with syntax errors")
    if sys.version_info < (3, 14):
        reasons.remove("needs Python 3.14")
    if sys.version_info >= (3, 12):  # whose own parser refuses before
        reasons.add("nested too deeply")
    known, _ = load("record.skip")["properties"]["reason"]["anyOf"]
    assert reasons == set(known["enum"])


def test_record_with_task_and_shard(tree: Tree) -> None:
    """A query adds two keys to a stored record and changes nothing else."""
    for record in tree.on_store("query", "outputs"):
        del record["task_id"], record["shard_id"]
        check(record, f"record.{record['kind']}")


def test_chunked_value(tree: Tree, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(codebatch.shard.compute, "MAX_OBJECT_BYTES", 100)
    batch, report = codebatch.scan(tree.source, tmp_path / "store", scheduler="sync")
    assert report.status == "done"
    chunked = [record for record in batch.records(kind="ast") if "chunked" in record]
    assert chunked
    for record in chunked:
        manifest = json.loads(batch.directory.objects.read(record["object"]))
        check(manifest, "chunks")


def test_output_of_show(tree: Tree) -> None:
    taken = tree.on_store("snapshots")[0]
    check(tree.on_store("show", taken["snapshot_id"]), "cli.show-snapshot")
    file = tree.on_store("files")[0]
    check(tree.on_store("show", file["object"]), "cli.show-object")


def test_output_of_export(tree: Tree) -> None:
    output = tree.on_store("export", "--format", "jsonl", "--output", "records.jsonl")
    check(output, "cli.export")


def test_output_of_report(tree: Tree) -> None:
    check(tree.on_store("report", "--output", "page.html"), "cli.report")
    words = ("report", "--base", "latest", "--history", "latest", "--output", "page.html")
    check(tree.on_store(*words), "cli.report")


def test_output_of_a_comparison(tree: Tree, tmp_path: Path) -> None:
    """Each part of a diff holds something: added, removed, changed and renamed."""
    compared = Tree(tmp_path, tree.server)
    compared.source.mkdir()
    compared.run("init", str(compared.store))
    source = compared.source / "a.py"
    shared = "\n\nNAMES = ['one', 'two', 'three', 'four']\n\n\ndef f(a):\n"
    source.write_text(f"import os\nimport re\n{shared}    return a or 1\n")
    old = compared.on_store("scan", "tree")["batch_id"]
    source.write_text(f"import os\nimport io\n{shared}    return a or a or 1\n")
    source.rename(compared.source / "b.py")
    new = compared.on_store("scan", "tree")["batch_id"]
    output = compared.on_store("diff", old, new)
    check(output, "cli.diff")
    assert all(output[name] for name in ("added", "removed", "changed", "renamed"))
    assert output.keys() <= load("cli.diff")["properties"].keys()
    rows = compared.rows("diff", old, new)
    check(rows, "cli.diff-rows")
    assert {row["change"] for row in rows} == {"added", "removed", "changed", "renamed"}
    known = load("cli.diff-rows")["items"]["properties"].keys()
    assert all(row.keys() <= known for row in rows)
    assert compared.rows("diff", old, new, "--stat") == output["stat"]
    for command in ("regressions", "improvements"):
        output = compared.on_store(command, old, new)
        check(output, "cli.regressions")
        assert output["items"]
        assert output.keys() <= load("cli.regressions")["properties"].keys()
    output = compared.on_store("check", str(compared.source), "--base", old, code=1)
    check(output, "cli.check")
    assert output["new"]
    assert output["fixed"]
    assert output.keys() == load("cli.check")["properties"].keys()
    for name, words in (("create", "--output"), ("update", "--baseline")):
        output = compared.on_store("baseline", name, "tree", words, str(tmp_path / "known.txt"))
        check(output, "cli.baseline")
        assert output.keys() == load("cli.baseline")["properties"].keys()


def test_output_of_histories(tree: Tree, tmp_path: Path) -> None:
    """Of a repository with two commits, the second of which brings a finding and a tag."""
    walked = Tree(tmp_path, tree.server)
    walked.source.mkdir()
    git_init(walked.source, add=False)
    for text in ("import os\n\n\ndef f():\n    return os\n", "import os\n"):
        (walked.source / "a.py").write_text(text)
        git(walked.source, "add", "-A")
        git(walked.source, "commit", "-q", "-m", "change")
    git(walked.source, "tag", "v1")
    words = ("--every", "1", "--metric", "complexity:max", "--changes")
    output = walked.on_store("history", "tree", *words)
    check(output, "cli.history")
    assert output["revisions"][1]["new"] == 1
    assert output.keys() == load("cli.history")["properties"].keys()
    known = load("cli.history")["properties"]["revisions"]["items"]["properties"].keys()
    assert all(one.keys() == known for one in output["revisions"])
    output = walked.on_store("blame", "a.py:1", "tree")
    check(output, "cli.blame")
    assert output.keys() == load("cli.blame")["properties"].keys()


def test_output_of_removals(tree: Tree, tmp_path: Path) -> None:
    removing = Tree(tmp_path, tree.server)
    shutil.copytree(tree.store, removing.store)
    snapshots = [row["snapshot_id"] for row in removing.on_store("snapshots")]
    removing.on_store("name", "rm", "kept")
    for row in removing.on_store("batches"):
        check(removing.on_store("batch", "rm", row["batch_id"]), "cli.rm")
    output = removing.on_store("snapshot", "rm", *snapshots)
    check(output, "cli.rm")
    assert [row["id"] for row in output["removed"]] == snapshots


def test_failed_shard(tree: Tree, tmp_path: Path) -> None:
    """An object that is gone makes a shard fail: state, event and outputs say so."""
    failing = Tree(tmp_path, tree.server)
    failing.source.mkdir()
    (failing.source / "a.py").write_text("x = 1\n")
    failing.run("init", str(failing.store))
    failing.on_store("snapshot", "tree")
    failing.on_store("batch", "init")
    for path in failing.store.glob("objects/*/*/*/*"):
        path.unlink()
    report = failing.on_store("run", code=3)
    check(report, "cli.run")
    assert report["status"] == "failed"
    assert report["errors"]
    check(failing.on_store("status"), "cli.status")
    check(failing.on_store("summary"), "cli.summary")
    for path in failing.store.rglob("state.json"):
        check(json.loads(path.read_bytes()), "state")
    for path in failing.store.rglob("events.jsonl"):
        for line in path.read_bytes().splitlines():
            check(json.loads(line), "event")


def test_fields_that_are_checked_on_reading_are_those_of_the_schemas() -> None:
    """`value` of a metric has no one type, and what every record has is checked for all."""
    for kind in records.KINDS:
        schema = json.loads((SCHEMAS / f"record.{kind}.schema.json").read_bytes())
        required = {name for name, _ in checks.REQUIRED[kind]}
        optional = {name for name, _ in checks.OPTIONAL.get(kind, ())}
        assert required == {*schema["required"]} - {"kind", "path", "value"}, kind
        assert optional == {*schema["properties"]} - {*schema["required"]}, kind


def test_every_schema_is_used() -> None:
    """Here, or by the test of the command that prints it."""
    configs = {f"config.{task['task']}" for task in PIPELINE["tasks"]}
    assert {*configs, "config.tool", "config.sarif"} == CONFIGS
    commands = {schema for schema, _ in COMMANDS}
    rest = set(NAMES) - (commands | {*DOCUMENTS.values()} | RECORDS | CONFIGS | OTHERS)
    tests = "".join(
        path.read_text(encoding="utf-8") for path in (REPOSITORY / "tests").rglob("*.py")
    )
    assert not [name for name in sorted(rest) if f'"{name}"' not in tests]
