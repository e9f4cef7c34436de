"""Run several shards in one process as one call: what looks at many files at once is started once.

Some shards at a time are opened before the first of them is computed, and each tool is started on
the new files of them all. Then each is computed and committed as it would be alone, so that the
results are the same, and what ends the process loses what was not committed. A tool that crashes
over the files of several shards is asked again by each of these, which finds the file.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial

from codebatch.model.messages import Receipt, ShardCall
from codebatch.runtime.gc_paused import collector_held
from codebatch.shard.compute import Change, ShardContext
from codebatch.shard.files import ShardFiles, Started
from codebatch.shard.run import OpenShard, finish_shard, open_shard, run_shard
from codebatch.tasks.base import Preparation
from codebatch.tasks.registry import task_of

# Of shards that are open at a time: what is kept of their outputs and their new sources are in
# memory until they are committed.
_MOST_SHARDS = 16
_MOST_BYTES = 32 * 2**20

Place = tuple[int, int]  # a shard, and a group of equal files in it


def run_together(
    calls: Sequence[ShardCall],
    on_start: Callable[[ShardCall], None] = lambda _: None,
    change: Change = lambda context: context,
) -> Generator[Receipt, None, None]:
    """Run shards in their order, and yield the receipt of each; ``on_start`` is called with those
    that are opened next. ``change`` is applied to the context in which results are computed.
    """
    for group in groups_of(calls):
        for call in group:
            on_start(call)
        yield from run_group(group, change)


def groups_of(calls: Sequence[ShardCall], workers: int = 0) -> Iterator[list[ShardCall]]:
    """Yield the calls of shards that are opened together; where other ``workers`` beside this one
    share them, less and less at a time, so that all end at about the same time.
    """
    group: list[ShardCall] = []
    left = sum(call.new_bytes for call in calls)
    most = min(_MOST_BYTES, left // (workers + 1))
    for call in calls:
        size = sum(one.new_bytes for one in group)
        is_full = len(group) == _MOST_SHARDS or size + call.new_bytes > most
        if group and (is_full or not (_may_wait(group[0]) and _may_wait(call))):
            yield group
            left -= size
            most = min(_MOST_BYTES, left // (workers + 1))
            group = []
        group.append(call)
    if group:
        yield group


def _may_wait(call: ShardCall) -> bool:
    """Return whether a shard may be open while others are computed: its run holds the lease, and
    what there is to compute of it is known to be little enough.
    """
    has_lease = bool(call.lease.lease_id) and not call.lease.left_to
    return has_lease and call.recheck is None and call.new_bytes > 0 and not call.reuse.required


def run_group(
    group: Sequence[ShardCall], change: Change, watch: Callable[[int], None] = lambda _: None
) -> Iterator[Receipt]:
    """Run shards that are opened together, and yield the receipt of each, in their order."""
    if len(group) == 1:
        yield run_shard(group[0], change)
        return
    with contextlib.ExitStack() as stack:
        opened = [open_shard(call) for call in group]
        files = [_files_of(shard) for shard in opened]
        for shared in _started(files, watch):
            stack.callback(shared.cancel)
        for shard, own in zip(opened, files, strict=True):
            if isinstance(shard, Receipt):
                yield shard
            else:
                yield finish_shard(shard, partial(_with_files, own, change))


def _with_files(files: ShardFiles, change: Change, context: ShardContext) -> ShardContext:
    return change(replace(context, files=files))


def _files_of(shard: OpenShard | Receipt) -> ShardFiles:
    if isinstance(shard, Receipt) or shard.memo is None:
        return ShardFiles((), (), lambda *_: b"", lambda _: None)
    return ShardFiles(shard.tasks, shard.files, shard.store.objects.read, shard.memo.lookup)


def _started(shards: Sequence[ShardFiles], watch: Callable[[int], None]) -> Iterator[_Shared]:
    """Start each tool on the new files of all shards that have some; yield those at work."""
    longest = max((files.tasks for files in shards), key=len, default=())
    for task in reversed(longest):
        wanted = [
            (number, index)
            for number, files in enumerate(shards)
            if any(own.id == task.id for own in files.tasks)
            for index in files.unknown(task)
        ]
        numbers = dict.fromkeys(number for number, _ in wanted)
        prepare = task_of(task).prepare
        if prepare is None or len(numbers) < 2:
            continue
        try:
            sources = [shards[number].sources[index] for number, index in wanted]
            watch(0 if task_of(task).keeps_time else len(sources))
            with collector_held():
                shared = _Shared(prepare(sources, task.config), wanted)
        except Exception:  # noqa: BLE001, S112 - each shard tries on its own, and says what is wrong
            continue
        finally:
            watch(0)
        yield shared
        for number in numbers:
            share = _Share(shared, number)
            shards[number].started[task.id] = Started(share.places, share, len(shared.wanted))


class _Shared:
    """A tool at work on files of several shards.

    State: ``_answers`` is what it said of each, or the error, once somebody has asked.
    """

    def __init__(self, preparation: Preparation, wanted: Sequence[Place]) -> None:
        self.wanted = [wanted[place] for place in preparation.places]
        self._preparation = preparation
        self._answers: Mapping[Place, object] | Exception | None = None

    def answers(self) -> Mapping[Place, object]:
        """Return what the tool said of each group, waited for once."""
        if self._answers is None:
            try:
                values = self._preparation.values()
                self._answers = dict(zip(self.wanted, values, strict=True))
            except Exception as error:  # noqa: BLE001 - raised for each shard
                self._answers = error
        if isinstance(self._answers, Exception):
            raise self._answers
        return self._answers

    def cancel(self) -> None:
        """End the tool."""
        self._preparation.cancel()


class _Share:
    """What a tool says of the files of one of several shards; a `Preparation`."""

    def __init__(self, shared: _Shared, number: int) -> None:
        self._shared = shared
        self._wanted = [place for place in shared.wanted if place[0] == number]
        self.places = [index for _, index in self._wanted]

    def values(self) -> Sequence[object]:
        """Return what is said of each group."""
        answers = self._shared.answers()
        return [answers[place] for place in self._wanted]

    def cancel(self) -> None:
        """End the tool, unless shards to come may ask it."""
