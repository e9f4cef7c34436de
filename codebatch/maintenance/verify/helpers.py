"""Processes that look at a large store beside this one, and say of what they see that it is whole.

What a helper does not say to be whole is checked here, as without helpers: they change no problem
and no order of problems. One that dies says nothing of anything.
"""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from codebatch.maintenance.verify.findings import Findings
from codebatch.maintenance.verify.forms import check_files
from codebatch.maintenance.verify.indexes import is_whole_index
from codebatch.maintenance.verify.manifests import load_whole_manifest, number_of
from codebatch.maintenance.verify.objects import pack_digests
from codebatch.maintenance.verify.selection import Selection
from codebatch.maintenance.verify.shards import look_at_shard
from codebatch.model.digest import DIGEST_PREFIX, digest_bytes
from codebatch.model.errors import CodeBatchError
from codebatch.model.records import Plan, path_key
from codebatch.processes.channel import BrokenChannelError, receive, send, start_process
from codebatch.store import StoreDirectory, open_store
from codebatch.store.layout import CHUNK_BYTES
from codebatch.store.objects.compression import CompressionError, open_frame
from codebatch.store.objects.forms import FRAME_BYTES
from codebatch.store.objects.packs import Found, part_of
from codebatch.store.path_kinds import OBJECT_PARTS, STATE, Place, walk_store

_BOOT = (
    "import sys; sys.path[:] = sys.argv[2:]; "
    "from codebatch.maintenance.verify.helpers import main; main(int(sys.argv[1]))"
)
_MOST_HELPERS = 4
_JOBS_EACH = 8  # of a helper: the one that it is at, and enough to be busy while others are slow
# Of sources, or of indexes: to start helpers takes as long as to check a few megabytes.
WORTH_BYTES = 16 * 2**20

Job = Mapping[str, Any]
Answer = Mapping[str, Any]


class Helpers:
    """State: ``_channels`` and ``_processes`` are of the helpers, once there are some."""

    def __init__(self, store: StoreDirectory) -> None:
        self._root = str(store.root)
        self._channels: list[socket.socket] = []
        self._processes: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Helpers:
        return self

    def __exit__(self, *_: object) -> None:
        for channel, process in zip(self._channels, self._processes, strict=True):
            process.kill()
            channel.close()
            process.wait()

    def ask(self, jobs: Iterable[Job], size: int) -> Iterator[Answer]:
        """Yield what is known of each job, in their order; nothing where so many bytes are not
        worth a helper.
        """
        if size >= WORTH_BYTES and not self._channels:
            for _ in range(_number_of_helpers()):
                self._start()
        if not self._channels:
            yield from ({} for _ in jobs)
            return
        asked: deque[socket.socket] = deque()
        for number, job in enumerate(jobs):
            if len(asked) >= _JOBS_EACH * len(self._channels):
                yield _answer_of(asked.popleft())
            channel = self._channels[number % len(self._channels)]
            with contextlib.suppress(BrokenChannelError):  # which its answer tells
                send(channel, {"store": self._root, **job})
            asked.append(channel)
        yield from map(_answer_of, asked)

    def _start(self) -> None:
        channel, process = start_process(_BOOT)
        self._channels.append(channel)
        self._processes.append(process)


def _number_of_helpers() -> int:
    """Return as many as there are processors; none where there is one."""
    number = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return min(number, _MOST_HELPERS) if number and number > 1 else 0


def _answer_of(channel: socket.socket) -> Answer:
    try:
        answer: Answer = receive(channel)
    except BrokenChannelError:
        return {}
    return answer


def main(descriptor: int) -> None:
    """Answer jobs that come over the socket, until its other end is closed."""
    channel = socket.socket(fileno=descriptor)
    with contextlib.suppress(BrokenChannelError):
        while True:
            job = receive(channel)
            send(channel, look(_opened(job["store"]), job))


def look(store: StoreDirectory, job: Job) -> Answer:
    """Return the answer to a job; nothing where anything is wrong, which is looked into where it
    is reported.
    """
    try:
        return next(answer(store, job) for key, answer in _LOOKS.items() if key in job)
    except (CodeBatchError, CompressionError, OSError, MemoryError):
        return {}


def _index(store: StoreDirectory, job: Job) -> Answer:
    """Return whether a derived file is whole."""
    return {"is_whole": is_whole_index(store, Path(job["path"]))}


def _part(store: StoreDirectory, job: Job) -> Answer:
    """Return the objects of a part of all that are files, and what those of the selection sum up
    to, which are read; where nothing else is there.
    """
    findings = Findings(store)
    entries = walk_store(store.layout.door, f"{OBJECT_PARTS}/{job['part']}")
    check_files(findings, entries, Selection(*job["selection"]))
    return findings.objects_alone()


def _frames(store: StoreDirectory, job: Job) -> Answer:
    """Return what frames of the selection, some of a pack, sum up to, where all are whole."""
    takes, read, size = Selection(*job["selection"]).takes, 0, 0
    frames = [Found(*one) for one in job["frames"]]
    with store.layout.door.stream(frames[0].path) as stream:
        for frame in frames:
            digest = DIGEST_PREFIX + frame.digits
            if takes(digest):
                stored = part_of(stream, frame)(min(frame.size, FRAME_BYTES))
                data = open_frame(stored, CHUNK_BYTES + 1)
                if len(data) > CHUNK_BYTES or digest_bytes(data) != digest:
                    return {}
                read, size = read + 1, size + len(data)
    return {"read": (read, size, 0)}


def _snapshot(store: StoreDirectory, job: Job) -> Answer:
    """Return what the files of a manifest sum up to, and their objects, where it is whole."""
    data = store.snapshots.read_manifest(job["snapshot"])
    files = load_whole_manifest(job["snapshot"], data)
    return {
        "files": len(files),
        "bytes": sum(file.size for file in files),
        "number": f"{number_of(files):x}",
        "objects": pack_digests({file.object for file in files}),
    }


def _shard(store: StoreDirectory, job: Job) -> Answer:
    """Return of each task whose results on a shard are whole its node and its objects; and what the
    files of the shard sum up to.
    """
    batch_id, shard_id = job["batch"], job["shard"]
    plan = _plan_of(job["store"], batch_id)
    files = store.batches.load_inputs(batch_id, plan.shard(shard_id))
    files.sort(key=lambda file: path_key(file.path))
    whole = {}
    for task in plan.tasks:
        place = Place(STATE, batch_id, task.id, shard_id)
        state, data, objects = look_at_shard(Findings(store), place, task, files)
        if state is not None and data is not None and objects is not None:
            whole[task.id] = [state.tree, pack_digests(objects)]
    languages = Counter(file.language for file in files)
    return {"results": whole, "number": f"{number_of(files):x}", "languages": dict(languages)}


_LOOKS: Mapping[str, Callable[[StoreDirectory, Job], Answer]] = {
    "path": _index,
    "part": _part,
    "frames": _frames,
    "snapshot": _snapshot,
    "shard": _shard,
}


@lru_cache(maxsize=1)
def _opened(root: str) -> StoreDirectory:
    return open_store(Path(root))


@lru_cache(maxsize=4)
def _plan_of(root: str, batch_id: str) -> Plan:
    return _opened(root).batches.load_plan(batch_id)
