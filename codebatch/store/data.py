"""The kinds of data a store holds, with the files they are in, for telling people.

Each command names the kinds it reads and writes; patterns are relative to the store, and ``*``
stands for one name.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from typing import NamedTuple


class StoredData(NamedTuple):
    """One kind of data: the patterns of its files, and what it is."""

    files: tuple[str, ...]
    description: str


_BATCH = "batches/*"
_SHARD = f"{_BATCH}/tasks/*/shards/*"

DATA: Mapping[str, StoredData] = {
    "store": StoredData(("store.json",), "the version of the format"),
    "objects": StoredData(
        ("objects/sha256/*/*/*",), "contents of files, and results too large for a record"
    ),
    "snapshots": StoredData(
        ("snapshots/*/snapshot.json",), "when and from where snapshots were taken, skipped files"
    ),
    "manifests": StoredData(("snapshots/*/files.index.jsonl",), "the files of snapshots"),
    "batches": StoredData(
        (f"{_BATCH}/batch.json", f"{_BATCH}/plan.json"), "batches and their plans"
    ),
    "inputs": StoredData(
        (f"{_BATCH}/inputs.index.jsonl",), "the files of a batch with their languages, by shard"
    ),
    "tasks": StoredData((f"{_BATCH}/tasks/*/task.json",), "fingerprints of the tasks"),
    "states": StoredData((f"{_SHARD}/state.json",), "outcome of a shard, with counts"),
    "outputs": StoredData((f"{_SHARD}/outputs.index.jsonl",), "records of a shard"),
    "events": StoredData((f"{_BATCH}/events.jsonl",), "what happened in a batch, and when"),
    "leases": StoredData(
        ("leases/*.json", "leases/*/*", "maintenance.lock", "maintenance.json"),
        "which commands are at work, and on which shards; what locks the store for gc",
    ),
    "memo": StoredData(
        tuple(f"indexes/memo/{'*/' * digits}*.memo" for digits in (1, 2, 3)),
        "results by key, so that nothing is computed twice; derived",
    ),
    "quarantine": StoredData(
        ("indexes/quarantine/*.json",), "which results are given up, by key; derived"
    ),
    "indexes": StoredData(
        ("indexes/sql/*", "indexes/stat/*", "indexes/totals/*", "indexes/shards/*/*"),
        "derived, may be deleted at any time",
    ),
}


def data_of(place: str) -> str:
    """The kind of data of a file, named relative to the store; empty for one of no kind."""
    for name, stored in DATA.items():
        if any(_pattern(pattern).fullmatch(place) for pattern in stored.files):
            return name
    return ""


@functools.cache
def _pattern(pattern: str) -> re.Pattern[str]:
    return re.compile("[^/]+".join(map(re.escape, pattern.split("*"))))
