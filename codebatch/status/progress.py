"""The progress of a run: how far it is, how fast, how long it may still take; and each task.

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

from codebatch.display.displayed import Displayed, card
from codebatch.model.records import DONE, FILE_SCOPE, Plan, PlannedShard, ShardState
from codebatch.tasks.rules import QUARANTINED

WINDOW_SECONDS = 30.0
_LEAST_ARRIVALS = 8

States = Mapping[str, Mapping[str, "ShardState | None"]]


@dataclass(frozen=True, repr=False)
class TaskProgress(Displayed):
    """The progress of a task. ``failed`` counts shards, ``quarantined`` files."""

    task_id: str
    shards_done: int
    shards_total: int
    files_done: int = 0
    files_total: int = 0
    failed: int = 0
    quarantined: int = 0


@dataclass(frozen=True, repr=False)
class RunProgress(Displayed):
    """The progress of a run: how many of its shards are ``done``, with all tasks, of how many, and
    each task in the order of the plan. What was done before the run, or is linked, is done.

    ``files_done`` counts the files that are done with all tasks over files, ``rate`` those of a
    second; ``seconds_left`` is an estimate. Both are None where nothing arrived that tells.
    """

    done: int
    total: int
    tasks: tuple[TaskProgress, ...]
    files_done: int
    files_total: int
    rate: float | None = None
    seconds_left: float | None = None

    def _card(self) -> card.Card:
        facts = {
            "shards": card.Bar({"done": self.done}, self.total),
            "files": card.Bar({"done": self.files_done}, self.files_total),
            "files a second": self.rate,
            "seconds left": self.seconds_left,
        }
        rows = [
            {
                "task": task.task_id,
                "shards": card.Bar(
                    {"done": task.shards_done - task.failed, "failed": task.failed},
                    task.shards_total,
                ),
                "quarantined": task.quarantined or None,
            }
            for task in self.tasks
        ]
        return card.Card("Progress", facts=facts, tables=[card.table_of(rows)] if rows else [])


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

    State: a `_TaskTally` for each task; ``_open`` has for each shard the tasks that are not done
    on it, ``_done`` counts the shards of which there is none, and ``_files`` their files, where
    tasks over the whole batch do not count: they end on all shards at once. ``_left`` are the
    shards that are still to be tried, ``_work_left`` how much they are.
    """

    def __init__(self, plan: Plan, states: States, at: float) -> None:
        self._plan = plan
        self._tasks = [_TaskTally(task.id, plan.shards) for task in plan.tasks]
        of_files = {task.id for task in plan.tasks if task.scope == FILE_SCOPE}
        self._of_files = of_files or {task.id for task in plan.tasks}
        ids = [task.id for task in plan.tasks]
        self._open = {shard.shard_id: set(ids) for shard in plan.shards}
        self._left = set(self._open)
        self._work_left = sum(map(work_of, plan.shards))
        self._done = self._files = 0
        self._pace = Pace(at)
        for shard in plan.shards:
            for task in self._tasks:
                state = states[task.task_id][shard.shard_id]
                if state is not None and state.status == DONE:
                    self._take(task, shard, state)
            self._end(shard)

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
            if task.task_id not in self._open[shard_id]:
                continue
            if state is not None and state.status == DONE:
                self._take(task, shard, state)
                changed = True
            elif failed and shard_id not in task.failed:
                task.failed.add(shard_id)
                changed = True
        if changed and self._end(shard, failed=failed):
            files = 0 if self._of_files & self._open[shard_id] else shard.files
            self._pace.arrive(at, files, work_of(shard))
        return changed

    def progress(self, at: float) -> RunProgress:
        """Return the progress at a time."""
        return RunProgress(
            done=self._done,
            total=len(self._open),
            tasks=tuple(task.row() for task in self._tasks),
            files_done=self._files,
            files_total=self._plan.files,
            rate=self._pace.files(at),
            seconds_left=self._pace.seconds_for(self._work_left, at),
        )

    def _take(self, task: _TaskTally, shard: PlannedShard, state: ShardState) -> None:
        waiting = self._open[shard.shard_id]
        was_open = bool(self._of_files & waiting)
        waiting.remove(task.task_id)
        task.take(shard, state)
        self._done += not waiting
        if was_open and not self._of_files & waiting:
            self._files += shard.files

    def _end(self, shard: PlannedShard, *, failed: bool = False) -> bool:
        """Return whether the shard was to be tried and is not any more."""
        shard_id = shard.shard_id
        if shard_id not in self._left or (self._of_files & self._open[shard_id] and not failed):
            return False
        self._left.remove(shard_id)
        self._work_left -= work_of(shard)
        return True


class _TaskTally:
    """One task. State: ``failed`` are the shards that are not tried again."""

    def __init__(self, task_id: str, shards: Sequence[PlannedShard]) -> None:
        self.task_id = task_id
        self.failed: set[str] = set()
        self._shards = len(shards)
        self._files = sum(shard.files for shard in shards)
        self._shards_done = self._files_done = self._quarantined = 0

    def take(self, shard: PlannedShard, state: ShardState) -> None:
        """The task is done on a shard, after all perhaps, by another run."""
        self.failed.discard(shard.shard_id)
        self._shards_done += 1
        self._files_done += shard.files
        self._quarantined += sum(state.counts.by_code.get(code, 0) for code in QUARANTINED)

    def row(self) -> TaskProgress:
        """Return the progress of the task."""
        return TaskProgress(
            task_id=self.task_id,
            shards_done=self._shards_done,
            shards_total=self._shards,
            files_done=self._files_done,
            files_total=self._files,
            failed=len(self.failed),
            quarantined=self._quarantined,
        )


def work_of(shard: PlannedShard) -> int:
    """Return how much work a shard is, in bytes."""
    return shard.bytes + shard.files
