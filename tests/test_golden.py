"""Stores that were written once and must stay readable, whatever tools read them.

They were made with CPython 3.13 and one version of each tool; reading them needs neither.
`test_spec.py` accounts for every file of them by the specification alone. The first store was
written when edges were of the types ``import`` and ``export``.
"""

from __future__ import annotations

import json
import tarfile
from collections.abc import Callable
from pathlib import Path

import jsonschema
import pytest
from conftest import REPOSITORY, Outcome

import codebatch
from codebatch.model.resources import load_schema

Main = Callable[..., Outcome]

FOLDER = REPOSITORY / "tests/golden"
SNAPSHOT = "snap-ca9f568dd56d3761"
BATCH = "batch-6f2640d2d01c9d13"
RESULTS = {
    "store": (BATCH, "sha256:247e4297b03671206c29067d18e24c41c04ee819572ddcb7bf356f4aa43521cb"),
    "edges": (
        "batch-3d3bff08b76d4844",
        "sha256:e49782103fe13002e590172533645b4d467c3512863b5d2473e1dad60583e11c",
    ),
}


def unpack(folder: Path, name: str = "store") -> Path:
    """A golden store, with the modes that a checkout may give it."""
    with tarfile.open(FOLDER / f"{name}.tar") as archive:
        for member in archive:
            path = folder / member.name
            if member.isdir():
                path.mkdir(parents=True)
            else:
                path.parent.mkdir(parents=True, exist_ok=True)
                stream = archive.extractfile(member)
                assert stream is not None
                path.write_bytes(stream.read())
    return folder / "store"


@pytest.fixture(scope="module", params=RESULTS)
def golden(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("golden") / request.param
    return unpack(folder, request.param)


def test_ids_and_result(golden: Path, main: Main) -> None:
    batch_id, result = RESULTS[golden.parent.name]
    summary = json.loads(main("summary", "--store", golden, "--json").stdout)
    assert (summary["snapshot_id"], summary["batch_id"]) == (SNAPSHOT, batch_id)
    assert (summary["status"], summary["result"]) == ("done", result)
    assert summary["files"]["by_language"]["python"] == 4
    status = json.loads(main("status", "--store", golden, "--json").stdout)
    assert status["status"] == "done"
    assert {task["status"] for task in status["tasks"]} == {"done"}


def test_findings(golden: Path, main: Main) -> None:
    found = json.loads(main("errors", "--store", golden, "--json").stdout)
    places = [(record["path"], record["line"], record["code"]) for record in found]
    assert places == [
        ("shop/__init__.py", 1, "L101"),
        ("shop/broken.py", 1, "E0001"),
        ("shop/cart.py", 2, "L101"),
        ("shop/cart.py", 3, "L101"),
        ("shop/cart.py", 9, "L001"),
        ("web/price.ts", 1, "L101"),
    ]


def test_files_and_their_content(golden: Path, main: Main) -> None:
    store = codebatch.open_store(golden)
    files = {file.path: file for file in store.find_snapshot(SNAPSHOT).files}
    assert files["caf\udce9 \u540d.py"].size == len(b"value = 1\n")
    assert (files["link.py"].mode, files["shop/cart.py"].mode) == ("120000", "100755")
    assert store.read_object(files["link.py"].object) == b"shop/cart.py"
    assert store.read_object(files["twin.txt"].object) == b"again\n" * 40
    document = json.loads(main("show", SNAPSHOT, "--store", golden, "--json").stdout)
    assert document["skipped"] == [{"path": "pipe", "reason": "named pipe"}]
    page = json.loads(main("inspect", "cart.py", "--store", golden, "--json").stdout)
    assert page["path"] == "shop/cart.py"


def test_it_is_whole(golden: Path) -> None:
    report = codebatch.open_store(golden).verify(read_data=True)
    assert report.ok, report.problems
    assert report.checked.read == report.checked.objects > 10
    assert report.notes.objects_without_checksum == 1


def test_edges_are_in_the_words_of_today(golden: Path, main: Main) -> None:
    valid = jsonschema.Draft202012Validator(load_schema("record.edge"))
    imports = [
        ("shop/__init__.py", "imports", "shop.cart"),
        ("shop/cart.py", "imports", "json"),
        ("shop/cart.py", "imports", "os"),
        ("web/price.ts", "imports", "./unused"),
    ]
    everything = sorted([*imports, ("shop/cart.py", "inherits", "dict")])
    edges = codebatch.open_store(golden).find_batch("latest").outputs
    named = "SELECT path, edge_type, target FROM edges"
    exported = main("export", "--store", golden, "--format", "jsonl", "--kind", "edge").stdout
    for found, expected in (
        (list(edges(kind="edge")), everything),
        (list(edges(edge_type="imports")), imports),
        (list(edges(edge_type="exports,inherits")), everything[3:4]),
        ([json.loads(line) for line in exported.splitlines()], everything),
        (json.loads(main("sql", named, "--store", golden, "--json").stdout), everything),
    ):
        assert sorted((e["path"], e["edge_type"], e["target"]) for e in found) == sorted(expected)
    for edge in edges(name="Cart", kind="edge"):  # the index is there by now
        added = {"task_id", "shard_id"}
        valid.validate({name: value for name, value in edge.items() if name not in added})
    page = main("inspect", "shop/cart.py", "--store", golden).stdout
    assert b"\n\nimports\n  json\n  os\n" in page


def test_a_new_run_takes_nothing_over_from_an_earlier_version(tmp_path: Path, main: Main) -> None:
    """It writes the words of today, which compare as equal to the old ones."""
    store = codebatch.open_store(unpack(tmp_path))
    for file in store.find_snapshot(SNAPSHOT).files:
        if file.path.startswith(("shop/", "web/")):
            path = tmp_path / "tree" / file.path
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(store.read_object(file.object))
    scanned = main("scan", tmp_path / "tree", "--store", store.path, "--json")
    new = json.loads(scanned.stdout)["batch_id"]
    written = (store.path / "batches" / new / "tasks/symbols").rglob("outputs.index.jsonl")
    edges = [
        json.loads(line)["edge_type"]
        for path in written
        for line in path.read_bytes().splitlines()
        if b'"kind":"edge"' in line
    ]
    assert sorted(edges) == [*["imports"] * 4, "inherits"]
    diff = main("diff", BATCH, new, "--kind", "edge", "--store", store.path, "--json").stdout
    changes = json.loads(diff)
    assert [changes[name] for name in ("added", "removed", "changed")] == [[], [], []]


def test_a_done_batch_needs_no_tools(golden: Path, main: Main) -> None:
    batch_id, result = RESULTS[golden.parent.name]
    done = json.loads(main("resume", "--batch", batch_id, "--store", golden, "--json").stdout)
    assert (done["status"], done["result"]) == ("done", result)


def test_repair_needs_no_tools(tmp_path: Path) -> None:
    store = unpack(tmp_path)
    folder = store / "batches" / BATCH
    before = {path: path.read_bytes() for path in folder.rglob("*.json*")}
    for path in [path for path in before if path.name == "task.json"]:
        path.write_bytes(b"")
    assert codebatch.open_store(store).verify(repair=True).ok
    assert {path: path.read_bytes() for path in folder.rglob("*.json*")} == before


def test_what_other_rules_for_languages_planned_is_not_made_up(tmp_path: Path) -> None:
    store = unpack(tmp_path)
    (store / "batches" / BATCH / "plan.json").write_bytes(b"")
    report = codebatch.open_store(store).verify(repair=True)
    assert [(p.code, p.place.kind, p.action) for p in report.problems] == [
        ("PLAN_DAMAGED", "plan", "none")
    ]
    assert (store / "batches" / BATCH / "plan.json").read_bytes() == b""
