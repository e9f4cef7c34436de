"""Links inside a store that lead out of it."""

from __future__ import annotations

import shutil
from pathlib import Path

from codebatch.maintenance.self_test.vector import DONE_OR_DAMAGED, Command, Scene, Vector

KIND = "links"

_FOLDERS = (
    *("objects", "objects/sha256", "snapshots", "snapshots/{snapshot}", "batches"),
    *("batches/{batch}", "batches/{batch}/tasks", "batches/{batch}/tasks/lint/shards"),
    *("leases", "leases/{batch}", "indexes", "indexes/stat", "indexes/shards", "indexes/memo"),
    *("indexes/quarantine", "indexes/totals", "indexes/sql"),
)
_FILES = (
    *("store.json", "maintenance.lock", "maintenance.json", "snapshots/{snapshot}/snapshot.json"),
    *("batches/{batch}/plan.json", "batches/{batch}/batch.json", "batches/{batch}/events.jsonl"),
)
_COMMANDS = tuple(
    Command(f"{words} --store {{store}}", DONE_OR_DAMAGED)
    for words in ("scan {tree}", "gc --grace 0", "verify --repair")
)


def place_of(scene: Scene, path: str) -> Path:
    """Return a path below the store, with the ids of what the scene's store holds."""
    named = path.replace("{batch}", scene.batch_id).replace("{snapshot}", scene.snapshot_id)
    return scene.store / named


def _linked(path: str, target: str = "") -> Vector:
    """Return the vector of a link in that place of the store to something outside."""

    def plant(scene: Scene) -> None:
        place = place_of(scene, path)
        if target:
            place.unlink(missing_ok=True)
        else:
            shutil.rmtree(place, ignore_errors=True)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.symlink_to(scene.outside / target)

    return Vector(KIND, f"{path} is a link", plant, _COMMANDS)


VECTORS: tuple[Vector, ...] = (
    *(_linked(path) for path in _FOLDERS),
    *(_linked(path, "folder/canary.txt") for path in _FILES),
)
