"""A store that was written once and must stay readable, whatever tools read it.

It was made with CPython 3.13 and one version of each tool; reading it needs neither.
`test_spec.py` accounts for every file of it by the specification alone.
"""

from __future__ import annotations

import json
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import REPOSITORY, Outcome

import codebatch

Main = Callable[..., Outcome]

ARCHIVE = REPOSITORY / "tests/golden/store.tar"
SNAPSHOT = "snap-ca9f568dd56d3761"
BATCH = "batch-6f2640d2d01c9d13"
RESULT = "sha256:247e4297b03671206c29067d18e24c41c04ee819572ddcb7bf356f4aa43521cb"


def unpack(folder: Path) -> Path:
    """The golden store, with the modes that a checkout may give it."""
    with tarfile.open(ARCHIVE) as archive:
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


@pytest.fixture(scope="module")
def golden(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return unpack(tmp_path_factory.mktemp("golden"))


def test_ids_and_result(golden: Path, main: Main) -> None:
    summary = json.loads(main("summary", "--store", golden, "--json").stdout)
    assert (summary["snapshot_id"], summary["batch_id"]) == (SNAPSHOT, BATCH)
    assert (summary["status"], summary["result"]) == ("done", RESULT)
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


def test_a_done_batch_needs_no_tools(golden: Path, main: Main) -> None:
    done = json.loads(main("resume", "--batch", BATCH, "--store", golden, "--json").stdout)
    assert (done["status"], done["result"]) == ("done", RESULT)


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
