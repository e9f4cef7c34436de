"""Reuse: nothing is computed twice, nobody is misled by what is remembered, all of it may go."""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import tarfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgpack
import pytest
from conftest import (
    TREE,
    Outcome,
    Scanned,
    make_tree,
    read_outputs,
    replace_task,
    run_cli,
    write_outputs,
    write_tree,
)
from hypothesis import given
from hypothesis import strategies as st

import codebatch
from codebatch.model.digest import canonical_json, digest_bytes
from codebatch.model.errors import (
    ArchiveInvalidError,
    NotReusedError,
    ToolchainMismatchError,
    UsageError,
)
from codebatch.model.record_lines import FileLines, decode_lines, encode_lines, fill_path, open_path
from codebatch.model.records import Counts
from codebatch.model.resources import load_graph
from codebatch.store.indexes import memo
from codebatch.store.indexes.memo import MemoStore, iter_entries
from codebatch.store.layout import MEMO_SUFFIX
from codebatch.store.objects.compression import compress
from codebatch.tasks import registry

FILES = len(TREE) + 1
TASKS = 4


def full(**configs: dict[str, object]) -> dict[str, Any]:
    """The pipeline ``full`` with the configs of some tasks changed."""
    document = load_graph("full")
    tasks = [{**task, "config": configs.get(task["id"], {})} for task in document["tasks"]]
    return {**document, "tasks": tasks}


def run(store: codebatch.Store, tree: Path, pipeline: Any = "full") -> codebatch.RunReport:
    report = store.batch(store.snapshot(tree), pipeline).run("sync")
    assert report.status == "done"
    return report


_REPORTS: dict[tuple[str, str], codebatch.RunReport] = {}


def from_scratch(base: Path, tree: Path, pipeline: Any = "full") -> codebatch.RunReport:
    """Return the report of a run in a store that knows nothing: one for each tree and pipeline."""
    shutil.rmtree(base / "scratch", ignore_errors=True)
    store = codebatch.open_store(base / "scratch", create=True)
    key = store.snapshot(tree).id, json.dumps(pipeline)
    if key not in _REPORTS:
        _REPORTS[key] = run(store, tree, pipeline)
    return _REPORTS[key]


@pytest.fixture
def few(tmp_path: Path) -> Path:
    """A tree of few files, for what is run many times."""
    names = ("pkg/cart.py", "web/app.js", "LICENSE")
    return write_tree(tmp_path / "few", {name: TREE[name] for name in names})


def computed(report: codebatch.RunReport, store: codebatch.Store) -> dict[str, int]:
    """How many files each task was run on, from the states."""
    batch_status = store.find_batch(report.batch_id).load_status()
    return {
        task_id: sum(state.computed for state in states.values() if state is not None)
        for task_id, states in batch_status.states.items()
    }


def segments(store: codebatch.Store) -> list[Path]:
    return sorted((store.path / "indexes/memo").rglob("*.memo"))


# -- what is computed again ----------------------------------------------------------------------


def test_unchanged_tree_computes_nothing(tree: Path, store: codebatch.Store) -> None:
    first = run(store, tree)
    again = run(store, tree)
    assert (again.batch_id, again.result) == (first.batch_id, first.result)
    assert again.files == {"computed": 0, "reused": FILES * TASKS, "quarantined": 0}


def test_one_file_changed(tree: Path, store: codebatch.Store, tmp_path: Path) -> None:
    run(store, tree)
    write_tree(tree, {"pkg/cart.py": "import os\n"})
    report = run(store, tree)
    assert report.files["computed"] == TASKS
    assert report.result == from_scratch(tmp_path, tree).result


def test_back_and_forth_between_versions(tree: Path, store: codebatch.Store) -> None:
    first = run(store, tree)
    write_tree(tree, {"pkg/cart.py": "import os\n", "pkg/style.py": "import re\n"})
    run(store, tree)
    write_tree(tree, {"pkg/cart.py": TREE["pkg/cart.py"]})
    mixed = run(store, tree)
    assert mixed.files["computed"] == 0
    write_tree(tree, {"pkg/style.py": TREE["pkg/style.py"]})
    assert run(store, tree).result == first.result


def test_renamed_file_is_not_computed(tree: Path, store: codebatch.Store, tmp_path: Path) -> None:
    run(store, tree)
    (tree / "pkg/cart.py").rename(tree / "pkg/basket.py")
    report = run(store, tree)
    assert report.files["computed"] == 0
    assert report.result == from_scratch(tmp_path, tree).result


def test_rename_that_changes_a_facet(tree: Path, store: codebatch.Store, tmp_path: Path) -> None:
    """An unused import means another thing in ``__init__.py``: lint declares that it looks."""
    run(store, tree)
    (tree / "sub").mkdir()
    (tree / "pkg/cart.py").rename(tree / "sub/__init__.py")
    report = run(store, tree)
    assert computed(report, store) == {"parse": 0, "analyze": 0, "symbols": 0, "lint": 1}
    assert report.result == from_scratch(tmp_path, tree).result


def test_config_of_one_task(tree: Path, store: codebatch.Store, tmp_path: Path) -> None:
    run(store, tree)
    changed = full(lint={"max_line_length": 40})
    report = run(store, tree, changed)
    found = computed(report, store)
    assert (found["parse"], found["analyze"], found["symbols"]) == (0, 0, 0)
    assert found["lint"] > 0
    assert report.result == from_scratch(tmp_path, tree, changed).result


def test_change_upstream_without_effect_is_cut_off(
    tree: Path, store: codebatch.Store, tmp_path: Path
) -> None:
    """A higher limit parses the same files: everything after parse is as it was."""
    run(store, tree)
    changed = full(parse={"max_bytes": 10_000_000})
    report = run(store, tree, changed)
    found = computed(report, store)
    assert found.pop("parse") > 0
    assert found == {"analyze": 0, "symbols": 0, "lint": 0}
    assert report.result == from_scratch(tmp_path, tree, changed).result


def test_change_upstream_with_effect_reaches_as_far_as_it_does(
    tree: Path, store: codebatch.Store, tmp_path: Path
) -> None:
    """With a limit that some files exceed, what depends on their trees is computed again."""
    run(store, tree)
    files = [path for path in tree.rglob("*") if path.is_file() and not path.is_symlink()]
    limit = (tree / "pkg/cart.py").stat().st_size - 1
    larger = sum(path.stat().st_size > limit for path in files)
    changed = full(parse={"max_bytes": limit})
    report = run(store, tree, changed)
    found = computed(report, store)
    assert found.pop("parse") > larger > 0
    assert found == {"analyze": larger, "symbols": larger, "lint": larger}
    assert report.result == from_scratch(tmp_path, tree, changed).result


def test_other_version_of_a_task(
    tree: Path, store: codebatch.Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(store, tree)
    replace_task(monkeypatch, "symbols", version=99)
    found = computed(run(store, tree), store)
    assert found.pop("symbols") > 0
    assert set(found.values()) == {0}


def test_another_pipeline_takes_over_what_it_shares(tree: Path, store: codebatch.Store) -> None:
    run(store, tree, "parse")
    found = computed(run(store, tree), store)
    assert found["parse"] == 0
    assert found["lint"] > 0


def test_other_width(tree: Path, store: codebatch.Store) -> None:
    """What narrow shards remembered serves wide ones, and the other way round."""
    snapshot = store.snapshot(tree)
    store.batch(snapshot, full(lint={"max_line_length": 90}), shards=4096).run("sync")
    wide = store.batch(snapshot, full(lint={"max_line_length": 91}), shards=16).run("sync")
    again = store.batch(snapshot, full(lint={"max_line_length": 92}), shards=256).run("sync")
    for report in (wide, again):
        found = computed(report, store)
        assert found.pop("lint") > 0
        assert set(found.values()) == {0}


def test_failed_task_is_not_remembered(
    tree: Path, store: codebatch.Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(source: Any, context: Any) -> Iterator[Any]:
        raise RuntimeError("not now")

    with monkeypatch.context() as patch:
        replace_task(patch, "symbols", function=fail)
        run(store, tree)
    assert found_codes(store) == {"E0002": FILES}
    again = run(store, tree, full(analyze={"max_bytes": 1_000_000}))
    assert computed(again, store)["symbols"] > 0
    assert computed(again, store)["parse"] == 0
    assert found_codes(store) == {}


def found_codes(store: codebatch.Store) -> dict[str, int]:
    return dict(store.find_batch("latest").load_status().counts("symbols").by_code)


def test_task_of_another_version_does_not_finish_a_batch(
    tree: Path, store: codebatch.Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it computes would be remembered under the fingerprint of the version planned."""
    batch = store.batch(store.snapshot(tree), "full")
    replace_task(monkeypatch, "analyze", version=99)
    with pytest.raises(ToolchainMismatchError, match="analyze was planned with version"):
        batch.run("sync")
    assert segments(store) == []


# -- whole shards --------------------------------------------------------------------------------


def test_equal_shards_are_the_same_files(tree: Path, store: codebatch.Store) -> None:
    first = run(store, tree)
    write_tree(tree, {"pkg/cart.py": "import os\n"})
    second = run(store, tree)
    old, new = (store.path / "batches" / one.batch_id for one in (first, second))
    shared = 0
    for state in new.rglob("state.json"):
        document = json.loads(state.read_text())
        outputs = state.with_name("outputs.index.jsonl.zst")
        if document["linked"] is None:
            continue
        assert document["linked"] == first.batch_id
        if document["size"]:
            assert os.path.samefile(outputs, old / outputs.relative_to(new))
        else:
            assert not outputs.exists()
        shared += 1
    assert shared > TASKS


def test_damaged_shard_is_not_linked(tree: Path, store: codebatch.Store, tmp_path: Path) -> None:
    first = run(store, tree)
    for outputs in (store.path / "batches" / first.batch_id).rglob("outputs.index.jsonl.zst"):
        write_outputs(outputs, read_outputs(outputs).replace(b'"line":1,', b'"line":2,'))
    write_tree(tree, {"pkg/cart.py": "import os\n"})
    assert run(store, tree).result == from_scratch(tmp_path, tree).result


# -- deletable, and never misleading -------------------------------------------------------------


def test_deleting_indexes_changes_nothing(
    tree: Path, store: codebatch.Store, main: Callable[..., Outcome]
) -> None:
    def answers() -> list[object]:
        reports = [run(store, tree), run(store, tree, full(lint={"max_line_length": 40}))]
        ids = [(r.snapshot_id, r.batch_id, r.result) for r in reports]
        shown = [
            main(command, "--batch", reports[1].batch_id, "--store", store.path, "--json").stdout
            for command in ("errors", "summary", "status", "files", "top")
        ]
        return [ids, shown]

    first = answers()
    shutil.rmtree(store.path / "indexes")
    assert answers() == first
    shutil.rmtree(store.path / "batches")
    assert answers()[0] == first[0]
    shutil.rmtree(store.path / "indexes")
    shutil.rmtree(store.path / "batches")
    assert answers()[0] == first[0]


@pytest.mark.parametrize("damage", ["flip", "truncate", "empty", "foreign", "swap"])
def test_damaged_memo_counts_as_absent(
    tree: Path, store: codebatch.Store, tmp_path: Path, damage: str
) -> None:
    run(store, tree)
    paths = segments(store)
    contents = [path.read_bytes() for path in paths]
    for path, content, other in zip(paths, contents, contents[1:] + contents[:1], strict=True):
        path.write_bytes(
            {
                "flip": content[:40] + bytes([content[40] ^ 1]) + content[41:],
                "truncate": content[: len(content) // 2],
                "empty": b"",
                "foreign": b"\0" * 100,
                "swap": other,
            }[damage]
        )
    changed = full(lint={"max_line_length": 40})
    shutil.rmtree(store.path / "batches")
    report = run(store, tree, changed)
    assert report.result == from_scratch(tmp_path, tree, changed).result
    assert computed(report, store)["parse"] > 0


HOSTILE = [
    b"",
    b"\x00" * 1000,
    b"\xc1",
    b"\x90",
    b"\x91\x95\xc4\x01x\xc4\x00\x90\x90\xa0",
    b"\xdd\xff\xff\xff\xff",
    b"\x91" * 3000,
]


@pytest.mark.parametrize("raw", HOSTILE, ids=repr)
@pytest.mark.parametrize("packed", [True, False])
def test_hostile_segment_is_no_segment(
    few: Path, store: codebatch.Store, tmp_path: Path, raw: bytes, packed: bool
) -> None:
    from codebatch.store.objects.compression import (  # noqa: PLC0415 - to make what it reads
        compress,
    )

    data = compress(raw) if packed else raw
    for digit in "0123456789abcdef":
        folder = store.path / "indexes/memo" / digit
        folder.mkdir(parents=True)
        (folder / f"{hashlib.sha256(data).hexdigest()}.memo").write_bytes(data)
    assert run(store, few).result == from_scratch(tmp_path, few).result


def test_bomb_in_the_memo(tree: Path, store: codebatch.Store) -> None:
    """A segment that unpacks to more than any segment is not unpacked."""
    from codebatch.store.objects.compression import compress  # noqa: PLC0415 - as above

    data = compress(b"\0" * (300 * 2**20))
    assert len(data) < 100_000
    folder = store.path / "indexes/memo/0"
    folder.mkdir(parents=True)
    (folder / f"{hashlib.sha256(data).hexdigest()}.memo").write_bytes(data)
    run(store, tree)


def test_object_that_is_gone_is_made_again(
    tree: Path, store: codebatch.Store, tmp_path: Path
) -> None:
    report = run(store, tree)
    trees = [r["object"] for r in store.find_batch(report.batch_id).records(kind="ast")]
    for digest in trees:
        for path in store.path.glob(f"objects/sha256/*/*/{str(digest)[7:]}*"):
            path.unlink()
    shutil.rmtree(store.path / "batches")
    changed = full(lint={"max_line_length": 40})
    again = run(store, tree, changed)
    assert again.result == from_scratch(tmp_path, tree, changed).result
    for digest in trees:
        assert store.read_object(str(digest))


def test_missing_tree_is_not_linked_and_resume_makes_it(tree: Path, store: codebatch.Store) -> None:
    report = run(store, tree)
    (record,) = store.find_batch(report.batch_id).records(kind="ast", path="pkg/cart.py")
    digest = str(record["object"])
    (path,) = store.path.glob(f"objects/sha256/*/*/{digest[7:]}*")
    path.unlink()
    write_tree(tree, {"pkg/other.py": "x = 1\n"})
    run(store, tree)
    assert store.read_object(digest)
    (path,) = store.path.glob(f"objects/sha256/*/*/{digest[7:]}*")
    path.unlink()
    assert store.find_batch(report.batch_id).run("sync").result == report.result
    assert store.read_object(digest)


def test_merging_into_a_segment_that_is_there(tree: Path, store: codebatch.Store) -> None:
    from codebatch.model.record_lines import FileLines  # noqa: PLC0415 - for this one place
    from codebatch.model.records import Counts  # noqa: PLC0415 - as above
    from codebatch.store.indexes.memo import MemoStore  # noqa: PLC0415 - as above

    memo = MemoStore(store.directory.layout)
    keys = [f"sha256:{number:064x}" for number in range(60)]
    empty = FileLines(b"", Counts())
    for key in keys[:48]:
        memo.add("3", {key: empty})
    memo.add("3", dict.fromkeys(keys[:48], empty))
    memo.add("3", {keys[48]: empty})
    found = memo.open("3")
    assert all(found.lookup(key) is not None for key in keys[:49])


def test_unreadable_other_batch_is_left_alone(
    tree: Path, store: codebatch.Store, tmp_path: Path
) -> None:
    first = run(store, tree)
    for state in (store.path / "batches" / first.batch_id).rglob("state.json"):
        state.unlink()
        state.mkdir()
    inputs = store.path / "batches" / first.batch_id / "inputs.index.jsonl"
    inputs.write_bytes(b"x" * inputs.stat().st_size)
    write_tree(tree, {"pkg/cart.py": "import os\n"})
    assert store.forecast(store.snapshot(tree)).against == first.batch_id
    assert run(store, tree).result == from_scratch(tmp_path, tree).result


@pytest.mark.slow
def test_many_small_segments_become_one(
    few: Path, store: codebatch.Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memo, "_SMALL_SEGMENTS", 4)
    for number in range(30):
        write_tree(few, {"pkg/cart.py": "x = 1\n" * number})
        store.batch(store.snapshot(few), "full", shards=16).run("sync")
    folders: dict[Path, int] = {}
    for path in segments(store):
        folders[path.parent] = folders.get(path.parent, 0) + 1
    assert max(folders.values()) < 4
    for number in (3, 16, 29):
        write_tree(few, {"pkg/cart.py": "x = 1\n" * number})
        assert run(store, few, full(lint={"max_line_length": 99})).status == "done"
        forecast = store.forecast(store.snapshot(few))
        assert sum(task.compute for task in forecast.tasks) == 0


@pytest.mark.slow
def test_concurrent_runs_share_a_memo(tmp_path: Path) -> None:
    """Several batches of one store at once, in processes that know nothing of each other."""
    tree = make_tree(tmp_path / "tree")
    store = codebatch.open_store(tmp_path / "store", create=True)
    batches = [
        store.batch(store.snapshot(tree), full(lint={"max_line_length": 90 + number}))
        for number in range(4)
    ]
    outcomes: list[Outcome] = []

    def work(batch_id: str) -> None:
        words = ("run", "--batch", batch_id, "--store", store.path, "--scheduler", "processes")
        outcomes.append(run_cli(*words, "--json"))

    threads = [threading.Thread(target=work, args=(batch.id,)) for batch in batches]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [outcome.code for outcome in outcomes] == [0] * 4
    for number, batch in enumerate(batches):
        expected = from_scratch(tmp_path, tree, full(lint={"max_line_length": 90 + number}))
        assert batch.load_status().result == expected.result


# -- require reused, compute again ---------------------------------------------------------------


def test_require_reused(tree: Path, store: codebatch.Store, main: Callable[..., Outcome]) -> None:
    batch = store.batch(store.snapshot(tree), "full")
    with pytest.raises(NotReusedError, match="shards need computing"):
        batch.run("sync", require_reused=True)
    assert batch.status()["status"] == "pending"
    assert not list(store.path.rglob("state.json"))
    words = ("run", "--batch", batch.id, "--store", store.path, "--scheduler", "sync")
    refused = main(*words, "--require-reused", "--json")
    assert refused.code == 1
    assert json.loads(refused.stdout)["error"]["code"] == "NOT_REUSED"
    assert main(*words).code == 0
    assert main(*words, "--require-reused").code == 0
    write_tree(tree, {"pkg/other.py": TREE["pkg/cart.py"]})
    moved = store.batch(store.snapshot(tree), "full").run("threads", require_reused=True)
    assert moved.files["computed"] == 0


@pytest.mark.parametrize("scheduler", ["sync", "threads", "processes"])
def test_computing_again_gives_the_same(scanned: Scanned, scheduler: str) -> None:
    report = scanned.batch.recheck(100, scheduler)
    assert (report.checked, report.differ) == (FILES * TASKS, ())


def test_sample_is_a_part_and_the_same_one(scanned: Scanned) -> None:
    parts = [scanned.batch.recheck(percent, "sync").checked for percent in (1, 50, 50, 100)]
    assert parts[0] <= parts[1] == parts[2] < parts[3]


def test_nondeterminism_is_named(
    scanned_copy: Scanned, monkeypatch: pytest.MonkeyPatch, main: Callable[..., Outcome]
) -> None:
    task = registry.find_task("symbols")

    def at_random(file: Any, config: Any) -> Iterator[Any]:
        for record in task.function(file, config):
            yield {**record, "line": record["line"] + 1} if record["kind"] == "symbol" else record

    replace_task(monkeypatch, "symbols", function=at_random)
    report = scanned_copy.batch.recheck(100, "sync")
    assert {place["task_id"] for place in report.differ} == {"symbols"}
    assert "pkg/cart.py" in {place["path"] for place in report.differ}
    words = ("run", "--recompute", "--store", scanned_copy.path, "--scheduler", "sync")
    done = main(*words)
    assert done.code == 1
    assert "pkg/cart.py: symbols differs\n" in done.out
    document = json.loads(main(*words, "--json").stdout)
    assert {"symbols"} == {place["task_id"] for place in document["differ"]}
    assert "pkg/cart.py" in {place["path"] for place in document["differ"]}


def poison(store: codebatch.Store, right: bytes, wrong: bytes) -> int:
    """Change results that are remembered, as whoever can write the store can; how many."""
    count, door = 0, store.directory.layout.door
    for _, path in MemoStore(store.directory.layout).segments():
        found = list(iter_entries(door, path))
        if any(right in entry[1] for entry in found):
            entries = [replaced_lines(entry, right, wrong) for entry in found]
            count += sum(right in entry[1] for entry in found)
            changed = compress(msgpack.packb(entries))
            name = hashlib.sha256(changed).hexdigest() + MEMO_SUFFIX
            path.with_name(name).write_bytes(changed)
            path.unlink()
    return count


def replaced_lines(entry: Any, right: bytes, wrong: bytes) -> Any:
    return (entry[0], entry[1].replace(right, wrong), *entry[2:])


@pytest.mark.parametrize("scheduler", ["sync", pytest.param("processes", marks=pytest.mark.slow)])
def test_a_memo_that_lies_is_found_and_forgotten(
    scheduler: str, scanned: Scanned, tmp_path: Path, main: Callable[..., Outcome]
) -> None:
    """From the report through what it tells to do, to a store that is right again."""
    tree = make_tree(tmp_path / "tree")
    batch, _ = codebatch.scan(tree, tmp_path / "store", scheduler="sync")
    store = codebatch.open_store(batch.path)
    assert poison(store, b'"name":"Cart"', b'"name":"Kart"') > 0
    store.remove_batch(batch)
    where = ("--store", store.path, "--scheduler", scheduler)
    assert main("scan", tree, *where).code == 0
    assert store.find_batch("latest").summary()["result"] != scanned.report.result
    told = main("run", "--recompute", *where)
    assert (told.code, told.err) == (1, "tree  just now\n")
    command = told.out.partition("next: codebatch ")[2].splitlines()[0].split()
    assert "--replace" in command
    replaced = main(*command, "--json")
    assert (replaced.code, json.loads(replaced.stdout)["replaced"]) == (0, True)
    assert store.find_batch("latest").summary()["result"] == scanned.report.result
    assert json.loads(main("run", "--recompute", *where, "--json").stdout)["differ"] == []
    # Nor does the memo say it to another batch.
    store.remove_batch(batch)
    assert main("scan", tree, *where, "--require-reused").code == 0
    assert store.find_batch("latest").summary()["result"] == scanned.report.result
    assert store.verify(read_data=True).ok


def test_replacing_needs_recompute(scanned: Scanned, main: Callable[..., Outcome]) -> None:
    done = main("run", "--replace", "--store", scanned.path)
    assert (done.code, "--recompute" in done.err) == (2, True)


def test_recompute_stores_nothing(scanned_copy: Scanned) -> None:
    def listing() -> dict[Path, int]:
        files = (path for path in scanned_copy.path.rglob("*") if path.is_file())
        return {path: path.stat().st_mtime_ns for path in files}

    before = listing()
    scanned_copy.batch.recheck(100, "sync")
    assert listing() == before


@pytest.mark.parametrize("sample", ["0", "-1", "101", "x", "nan"])
def test_bad_samples(scanned: Scanned, main: Callable[..., Outcome], sample: str) -> None:
    done = main("run", "--recompute", "--sample", sample, "--store", scanned.path)
    assert done.code == 2
    assert "is not a share" in done.err


def test_sample_needs_recompute(scanned: Scanned, main: Callable[..., Outcome]) -> None:
    assert main("run", "--sample", "5%", "--store", scanned.path).code == 2


# -- carried to another machine ------------------------------------------------------------------


def test_memo_travels(tree: Path, store: codebatch.Store, tmp_path: Path) -> None:
    first = run(store, tree)
    exported = store.export_memo(tmp_path / "memo.tar")
    other = codebatch.open_store(tmp_path / "other", create=True)
    assert other.import_memo(tmp_path / "memo.tar") == exported
    report = other.batch(other.snapshot(tree), "full").run("sync", require_reused=True)
    assert (report.result, report.files["computed"]) == (first.result, 0)
    for record in other.find_batch("latest").records(kind="ast"):
        assert other.read_object(str(record["object"]))


def test_export_is_reproducible(tree: Path, store: codebatch.Store, tmp_path: Path) -> None:
    run(store, tree)
    store.export_memo(tmp_path / "one.tar")
    time.sleep(1.1)
    store.export_memo(tmp_path / "two.tar")
    assert (tmp_path / "one.tar").read_bytes() == (tmp_path / "two.tar").read_bytes()


def test_many_small_results_are_all_remembered(
    store: codebatch.Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Around a short line an entry has more bytes than in it: segments must stay small enough to
    be read again.
    """
    monkeypatch.setattr(memo, "_SEGMENT_BYTES", 2**14)
    lines = FileLines(b'{"kind":"skip","path":\0,"reason":"binary"}\n', Counts(1, {"skip": 1}))
    learnt = {digest_bytes(b"%d" % number): lines for number in range(2000)}
    MemoStore(store.directory.layout).add("3f", learnt)
    remembered = MemoStore(store.directory.layout).open("3f")
    assert [key for key in learnt if remembered.lookup(key) is None] == []


def member(name: str, data: bytes, kind: bytes = tarfile.REGTYPE) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        info = tarfile.TarInfo(name)
        info.size, info.type, info.linkname = len(data), kind, "/etc/passwd"
        archive.addfile(info, io.BytesIO(data))
    return stream.getvalue()


def sparse_member() -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as archive:
        info = tarfile.TarInfo("memo/x")
        info.pax_headers = {"GNU.sparse.map": "a,b"}
        archive.addfile(info, io.BytesIO())
    return stream.getvalue()


EMPTY_SEGMENT = bytes.fromhex("28b52ffd200109000090")  # a frame of an empty array
BAD_ARCHIVES = {
    "no archive": b"hello",
    "empty": b"",
    "escape": member("../../evil", b"x"),
    "absolute": member("/tmp/evil", b"x"),
    "other name": member("memo/x/y.memo", b"x"),
    "false segment": member(f"memo/3/{'0' * 64}.memo", b"x"),
    "false object": member(f"objects/{'0' * 64}.zst", b"x"),
    "link": member(f"memo/3/{'0' * 64}.memo", b"", tarfile.SYMTYPE),
    "empty segment": member(
        f"memo/3/{hashlib.sha256(EMPTY_SEGMENT).hexdigest()}.memo", EMPTY_SEGMENT
    ),
    "sparse": sparse_member(),
    "truncated": member(f"objects/{'0' * 64}.zst", b"x" * 5000)[:2000],
}


@pytest.mark.parametrize("name", BAD_ARCHIVES)
def test_bad_archives(
    store: codebatch.Store, tmp_path: Path, name: str, main: Callable[..., Outcome]
) -> None:
    path = tmp_path / "memo.tar"
    path.write_bytes(BAD_ARCHIVES[name])
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(ArchiveInvalidError):
        store.import_memo(path)
    assert sorted(tmp_path.rglob("*")) == before
    done = main("memo", "import", path, "--store", store.path)
    assert done.code == 2
    assert done.err.startswith("error: cannot import")


def test_export_to_where_nothing_can_be_written(
    tree: Path, store: codebatch.Store, tmp_path: Path, main: Callable[..., Outcome]
) -> None:
    run(store, tree)
    for target in (tmp_path / "none/memo.tar", tmp_path):
        done = main("memo", "export", target, "--store", store.path)
        assert (done.code, done.err.splitlines()[0][:19]) == (2, "error: cannot write")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["store", "tree"]


def test_archive_that_is_not_there(store: codebatch.Store, tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        store.import_memo(tmp_path / "none.tar")


# -- trimming ------------------------------------------------------------------------------------


def test_gc_by_size_and_age(tree: Path, store: codebatch.Store) -> None:
    first = run(store, tree)
    total = sum(path.stat().st_size for path in segments(store))
    rehearsal = store.gc(dry_run=True, max_memo_bytes=0)
    assert (rehearsal.bytes, rehearsal.kept_bytes["memo"]) == (total, 0)
    assert len(segments(store)) == rehearsal.removed["memo"]
    assert store.gc().removed["memo"] == 0
    old = segments(store)[0]
    os.utime(old, (0, 0))
    assert store.gc().removed["memo"] == 1
    assert not old.exists()
    store.gc(max_memo_bytes=total // 2)
    assert 0 < sum(path.stat().st_size for path in segments(store)) <= total // 2
    store.gc(max_memo_bytes=0)
    assert segments(store) == []
    assert run(store, tree).result == first.result


def test_use_keeps_segments_young(tree: Path, store: codebatch.Store) -> None:
    run(store, tree)
    for path in segments(store):
        os.utime(path, (0, 0))
    shutil.rmtree(store.path / "batches")
    run(store, tree, full(lint={"max_line_length": 40}))
    assert store.gc().removed["memo"] == 0


def test_gc_removes_indexes_of_batches_that_are_gone(
    tree: Path, store: codebatch.Store, main: Callable[..., Outcome]
) -> None:
    report = run(store, tree)
    store.find_batch(report.batch_id).sql("SELECT 1")
    assert store.gc().removed["indexes"] == 0
    shutil.rmtree(store.path / "batches" / report.batch_id)
    in_use = store.path / "indexes/sql/.tmp-1-abc"
    in_use.touch()
    of_an_earlier_version = store.path / "indexes/shards/00" / ("0" * 62)
    of_an_earlier_version.parent.mkdir(parents=True)
    of_an_earlier_version.write_text(f"{report.batch_id}\n")
    (store.path / "indexes/sql/batch-0123456789abcdef.d").mkdir()
    done = main("gc", "--store", store.path, "--json")
    document = json.loads(done.stdout)
    assert (done.code, document["dry_run"]) == (0, False)
    assert document["removed"]["indexes"] > 2
    left = [path for path in (store.path / "indexes").rglob("*") if path.is_file()]
    left.remove(in_use)
    assert {path.relative_to(store.path).parts[1] for path in left} <= {"memo", "stat"}


# -- lines ---------------------------------------------------------------------------------------

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.characters()) | st.just("\0"),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(max_size=5) | st.just("path"), inner, max_size=3)
    ),
    max_leaves=5,
)
RECORDS = st.lists(
    st.dictionaries(
        st.text(min_size=1, max_size=6).filter(lambda key: key != "path"), VALUES, min_size=1
    ),
    max_size=4,
)


@pytest.mark.slow
@given(RECORDS, st.text())
def test_lines_are_canonical_json(records: list[dict[str, object]], path: str) -> None:
    lines = encode_lines(records)
    filled = fill_path(lines, path)
    expected = b"".join(canonical_json({**record, "path": path}) + b"\n" for record in records)
    assert filled == expected
    assert lines.count(b"\0") == len(records)
    assert decode_lines(lines) == [json.loads(canonical_json(record)) for record in records]
    assert open_path(filled) == lines
