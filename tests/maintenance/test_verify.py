"""`codebatch verify`: every damage is found and named, and repaired without touching the rest."""

from __future__ import annotations

import hashlib
import json
import os
import random
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import OBEYING_PERMISSIONS, REPOSITORY, Note, Outcome, Scanned, run_cli, write_tree
from sampling import ALL

import codebatch
import codebatch.maintenance.verify.batches
import codebatch.shard.compute
from codebatch.api import open_damaged_store
from codebatch.maintenance.verify import Problem, Step, VerifyReport, helpers
from codebatch.maintenance.verify.repair import HANDLERS
from codebatch.maintenance.verify.selection import parse_subset
from codebatch.model.digest import compact, seal
from codebatch.store import StoreDirectory, pretty
from codebatch.store.layout import Layout
from codebatch.store.objects import compression as frames
from codebatch.store.removal import drop_file

Main = Callable[..., Outcome]


def files_of(root: Path) -> dict[Path, bytes]:
    files = (path for path in sorted(root.rglob("*")) if path.is_file())
    return {path: path.read_bytes() for path in files if path.name != "maintenance.lock"}


def contents(store: Path) -> dict[Path, bytes]:
    """What is promised of a store: all but what is derived, events and askings."""
    return {
        path: data
        for path, data in files_of(store).items()
        if "indexes" not in path.relative_to(store).parts
        and path.name not in ("events.jsonl", "asked.json")
    }


def overwrite(path: Path, data: bytes) -> None:
    """Other bytes in a file that may be linked to another one, or read-only."""
    path.unlink()
    path.write_bytes(data)


def flip(path: Path, index: int = 0, bits: int = 1) -> None:
    data = bytearray(path.read_bytes())
    data[index] ^= bits
    overwrite(path, bytes(data))


def check(store: Path, **options: Any) -> VerifyReport:
    return open_damaged_store(store).verify(**options)


def codes(report: VerifyReport) -> list[str]:
    return [problem.code for problem in report.problems]


def the_problem(report: VerifyReport) -> Problem:
    assert len(report.problems) == 1, report.problems
    return report.problems[0]


def resume(store: Path, batch_id: str) -> codebatch.RunReport:
    return codebatch.open_store(store).find_batch(batch_id).run("sync")


def plan_again(scanned: Scanned) -> str:
    return scanned.store.batch(scanned.store.find_snapshot("latest"), "full").id


def one(store: Path, glob: str) -> Path:
    """The largest file of a kind: one that holds something."""
    return max(store.glob(glob), key=lambda path: (path.stat().st_size, path))


def object_file(store: Path, digest: str) -> Path:
    (path,) = store.glob(f"objects/*/*/*/{digest.removeprefix('sha256:')}*")
    return path


def source_object(scanned: Scanned, path: str = "pkg/cart.py") -> str:
    files = scanned.store.find_snapshot("latest").files
    return next(file.object for file in files if file.path == path)


def tree_object(scanned: Scanned, path: str = "pkg/cart.py") -> str:
    return str(next(iter(scanned.batch.records(kind="ast", path=path)))["object"])


@pytest.fixture
def snapshot_id(scanned: Scanned) -> str:
    return str(scanned.batch.summary()["snapshot_id"])


# -- what is whole -----------------------------------------------------------------------------


def test_a_store_that_is_whole(scanned: Scanned, main: Main) -> None:
    before = files_of(scanned.path)
    done = main("verify", "--read-data", "--store", scanned.path, "--json")
    document = json.loads(done.stdout)
    objects = len(list(scanned.path.glob("objects/*/*/*/*")))
    assert (done.code, document["ok"], document["problems"]) == (0, True, [])
    assert document["checked"]["objects"] == document["checked"]["read"] == objects
    assert document["checked"]["shards"] == len(list(scanned.path.rglob("state.json")))
    assert document["checked"]["bytes"] > 0
    assert not any(document["notes"].values())
    assert files_of(scanned.path) == before


def test_an_empty_store(store: codebatch.Store) -> None:
    report = store.verify(read_data=True)
    assert report.ok
    assert report.checked.objects == 0


def test_verify_for_people(scanned_copy: Scanned, main: Main) -> None:
    done = main("verify", "--store", scanned_copy.path)
    assert done.code == 0
    assert "no problems" in done.out
    flip(one(scanned_copy.path, "batches/*/tasks/lint/shards/*/state.json"), 5)
    done = main("verify", "--store", scanned_copy.path)
    assert done.code == 1
    assert "state.json: STATE_DAMAGED" in done.out
    assert f"touches {scanned_copy.batch.id}" in done.out
    assert f"next: codebatch verify --repair --store {scanned_copy.path}" in done.out
    done = main("verify", "--repair", "--store", scanned_copy.path)
    assert done.code == 0
    assert "state.json: STATE_DAMAGED  [dropped]" in done.out
    assert f"next: codebatch resume --batch {scanned_copy.batch.id}" in done.out


def test_what_killed_writers_leave_is_no_damage(scanned_copy: Scanned) -> None:
    root = scanned_copy.path
    (root / ".tmp-1-a").write_bytes(b"half")
    (root / "objects/sha256/.tmp-1-a-0").write_bytes(b"half")
    for place in ("snapshots/snap-0123456789abcdef", "batches/batch-0123456789abcdef"):
        (root / place).mkdir()
        (root / place / ".tmp-1-b").write_bytes(b"{")
    with one(root, "batches/*/events.jsonl").open("ab") as stream:
        stream.write(b'{"event":"run-st')
    report = check(root, read_data=True)
    assert report.ok
    assert report.notes.temporary_files == 4
    assert (report.notes.unfinished_snapshots, report.notes.unfinished_batches) == (1, 1)


def test_an_unfinished_batch_is_no_damage(tree: Path, store: codebatch.Store) -> None:
    batch = store.batch(store.snapshot(tree), "full")
    report = store.verify(read_data=True)
    assert report.ok
    assert report.notes.pending_shards == batch.status()["shards"]["total"] * 4  # type: ignore[index]
    batch.run("sync")
    plain = store.path / "batches" / batch.id / "batch.json"
    document = json.loads(plain.read_bytes())
    del document["finished"]
    plain.write_bytes(pretty(seal({**document, "result": None})))
    one(store.path, "batches/*/tasks/lint/shards/*/state.json").unlink()
    report = store.verify(read_data=True)  # outputs without a state, in a batch not finished
    assert report.ok
    assert report.notes.pending_shards == 1


def test_a_batch_whose_shards_failed_is_no_damage(tmp_path: Path) -> None:
    tree = write_tree(tmp_path / "tree", {"a.py": "x = 1\n"})
    store = codebatch.open_store(tmp_path / "store", create=True)
    batch = store.batch(store.snapshot(tree), "full")
    (path,) = store.path.glob("objects/*/*/*/*")
    data = path.read_bytes()
    path.unlink()
    assert batch.run("sync").status == "failed"
    path.write_bytes(data)
    assert store.verify(read_data=True).ok


def test_results_taken_over_from_another_batch_are_whole(tmp_path: Path) -> None:
    tree = write_tree(tmp_path / "tree", {"a.py": "x = 1\n", "b.py": "import os\n"})
    codebatch.scan(tree, tmp_path / "store", scheduler="sync")
    (tree / "c.py").write_text("y = 2\n")
    _, report = codebatch.scan(tree, tmp_path / "store", scheduler="sync")
    assert report.files["reused"]
    assert check(tmp_path / "store", read_data=True).ok


def test_chunked_values(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(codebatch.shard.compute, "MAX_OBJECT_BYTES", 60)
    tree = write_tree(tmp_path / "tree", {"a.py": "def f(a, b):\n    return [a, b, {a: b}]\n"})
    batch, report = codebatch.scan(tree, tmp_path / "store", scheduler="sync")
    (record,) = batch.records(kind="ast")
    assert record["chunked"]
    assert check(tmp_path / "store", read_data=True).ok
    chunks = json.loads(batch.directory.objects.read(str(record["object"])))["chunks"]
    path = object_file(tmp_path / "store", chunks[1])
    path.unlink()
    found = the_problem(check(tmp_path / "store"))
    assert (found.code, found.batches, found.snapshots) == ("OBJECT_MISSING", (batch.id,), ())
    assert the_problem(check(tmp_path / "store", repair=True)).action == "dropped"
    assert resume(tmp_path / "store", batch.id).result == report.result
    assert check(tmp_path / "store", read_data=True).ok


@pytest.fixture
def chunked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[codebatch.Batch, list[str]]:
    """A finished batch with a tree in chunks; the objects of that tree, the list first."""
    monkeypatch.setattr(codebatch.shard.compute, "MAX_OBJECT_BYTES", 60)
    tree = write_tree(tmp_path / "tree", {"a.py": "def f(a, b):\n    return [a, b, {a: b}]\n"})
    batch, _ = codebatch.scan(tree, tmp_path / "store", scheduler="sync")
    (record,) = batch.records(kind="ast")
    listing = str(record["object"])
    return batch, [
        listing,
        *json.loads(codebatch.open_store(batch.path).read_object(listing))["chunks"],
    ]


@pytest.mark.parametrize(
    ("number", "damage"),
    [(0, Path.unlink), (0, lambda path: overwrite(path, b"{}")), (-1, Path.unlink)],
    ids=["no-list", "odd-list", "no-chunk"],
)
def test_shard_is_done_only_with_all_chunks(
    number: int, damage: Callable[[Path], None], chunked: tuple[codebatch.Batch, list[str]]
) -> None:
    batch, objects = chunked
    result = batch.load_status().result
    damage(object_file(batch.path, objects[number]))
    report = resume(batch.path, batch.id)
    assert (report.status, report.result) == ("done", result)
    assert check(batch.path, read_data=True).ok


def test_chunks_are_read_where_objects_are(chunked: tuple[codebatch.Batch, list[str]]) -> None:
    batch, objects = chunked
    directory = batch.directory
    (shard,) = directory.batches.load_plan(batch.id).shards
    place = (batch.id, "parse", shard.shard_id)
    assert directory.shards.load_verified_state(*place, whole=True) is not None
    flip(object_file(batch.path, objects[-1]))
    assert directory.shards.load_verified_state(*place) is not None
    assert directory.shards.load_verified_state(*place, whole=True) is None


# -- every kind of damage, its name and what it touches ----------------------------------------

BATCH = "batches/*/"
SHARD = f"{BATCH}tasks/lint/shards/*/"
# Where, the code, and whether it touches the snapshot and the batch.
KINDS: dict[str, tuple[str, str, bool, bool]] = {
    "store document": ("store.json", "STORE_DOCUMENT_DAMAGED", False, False),
    "ignore file": (".gitignore", "IGNORE_FILE_DAMAGED", False, False),
    "snapshot document": ("snapshots/*/snapshot.json", "SNAPSHOT_DAMAGED", True, True),
    "manifest": ("snapshots/*/files.index.jsonl", "MANIFEST_DAMAGED", True, True),
    "batch document": (f"{BATCH}batch.json", "BATCH_DAMAGED", False, True),
    "asking": (f"{BATCH}asked.json", "ASKED_DAMAGED", False, True),
    "plan": (f"{BATCH}plan.json", "PLAN_DAMAGED", False, True),
    "inputs": (f"{BATCH}inputs.index.jsonl", "INPUTS_DAMAGED", False, True),
    "task document": (f"{BATCH}tasks/lint/task.json", "TASK_DAMAGED", False, True),
    "state": (f"{SHARD}state.json", "STATE_DAMAGED", False, True),
    "outputs": (f"{SHARD}outputs.index.jsonl.zst", "OUTPUTS_DAMAGED", False, True),
    "memo": ("indexes/memo/**/*.memo", "MEMO_DAMAGED", False, False),
    "stat cache": ("indexes/stat/*", "INDEX_DAMAGED", False, False),
}


def replaced_by_link(path: Path) -> None:
    elsewhere = path.parent.parent / f".tmp-{path.name}"
    path.rename(elsewhere)
    path.symlink_to(elsewhere)


def replaced_by_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


DAMAGES: dict[str, Callable[[Path], None]] = {
    "first bit": flip,
    "last bit": lambda path: flip(path, -1),
    "half": lambda path: overwrite(path, path.read_bytes()[: path.stat().st_size // 2]),
    "empty": lambda path: overwrite(path, b""),
    "longer": lambda path: overwrite(path, path.read_bytes() + b"\n"),
    "link": replaced_by_link,
    "folder": replaced_by_folder,
}


def some_damages() -> Iterator[Any]:
    """Each kind in two ways, the second of which alternates; the slow tests try the others."""
    for number, kind in enumerate(KINDS):
        often = ("first bit", ("longer", "folder")[number % 2])
        for how in DAMAGES:
            yield pytest.param(kind, how, marks=[] if how in often else pytest.mark.slow)


@pytest.mark.parametrize(("kind", "how"), [*some_damages()])
def test_damage_is_found_named_and_repaired(
    kind: str, how: str, scanned_copy: Scanned, snapshot_id: str, tmp_path: Path
) -> None:
    glob, code, touches_snapshot, touches_batch = KINDS[kind]
    if "indexes" in glob and how in ("link", "folder"):
        pytest.skip("what is below indexes/ and no file of the store's is nobody's concern")
    before = contents(scanned_copy.path)
    path = one(scanned_copy.path, glob)
    DAMAGES[how](path)
    relative = str(path.relative_to(scanned_copy.path))
    found = the_problem(check(scanned_copy.path))
    assert (found.code, found.path) == (code, relative)
    assert found.snapshots == ((snapshot_id,) if touches_snapshot else ())
    assert found.batches == ((scanned_copy.batch.id,) if touches_batch else ())

    repaired = the_problem(check(scanned_copy.path, repair=True, source=scanned_copy.tree))
    if kind in ("plan", "inputs"):
        assert repaired.action == "none"
        assert "; batch rm, then batch init and run, make the batch again" in found.message
        if how == "longer":  # which is no damage to a reader
            scanned_copy.store.remove_batch(scanned_copy.batch.id)
        assert plan_again(scanned_copy) == scanned_copy.batch.id
        before = {
            p: data for p, data in before.items() if p.name not in ("batch.json", "state.json")
        }
    else:
        assert repaired.action in ("dropped", "restored", "rewritten")
    report = resume(scanned_copy.path, scanned_copy.batch.id)
    assert (report.status, report.result) == ("done", scanned_copy.report.result)
    assert kind not in ("plan", "inputs") or report.files["computed"] == 0
    assert check(scanned_copy.path, read_data=True).ok
    if kind in ("manifest", "plan", "inputs", "task document", "outputs", "ignore file"):
        before.pop(path.with_name("state.json"), None)
    else:
        before.pop(path, None)
    if kind in ("state", "outputs"):  # the batch was finished again
        document = scanned_copy.path / "batches" / scanned_copy.batch.id / "batch.json"
        assert b'"finished"' in before.pop(document)
    after = contents(scanned_copy.path)
    assert {path: after.get(path) for path in before} == before


@pytest.mark.sample(5)
@pytest.mark.parametrize("how", [how for how in DAMAGES if how not in ("link", "folder")])
@pytest.mark.parametrize("form", ["raw", "compressed"])
def test_a_damaged_source_is_found_and_restored(
    form: str, how: str, scanned_copy: Scanned, snapshot_id: str, tmp_path: Path
) -> None:
    name = "pkg/copy_a.py" if form == "raw" else "pkg/cart.py"  # copy_b.py is equal to copy_a.py
    path = object_file(scanned_copy.path, source_object(scanned_copy, name))
    assert (path.suffix == ".zst") == (form == "compressed")
    before = contents(scanned_copy.path)
    DAMAGES[how](path)
    report = check(scanned_copy.path)
    assert codes(report) == (["OBJECT_DAMAGED"] if how == "empty" else [])
    found = the_problem(check(scanned_copy.path, read_data=True))
    assert (found.code, found.snapshots, found.batches) == (
        *("OBJECT_DAMAGED", (snapshot_id,)),
        (scanned_copy.batch.id,),
    )
    left = the_problem(check(scanned_copy.path, read_data=True, repair=True))
    assert left.action == "none"  # bytes that nobody can make again stay where they are
    assert path.exists()
    moved = tmp_path / "elsewhere"
    shutil.copytree(scanned_copy.tree, moved / "src", symlinks=True)
    (moved / "src" / name).rename(moved / "renamed")
    options = {"read_data": True, "repair": True, "source": moved}
    assert the_problem(check(scanned_copy.path, **options)).action == "restored"
    assert contents(scanned_copy.path) == before
    assert check(scanned_copy.path, read_data=True).ok


@pytest.mark.sample(4)
@pytest.mark.parametrize("how", [*DAMAGES, "missing"])
def test_a_damaged_tree_is_computed_again(how: str, scanned_copy: Scanned) -> None:
    path = object_file(scanned_copy.path, tree_object(scanned_copy))
    before = contents(scanned_copy.path)
    (DAMAGES | {"missing": Path.unlink})[how](path)
    found = the_problem(check(scanned_copy.path, read_data=True))
    code = "OBJECT_MISSING" if how == "missing" else "OBJECT_DAMAGED"
    assert (found.code, found.snapshots) == (code, ())
    assert found.batches == (scanned_copy.batch.id,)
    assert the_problem(check(scanned_copy.path, read_data=True, repair=True)).action == "dropped"
    assert not path.exists()
    report = resume(scanned_copy.path, scanned_copy.batch.id)
    assert report.result == scanned_copy.report.result
    assert report.files["computed"] > 0  # what is remembered of it does not count
    after = contents(scanned_copy.path)
    document = scanned_copy.path / "batches" / scanned_copy.batch.id / "batch.json"
    assert b'"finished"' in before.pop(document)  # the batch was finished again
    states = {p for p in before if p.name == "state.json" and before[p] != after[p]}
    assert {p.parent.parent.parent.name for p in states} == {"parse"}
    assert {p: after[p] for p in before if p not in states} == {
        p: data for p, data in before.items() if p not in states
    }
    assert check(scanned_copy.path, read_data=True).ok


def test_a_damaged_object_that_nothing_needs_is_dropped(scanned_copy: Scanned) -> None:
    digest = hashlib.sha256(b"nobody's").hexdigest()
    path = scanned_copy.path / f"objects/sha256/{digest[:2]}/{digest[2:4]}/{digest}"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"nobody's!")
    found = the_problem(check(scanned_copy.path, read_data=True))
    assert (found.code, found.batches, found.snapshots) == ("OBJECT_DAMAGED", (), ())
    flip(one(scanned_copy.path, KINDS["manifest"][0]))
    report = check(scanned_copy.path, read_data=True, repair=True)
    assert {problem.action for problem in report.problems} == {"none"}  # who knows who needs it
    flip(one(scanned_copy.path, KINDS["manifest"][0]))
    assert the_problem(check(scanned_copy.path, read_data=True, repair=True)).action == "dropped"
    assert not path.exists()


def test_of_two_forms_the_damaged_one_is_dropped(scanned_copy: Scanned) -> None:
    compressed = object_file(scanned_copy.path, source_object(scanned_copy))
    raw = compressed.with_suffix("")
    raw.write_bytes(scanned_copy.store.read_object(source_object(scanned_copy)))
    assert check(scanned_copy.path, read_data=True).ok
    flip(compressed, -1)
    assert the_problem(check(scanned_copy.path, read_data=True, repair=True)).action == "dropped"
    assert (raw.exists(), compressed.exists()) == (True, False)
    assert check(scanned_copy.path, read_data=True).ok


def test_missing_source_objects_name_what_they_touch(
    scanned_copy: Scanned, snapshot_id: str
) -> None:
    path = object_file(scanned_copy.path, source_object(scanned_copy))
    path.unlink()
    found = the_problem(check(scanned_copy.path))
    assert found.code == "OBJECT_MISSING"
    assert (found.snapshots, found.batches) == ((snapshot_id,), (scanned_copy.batch.id,))
    options = {"repair": True, "source": scanned_copy.tree}
    assert the_problem(check(scanned_copy.path, **options)).action == "restored"
    assert path.exists()


STRAYS: dict[str, str] = {
    "file in the root": "notes.txt",
    "file among the objects": "objects/sha256/README",
    "object in another folder": f"objects/sha256/aa/bb/{'c' * 64}",
    "object with another ending": f"objects/sha256/aa/bb/aabb{'c' * 60}.gz",
    "object with upper case": f"objects/sha256/aa/bb/aabb{'C' * 60}",
    "folder of no snapshot": "snapshots/today/snapshot.json",
    "file in a snapshot": "snapshots/{snapshot}/notes",
    "task that the plan does not have": "batches/{batch}/tasks/other/task.json",
    "shard that the plan does not have": "batches/{batch}/tasks/lint/shards/fff/state.json",
    "file in a shard": "batches/{batch}/tasks/lint/shards/0/notes",
}


@pytest.mark.parametrize("kind", STRAYS)
def test_what_does_not_belong_is_reported_and_left(
    kind: str, scanned_copy: Scanned, snapshot_id: str
) -> None:
    name = STRAYS[kind].format(snapshot=snapshot_id, batch=scanned_copy.batch.id)
    write_tree(scanned_copy.path, {name: "mine"})
    found = the_problem(check(scanned_copy.path, read_data=True))
    assert found.code == "FOREIGN_FILE"
    assert name.startswith(found.path)
    assert found.batches == ((scanned_copy.batch.id,) if "{batch}" in STRAYS[kind] else ())
    assert found.snapshots == ((snapshot_id,) if "{snapshot}" in STRAYS[kind] else ())
    assert the_problem(check(scanned_copy.path, repair=True)).action == "none"
    assert (scanned_copy.path / name).read_text() == "mine"


def test_repair_is_offered_where_it_can_help(scanned_copy: Scanned, main: Main) -> None:
    (scanned_copy.path / "notes").write_text("mine")
    alone = main("verify", "--store", scanned_copy.path)
    assert "notes: FOREIGN_FILE\n  the format has no place for this file: move it away" in alone.out
    assert (alone.code, "next:" in alone.out) == (1, False)
    flip(one(scanned_copy.path, "batches/*/tasks/lint/shards/*/state.json"), 5)
    beside = main("verify", "--store", scanned_copy.path)
    assert f"next: codebatch verify --repair --store {scanned_copy.path}" in beside.out


def test_events_may_be_anything_but_no_folder(scanned_copy: Scanned) -> None:
    path = one(scanned_copy.path, "batches/*/events.jsonl")
    overwrite(path, b"\xff not even a line")
    assert check(scanned_copy.path).ok
    replaced_by_folder(path)
    assert codes(check(scanned_copy.path)) == ["FOREIGN_FILE"]


def test_a_named_pipe_in_place_of_a_file(scanned_copy: Scanned) -> None:
    object_path = object_file(scanned_copy.path, source_object(scanned_copy))
    globs = ("snapshots/*/snapshot.json", f"{BATCH}inputs.index.jsonl", f"{SHARD}state.json")
    for path in [object_path, *(one(scanned_copy.path, glob) for glob in globs)]:
        path.unlink()
        os.mkfifo(path)
    report = check(scanned_copy.path, read_data=True)
    assert sorted(codes(report)) == [
        *("INPUTS_DAMAGED", "OBJECT_DAMAGED", "SNAPSHOT_DAMAGED", "STATE_DAMAGED"),
    ]
    assert all("named pipe" in problem.message for problem in report.problems)


@pytest.fixture
def helped(monkeypatch: pytest.MonkeyPatch) -> None:
    """However small a store is, helpers look at it too."""
    monkeypatch.setattr(helpers, "WORTH_BYTES", 0)
    monkeypatch.setattr(helpers, "_number_of_helpers", lambda: 2)


def damage_much(scanned: Scanned) -> None:
    flip(object_file(scanned.path, tree_object(scanned)), -1)
    for path in sorted(scanned.path.glob("batches/*/tasks/*/shards/*/*"))[::7]:
        flip(path, 40)
    for path in sorted(scanned.path.glob("indexes/memo/**/*.memo"))[::3]:
        flip(path, 40)


def test_helpers_change_no_problem(scanned_copy: Scanned, request: pytest.FixtureRequest) -> None:
    damage_much(scanned_copy)
    alone = check(scanned_copy.path, read_data=True)
    assert {"STATE_DAMAGED", "OUTPUTS_DAMAGED", "MEMO_DAMAGED"} <= {*codes(alone)}
    request.getfixturevalue("helped")
    steps: list[Step] = []
    assert check(scanned_copy.path, read_data=True, progress=steps.append) == alone
    assert {step.unit for step in steps} == {"object", "shard", "file"}
    assert all(step.total is None or step.done < step.total for step in steps)


@pytest.mark.usefixtures("helped")
def test_helpers_that_die_say_nothing(scanned: Scanned, monkeypatch: pytest.MonkeyPatch) -> None:
    assert check(scanned.path).ok
    monkeypatch.setattr(helpers, "_BOOT", "raise SystemExit")
    assert check(scanned.path).ok


def test_all_damage_is_reported_at_once(scanned_copy: Scanned) -> None:
    expected = []
    digests = (source_object(scanned_copy), tree_object(scanned_copy))
    for kind, (glob, code, _, _) in KINDS.items():
        if kind not in ("plan", "inputs"):  # without them, nothing is known of the shards
            task = "analyze" if kind == "outputs" else "lint"  # another shard than the state's
            flip(one(scanned_copy.path, glob.replace("lint", task)))
            expected.append(code)
    for digest in digests:
        flip(object_file(scanned_copy.path, digest), -1)
        expected.append("OBJECT_DAMAGED")
    report = check(scanned_copy.path, read_data=True)
    assert sorted(codes(report)) == sorted(expected)
    report = check(scanned_copy.path, read_data=True, repair=True, source=scanned_copy.tree)
    assert report.ok, report.problems
    assert resume(scanned_copy.path, scanned_copy.batch.id).result == scanned_copy.report.result
    assert check(scanned_copy.path, read_data=True).ok


def test_everything_that_can_be_derived_at_once(scanned_copy: Scanned, snapshot_id: str) -> None:
    """A batch of which only its folders are left, and a snapshot of which nothing is."""
    shutil.rmtree(scanned_copy.path / "snapshots" / snapshot_id)
    shutil.rmtree(scanned_copy.path / "objects")
    folder = scanned_copy.path / "batches" / scanned_copy.batch.id
    for name in ("plan.json", "inputs.index.jsonl", "tasks/lint/task.json"):
        flip(folder / name)
    report = check(scanned_copy.path, repair=True, source=scanned_copy.tree)
    assert {p.code for p in report.problems if p.action == "none"} == {"PLAN_DAMAGED"}, report
    assert plan_again(scanned_copy) == scanned_copy.batch.id
    report = check(scanned_copy.path, repair=True, source=scanned_copy.tree)
    assert {p.action for p in report.problems} <= {"restored", "rewritten", "dropped"}, report
    assert resume(scanned_copy.path, scanned_copy.batch.id).result == scanned_copy.report.result
    assert check(scanned_copy.path, read_data=True).ok


def test_missing_parts_of_a_batch_and_its_snapshot(scanned_copy: Scanned, snapshot_id: str) -> None:
    folder = scanned_copy.path / "batches" / scanned_copy.batch.id
    names = {"batch.json": "BATCH_DAMAGED", "plan.json": "PLAN_DAMAGED"}
    names |= {"inputs.index.jsonl": "INPUTS_DAMAGED", "tasks/parse/task.json": "TASK_DAMAGED"}
    for name, code in names.items():
        data = (folder / name).read_bytes()
        (folder / name).unlink()
        assert codes(check(scanned_copy.path)) == [code]
        (folder / name).write_bytes(data)
    (scanned_copy.path / "snapshots" / snapshot_id / "snapshot.json").unlink()
    found = the_problem(check(scanned_copy.path))
    assert (found.code, found.batches) == ("SNAPSHOT_MISSING", (scanned_copy.batch.id,))
    assert the_problem(check(scanned_copy.path, repair=True)).action == "rewritten"
    shutil.rmtree(scanned_copy.path / "snapshots" / snapshot_id)
    found = the_problem(check(scanned_copy.path))
    assert (found.code, found.snapshots) == ("SNAPSHOT_MISSING", (snapshot_id,))
    assert the_problem(check(scanned_copy.path, repair=True)).action == "none"
    options = {"repair": True, "source": scanned_copy.tree}
    assert the_problem(check(scanned_copy.path, **options)).action == "restored"
    assert check(scanned_copy.path, read_data=True).ok


@pytest.mark.parametrize("name", ["state.json", "outputs.index.jsonl.zst"])
def test_a_missing_part_of_a_finished_shard(name: str, scanned_copy: Scanned) -> None:
    path = one(scanned_copy.path, f"{SHARD}{name}")
    path.unlink()
    found = the_problem(check(scanned_copy.path))
    assert found.code == {"state.json": "STATE_MISSING"}.get(name, "OUTPUTS_DAMAGED")
    assert found.batches == (scanned_copy.batch.id,)
    action = the_problem(check(scanned_copy.path, repair=True)).action
    assert action == {"state.json": "none"}.get(name, "dropped")
    assert codes(check(scanned_copy.path)) == ["STATE_MISSING"]  # until it is resumed
    assert resume(scanned_copy.path, scanned_copy.batch.id).result == scanned_copy.report.result
    assert check(scanned_copy.path).ok


@pytest.mark.parametrize("tally", ["by_kind", "by_severity", "by_code", "by_skip_reason"])
def test_counts_that_leave_records_out(tally: str, scanned_copy: Scanned) -> None:
    """A state with a right digest says less than its outputs hold."""
    for path in sorted(scanned_copy.path.glob(f"{BATCH}tasks/*/shards/*/state.json")):
        state = json.loads(path.read_bytes())
        if state["counts"][tally]:
            state["counts"][tally] = {}
            overwrite(path, pretty(seal(state)))
            break
    assert "counts" in the_problem(check(scanned_copy.path)).message


# -- bytes that a digest does not cover --------------------------------------------------------


def test_a_document_that_says_the_same_in_another_layout(scanned_copy: Scanned) -> None:
    for kind in ("store document", "snapshot document", "batch document", "plan", "state"):
        glob, code, _, _ = KINDS[kind]
        path = one(scanned_copy.path, glob)
        data = path.read_bytes()
        for other in (json.dumps(json.loads(data)).encode(), data + b" ", data.replace(b"\n", b"")):
            overwrite(path, other)
            assert code in codes(check(scanned_copy.path)), (kind, other)
        layouts = (pretty(seal(json.loads(data))), compact(json.loads(data)))
        assert data in layouts
        for layout in layouts:
            overwrite(path, layout)
            assert check(scanned_copy.path).ok
        overwrite(path, data)


def test_documents_that_are_sealed_but_wrong(scanned_copy: Scanned, snapshot_id: str) -> None:
    """Whoever can write a digest can write anything: what is said must follow from the rest."""
    changes: list[tuple[str, dict[str, Any], str]] = [
        ("batches/*/batch.json", {"result": f"sha256:{'0' * 64}"}, "RESULT_WRONG"),
        ("batches/*/batch.json", {"batch_id": "batch-0123456789abcdef"}, "BATCH_DAMAGED"),
        ("batches/*/batch.json", {"pipeline": "other"}, "BATCH_DAMAGED"),
        ("batches/*/plan.json", {"files": 1}, "PLAN_DAMAGED"),
        ("batches/*/plan.json", {"languages": {}}, "PLAN_DAMAGED"),
        ("batches/*/plan.json", {"snapshot_id": "snap-0123456789abcdef"}, "PLAN_DAMAGED"),
        ("batches/*/plan.json", {"detection": f"sha256:{'0' * 64}"}, "PLAN_DAMAGED"),
        ("batches/*/tasks/lint/task.json", {"config": {}}, "TASK_DAMAGED"),
        ("snapshots/*/snapshot.json", {"file_count": 1}, "SNAPSHOT_DAMAGED"),
        ("snapshots/*/snapshot.json", {"snapshot_id": "snap-0"}, "SNAPSHOT_DAMAGED"),
        (f"{SHARD}state.json", {"files": 7}, "STATE_DAMAGED"),
        (f"{SHARD}state.json", {"computed": 9}, "STATE_DAMAGED"),
        (f"{SHARD}state.json", {"per_file": []}, "STATE_DAMAGED"),
        (f"{SHARD}state.json", {"origins": "xyz"}, "STATE_DAMAGED"),
        (f"{SHARD}state.json", {"tree": f"sha256:{'0' * 64}"}, "STATE_DAMAGED"),
        (f"{SHARD}state.json", {"status": "failed"}, "STATE_DAMAGED"),
        (f"{SHARD}state.json", {"size": 1}, "OUTPUTS_DAMAGED"),
        ("store.json", {"store_id": "short"}, "STORE_DOCUMENT_DAMAGED"),
    ]
    for glob, change, code in changes:
        path = one(scanned_copy.path, glob)
        data = path.read_bytes()
        document = {**json.loads(data), **change}
        overwrite(path, pretty(seal(document)))
        assert codes(check(scanned_copy.path)) == [code], change
        overwrite(path, data)


VALUES = (1, 2, 4, 8, 16, 32, 64, 128, 255)
SEED, SAMPLE = 20261129, 30


def flipped(data: bytes, flips: Iterable[tuple[int, int]]) -> Iterator[bytes]:
    """Yield the data with bits of a byte flipped, for each (index of the byte, bits)."""
    for index, value in flips:
        yield data[:index] + bytes([data[index] ^ value]) + data[index + 1 :]


def all_flips(data: bytes) -> list[tuple[int, int]]:
    return [(index, value) for index in range(len(data)) for value in VALUES]


def sampled_flips(data: bytes) -> list[tuple[int, int]]:
    flips = all_flips(data)
    return random.Random(SEED).sample(flips, min(SAMPLE, len(flips)))


def flips_of_each_byte(data: bytes) -> list[tuple[int, int]]:
    if ALL:
        return all_flips(data)
    chance = random.Random(SEED)
    return [(index, chance.choice(VALUES)) for index in range(len(data))]


FLIPPED = {kind: glob for kind, (glob, *_) in KINDS.items() if "indexes" not in glob}


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished store of very few bytes, for tests that damage each of them."""
    base = tmp_path_factory.mktemp("small")
    write_tree(base / "tree", {"a.py": "import os\n" + "a = [1, 2, 3]\n" * 12, "b": "x \n"})
    store = codebatch.open_store(base / "store", create=True)
    tasks = [{"id": "parse", "task": "parse"}, {"id": "lint", "task": "lint", "needs": ["parse"]}]
    batch = store.batch(store.snapshot(base / "tree"), {"name": "two", "tasks": tasks})
    assert batch.run("sync").status == "done"
    shutil.rmtree(base / "store" / "indexes")
    return base / "store"


@pytest.mark.parametrize(
    "flips", [sampled_flips, pytest.param(flips_of_each_byte, marks=pytest.mark.slow)]
)
@pytest.mark.parametrize("kind", FLIPPED)
def test_no_flipped_byte_escapes(
    kind: str, flips: Callable[[bytes], list[tuple[int, int]]], small: Path
) -> None:
    path = one(small, FLIPPED[kind])
    data = path.read_bytes()
    try:
        for damaged in flipped(data, flips(data)):
            path.write_bytes(damaged)
            assert not is_whole(small), f"{path}: {damaged!r}"
    finally:
        path.write_bytes(data)
    assert check(small, read_data=True).ok


def is_whole(store: Path) -> bool:
    try:
        return check(store).ok
    except codebatch.CodeBatchError:  # it is not even opened
        return False


@pytest.mark.parametrize("form", ["raw", "compressed"])
def test_no_flipped_byte_of_an_object_escapes(form: str, small: Path) -> None:
    objects = codebatch.open_store(small).directory.objects
    glob = "objects/*/*/*/*.zst" if form == "compressed" else "objects/*/*/*/*[0-9a-f]"
    path = next(iter(sorted(small.glob(glob))))
    data, digest = path.read_bytes(), f"sha256:{path.name.removesuffix('.zst')}"
    path.chmod(0o644)
    try:
        for damaged in flipped(data, flips_of_each_byte(data)):
            path.write_bytes(damaged)
            assert not objects.is_intact(digest)
    finally:
        path.write_bytes(data)
    assert objects.is_intact(digest)


def test_what_a_decoder_passes_by_is_damage(small: Path) -> None:
    objects = codebatch.open_store(small).directory.objects
    path = max(small.glob("objects/*/*/*/*.zst"), key=lambda p: p.stat().st_size)
    data, digest = path.read_bytes(), f"sha256:{path.name.removesuffix('.zst')}"
    frame = data[:-12]
    path.chmod(0o644)
    wrong = {
        "a byte more": data + b"\0",
        "a frame of nothing more": data + frames.with_checksum(b"")[:12],
        "a skippable frame first": b"\x50\x2a\x4d\x18\x00\x00\x00\x00" + data,
        "two frames": frame + data,
        "half a checksum": data[:-6],
        "a checksum of something else": frame + frames.with_checksum(b"x")[1:],
        "an unused bit": frame[:4] + bytes([frame[4] | 16]) + frame[5:],
    }
    for what, stored in wrong.items():
        path.write_bytes(stored)
        assert not objects.is_intact(digest), what
    path.write_bytes(frame)  # an object of a writer that knows no checksums
    report = check(small, read_data=True)
    path.write_bytes(data)
    assert report.ok
    assert report.notes.objects_without_checksum == 1


# -- parts -------------------------------------------------------------------------------------


def test_subsets_are_parts_of_the_whole(scanned: Scanned) -> None:
    total = scanned.store.verify(read_data=True).checked
    parts = [scanned.store.verify(subset=f"{part}/5").checked for part in range(1, 6)]
    assert sum(part.read for part in parts) == total.read
    assert sum(part.bytes for part in parts) == total.bytes
    assert all(part.objects == total.objects for part in parts)
    assert scanned.store.verify(subset="100%").checked.read == total.read
    assert scanned.store.verify().checked.read == 0
    half = parse_subset("50%")
    digests = [f"sha256:{hashlib.sha256(bytes([n])).hexdigest()}" for n in range(200)]
    assert 60 < sum(map(half.takes, digests)) < 140
    tenth = {digest for digest in digests if parse_subset("10%").takes(digest)}
    assert tenth < {digest for digest in digests if half.takes(digest)}


@pytest.mark.parametrize("text", ["0%", "101%", "6/5", "0/5", "1/0", "half", "", "-1%", "nan%"])
def test_subset_that_is_none(text: str, scanned: Scanned, main: Main) -> None:
    done = main("verify", "--subset", text, "--store", scanned.path, "--json")
    assert (done.code, json.loads(done.stdout)["error"]["code"]) == (2, "USAGE")


def test_source_is_for_repair(scanned: Scanned, main: Main, tmp_path: Path) -> None:
    words = ("verify", "--store", scanned.path, "--json", "--source")
    assert main(*words, tmp_path).code == 2
    assert main(*words, tmp_path / "nowhere", "--repair").code == 2


# -- the store itself --------------------------------------------------------------------------


def test_what_is_no_store(tmp_path: Path, main: Main, scanned_copy: Scanned) -> None:
    (tmp_path / "empty").mkdir()
    for path in (tmp_path / "nowhere", tmp_path / "empty", scanned_copy.tree):
        assert main("verify", "--store", path).code == 4
    document = json.loads((scanned_copy.path / "store.json").read_bytes())
    newer = pretty(seal({**document, "version": 3}))
    for content in (newer, b'{"format": "something else"}\n', b"[]"):
        overwrite(scanned_copy.path / "store.json", content)
        done = main("verify", "--repair", "--store", scanned_copy.path, "--json")
        error = json.loads(done.stdout)["error"]
        assert (done.code, error["code"]) == (4, "STORE_INCOMPATIBLE")
        assert (scanned_copy.path / "store.json").read_bytes() == content


def test_a_store_document_keeps_its_identity(small: Path, tmp_path: Path) -> None:
    store = tmp_path / "store"
    shutil.copytree(small, store)
    path = store / "store.json"
    before = path.read_bytes()
    every = range(len(before))
    for index in every if ALL else random.Random(SEED).sample(every, 60):
        flip(path, index)
        assert the_problem(check(store, repair=True)).action == "rewritten", index
        after = json.loads(path.read_bytes())
        assert after["version"] == 2
        start = before.index(b'"store_id"')
        if not start <= index < start + 50:  # else it is not legible any more
            assert path.read_bytes() == before
        overwrite(path, before)
    path.unlink()
    assert codes(check(store)) == ["STORE_DOCUMENT_DAMAGED"]
    assert check(store, repair=True).ok
    assert check(store).ok


def test_another_version_in_a_damaged_document_is_left(scanned_copy: Scanned) -> None:
    path = scanned_copy.path / "store.json"
    document = json.loads(path.read_bytes())
    written = pretty(seal({**document, "version": 3})).replace(
        b'"digest": "sha256:', b'"digest": "'
    )
    overwrite(path, written)
    assert the_problem(check(scanned_copy.path, repair=True)).action == "none"
    assert path.read_bytes() == written


# -- documents that are rebuilt ----------------------------------------------------------------


def test_a_snapshot_document_says_what_it_does_not_know(scanned_copy: Scanned) -> None:
    path = one(scanned_copy.path, "snapshots/*/snapshot.json")
    before = json.loads(path.read_bytes())
    overwrite(path, b"")
    assert check(scanned_copy.path, repair=True).ok
    after = json.loads(path.read_bytes())
    assert {name: after[name] for name in ("file_count", "total_bytes", "snapshot_id")} == {
        name: before[name] for name in ("file_count", "total_bytes", "snapshot_id")
    }
    assert after["source"] == ""
    assert [file["reason"] for file in after["skipped"]] == [
        "unknown: the list of what was left out was lost"
    ]
    assert len(after["taken"]) == len(before["taken"])
    assert check(scanned_copy.path).ok
    assert scanned_copy.store.snapshots()


def test_a_batch_document_is_rebuilt_from_plan_and_states(scanned_copy: Scanned) -> None:
    path = one(scanned_copy.path, "batches/*/batch.json")
    before = json.loads(path.read_bytes())
    overwrite(path, b"")
    assert check(scanned_copy.path, repair=True).ok
    after = json.loads(path.read_bytes())
    unknown = ("created", "digest", "finished")
    assert {k: v for k, v in after.items() if k not in unknown} == {
        k: v for k, v in before.items() if k not in unknown
    }
    assert after.keys() == before.keys()
    assert check(scanned_copy.path).ok


def test_a_batch_document_is_rebuilt_of_an_unfinished_batch(scanned_copy: Scanned) -> None:
    path = one(scanned_copy.path, "batches/*/batch.json")
    result = json.loads(path.read_bytes())["result"]
    path.unlink()
    one(scanned_copy.path, f"{SHARD}state.json").unlink()
    report = check(scanned_copy.path, repair=True)
    assert "rewritten" in {found.action for found in report.problems}
    assert json.loads(path.read_bytes())["result"] is None
    assert resume(scanned_copy.path, path.parent.name).result == result
    assert check(scanned_copy.path).ok


@pytest.mark.parametrize("name", ["plan.json", "inputs.index.jsonl"])
def test_a_damaged_plan_is_left_and_its_batch_can_be_removed(
    name: str, scanned_copy: Scanned, main: Main
) -> None:
    """Planning again with other tools gives another batch; then this one alone is lost."""
    overwrite(scanned_copy.path / "batches" / scanned_copy.batch.id / name, b"")
    damaged = contents(scanned_copy.path)
    left = main("verify", "--repair", "--store", scanned_copy.path)
    assert (left.code, "next:" in left.out) == (1, False)
    assert f"touches {scanned_copy.batch.id}" in left.out
    assert "next:" not in main("verify", "--store", scanned_copy.path).out
    assert contents(scanned_copy.path) == damaged
    assert main("batch", "rm", scanned_copy.batch.id, "--store", scanned_copy.path).code == 0
    assert check(scanned_copy.path, read_data=True).ok


def test_a_plan_that_cannot_be_derived_is_left(scanned_copy: Scanned) -> None:
    folder = scanned_copy.path / "batches" / scanned_copy.batch.id
    overwrite(folder / "plan.json", b"what was here?")
    flip(one(scanned_copy.path, "snapshots/*/files.index.jsonl"))
    report = check(scanned_copy.path, repair=True)
    assert {(problem.code, problem.action) for problem in report.problems} == {
        ("PLAN_DAMAGED", "none"),
        ("MANIFEST_DAMAGED", "none"),
    }
    assert not report.ok
    assert (folder / "plan.json").read_bytes() == b"what was here?"


def test_a_manifest_comes_from_the_same_tree_alone(scanned_copy: Scanned, tmp_path: Path) -> None:
    path = one(scanned_copy.path, "snapshots/*/files.index.jsonl")
    before = contents(scanned_copy.path)
    flip(path)
    tree = tmp_path / "other"
    shutil.copytree(scanned_copy.tree, tree, symlinks=True)
    (tree / "more.py").write_text("more = 1\n")
    options = {"repair": True, "source": tree}
    assert the_problem(check(scanned_copy.path, **options)).action == "none"
    assert len(scanned_copy.store.directory.snapshots.ids()) == 1  # none is taken by the way
    (tree / "more.py").unlink()
    assert the_problem(check(scanned_copy.path, **options)).action == "restored"
    assert contents(scanned_copy.path) == before


def test_a_damaged_plan_of_a_pipeline_of_ones_own_is_made_again(tmp_path: Path) -> None:
    tree = write_tree(tmp_path / "tree", {"a.py": "import os\n"})
    pipeline = {"name": "own", "tasks": [{"id": "only", "task": "lint"}]}
    store = codebatch.open_store(tmp_path / "store", create=True)
    snapshot = store.snapshot(tree)
    batch = store.batch(snapshot, pipeline, shards=4096)
    expected = batch.run("sync").result
    path = one(store.path, "batches/*/plan.json")
    before = path.read_bytes()
    flip(path, before.index(b'"files":') + 8)
    assert the_problem(store.verify(repair=True)).action == "none"
    assert store.batch(snapshot, pipeline, shards=4096).id == batch.id
    assert path.read_bytes() == before
    report = resume(store.path, batch.id)
    assert (report.result, report.files["computed"]) == (expected, 0)


# -- snapshot restores what it meets ------------------------------------------------------------

WAYS: dict[str, Callable[[Path], None]] = {
    **{name: DAMAGES[name] for name in ("first bit", "last bit", "half", "empty", "longer")},
    "link": replaced_by_link,
    "folder": replaced_by_folder,
    "full folder": lambda path: (replaced_by_folder(path), (path / "x").write_text("x"), None)[-1],
    "missing": Path.unlink,
}


@pytest.mark.sample(18)
@pytest.mark.parametrize("cached", [False, True])
@pytest.mark.parametrize("form", ["raw", "compressed"])
@pytest.mark.parametrize("how", WAYS)
def test_snapshot_restores_damaged_objects(
    how: str, form: str, cached: bool, scanned_copy: Scanned
) -> None:
    """A file that is read is put right; with --no-cache, all of them are read."""
    name = "pkg/copy_a.py" if form == "raw" else "pkg/cart.py"
    digest = source_object(scanned_copy, name)
    path = object_file(scanned_copy.path, digest)
    before = path.read_bytes()
    WAYS[how](path)
    if cached:
        shutil.rmtree(scanned_copy.path / "indexes" / "stat")
    scanned_copy.store.snapshot(scanned_copy.tree, use_cache=cached)
    assert path.read_bytes() == before
    assert not path.is_symlink()
    assert scanned_copy.store.verify(read_data=True).ok


@pytest.mark.parametrize("form", ["raw", "compressed"])
def test_snapshot_restores_objects_that_cannot_be_read(form: str, scanned_copy: Scanned) -> None:
    name = "pkg/copy_a.py" if form == "raw" else "pkg/cart.py"
    path = object_file(scanned_copy.path, source_object(scanned_copy, name))
    path.chmod(0)
    words = ("--store", scanned_copy.path)
    found = run_cli("verify", "--read-data", *words, "--json", before=OBEYING_PERMISSIONS)
    assert [p["code"] for p in json.loads(found.stdout)["problems"]] == ["UNREADABLE"]
    left = run_cli("verify", "--read-data", "--repair", *words, before=OBEYING_PERMISSIONS)
    assert (left.code, path.exists()) == (1, True)  # it may be whole
    done = run_cli("snapshot", scanned_copy.tree, "--no-cache", *words, before=OBEYING_PERMISSIONS)
    assert done.code == 0
    assert run_cli("verify", "--read-data", *words, before=OBEYING_PERMISSIONS).code == 0


def test_snapshot_restores_the_form_that_readers_find_first(store: codebatch.Store) -> None:
    """Bytes too few to compress, beside a damaged compressed form of them."""
    tree = write_tree(store.path.parent / "small", {"a.py": "x = 1\n"})
    snapshot = store.snapshot(tree)
    raw = object_file(store.path, snapshot.files[0].object)
    raw.with_name(f"{raw.name}.zst").write_bytes(b"")
    store.snapshot(tree, use_cache=False)
    assert store.read_object(snapshot.files[0].object) == b"x = 1\n"
    assert store.verify(read_data=True).ok


def test_large_files_are_restored(store: codebatch.Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("codebatch.snapshot.tree.STREAM_ABOVE_BYTES", 1000)
    tree = write_tree(store.path.parent / "large", {"a.txt": "again\n" * 1000})
    snapshot = store.snapshot(tree)
    path = object_file(store.path, snapshot.files[0].object)
    before = path.read_bytes()
    for how in ("first bit", "last bit", "empty", "folder", "link"):
        WAYS[how](path)
        store.snapshot(tree, use_cache=False)
        assert path.read_bytes() == before
        assert store.verify(read_data=True).ok
    flip(path, -1)
    assert the_problem(store.verify(read_data=True, repair=True, source=tree)).action == "restored"
    assert path.read_bytes() == before


@pytest.mark.parametrize("how", ["folder", "link", "empty"])
@pytest.mark.parametrize("kind", ["snapshot document", "manifest"])
def test_snapshot_restores_its_documents(kind: str, how: str, scanned_copy: Scanned) -> None:
    DAMAGES[how](one(scanned_copy.path, KINDS[kind][0]))
    if how != "link":  # one that leads to the right bytes is as good as the file to a reader
        scanned_copy.store.snapshot(scanned_copy.tree)
        assert scanned_copy.store.verify(read_data=True).ok


# -- everything together -----------------------------------------------------------------------


@pytest.mark.slow
def test_verify_beside_a_run(library: Path, tmp_path: Path) -> None:
    """A store that is being written is never found damaged."""
    store = tmp_path / "store"
    codebatch.open_store(store, create=True)
    command = [sys.executable, "-m", "codebatch", "scan", library, "--store", store, "-q"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as running:
        checks = 0
        while running.poll() is None:
            report = check(store, read_data=True)
            assert report.ok, report.problems
            checks += 1
    assert running.returncode == 0
    assert checks > 1
    assert check(store, read_data=True).ok


def test_a_batch_that_is_made_while_it_is_checked(
    scanned_copy: Scanned, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its document, which was not there yet when it was looked for, comes before any state."""
    path = scanned_copy.path / "batches" / scanned_copy.batch.id / "batch.json"
    document = path.read_bytes()
    path.unlink()
    original = codebatch.maintenance.verify.batches.walk_store

    def walk_store(root: Any, below: str, **options: Any) -> Any:
        if below.endswith(scanned_copy.batch.id):
            path.write_bytes(document)
        return original(root, below, **options)

    monkeypatch.setattr(codebatch.maintenance.verify.batches, "walk_store", walk_store)
    report = check(scanned_copy.path, read_data=True)
    assert report.problems == ()
    assert report.notes.unfinished_batches == 1


def test_a_batch_that_is_removed_while_it_is_checked(
    scanned_copy: Scanned, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever removes a batch takes its document first; what is missing then is no damage."""
    original = codebatch.maintenance.verify.batches.check_shard

    def check_shard(*arguments: Any) -> Any:
        shutil.rmtree(scanned_copy.path / "batches" / scanned_copy.batch.id, ignore_errors=True)
        return original(*arguments)

    monkeypatch.setattr(codebatch.maintenance.verify.batches, "check_shard", check_shard)
    assert check(scanned_copy.path, read_data=True).ok


def test_a_file_that_is_put_right_meanwhile_is_not_dropped(tmp_path: Path) -> None:
    store = StoreDirectory(Layout(tmp_path), "")
    path = tmp_path / "file.zst"
    path.write_bytes(b"damaged, when it was looked at first")
    looks: list[str] = []

    def is_whole(place: str) -> bool:
        looks.append(place)
        return len(looks) > 1

    assert not drop_file(store.layout.door, path, is_whole)
    assert path.read_bytes() == b"damaged, when it was looked at first"
    assert looks[0] == str(path) != looks[1]
    assert looks[1].endswith(".zst")
    assert not drop_file(store.layout.door, path, lambda _: True)
    assert drop_file(store.layout.door, path, lambda _: False)
    assert not drop_file(store.layout.door, path, lambda _: False)
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_verdict_is_dropped(scanned_copy: Scanned) -> None:
    path = scanned_copy.path / "indexes/quarantine" / f"{'0' * 64}.json"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(pretty(seal({"why": "it ends the process"})))
    assert check(scanned_copy.path).ok
    flip(path, 5)
    assert the_problem(check(scanned_copy.path)).code == "INDEX_DAMAGED"
    assert the_problem(check(scanned_copy.path, repair=True)).action == "dropped"
    assert not path.exists()


def test_repair_twice_changes_nothing(scanned_copy: Scanned) -> None:
    for glob, code, _, _ in KINDS.values():
        if code not in ("PLAN_DAMAGED", "INPUTS_DAMAGED", "BATCH_DAMAGED"):
            flip(one(scanned_copy.path, glob))
    assert check(scanned_copy.path, repair=True, source=scanned_copy.tree).ok
    before = files_of(scanned_copy.path)
    report = check(scanned_copy.path, repair=True, source=scanned_copy.tree)
    assert {(p.code, p.action) for p in report.problems} == {("STATE_MISSING", "none")}
    assert files_of(scanned_copy.path) == before


def test_a_batch_that_another_one_shares_results_with(scanned_copy: Scanned) -> None:
    """Linked outputs are one file: damage to it is damage to both, and both are repaired."""
    tree = scanned_copy.path.parent / "more"
    shutil.copytree(scanned_copy.tree, tree, symlinks=True)
    (tree / "more.py").write_text("more = 1\n")
    batch, report = codebatch.scan(tree, scanned_copy.path, scheduler="sync")
    path = next(
        path
        for path in sorted(scanned_copy.path.glob(f"{SHARD}outputs.index.jsonl.zst"))
        if path.stat().st_nlink > 1 and path.stat().st_size
    )
    with path.open("r+b") as stream:
        stream.write(b"[")
    found = check(scanned_copy.path)
    assert codes(found) == ["OUTPUTS_DAMAGED"] * 2
    assert {p.batches for p in found.problems} == {(batch.id,), (scanned_copy.batch.id,)}
    assert check(scanned_copy.path, repair=True).ok
    assert resume(scanned_copy.path, scanned_copy.batch.id).result == scanned_copy.report.result
    assert resume(scanned_copy.path, batch.id).result == report.result
    assert check(scanned_copy.path, read_data=True).ok


def test_every_code_is_described_and_in_the_schema() -> None:
    schema = REPOSITORY / "schemas" / "cli.verify.schema.json"
    document = json.loads(schema.read_text())
    named = document["properties"]["problems"]["items"]["properties"]["code"]["enum"]
    described = re.findall(r"(?m)^\| `([A-Z_]+)` \| .+ \|$", (REPOSITORY / "SPEC.md").read_text())
    assert set(named) == set(HANDLERS) == {code for code in described if code in named}


@pytest.mark.slow
def test_random_flips_in_the_store_of_a_real_package(tmp_path: Path, note: Note) -> None:
    """One byte in each of 200 files: all are found, and repaired; the result is the same."""
    seed = os.environ.get("FLIP_SEED", "20261126")  # one of one's own: FLIP_SEED=1 pytest …
    note(f"a byte flipped in each of 200 files, seed {seed}")
    chance = random.Random(seed)
    tree = tmp_path / "tree"
    shutil.copytree(
        Path(sysconfig.get_path("purelib")) / "jsonschema",
        tree,
        ignore=shutil.ignore_patterns("__pycache__"),
    )
    batch, report = codebatch.scan(tree, tmp_path / "store", shards=256)
    store = tmp_path / "store"
    files = [path for path, data in contents(store).items() if data]
    chosen = chance.sample(files, min(200, len(files)))
    assert len(chosen) == 200
    for path in chosen:
        before = path.read_bytes()
        index = chance.randrange(len(before))
        value = chance.randrange(1, 256)
        flip(path, index, value)
        found = check(store, read_data=True)
        assert str(path.relative_to(store)) in {p.path for p in found.problems}, (
            path,
            index,
            value,
        )
        overwrite(path, before)
    for path in chosen:
        if path.name not in ("plan.json", "inputs.index.jsonl"):  # which only batch init replaces
            flip(path, chance.randrange(path.stat().st_size), chance.randrange(1, 256))
    repaired = check(store, read_data=True, repair=True, source=tree)
    assert repaired.ok, [p for p in repaired.problems if p.action == "none"]
    assert resume(store, batch.id).result == report.result
    assert check(store, read_data=True).ok
