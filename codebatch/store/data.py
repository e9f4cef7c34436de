"""The kinds of data a store holds, by the files they are in, for `store-stats`.

Patterns are relative to the store, and ``*`` stands for one name.
"""

from __future__ import annotations

import functools
import re

_BATCH = "batches/*"
_SHARD = f"{_BATCH}/tasks/*/shards/*"

DATA = {
    "store": ("store.json",),
    "objects": ("objects/sha256/*/*/*",),
    "snapshots": ("snapshots/*/snapshot.json",),
    "manifests": ("snapshots/*/files.index.jsonl",),
    "batches": (f"{_BATCH}/batch.json", f"{_BATCH}/plan.json"),
    "inputs": (f"{_BATCH}/inputs.index.jsonl",),
    "tasks": (f"{_BATCH}/tasks/*/task.json",),
    "states": (f"{_SHARD}/state.json",),
    "outputs": (f"{_SHARD}/outputs.index.jsonl",),
    "events": (f"{_BATCH}/events.jsonl",),
    "leases": ("leases/*.json", "leases/*/*", "maintenance.lock", "maintenance.json"),
    "memo": tuple(f"indexes/memo/{'*/' * digits}*.memo" for digits in (1, 2, 3)),
    "quarantine": ("indexes/quarantine/*.json",),
    "indexes": ("indexes/sql/*", "indexes/stat/*", "indexes/totals/*", "indexes/shards/*/*"),
}


def data_of(place: str) -> str:
    """Return the kind of data of a file, named relative to the store; "" for one of no kind."""
    for name, patterns in DATA.items():
        if any(_pattern(pattern).fullmatch(place) for pattern in patterns):
            return name
    return ""


@functools.cache
def _pattern(pattern: str) -> re.Pattern[str]:
    return re.compile("[^/]+".join(map(re.escape, pattern.split("*"))))
