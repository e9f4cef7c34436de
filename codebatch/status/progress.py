"""The progress of a run: a row for each task, with its rate and how long it may still take.

A `Tally` starts with the plan and the states that there are, and counts each shard that ends. It
knows no clock: each call says when it happened, in seconds of any clock that does not run
backwards. It writes nothing and waits for nothing.

Shards differ in size, so what is left is measured in bytes and not in shards; a file counts a
byte more, since empty ones take time as well. Rates are those of the last half minute or, where
shards are few and large, of the last few of them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from codebatch.model.records import (
    DONE,
    FILE_SCOPE,
    Plan,
    PlannedShard,
    PlannedTask,
    ShardState,
)
from codebatch.tasks.rules import QUARANTINED

WINDOW_SECONDS = 30.0
_LEAST_ARRIVALS = 8

States = Mapping[str, Mapping[str, "ShardState | None"]]


@dataclass(frozen=True)
class TaskProgress:
    """The progress of a task.

    ``rate`` is in files a second, ``seconds_left`` an estimate; None where nothing arrived that
    tells. ``failed`` counts shards, ``quarantined`` files.
    """

    task_id: str
    shards_done: int
    shards_total: int
    files_done: int
    files_total: int
    failed: int
    quarantined: int
    rate: float | None
    seconds_left: float | None


@dataclass(frozen=True)
class RunProgress:
    """The progress of a run: how many of its shards are ``done``, with all tasks, of how many, and
    each task in the order of the plan. What was done before the run, or is linked, is done.
    """

    done: int
    total: int
    tasks: tuple[TaskProgress, ...]


class Pace:
    """The speed of arrivals over a window of time.

    State: ``_arrivals`` has the latest (time, files, work), ``_files`` and ``_work`` are their
    sums, ``_since`` is when the first of them was begun.
    """

    def __init__(self, began: float) -> None:
        self._since = began
        self._arrivals: deque[tuple[float, int, int]] = deque()
        self._files = 0
        self._work = 0

    def arrive(self, at: float, files: int, work: int) -> None:
        """So many files were finished, which were so much work."""
        self._arrivals.append((at, files, work))
        self._files += files
        self._work += work

    def shards(self, at: float) -> float | None:
        """Arrivals a second; None where nothing tells."""
        seconds = self._seconds(at)
        return len(self._arrivals) / seconds if seconds else None

    def files(self, at: float) -> float | None:
        """Files a second; None where nothing tells."""
        seconds = self._seconds(at)
        return self._files / seconds if seconds else None

    def seconds_for(self, work: int, at: float) -> float | None:
        """Return the seconds that so much work will take; None where nothing tells."""
        if not work:
            return 0.0
        seconds = self._seconds(at)
        return work * seconds / self._work if seconds and self._work else None

    def _seconds(self, at: float) -> float:
        """Return the seconds of the arrivals that are not too long ago; 0 if there is none."""
        while len(self._arrivals) > _LEAST_ARRIVALS and at - self._arrivals[0][0] > WINDOW_SECONDS:
            self._since, files, work = self._arrivals.popleft()
            self._files -= files
            self._work -= work
        return max(0.0, at - self._since) if self._arrivals else 0.0


class Tally:
    """The parts of a batch that are done.

    State: a `_TaskTally` for each task; ``_open`` counts for each shard the tasks that are not
    done on it, ``_done`` the shards of which there is none.
    """

    def __init__(self, plan: Plan, states: States, at: float) -> None:
        self._plan = plan
        self._tasks = [_TaskTally(task, plan.shards, at) for task in plan.tasks]
        self._open = dict.fromkeys((shard.shard_id for shard in plan.shards), len(self._tasks))
        self._done = 0
        for task in self._tasks:
            for shard in plan.shards:
                state = states[task.task_id][shard.shard_id]
                if state is not None and state.status == DONE:
                    self._take(task, shard, state)

    def settle(
        self, shard_id: str, states: Sequence[ShardState | None], at: float, *, failed: bool = False
    ) -> bool:
        """A shard has come to an end: its states, one a task in the order of the plan. What has
        none that is done is still to be done, or has ``failed``. Returns whether that
        changes the progress.
        """
        shard = self._plan.shard(shard_id)
        changed = False
        for task, state in zip(self._tasks, states, strict=True):
            if shard_id not in task.pending:
                continue
            if state is not None and state.status == DONE:
                self._take(task, shard, state)
                task.arrive(at, shard.files, work_of(shard))
                changed = True
            elif failed and shard_id not in task.failed:
                task.failed.add(shard_id)
                task.work_left -= work_of(shard)
                task.arrive(at, 0, work_of(shard))
                changed = True
        return changed

    def progress(self, at: float) -> RunProgress:
        """Return the progress at a time."""
        return RunProgress(
            done=self._done,
            total=len(self._open),
            tasks=tuple(task.row(at) for task in self._tasks),
        )

    def _take(self, task: _TaskTally, shard: PlannedShard, state: ShardState) -> None:
        task.take(shard, state)
        self._open[shard.shard_id] -= 1
        self._done += not self._open[shard.shard_id]


class _TaskTally:
    """One task. State: ``pending`` are the shards that are not done, ``failed`` those of them that
    are not tried again, ``work_left`` what the others are.
    """

    def __init__(self, task: PlannedTask, shards: Sequence[PlannedShard], at: float) -> None:
        self.task_id = task.id
        self.pending = {shard.shard_id for shard in shards}
        self.failed: set[str] = set()
        self.work_left = sum(map(work_of, shards))
        self._pace = Pace(at)
        self._is_of_files = task.scope == FILE_SCOPE
        self._shards = len(shards)
        self._files = sum(shard.files for shard in shards)
        self._files_done = 0
        self._quarantined = 0

    def arrive(self, at: float, files: int, work: int) -> None:
        """The task has come to an end on a shard. One over the whole batch comes to its end on all
        of them at once, when most of its work is done: that tells no pace.
        """
        if self._is_of_files:
            self._pace.arrive(at, files, work)

    def take(self, shard: PlannedShard, state: ShardState) -> None:
        """The task is done on a shard."""
        self.pending.remove(shard.shard_id)
        if shard.shard_id in self.failed:  # it could be done after all, by another run perhaps
            self.failed.remove(shard.shard_id)
        else:
            self.work_left -= work_of(shard)
        self._files_done += shard.files
        self._quarantined += sum(state.counts.by_code.get(code, 0) for code in QUARANTINED)

    def row(self, at: float) -> TaskProgress:
        """Return the progress of the task at a time."""
        return TaskProgress(
            task_id=self.task_id,
            shards_done=self._shards - len(self.pending),
            shards_total=self._shards,
            files_done=self._files_done,
            files_total=self._files,
            failed=len(self.failed),
            quarantined=self._quarantined,
            rate=self._pace.files(at),
            seconds_left=self._pace.seconds_for(self.work_left, at),
        )


def work_of(shard: PlannedShard) -> int:
    """Return how much work a shard is, in bytes."""
    return shard.bytes + shard.files
