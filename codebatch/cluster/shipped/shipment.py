"""Shards whose results are computed where the store cannot be seen: packed here, finished here.

`Shipment` packs what is not known of a shard into parcels, takes the answers, and commits the
shard as if it had been computed in place: the same keys, the same order, the same bytes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from itertools import starmap
from typing import NamedTuple

from codebatch.model.memo_entry import Entry, to_entry
from codebatch.model.messages import Receipt
from codebatch.model.record_lines import FileLines
from codebatch.model.records import InputFile
from codebatch.shard.compute import Computation, ShardContext, groups_of_equals, memo_hits
from codebatch.shard.open import OpenShard
from codebatch.shard.parcel import (
    Answer,
    Parcel,
    Results,
    merged,
    parcel_file,
    received,
    task_bytes,
    unpack_results,
)
from codebatch.shard.run import finish_shard

_NEVER_READ = frozenset({"symlink", "binary"})


class ParcelLimits(NamedTuple):
    """The limits of a parcel, in raw bytes and number of files."""

    source_bytes: int = 4 * 2**20
    files: int = 1000


class Portion(NamedTuple):
    """The files of a parcel with what is known of them: a parcel without contents."""

    files: tuple[InputFile, ...]
    known: tuple[Entry, ...]


class Shipment:
    """One shard on its way.

    State: ``portions`` are what is to be sent, none where everything is known; ``_results`` and
    ``_quarantined`` what came back, by the portion's index, ``_workers`` the names of who sent it.
    """

    def __init__(self, shard: OpenShard, limits: ParcelLimits) -> None:
        self.shard = shard
        self.portions = [] if shard.call.reuse.required else list(_portions(shard, limits))
        self._tasks = tuple(map(task_bytes, shard.tasks))
        self._results: dict[int, Results] = {}
        self._quarantined: dict[str, str] = {}
        self._workers: set[str] = set()

    @property
    def is_complete(self) -> bool:
        """True if every portion was answered."""
        return len(self._results) == len(self.portions)

    def parcel(self, index: int, *, is_whole: bool) -> Parcel:
        """Return a portion with the contents of the files that tasks may read, or of all."""
        portion, store = self.portions[index], self.shard.store
        limits = [task.config.get("max_bytes") for task in self.shard.tasks]
        largest = max((limit for limit in limits if isinstance(limit, int)), default=0)
        wanted = {
            file.object: file.size
            for file in portion.files
            if is_whole or not (file.language in _NEVER_READ or file.size > largest)
        }
        return Parcel(
            tasks=self._tasks,
            files=tuple(map(parcel_file, portion.files)),
            known=portion.known,
            limits=self.shard.call.limits,
            contents=tuple(starmap(store.objects.read_stored, wanted.items())),
        )

    def take(self, index: int, answer: Answer) -> None:
        """Take the answer to a parcel; `WorkerLostError` where it cannot be read."""
        self._results[index] = unpack_results(answer.results)
        self._quarantined.update(answer.quarantined)
        self._workers.add(answer.worker)

    def finish(self) -> Receipt:
        """Commit the shard with what came back."""
        results = merged([self._results[index] for index in sorted(self._results)])
        self._results.clear()
        compute = partial(self._received, results)
        receipt = finish_shard(
            self.shard, lambda context: replace(context, compute=partial(compute, context))
        )
        return receipt._replace(worker=", ".join(sorted(self._workers)) or None)

    def _received(self, results: Results, context: ShardContext, work: Computation) -> FileLines:
        code = self._quarantined.get(work.key)
        return (
            received(context, results, work.key) if code is None else context.quarantine(work, code)
        )


def _portions(shard: OpenShard, limits: ParcelLimits) -> Iterator[Portion]:
    files: list[InputFile] = []
    known: dict[str, FileLines] = {}
    size = 0
    for group in groups_of_equals(shard.files):
        found = _known(shard, group[0])
        if found is None:
            continue
        if files and (size + group[0].size > limits.source_bytes or len(files) >= limits.files):
            yield _portion(files, known)
            files, known, size = [], {}, 0
        files.append(group[0])
        known.update(found)
        size += group[0].size
    if files:
        yield _portion(files, known)


def _portion(files: Sequence[InputFile], known: dict[str, FileLines]) -> Portion:
    return Portion(tuple(files), tuple(to_entry(key, lines) for key, lines in known.items()))


def _known(shard: OpenShard, file: InputFile) -> dict[str, FileLines] | None:
    """Return the known results of a file, by key; None where that is all of them."""
    memo = shard.memo
    if memo is None:
        return {}
    found: dict[str, FileLines] = {}

    def lookup(key: str) -> FileLines | None:
        lines = memo.lookup(key)
        if lines is not None:
            found[key] = lines
        return lines

    return found if None in memo_hits(shard.tasks, file, lookup).values() else None
