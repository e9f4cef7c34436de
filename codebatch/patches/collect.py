"""The patches of a batch, at most one of a file, and what they make of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import NamedTuple

from codebatch.model.digest import digest_bytes
from codebatch.model.errors import PatchConflictError, StoreDamagedError
from codebatch.model.records import InputFile, Record, path_key
from codebatch.model.unified import PatchMisfitError, apply_diff
from codebatch.query.filters import RecordFilter
from codebatch.query.records import iter_records
from codebatch.query.values import load_value
from codebatch.status.batch_status import BatchStatus
from codebatch.store import StoreDirectory

KIND = "patch"
_MOST_NAMED = 10


class FilePatch(NamedTuple):
    """The patch of a file: the object ``before`` of so many bytes becomes ``after``."""

    path: str
    task_id: str
    before: str
    size: int
    after: str
    added: int
    removed: int
    record: Record


def load_patches(
    store: StoreDirectory,
    batch_status: BatchStatus,
    filters: RecordFilter,
    task_id: str | None = None,
) -> list[FilePatch]:
    """Return the patches by path; `PatchConflictError` where several tasks have one of a file."""
    found: dict[str, FilePatch] = {}
    conflicts: dict[str, set[str]] = {}
    files = lru_cache(maxsize=64)(lambda shard_id: _files_of(store, batch_status, shard_id))
    for record in iter_records(store, batch_status, filters, task_id):
        patch = _patch_of(record, files(str(record["shard_id"])))
        other = found.setdefault(patch.path, patch)
        if other is not patch:
            tasks = conflicts.setdefault(patch.path, {other.task_id})
            tasks.add(patch.task_id)
    if conflicts:
        raise _conflict(conflicts)
    return sorted(found.values(), key=lambda patch: path_key(patch.path))


def load_contents(store: StoreDirectory, patch: FilePatch) -> tuple[bytes, bytes]:
    """Return the bytes of a file and what the patch makes of them; `StoreDamagedError` where that
    is not what the record says.
    """
    before = store.objects.read(patch.before, patch.size)
    try:
        after = apply_diff(before, load_value(store, patch.record))
    except PatchMisfitError as error:
        raise StoreDamagedError(f"the patch of {patch.path} does not apply: {error}") from error
    if digest_bytes(after) != patch.after:
        raise StoreDamagedError(f"the patch of {patch.path} does not make what its record says")
    return before, after


def _files_of(
    store: StoreDirectory, batch_status: BatchStatus, shard_id: str
) -> Mapping[str, InputFile]:
    shard = batch_status.plan.shard(shard_id)
    inputs = store.batches.load_inputs(batch_status.batch_id, shard)
    return {file.path: file for file in inputs}


def _patch_of(record: Record, files: Mapping[str, InputFile]) -> FilePatch:
    path = str(record["path"])
    file = files.get(path)
    if file is None:
        raise StoreDamagedError(f"a patch is of {path}, which is no file of its shard")
    return FilePatch(
        path=path,
        task_id=str(record["task_id"]),
        before=file.object,
        size=file.size,
        after=str(record["result"]),
        added=int(str(record["added"])),
        removed=int(str(record["removed"])),
        record=record,
    )


def _conflict(conflicts: Mapping[str, set[str]]) -> PatchConflictError:
    every = sorted({task for tasks in conflicts.values() for task in tasks})
    paths = sorted(conflicts, key=path_key)
    return PatchConflictError(
        f"several tasks have a patch of the same file: {', '.join(every)}",
        hints=[f"choose one: --task {every[0]}", *_named(paths)],
        details={"files": [{"path": path, "tasks": sorted(conflicts[path])} for path in paths]},
    )


def _named(paths: list[str]) -> Iterator[str]:
    yield from paths[:_MOST_NAMED]
    if len(paths) > _MOST_NAMED:
        yield f"and {len(paths) - _MOST_NAMED:,} more"
