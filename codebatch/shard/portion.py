"""Portions of a shard, which are computed apart from each other, and the shard put together.

What is not known of a portion is computed elsewhere, as a parcel. When all portions are there, the
shard is finished as if they had been computed in place: the same keys, the same order, the same
bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import starmap

from codebatch.model.messages import Receipt
from codebatch.model.record_lines import FileLines, to_entry
from codebatch.model.records import InputFile
from codebatch.shard.compute import Change, Computation, ShardContext
from codebatch.shard.files import groups_of_equals, memo_hits
from codebatch.shard.parcel import Parcel, Results, merged, parcel_file, received, task_bytes
from codebatch.shard.run import OpenShard, finish_shard

_FILES = 1000  # of a portion
_NEVER_READ = frozenset({"symlink", "binary"})

Compute = Callable[[Computation], FileLines]


def portions_of(shard: OpenShard, most_bytes: int) -> Iterator[Parcel]:
    """Yield what is not known of a shard in parcels of so many bytes of source, or of a single
    file, without contents.
    """
    files: list[InputFile] = []
    known: dict[str, FileLines] = {}
    size = 0
    for file, *_ in groups_of_equals(shard.files):
        found = _known(shard, file)
        if found is None:
            continue
        if files and (size + file.size > most_bytes or len(files) >= _FILES):
            yield _parcel(shard, files, known)
            files, known, size = [], {}, 0
        files.append(file)
        known.update(found)
        size += file.size
    if files:
        yield _parcel(shard, files, known)


def portion_of(shard: OpenShard, number: int, count: int) -> Parcel:
    """Return what is not known of one of so many portions of a shard, without contents. Which files
    it has follows from the shard alone.
    """
    groups = [file for file, *_ in groups_of_equals(shard.files)]
    total = sum(file.size + 1 for file in groups)
    files: list[InputFile] = []
    known: dict[str, FileLines] = {}
    before = 0
    for file in groups:
        if before * count // total == number and (found := _known(shard, file)) is not None:
            files.append(file)
            known.update(found)
        before += file.size + 1
    return _parcel(shard, files, known)


def with_contents(shard: OpenShard, parcel: Parcel, *, is_whole: bool) -> Parcel:
    """Return a parcel with the contents of the files that tasks may read, or of all."""
    limits = [task.config.get("max_bytes") for task in shard.tasks if task.code is None]
    largest = max((limit for limit in limits if isinstance(limit, int)), default=0)
    has_own = len(limits) < len(shard.tasks)  # users' tasks read what they like
    sizes = {
        digest: size
        for digest, size, language, _ in parcel.files
        if is_whole or not (language in _NEVER_READ or (size > largest and not has_own))
    }
    contents = tuple(starmap(shard.store.objects.read_stored, sizes.items()))
    return parcel._replace(contents=contents)


def finish_portions(
    shard: OpenShard,
    results: Sequence[Results],
    quarantined: Iterable[tuple[str, str]],
    elsewhere: Change = lambda context: context,
) -> Receipt:
    """Commit a shard with the results of its portions. What they lack is computed as in the context
    that ``elsewhere`` makes; where that computes nothing, it is an error.
    """
    all_results, codes = merged(results), dict(quarantined)

    def change(context: ShardContext) -> ShardContext:
        compute = _taking(context, all_results, codes, elsewhere(context).compute)
        return replace(context, compute=compute)

    return finish_shard(shard, change)


def _taking(
    context: ShardContext,
    results: Results,
    quarantined: Mapping[str, str],
    otherwise: Compute | None,
) -> Compute:
    def compute(work: Computation) -> FileLines:
        code = quarantined.get(work.key)
        if code is not None:
            return context.quarantine(work, code)
        is_lacking = work.key not in results.lines and work.task.id not in results.failed
        if otherwise is not None and is_lacking:
            return otherwise(work)
        return received(context, results, work)

    return compute


def _parcel(shard: OpenShard, files: Sequence[InputFile], known: Mapping[str, FileLines]) -> Parcel:
    entries = tuple(to_entry(key, lines) for key, lines in known.items())
    tasks = tuple(map(task_bytes, shard.tasks))
    return Parcel(tasks, tuple(map(parcel_file, files)), entries, shard.call.limits, ())


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
