"""What large numbers cost, by counting: calls and bytes, never seconds. And the figures of the text
on scale, as far as they follow from the program's constants.
"""

from __future__ import annotations

import gc
import importlib
import math
import re
import subprocess
import sys
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import REPOSITORY, cli_environment, write_tree

import codebatch
from codebatch.batch import reuse
from codebatch.cluster import shared, shipped
from codebatch.model.records import FileRecord, path_key
from codebatch.plan import plan as planning
from codebatch.plan.pipeline import parse_pipeline
from codebatch.plan.plan import BatchIdentity, identify, make_plan
from codebatch.store import layout
from codebatch.store.batches import Batches
from codebatch.store.indexes import memo
from codebatch.store.objects import pack_writer
from codebatch.store.objects.packs import index_of

FILES = 10_000


@pytest.fixture(scope="module")
def synthetic() -> Iterator[Any]:
    """`benchmarks.synthetic`, which belongs to the checkout and to no installation."""
    sys.path.insert(0, str(REPOSITORY))
    try:
        yield importlib.import_module("benchmarks.synthetic")
    finally:
        sys.path.remove(str(REPOSITORY))


@pytest.fixture(scope="module")
def identity(synthetic: Any) -> BatchIdentity:
    return identify("snap-0", parse_pipeline(synthetic.pipeline_without_work()))


@pytest.fixture(scope="module")
def files(synthetic: Any) -> list[FileRecord]:
    return sorted(synthetic.make_files(FILES), key=lambda file: path_key(file.path))


def operations(work: Callable[[], object]) -> int:
    """How many functions are called, those of C as well, and none for garbage of other tests."""
    count = 0

    def look(_frame: object, event: str, _argument: object) -> None:
        nonlocal count
        count += event in {"call", "c_call"}

    gc.collect()
    sys.setprofile(look)
    try:
        work()
    finally:
        sys.setprofile(None)
    return count


def peak_bytes(work: Callable[[], object]) -> int:
    """The most bytes that are allocated at a time, beyond those before."""
    gc.collect()
    tracemalloc.start()
    try:
        kept = work()  # noqa: F841 - what is returned counts as well
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def read_nothing(digest: str) -> bytes:
    raise AssertionError(f"{digest} is read")


@pytest.mark.slow
def test_planning_costs_files_and_not_shards(
    identity: BatchIdentity, files: list[FileRecord]
) -> None:
    def cost(count: int, shards: int) -> int:
        chosen = files[:count]
        return operations(lambda: make_plan(identity, chosen, read_nothing, shards))

    one = cost(FILES // 2, 16)
    assert cost(FILES, 16) < 2.05 * one
    shards = len(make_plan(identity, files, read_nothing, 4096).plan.shards)
    assert shards > 3500
    assert cost(FILES, 4096) - cost(FILES, 16) < 30 * shards, "a few calls for each shard"


def test_planning_holds_few_bytes_of_a_file(
    synthetic: Any, identity: BatchIdentity, store: codebatch.Store
) -> None:
    snapshot_id = synthetic.make_snapshot(store.path, FILES)

    def plan() -> object:
        listed = store.directory.snapshots.load_manifest(snapshot_id)
        return make_plan(identity, listed, read_nothing, 256)

    plan()  # what is imported and cached on first use is no file's
    assert peak_bytes(plan) < 800 * FILES


def test_the_order_of_inputs_is_by_object_and_path(
    identity: BatchIdentity, files: list[FileRecord]
) -> None:
    lines = make_plan(identity, files, read_nothing, 16).inputs.splitlines()
    fields = [re.search(rb'"object":"(.*?)","path":"(.*?)"', line) for line in lines]
    keys = [match.groups() for match in fields if match]
    assert len(keys) == FILES
    assert keys == sorted(keys)
    assert len({key[0] for key in keys}) < FILES, "there are copies, in the order of their paths"


@pytest.fixture(scope="module")
def run_costs(synthetic: Any, tmp_path_factory: pytest.TempPathFactory) -> dict[int, int]:
    """How many calls a run of 400 files makes, by the number of shards."""

    def cost(shards: int) -> tuple[int, int]:
        root = tmp_path_factory.mktemp("run")
        synthetic.make_snapshot(root, 400)
        pipeline = synthetic.pipeline_without_work()
        batch = codebatch.open_store(root).batch("latest", pipeline, shards=shards)
        calls = operations(lambda: batch.run("sync", progress=lambda *_: None))
        return batch.load_status().shards()["done"], calls

    cost(16)  # imports, and what is cached for the process
    return dict(map(cost, (16, 256, 4096)))


@pytest.mark.slow
def test_a_run_costs_shards_and_not_their_square(run_costs: dict[int, int]) -> None:
    few, some, many = run_costs
    assert (few, some, many) == (16, 198, 379)
    first = (run_costs[some] - run_costs[few]) / (some - few)
    second = (run_costs[many] - run_costs[some]) / (many - some)
    assert second < 1.1 * first


def test_where_all_is_new_no_inputs_are_read(
    synthetic: Any, store: codebatch.Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    synthetic.make_snapshot(store.path, 100)
    batch = store.batch("latest", synthetic.pipeline_without_work())
    plan = store.directory.batches.load_plan(batch.id)
    monkeypatch.setattr(Batches, "read_shard_inputs", read_nothing)
    new = sum(reuse.Reuse(store.directory, batch.id, plan).new_bytes(plan.shards).values())
    assert new == sum(shard.bytes for shard in plan.shards)


def test_what_is_new_are_the_edited_files(synthetic: Any, store: codebatch.Store) -> None:
    def planned(edition: int) -> codebatch.Batch:
        synthetic.make_snapshot(store.path, 1000, edition)
        return store.batch("latest", synthetic.pipeline_without_work())

    planned(0).run("sync")
    batch = planned(1)
    before, after = ({f.path: f for f in synthetic.make_files(1000, e)} for e in (0, 1))
    edited = {path for path in after if after[path] != before[path]}
    assert len(edited) == 10
    plan = store.directory.batches.load_plan(batch.id)
    new = sum(reuse.Reuse(store.directory, batch.id, plan).new_bytes(plan.shards).values())
    assert new == sum(after[path].size for path in edited)
    assert batch.run("sync").files["computed"] == 4 * len(edited)


def test_the_nearest_batch_is_one_of_the_same_tree(store: codebatch.Store, tmp_path: Path) -> None:
    """However many other trees were looked at since, of those among the newest batches."""
    batches = {}
    for name in ("a", "b", "c"):
        files = {f"{name}{n}.py": f"{name} = {n}\n" for n in range(40)}
        tree = write_tree(tmp_path / name, files)
        batches[name] = store.batch(store.snapshot(tree), "analyze")
        batches[name].run("sync")
    for name, before in batches.items():
        write_tree(tmp_path / name, {f"{name}1.py": f"{name} = None\n"})
        batch = store.batch(store.snapshot(tmp_path / name), "analyze")
        plan = store.directory.batches.load_plan(batch.id)
        found = reuse.Reuse(store.directory, batch.id, plan)
        assert found.base == before.id
        assert sum(found.new_bytes(plan.shards).values()) == len(f"{name} = None\n")
        assert batch.run("sync").files["computed"] == len(plan.tasks)


def test_states_share_what_they_say_of_files(synthetic: Any, store: codebatch.Store) -> None:
    synthetic.make_snapshot(store.path, 1000)
    batch = store.batch("latest", synthetic.pipeline_without_work(), shards=16)
    batch.run("sync")
    for state in batch.load_status().present():
        assert len(state.per_file) > 16
        assert len(set(map(id, state.per_file))) == len(set(state.per_file))


MEMORY_OF_A_SNAPSHOT = """
import gc, sys, tracemalloc, codebatch
store = codebatch.open_store(sys.argv[1])
store.snapshot(sys.argv[2])
gc.collect()
gc.disable()  # nothing may have to wait for it
tracemalloc.start()
store.snapshot(sys.argv[3])
print(*tracemalloc.get_traced_memory())
"""


def test_a_snapshot_holds_few_bytes_of_a_file_and_fewer_after(
    synthetic: Any, store: codebatch.Store, tmp_path: Path
) -> None:
    """In a process of its own: what other tests have left at work allocates as well."""
    tree = synthetic.make_tree(tmp_path / "tree", 3000)
    small = write_tree(tmp_path / "small", {"a.py": "x = 1\n"})
    words = (sys.executable, "-c", MEMORY_OF_A_SNAPSHOT, store.path, small, tree)
    done = subprocess.run(words, capture_output=True, check=True, text=True, env=cli_environment())
    left, peak = map(int, done.stdout.split())
    assert peak < 1800 * 3000
    # The index of the pack is 90 bytes an object; Python keeps freed tuples, 2,000 of a length.
    assert left < 150 * 3000 + 90 * 3000 + 4000 * 64


# -- the text ----------------------------------------------------------------------------------

TASKS = 4
REPOSITORIES, FILES_OF_ONE = 10_000, 100_000
OBJECTS_OF_A_FILE = 1.2
INDEX_BYTES, MARK_BYTES = 89, 40


@pytest.fixture(scope="module")
def text() -> str:
    """The page on scale, each paragraph and each row on one line."""
    page = (REPOSITORY / "docs/scale.md").read_text(encoding="utf-8")
    return re.sub(r"(?<!\n)\n(?![|\n]) *", " ", page)


def rows(text: str, head: str) -> list[list[str]]:
    """The cells of the table that has this head."""
    table = text[text.index(head) :].partition("\n\n")[0]
    return [[cell.strip() for cell in line.split("|")[1:-1]] for line in table.splitlines()[2:]]


def number(text: str) -> int:
    return int(text.replace(",", ""))


def size(value: float) -> str:
    return f"{value / 1e9:,.1f} GB" if value >= 1e9 else f"{value / 1e6:,.1f} MB"


def measured(text: str, pattern: str) -> float:
    """The figure in the text that a pattern names."""
    found = re.findall(pattern, text)
    assert len(found) == 1, f"{pattern}: {found}"
    return float(found[0].replace(",", ""))


def test_shards_and_documents_of_the_text(text: str) -> None:
    table = rows(text, "| files | shards |")
    manifest = measured(text, r"manifest: (\d+) F \(m\)")
    inputs = measured(text, r"inputs: (\d+) F \(m\)")
    for files, shards, each, results, *sizes in table:
        count = 16 ** planning._width(number(files), None)
        assert number(shards) == count
        assert number(each) == round(number(files) / count)
        assert number(results) == 2 * TASKS * count
        assert sizes == [size(manifest * number(files)), size(inputs * number(files))]
    assert [number(row[0]) for row in table] == [10**n for n in (4, 5, 6, 7, 8, 9)]
    assert [planning._width(n, None) for n in (8192, 8193, 1_048_576, 1_048_577)] == [1, 2, 2, 3]
    assert "16 shards for up to 8,192 files, 256 for up to 1,048,576, and 4,096 for more" in text


def test_stores_of_the_text(text: str) -> None:
    for row in rows(text, "| repositories a store |"):
        repositories, stores, files = map(number, row[:3])
        assert repositories * stores == REPOSITORIES
        assert files == repositories * FILES_OF_ONE
        objects = OBJECTS_OF_A_FILE * files
        assert row[3:] == [size(INDEX_BYTES * objects), size(MARK_BYTES * objects)]
    line = index_of([("0" * 64, 0, 1)])
    assert f"has {len(line)} bytes an object" in text
    assert len(line) == INDEX_BYTES
    assert f"packs of up to {pack_writer.MOST_OBJECTS:,} objects" in text


def test_an_object_lies_as_deep_as_the_text_says(store: codebatch.Store) -> None:
    digest = "sha256:" + "0123456789abcdef" * 4
    place = Path(store.directory.layout.object(digest)).relative_to(store.directory.layout.objects)
    assert place.parts[:-1] == ("01", "23")


def test_windows_and_limits_of_the_text(text: str) -> None:
    calls, parcels = shared._BOUNDS, shipped._BOUNDS
    assert f"at most {calls.calls:,} of them, or {calls.calls_per_thread} a thread" in text
    assert f"{parcels.calls}, or {parcels.calls_per_thread} a thread, and 64 MiB" in text
    assert parcels.bytes == 64 * 2**20
    assert f"among the {reuse._NEWEST_BATCHES} newest of the store" in text
    segments = f"up to {memo._SMALL_SEGMENTS} segments of up to {memo._SMALL_BYTES // 2**10} KiB"
    assert f"{segments}, and one for each {memo._SEGMENT_BYTES // 2**20} MiB" in text
    assert f"beyond {layout.CACHE_BYTES // 2**20} MiB" in text


def test_times_of_the_text(text: str) -> None:
    worker = measured(text, r"([\d.]+) ms \(without its files that are no text\)") * 1000
    take = measured(text, r"`snapshot` of new files / of an unchanged tree \| (\d+) µs")
    plan_one = measured(text, r"driver: `batch init` \| (\d+) µs")
    a_file, a_shard = 26, 1700
    assert f"`run` on a cluster, shared | {a_file} µs, and {a_shard / 1000} ms a shard" in text
    hours = 1e9 * worker / 1e6 / 3600
    assert f"or {hours:.0f} hours" in text
    assert f"{math.ceil(hours):,} for an hour, {math.ceil(hours / 8)} for eight hours" in text
    driver = FILES_OF_ONE * (take + plan_one + a_file) / 1e6 + 256 * a_shard / 1e6
    assert f"= {driver:.1f} s; all of them, {REPOSITORIES * driver / 3600:.0f} hours" in text
    assert f"eight hours take {math.ceil(REPOSITORIES * driver / 3600 / 8)} drivers" in text
    of_shard = a_shard / (FILES_OF_ONE / 256)
    assert f"keeps {worker / (a_file + of_shard):.0f} workers busy" in text
    assert f"these are {worker / (300 + of_shard):.0f}:" in text
