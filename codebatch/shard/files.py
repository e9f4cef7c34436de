"""The files of a shard that is open: equal ones as one, each with its source and what the memo has
of it. Tools that look at many files at once may be at work on them before the first is computed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import groupby
from operator import attrgetter
from typing import NamedTuple

from codebatch.model.errors import CodeBatchError
from codebatch.model.keys import file_key
from codebatch.model.record_lines import FileLines
from codebatch.model.records import InputFile, PlannedTask
from codebatch.tasks.base import Preparation
from codebatch.tasks.registry import task_of
from codebatch.tasks.source import SourceFile

ReadObject = Callable[[str, int], bytes]
Lookup = Callable[[str], FileLines | None]


class Started(NamedTuple):
    """A tool at work on groups of equal files, by their indexes; it is waited for as for ``files``,
    where those of other shards are among them.
    """

    indexes: Sequence[int]
    preparation: Preparation
    files: int


class ShardFiles:
    """The files of a shard that ``tasks`` are to be run on, each group of equal ones as one.

    State: ``sources`` holds the sources not yet taken and ``known`` what the memo has of them, by
    the group's index; ``started`` the tools at work, by the id of the task.
    """

    def __init__(
        self,
        tasks: Sequence[PlannedTask],
        inputs: Sequence[InputFile],
        read: ReadObject,
        lookup: Lookup,
    ) -> None:
        self.tasks = tasks
        self.groups = list(groups_of_equals(inputs))
        self.sources = {
            index: SourceFile.stored(
                partial(_read, read, file.object, file.size), file.size, file.language, file.facets
            )
            for index, (file, *_) in enumerate(self.groups)
        }
        self.known = {
            index: memo_hits(tasks, group[0], lookup) for index, group in enumerate(self.groups)
        }
        self.started: dict[str, Started] = {}

    def unknown(self, task: PlannedTask) -> list[int]:
        """Return the groups to come for which the task may have to run."""
        return [index for index, known in self.known.items() if known[task.id] is None]

    def start(self, task: PlannedTask, wanted: Sequence[int]) -> None:
        """Start the tool of a task, if it has one, on groups."""
        prepare = task_of(task).prepare
        if prepare is not None:
            preparation = prepare([self.sources[index] for index in wanted], task.config)
            indexes = [wanted[place] for place in preparation.places]
            self.started[task.id] = Started(indexes, preparation, len(indexes))

    def cancel(self) -> None:
        """End the tools whose results were not needed."""
        for started in self.started.values():
            started.preparation.cancel()


class UnreadableObjectError(Exception):
    """The store could not give an object; a task that looks into a file may meet this."""

    def __init__(self, reason: CodeBatchError) -> None:
        super().__init__(reason.message)
        self.reason = reason


def _read(read: ReadObject, digest: str, size: int) -> bytes:
    try:
        return read(digest, size)
    except CodeBatchError as error:
        raise UnreadableObjectError(error) from error


def memo_hits(
    tasks: Sequence[PlannedTask], file: InputFile, lookup: Lookup
) -> dict[str, FileLines | None]:
    """Return the memo entries of a file, by task id, in the order of the tasks.

    A task whose upstream is not in the memo has no key yet, and counts as not in it.
    """
    found: dict[str, FileLines | None] = {}
    for task in tasks:
        upstream = {need: lines for need in task.needs if (lines := found[need]) is not None}
        known = len(upstream) == len(task.needs)
        if known:
            found[task.id] = lookup(file_key(task, file, upstream))
        else:
            found[task.id] = None
    return found


def groups_of_equals(inputs: Sequence[InputFile]) -> Iterator[list[InputFile]]:
    """The inputs of a shard, ordered by object, in groups that no task can tell apart."""
    for _, files in groupby(inputs, key=attrgetter("object")):
        groups: dict[tuple[object, ...], list[InputFile]] = {}
        for file in files:
            known = file.language, tuple(sorted(file.facets.items()))
            groups.setdefault(known, []).append(file)
        yield from groups.values()
