"""The messages to and from workers that never see the store, and the work they ask for.

A *parcel* is a bounded part of a shard: files by digest, the tasks to run on them, what is known
of them already, and the contents that they may read. It names no path and no batch, so
what comes of it follows from its bytes alone. The *answer* has the lines of each task on each file
under their keys, with the objects that the lines refer to, as one compressed message.

The client finds the same keys when it puts the shard together, so nothing has to be matched: what
is not under its key was not computed.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from typing import NamedTuple

import msgpack

from codebatch.model.digest import canonical_json, digest_bytes
from codebatch.model.errors import CodeBatchError, TaskFailedError, WorkerLostError
from codebatch.model.limits import Limits
from codebatch.model.messages import Effort
from codebatch.model.record_lines import Entry, FileLines, from_entry, is_entry, key_of, to_entry
from codebatch.model.records import InputFile, PlannedTask
from codebatch.plan.plan import check_toolchain
from codebatch.shard.compute import (
    Change,
    Computation,
    ShardContext,
    compute_files,
    quarantined_lines,
)
from codebatch.shard.files import ReadObject
from codebatch.store import StoredBytes, open_stored
from codebatch.store.objects.compression import CompressionError, compress, decompress

_MOST_BYTES = 2**33  # of an answer, once it is unpacked

File = tuple[str, int, str, tuple[tuple[str, str], ...]]


class Parcel(NamedTuple):
    """Work for a worker that sees no store.

    ``tasks`` are planned tasks as canonical JSON, ``files`` are (object, size, language, facets),
    ordered by object, ``known`` are entries. ``contents`` are those that tasks may read.
    """

    tasks: tuple[bytes, ...]
    files: tuple[File, ...]
    known: tuple[Entry, ...]
    limits: Limits
    contents: tuple[StoredBytes, ...]


class Answer(NamedTuple):
    """The answer of a worker to a parcel, with what a child of it took.

    ``results`` is what `pack_results` gives. ``quarantined`` are the keys of results that are
    quarantined, with the code of the reason. Where there is an ``error``, there are no results.
    """

    effort: Effort
    results: bytes = b""
    quarantined: tuple[tuple[str, str], ...] = ()
    error: Mapping[str, object] | None = None


class ContentMissingError(CodeBatchError, code="CONTENT_MISSING"):
    """A content that was not sent, and that a task wants to read."""


@dataclass(frozen=True)
class Results:
    """The lines of tasks on files by key, and the objects that they refer to by digest;
    ``quarantined`` as in `Answer`, ``failed`` what is said of a task that failed, by its id.
    """

    lines: dict[str, FileLines]
    objects: dict[str, bytes]
    quarantined: tuple[tuple[str, str], ...] = ()
    failed: Mapping[str, str] = field(default_factory=dict)


def task_bytes(task: PlannedTask) -> bytes:
    """A planned task as a parcel has it."""
    return canonical_json(asdict(task))


@lru_cache(maxsize=64)
def task_from(wire: bytes) -> PlannedTask:
    """The planned task that `task_bytes` gave."""
    return PlannedTask.from_document(json.loads(wire))


@lru_cache(maxsize=8)
def _checked_tasks(wires: tuple[bytes, ...]) -> tuple[PlannedTask, ...]:
    """The planned tasks, which are the same here: work may come before a worker is checked."""
    tasks = tuple(map(task_from, wires))
    check_toolchain(tasks)
    return tasks


def parcel_file(file: InputFile) -> File:
    """A file as a parcel has it: without its path."""
    return file.object, file.size, file.language, tuple(sorted(file.facets.items()))


def parcel_bytes(parcel: Parcel) -> bytes:
    """The parcel as one message."""
    packed: bytes = msgpack.packb(parcel, unicode_errors="surrogatepass")
    return packed


def parcel_from(message: bytes) -> Parcel:
    """The parcel that `parcel_bytes` gave."""
    wire = msgpack.unpackb(message, use_list=False, unicode_errors="surrogatepass")
    parcel = Parcel(*wire)
    contents = tuple(StoredBytes(*one) for one in parcel.contents)
    return parcel._replace(limits=Limits(*parcel.limits), contents=contents)


def reader_of(contents: Iterable[StoredBytes]) -> ReadObject:
    """Reads contents that came with a parcel; `ContentMissingError` for any other."""
    stored = {one.digest: one for one in contents}

    def read(digest: str, limit: int) -> bytes:
        if digest not in stored:
            raise ContentMissingError(f"object {digest} was not sent")
        return open_stored(stored[digest], limit)

    return read


def compute_parcel(
    parcel: Parcel, read: ReadObject, change: Change = lambda context: context
) -> Results:
    """Return what is not known of the files of a parcel; ``change`` is applied to the context.

    `ToolchainMismatchError` where the tasks are not here what they were planned as.
    """
    objects: dict[str, bytes] = {}

    def put(data: bytes) -> str:
        digest = digest_bytes(data)
        objects[digest] = data
        return digest

    tasks = _checked_tasks(parcel.tasks)
    files = [InputFile("", *file[:3], dict(file[3])) for file in parcel.files]
    known = _results_in(parcel.known)
    quarantined: dict[str, str] = {}

    def quarantine(work: Computation, code: str) -> FileLines:
        quarantined[work.key] = code
        return quarantined_lines(code)

    context = change(ShardContext(read, put, quarantine, known.get))
    computed: dict[str, FileLines] = {}
    failed: dict[str, TaskFailedError] = {}
    for _ in compute_files(tasks, files, context, computed, failed):
        pass  # what was computed is in `computed`, the rest the client has
    said = {task_id: error.message for task_id, error in failed.items()}
    return Results(computed, objects, tuple(sorted(quarantined.items())), said)


def pack_results(results: Results) -> bytes:
    """The results as one compressed message."""
    entries = [to_entry(key, found) for key, found in results.lines.items()]
    return compress(msgpack.packb([entries, list(results.objects.values()), {**results.failed}]))


def unpack_results(packed: bytes) -> Results:
    """The results in a message; `WorkerLostError` where it is none, and no worker of ours wrote it.

    Objects are named by their digest here: a worker cannot give one another name.
    """
    try:
        wire = msgpack.unpackb(decompress(packed, _MOST_BYTES), use_list=False)
        entries, objects, failed = wire
        if not all(map(is_entry, entries)):
            raise ValueError("not the lines of a file")
        said = {str(task_id): str(message) for task_id, message in failed.items()}
        named = {digest_bytes(data): data for data in objects}
        return Results(_results_in(entries), named, failed=said)
    except (CompressionError, ValueError, TypeError, AttributeError) as error:
        raise WorkerLostError(f"the answer of a worker cannot be read: {error}") from error


def received(context: ShardContext, results: Results, work: Computation) -> FileLines:
    """The lines of a task on a file, with what they refer to stored; `WorkerLostError` where they
    are not there, and `TaskFailedError` where the task has failed.
    """
    found = results.lines.get(work.key)
    if found is None and work.task.id in results.failed:
        raise TaskFailedError(results.failed[work.task.id])
    if found is None:
        raise WorkerLostError("the answers of workers lack a result")
    for digest in found.objects:
        if digest not in results.objects:
            raise WorkerLostError(f"the answers of workers lack object {digest}")
        context.put(results.objects[digest])
    return found


def merged(parts: Sequence[Results]) -> Results:
    """All results of the parcels of a shard."""
    lines = {key: found for part in parts for key, found in part.lines.items()}
    objects = {digest: data for part in parts for digest, data in part.objects.items()}
    failed = {task_id: said for part in parts for task_id, said in part.failed.items()}
    return Results(lines, objects, failed=failed)


def _results_in(entries: Iterable[Entry]) -> dict[str, FileLines]:
    return {key_of(entry): from_entry(entry) for entry in entries}
