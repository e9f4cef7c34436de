"""Records in order of path: the same whatever is held of the shards, and the first one at once."""

from __future__ import annotations

import errno
import os
import re
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import Scanned, read_outputs, write_outputs

import codebatch
from codebatch.model.errors import StoreDamagedError, StoreWriteError
from codebatch.model.records import Record, path_key
from codebatch.query import ordered
from codebatch.store.shards import Shards

FILTERS: list[dict[str, Any]] = [
    {},
    {"kind": "symbol"},
    {"severity": "error"},
    {"path": "*.py", "kind": "edge,metric"},
    {"language": "python,typescript"},
    {"name": "*r*"},
    {"task": "lint"},
]


def expected(batch: codebatch.Batch, **filters: Any) -> list[Record]:
    order = [task["task_id"] for task in batch.tasks()]
    return sorted(
        batch.outputs(**filters),
        key=lambda one: (path_key(str(one["path"])), order.index(one["task_id"])),
    )


@pytest.fixture(params=[1, 3_000, ordered.HELD_BYTES], ids=["nothing", "some", "all"])
def held(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """How much of the outputs is held in memory."""
    monkeypatch.setattr(ordered, "HELD_BYTES", request.param)


@pytest.mark.usefixtures("held")
@pytest.mark.parametrize("filters", FILTERS, ids=str)
def test_records_are_in_order(filters: dict[str, Any], scanned: Scanned) -> None:
    found = scanned.batch.sorted_records(**filters)
    assert list(found) == found.to_list() == expected(scanned.batch, **filters)


def test_the_first_record_takes_the_shard_of_its_file(
    scanned: Scanned, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[object] = []
    real = Shards.read_outputs

    def counted(*arguments: Any) -> bytes:
        read.append(arguments[2:4])
        return real(*arguments)

    monkeypatch.setattr(Shards, "read_outputs", counted)
    found = iter(scanned.batch.sorted_records(kind="metric"))
    assert next(found)["kind"] == "metric"
    assert len(read) == 1
    assert len({*read}) < len({(one["task_id"], one["shard_id"]) for one in found})


def outputs_of(scanned: Scanned, record: Record) -> Path:
    place = f"tasks/{record['task_id']}/shards/{record['shard_id']}"
    return scanned.path / "batches" / scanned.batch.id / place / "outputs.index.jsonl.zst"


CHANGES: dict[str, Callable[[Path], object]] = {
    "gone": Path.unlink,
    "cut": lambda path: path.write_bytes(path.read_bytes()[:-30]),
    "changed": lambda path: write_outputs(path, read_outputs(path)[:-9]),
}


@pytest.mark.parametrize("how", CHANGES)
def test_what_changes_after_it_was_read_does_not_matter(how: str, scanned_copy: Scanned) -> None:
    every = scanned_copy.batch.sorted_records(kind="symbol").to_list()
    places = [outputs_of(scanned_copy, one) for one in every]
    again = next(place for place in places if place != places[-1] and places.count(place) > 1)
    found = iter(scanned_copy.batch.sorted_records(kind="symbol"))
    first = [next(found) for _ in range(places.index(again) + 1)]
    CHANGES[how](again)
    assert [*first, *found] == every


@pytest.mark.parametrize("how", CHANGES)
def test_what_changes_before_it_is_read_is_damage(how: str, scanned_copy: Scanned) -> None:
    found = scanned_copy.batch.sorted_records(kind="symbol")
    last = found.to_list()[-1]
    reading = iter(found)
    next(reading)
    CHANGES[how](outputs_of(scanned_copy, last))
    with pytest.raises(StoreDamagedError, match="damaged"):
        list(reading)


def test_no_room_for_what_is_not_held(
    scanned: Scanned, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    class Full(tempfile.SpooledTemporaryFile[bytes]):
        def rollover(self) -> None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(ordered, "HELD_BYTES", 1)
    monkeypatch.setattr(tempfile, "SpooledTemporaryFile", Full)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with pytest.raises(StoreWriteError, match=re.escape(str(tmp_path))):
        scanned.batch.sorted_records().to_list()


def test_a_lost_manifest_is_done_without(scanned_copy: Scanned) -> None:
    every = scanned_copy.batch.sorted_records().to_list()
    for path in scanned_copy.path.glob("snapshots/*/files.index.jsonl"):
        path.unlink()
    assert scanned_copy.batch.sorted_records().to_list() == every
