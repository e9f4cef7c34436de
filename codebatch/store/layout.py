"""The names of everything in a store, which no other module spells, and how large a file may be.

No more than a limit is ever read of a file. A size that stands in a document counts besides:
outputs, inputs and objects are read as far as what refers to them says. The limits are for what
nothing vouches for, and far above what a batch of ten million files needs.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path

from codebatch.model.digest import DIGEST_PREFIX, ID_HEX_DIGITS, check_digest
from codebatch.model.errors import InvalidIdError
from codebatch.store.door import Door

VERSIONS = (1, 2)  # of the format that are read and written
VERSION = VERSIONS[-1]  # of new stores
SNAPSHOT_PREFIX = "snap"
BATCH_PREFIX = "batch"
STORE_DOCUMENT = "store.json"
COMPRESSED_SUFFIX = ".zst"
MEMO_SUFFIX = ".memo"
QUARANTINE_SUFFIX = ".json"
KEYS_SUFFIX = ".keys"
PARTIAL_SUFFIX = ".part"
PARTS_SUFFIX = ".parts"
PACK_SUFFIX, INDEX_SUFFIX = ".pack", ".idx"
BATCH, PLAN, INPUTS = "batch.json", "plan.json", "inputs.index.jsonl"
MANIFEST = "files.index.jsonl"
STATE, OUTPUTS = "state.json", "outputs.index.jsonl"
ASKED = "asked.json"

SMALL_BYTES = 2**20  # store.json, leases, claims, quarantined results, checksums
DOCUMENT_BYTES = 16 * 2**20  # plans, states, documents of tasks and batches, totals
SNAPSHOT_BYTES = 16 * 2**20  # with everything that was left out of a tree
INDEX_BYTES = 2 * 2**30  # manifests, inputs, outputs
SEGMENT_BYTES = 16 * 2**30  # of the SQL index: to look through more takes longer than to make it
EVENTS_BYTES = 16 * 2**20  # the last of them
CACHE_BYTES = 2**29  # what is known of a source tree
HELD_BYTES = 2**30  # an object of which nothing says how large it is
OBJECT_BYTES = 2**40  # what is only looked through, a portion at a time
CHUNK_BYTES = 16 * 2**20  # what a task stores: a larger value is cut into chunks

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}\Z")
_NODES = re.compile(r"nodes-[A-Za-z0-9_.-]+\Z")
_SHARD = re.compile(r"[0-9a-f]{1,3}\Z")
_ID = re.compile(rf"({SNAPSHOT_PREFIX}|{BATCH_PREFIX})-[0-9a-f]{{16}}\Z")
# What means something else where an id is taken: other words, and what could abbreviate an id.
_TAKEN = re.compile(rf"(latest|HEAD|[0-9a-f]+|({SNAPSHOT_PREFIX}|{BATCH_PREFIX})-.*)\Z")


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


def is_id(value: str) -> bool:
    """Return True if the value is the complete id of a snapshot or a batch."""
    return _ID.match(value) is not None


def is_ref(value: str) -> bool:
    """Return True if the value may be a name for a snapshot or a batch."""
    starts = (f"{SNAPSHOT_PREFIX}-", f"{BATCH_PREFIX}-")
    is_start = any(start.startswith(value) for start in starts)
    return is_name(value) and not is_start and _TAKEN.match(value) is None


def check_ref(value: str) -> str:
    """The value itself when it may be a name for a snapshot or a batch, else `InvalidIdError`."""
    if is_ref(value):
        return value
    if not is_name(value):
        why = "a name has letters, digits, '-', '_' and '.', at most 100 and no '/'"
    else:
        why = "it could be an id, or means something else; say more, as main or release-1.2"
    raise InvalidIdError(f"not a valid name: {value!r}", hints=[why])


def check_shard_id(value: str) -> str:
    """The value itself when it is a shard id (1 to 3 hex digits), else `InvalidIdError`."""
    if not _SHARD.match(value):
        raise InvalidIdError(f"not a valid shard id: {value!r} (expected 1 to 3 hex digits)")
    return value


def check_claim(value: str) -> str:
    """The value itself when it is what a run may claim: a shard, or the nodes of a batch task."""
    return value if _NODES.match(value) and is_name(value) else check_shard_id(value)


class _Below:
    """A path below the root of a layout."""

    def __init__(self, place: str) -> None:
        self._place = place

    def __get__(self, layout: Layout, _: object) -> Path:
        return layout.root / self._place


@dataclass(frozen=True)
class Layout:
    """Paths below one store root, in a version of the format. Ids and digests are validated before
    they become a path.
    """

    root: Path
    version: int = VERSION

    store_document = _Below(STORE_DOCUMENT)  # whose presence makes the directory a store
    gitignore = _Below(".gitignore")  # keeps a store inside a work tree out of git
    lock = _Below("maintenance.lock")  # what a command locks while it removes or repairs
    lock_holder = _Below("maintenance.json")  # names the holder of the lock
    leases = _Below("leases")  # of commands at work; in a folder a batch, the claims on its shards
    snapshots = _Below("snapshots")  # one folder a snapshot
    batches = _Below("batches")  # one folder a batch
    names = _Below("names")  # one file a name, with the id of a snapshot or a batch
    # Derived from the rest, and deletable at any time:
    memo = _Below("indexes/memo")  # results by key, in a tree of folders by hex digit of the object
    quarantine = _Below("indexes/quarantine")  # one file for each result that is quarantined
    partials = _Below("indexes/partials")  # values of the trees of batch tasks, by key
    shard_hints = _Below("indexes/shards")  # notes of earlier versions; nothing reads them
    stat_caches = _Below("indexes/stat")  # source trees when their last snapshots were taken
    git_caches = _Below("indexes/git")  # what is known of objects of git
    sql_indexes = _Below("indexes/sql")  # records of shards as SQLite databases
    columns = _Below("indexes/columns")  # the records of a shard of one kind as columns
    all_totals = _Below("indexes/totals")  # the sums over the states of a batch

    @cached_property
    def door(self) -> Door:
        """The way to everything below the root."""
        return Door(os.path.abspath(self.root))

    @cached_property
    def objects(self) -> str:
        """The content-addressed objects; a string, as what follows: there are very many."""
        return os.path.join(self.root, "objects", "sha256")

    @cached_property
    def packs(self) -> str:
        """The objects that were born together."""
        return os.path.join(self.root, "objects", "packs")

    def object(self, digest: str) -> str:
        """The path of the raw bytes, if they are stored as they are."""
        name = check_digest(digest)[len(DIGEST_PREFIX) :]
        return f"{self.objects}/{name[:2]}/{name[2:4]}/{name}"

    def compressed_object(self, digest: str) -> str:
        """The path of the bytes, if they are compressed at rest."""
        return self.object(digest) + COMPRESSED_SUFFIX

    def pack(self, name: str) -> str:
        """The objects of a pack."""
        return f"{self.packs}/{check_name(name, 'name of a pack')}{PACK_SUFFIX}"

    def pack_index(self, name: str) -> str:
        """Where each of them is in it."""
        return f"{self.packs}/{check_name(name, 'name of a pack')}{INDEX_SUFFIX}"

    def snapshot_document(self, snapshot_id: str) -> Path:
        """Facts about the taking of a snapshot; written last."""
        return self.snapshots / check_name(snapshot_id, "snapshot id") / "snapshot.json"

    def manifest(self, snapshot_id: str) -> Path:
        """The manifest from whose bytes the snapshot id is derived."""
        return self.snapshot_document(snapshot_id).with_name(MANIFEST)

    def batch_document(self, batch_id: str) -> Path:
        """The batch's identity and, once it is done, its result; written last."""
        return self.batches / check_name(batch_id, "batch id") / BATCH

    def plan_document(self, batch_id: str) -> Path:
        """The plan: resolved pipeline, fingerprints, shards."""
        return self.batch_document(batch_id).with_name(PLAN)

    def asked(self, one: str) -> Path:
        """When a snapshot or a batch was last asked for."""
        is_batch = one.startswith(f"{BATCH_PREFIX}-")
        return (self.batch_document if is_batch else self.snapshot_document)(one).with_name(ASKED)

    def name(self, name: str) -> Path:
        """The document that says which id a name holds."""
        return self.names / check_ref(name)

    def in_shards(self, folder: Path, *names: str) -> Iterator[Path]:
        """The paths of these names in the shards of a folder that is, or was, that of a batch."""
        tasks = folder / "tasks"
        for task in self.door.names(tasks):
            shards = tasks / task / "shards"
            found = self.door.names(shards)
            yield from (shards / shard / name for shard in found for name in names)

    def inputs(self, batch_id: str) -> Path:
        """The files of the batch ordered by object, so that a shard is one range of lines."""
        return self.batch_document(batch_id).with_name(INPUTS)

    def events(self, batch_id: str) -> Path:
        """The events of a batch with their times, one a line."""
        return self.batch_document(batch_id).with_name("events.jsonl")

    def task_document(self, batch_id: str, task_id: str) -> Path:
        """The fingerprint of one task of the batch, with its components."""
        folder = self.batch_document(batch_id).parent / "tasks" / check_name(task_id, "task id")
        return folder / "task.json"

    def state(self, batch_id: str, task_id: str, shard_id: str) -> Path:
        """The outcome of one task on one shard; written after the outputs."""
        return Path(f"{self.shard(batch_id, task_id, shard_id)}/{STATE}")

    @property
    def outputs_names(self) -> tuple[str, str]:
        """The names that outputs may have: that in which they are written first."""
        compressed = OUTPUTS + COMPRESSED_SUFFIX
        return (OUTPUTS, compressed) if self.version == VERSIONS[0] else (compressed, OUTPUTS)

    def outputs(self, batch_id: str, task_id: str, shard_id: str) -> Path:
        """The records of one task on one shard, as they are written."""
        return Path(f"{self.shard(batch_id, task_id, shard_id)}/{self.outputs_names[0]}")

    def shard(self, batch_id: str, task_id: str, shard_id: str) -> str:
        """The folder of both; a string, as each run looks for all of them several times."""
        return f"{_task_folder(self, batch_id, task_id)}/shards/{check_shard_id(shard_id)}"

    def segment(self, name: str) -> Path:
        """The records of many shards as an SQLite database."""
        return self.sql_indexes / f"{check_name(name, 'name of a segment')}.sqlite"

    def segment_keys(self, name: str) -> Path:
        """The list of what is in it."""
        return self.sql_indexes / f"{check_name(name, 'name of a segment')}{KEYS_SUFFIX}"

    def segment_table(self, name: str, table: str) -> Path:
        """A table of it as Parquet."""
        return self.sql_indexes / f"{check_name(f'{name}.{table}', 'name of a segment')}.parquet"

    def column_file(self, digest: str, kind: str, form: str) -> Path:
        """The records of a kind in the outputs of that digest in columns of a form."""
        name = check_digest(digest)[len(DIGEST_PREFIX) :]
        folder = self.columns / name[:2]
        return folder / f"{name}.{check_name(kind, 'kind')}.{check_name(form, 'form')}.arrows.lz4"

    def totals(self, batch_id: str) -> Path:
        """The sums over the states of a batch."""
        return self.all_totals / f"{check_name(batch_id, 'batch id')}.json"

    def stat_cache(self, name: str) -> Path:
        """The state of a source tree when its last snapshot was taken."""
        return self.stat_caches / check_name(name, "name of a stat cache")

    def git_cache(self, name: str) -> Path:
        """What is known of some objects of git."""
        return self.git_caches / check_name(name, "name of a git cache")

    def memo_folder(self, prefix: str) -> Path:
        """The results of the shard with that id."""
        return self.memo.joinpath(*check_shard_id(prefix))

    def quarantined(self, key: str) -> Path:
        """The reason why the result of that key is quarantined."""
        return self.quarantine / (check_digest(key)[len(DIGEST_PREFIX) :] + QUARANTINE_SUFFIX)

    def partials_of(self, fingerprint: str) -> Path:
        """The partial values of the task with that fingerprint."""
        return self.partials / check_digest(fingerprint)[len(DIGEST_PREFIX) :][:ID_HEX_DIGITS]

    def partial(self, fingerprint: str, key: str) -> Path:
        """The value that nodes of a task pass on under a key."""
        name = check_digest(key)[len(DIGEST_PREFIX) :] + PARTIAL_SUFFIX
        return self.partials_of(fingerprint) / "values" / name[:2] / name

    def partial_packs(self, fingerprint: str, prefix: str) -> Path:
        """The packs of the values of a task below the shard with that id."""
        return (self.partials_of(fingerprint) / "packs").joinpath(*check_shard_id(prefix))

    def lease(self, lease_id: str) -> Path:
        """The lease of one command at work."""
        return self.leases / f"{check_name(lease_id, 'lease id')}.json"

    def claims(self, batch_id: str) -> Path:
        """The shards of a batch that runs have claimed."""
        return self.leases / check_name(batch_id, "batch id")


@lru_cache(maxsize=64)
def _task_folder(layout: Layout, batch_id: str, task_id: str) -> str:
    """The folder of a task: names are checked once, not for each of very many shards."""
    return os.fspath(layout.task_document(batch_id, task_id).parent)
