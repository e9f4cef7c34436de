"""The names of everything in a store; no other module spells one."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path

from codebatch.model.digest import DIGEST_PREFIX, check_digest
from codebatch.model.errors import InvalidIdError
from codebatch.store.door import Door

SNAPSHOT_PREFIX = "snap"
BATCH_PREFIX = "batch"
COMPRESSED_SUFFIX = ".zst"
MEMO_SUFFIX = ".memo"
QUARANTINE_SUFFIX = ".json"

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}\Z")
_SHARD = re.compile(r"[0-9a-f]{1,3}\Z")


def is_name(value: str) -> bool:
    """Return True if the value may be a single path component."""
    return _NAME.match(value) is not None and ".." not in value


def check_name(value: str, what: str) -> str:
    """The value itself when it may be a single path component, else `InvalidIdError`."""
    if not is_name(value):
        raise InvalidIdError(
            f"not a valid {what}: {value!r}",
            hints=["an id consists of letters, digits, '-', '_' and '.', and names no folder"],
        )
    return value


def check_shard_id(value: str) -> str:
    """The value itself when it is a shard id (1 to 3 hex digits), else `InvalidIdError`."""
    if not _SHARD.match(value):
        raise InvalidIdError(f"not a valid shard id: {value!r} (expected 1 to 3 hex digits)")
    return value


@dataclass(frozen=True)
class Layout:
    """Paths below one store root. Ids and digests are validated before they become a path."""

    root: Path

    @cached_property
    def door(self) -> Door:
        """The way to everything below the root."""
        return Door(os.path.abspath(self.root))

    @property
    def store_document(self) -> Path:
        """The document whose presence makes the directory a store."""
        return self.root / "store.json"

    @property
    def gitignore(self) -> Path:
        """Keeps a store inside a work tree out of git."""
        return self.root / ".gitignore"

    @property
    def snapshots(self) -> Path:
        """One folder a snapshot."""
        return self.root / "snapshots"

    @property
    def batches(self) -> Path:
        """One folder a batch."""
        return self.root / "batches"

    @cached_property
    def objects(self) -> str:
        """The content-addressed objects; a string, as what follows: there are very many."""
        return os.path.join(self.root, "objects", "sha256")

    def object(self, digest: str) -> str:
        """The path of the raw bytes, if they are stored as they are."""
        name = check_digest(digest)[len(DIGEST_PREFIX) :]
        return f"{self.objects}/{name[:2]}/{name[2:4]}/{name}"

    def compressed_object(self, digest: str) -> str:
        """The path of the bytes, if they are compressed at rest."""
        return self.object(digest) + COMPRESSED_SUFFIX

    def snapshot_document(self, snapshot_id: str) -> Path:
        """Facts about the taking of a snapshot; written last."""
        return self.snapshots / check_name(snapshot_id, "snapshot id") / "snapshot.json"

    def manifest(self, snapshot_id: str) -> Path:
        """The manifest from whose bytes the snapshot id is derived."""
        return self.snapshot_document(snapshot_id).with_name("files.index.jsonl")

    def manifest_in(self, folder: Path) -> Path:
        """The manifest in a folder that is, or was, that of a snapshot."""
        return folder / "files.index.jsonl"

    def inputs_in(self, folder: Path) -> Path:
        """The inputs in a folder that is, or was, that of a batch."""
        return folder / "inputs.index.jsonl"

    def outputs_in(self, folder: Path) -> list[Path]:
        """The paths of outputs in a folder that is, or was, that of a batch, in order."""
        return [path / self.outputs_name for path in self._shards_in(folder)]

    def states_in(self, folder: Path) -> Iterator[Path]:
        """The paths of states in a folder that is, or was, that of a batch."""
        return (path / self.state_name for path in self._shards_in(folder))

    def _shards_in(self, folder: Path) -> Iterator[Path]:
        tasks = folder / "tasks"
        for task in self.door.names(tasks):
            shards = tasks / task / "shards"
            yield from (shards / shard for shard in self.door.names(shards))

    def batch_documents_in(self, folder: Path) -> tuple[Path, Path]:
        """The plan in a folder that is, or was, that of a batch, and the document."""
        return folder / "plan.json", folder / "batch.json"

    def batch_document(self, batch_id: str) -> Path:
        """The batch's identity and, once it is done, its result; written last."""
        return self.batches / check_name(batch_id, "batch id") / "batch.json"

    def plan_document(self, batch_id: str) -> Path:
        """The plan: resolved pipeline, fingerprints, shards."""
        return self.batch_document(batch_id).with_name("plan.json")

    def inputs(self, batch_id: str) -> Path:
        """The files of the batch ordered by object, so that a shard is one range of lines."""
        return self.batch_document(batch_id).with_name("inputs.index.jsonl")

    def events(self, batch_id: str) -> Path:
        """The events of a batch with their times, one a line."""
        return self.batch_document(batch_id).with_name("events.jsonl")

    def task_document(self, batch_id: str, task_id: str) -> Path:
        """The fingerprint of one task of the batch, with its components."""
        folder = self.batch_document(batch_id).parent / "tasks" / check_name(task_id, "task id")
        return folder / "task.json"

    def state(self, batch_id: str, task_id: str, shard_id: str) -> Path:
        """The outcome of one task on one shard; written after the outputs."""
        return Path(f"{self._shard(batch_id, task_id, shard_id)}/{self.state_name}")

    def outputs(self, batch_id: str, task_id: str, shard_id: str) -> Path:
        """The records of one task on one shard."""
        return Path(f"{self._shard(batch_id, task_id, shard_id)}/{self.outputs_name}")

    @property
    def state_name(self) -> str:
        """The name of a state in the folder of its shard."""
        return "state.json"

    @property
    def outputs_name(self) -> str:
        """The name of the records beside a state."""
        return "outputs.index.jsonl"

    def _shard(self, batch_id: str, task_id: str, shard_id: str) -> str:
        return f"{_task_folder(self, batch_id, task_id)}/shards/{check_shard_id(shard_id)}"

    def sql_index(self, batch_id: str) -> Path:
        """The records of a batch as an SQLite database; derived, deletable at any time."""
        return self.root / "indexes" / "sql" / f"{check_name(batch_id, 'batch id')}.sqlite"

    def totals(self, batch_id: str) -> Path:
        """The sums over the states of a batch; derived."""
        return self.root / "indexes" / "totals" / f"{check_name(batch_id, 'batch id')}.json"

    def stat_cache(self, name: str) -> Path:
        """The state of a source tree when its last snapshot was taken; derived."""
        return self.stat_caches / check_name(name, "name of a stat cache")

    @property
    def memo(self) -> Path:
        """Results by key, in a tree of folders by hex digit of the object; derived."""
        return self.root / "indexes" / "memo"

    def memo_folder(self, prefix: str) -> Path:
        """The results of the shard with that id."""
        return self.memo.joinpath(*check_shard_id(prefix))

    @property
    def quarantine(self) -> Path:
        """One file for each result that is quarantined; derived."""
        return self.root / "indexes" / "quarantine"

    def quarantined(self, key: str) -> Path:
        """The reason why the result of that key is quarantined."""
        return self.quarantine / (check_digest(key)[len(DIGEST_PREFIX) :] + QUARANTINE_SUFFIX)

    @property
    def shard_hints(self) -> Path:
        """Notes of earlier versions on batches with equal shards; nothing reads them."""
        return self.root / "indexes" / "shards"

    @property
    def leases(self) -> Path:
        """The leases of commands at work, and in a folder a batch the claims on its shards."""
        return self.root / "leases"

    def lease(self, lease_id: str) -> Path:
        """The lease of one command at work."""
        return self.leases / f"{check_name(lease_id, 'lease id')}.json"

    def claims(self, batch_id: str) -> Path:
        """The shards of a batch that runs have claimed."""
        return self.leases / check_name(batch_id, "batch id")

    def claim_folders(self) -> list[Path]:
        """The folders of claims that there are."""
        names = self.door.names(self.leases)
        folders = (self.leases / name for name in names if name.startswith(f"{BATCH_PREFIX}-"))
        return [folder for folder in folders if self.door.is_folder(folder)]

    @property
    def lock(self) -> Path:
        """The file that a command locks while it removes or repairs."""
        return self.root / "maintenance.lock"

    @property
    def lock_holder(self) -> Path:
        """The document that names the holder of the lock."""
        return self.root / "maintenance.json"

    @property
    def stat_caches(self) -> Path:
        """The folder of all stat caches."""
        return self.root / "indexes" / "stat"

    def batch_indexes(self) -> tuple[Path, ...]:
        """The folders of derived files that are named after batches."""
        return self.root / "indexes" / "sql", self.root / "indexes" / "totals"


@lru_cache(maxsize=64)
def _task_folder(layout: Layout, batch_id: str, task_id: str) -> str:
    """The folder of a task: names are checked once, not for each of very many shards."""
    return os.fspath(layout.task_document(batch_id, task_id).parent)
