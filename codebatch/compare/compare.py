"""Compare two finished batches: read what differs, find renames, diff the records.

Shards whose outputs have equal digests in both batches hold the same records and are not read.
Only tasks that both batches have are compared; what is not comparable is said in ``notes``.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from codebatch.compare.diff import (
    RecordDiff,
    diff_records,
    finding_rows,
    improvements,
    newly_suppressed,
    regressions,
)
from codebatch.compare.renames import Rename, find_renames
from codebatch.display.displayed import Displayed, Rows, card
from codebatch.model.errors import BatchUnfinishedError
from codebatch.model.keys import changed_components
from codebatch.model.records import DONE, InputFile, Record
from codebatch.query.fields import own_fields
from codebatch.query.filters import RecordFilter, filters_for
from codebatch.runtime.lazy import lazily
from codebatch.status.batch_status import BatchStatus
from codebatch.store import StoreDirectory

if TYPE_CHECKING:
    from codebatch.model.digest import Document

with lazily():
    from codebatch.compare import changes

FINDING_COLUMNS = ("change", "path", "line", "column", "severity", "code", "message")


@dataclass(frozen=True, repr=False)
class Comparison(Displayed):
    """Two batches compared: changes of records, renamed files, files that only one of them has, and
    what limits the comparison.
    """

    a: str
    b: str
    diff: RecordDiff
    renames: tuple[Rename, ...]
    notes: tuple[str, ...]
    new_files: frozenset[str] = frozenset()
    gone_files: frozenset[str] = frozenset()

    @property
    def rename_map(self) -> dict[str, str]:
        """New path by old path."""
        return {rename.old: rename.new for rename in self.renames}

    def regressions(self) -> Rows[Record]:
        """Return the findings of ``b`` that are new since ``a`` or more severe, each with its
        ``change``: ``added`` or ``severity``.
        """
        return Rows(finding_rows(regressions(self.diff)), FINDING_COLUMNS)

    def improvements(self) -> Rows[Record]:
        """Return the findings of ``a`` that are gone in ``b``, or less severe there, each with its
        ``change``: ``removed`` or ``severity``.
        """
        return Rows(finding_rows(improvements(self.diff, self.rename_map)), FINDING_COLUMNS)

    def changes(self) -> Rows[Record]:
        """Return a row for each record that differs and each renamed file, in the order of paths:
        ``change, kind, path, line, code, name, severity, old, new, old_path, task_id``.
        """
        return Rows(changes.rows_of(changes.list_changes(self)), changes.SHOWN_FIELDS)

    def stat(self) -> Rows[Document]:
        """Return how many records were ``added``, ``removed`` and ``changed``, a row for each kind,
        code and file: ``by, name, added, removed, changed``.
        """
        return Rows(changes.count_changes(changes.list_changes(self)))

    def _card(self) -> card.Card:
        files = {"new": len(self.new_files), "gone": len(self.gone_files)}
        facts = {
            "old": self.a,
            "new": self.b,
            **self.diff.facts(),
            "files": card.Counts({**files, "renamed": len(self.renames)}),
        }
        findings = {
            "new or more severe": self.regressions(),
            "fixed or less severe": self.improvements(),
        }
        tables = [card.findings_table(rows, title) for title, rows in findings.items() if rows]
        return card.Card("Comparison", facts=facts, tables=tables, notes=self.notes)


def compare_batches(
    store: StoreDirectory, a: BatchStatus, b: BatchStatus, filters: RecordFilter
) -> Comparison:
    """Compare batch ``b`` with the older batch ``a``, as far as ``filters`` let records pass."""
    for batch_status in (a, b):
        check_done(batch_status)
    filters = filters_for(store, filters, a, b)
    tasks = [task for task in a.states if task in b.states]
    equal = _equal_shards(a, b, tasks, filters)
    old, new = _differing_inputs(store, a, b), _differing_inputs(store, b, a)
    renames = _renames(store, old, new)
    new_names = {rename.old: rename.new for rename in renames}
    old_names = {rename.new: rename.old for rename in renames}
    diff = diff_records(
        _records(store, a, tasks, equal, filters, new_names),
        _records(store, b, tasks, equal, filters, old_names),
        new_names,
        {**own_fields(a.plan.tasks), **own_fields(b.plan.tasks)},
    )
    renames = [rename for rename in renames if any(map(filters.matches_path, rename))]
    comments = replace(filters, kind="suppression")
    suppressed = newly_suppressed(
        diff.removed,
        _records(store, a, tasks, equal, comments, new_names),
        _records(store, b, tasks, equal, comments, old_names),
        new_names,
    )
    unchanged = diff.unchanged + sum(equal.values())
    complete = replace(diff, unchanged=unchanged, suppressed=suppressed)
    return Comparison(
        *(a.batch_id, b.batch_id, complete, tuple(renames), tuple(_notes(a, b))),
        new_files=frozenset(new.keys() - old.keys() - old_names.keys()),
        gone_files=frozenset(old.keys() - new.keys() - new_names.keys()),
    )


def check_done(batch_status: BatchStatus) -> None:
    """Raise `BatchUnfinishedError` unless a batch is done."""
    if batch_status.status != DONE:
        raise BatchUnfinishedError(
            f"batch {batch_status.batch_id} is not done: it is {batch_status.status}",
            hints=[f"finish it first: codebatch resume --batch {batch_status.batch_id}"],
        )


def renames_between(store: StoreDirectory, a: BatchStatus, b: BatchStatus) -> list[Rename]:
    """Return which files of batch ``a`` are under a new name in ``b``."""
    return _renames(store, _differing_inputs(store, a, b), _differing_inputs(store, b, a))


def _renames(
    store: StoreDirectory, old: Mapping[str, InputFile], new: Mapping[str, InputFile]
) -> list[Rename]:
    return find_renames(
        [file for path, file in old.items() if path not in new],
        [file for path, file in new.items() if path not in old],
        store.objects.read,
    )


def _equal_shards(
    a: BatchStatus, b: BatchStatus, tasks: Iterable[str], filters: RecordFilter
) -> dict[tuple[str, str], int]:
    """Shards of tasks that need not be read, with the numbers of their records that pass. Only
    under a filter by kind can these be counted unread.
    """
    if filters.path is not None or filters.severity is not None or filters.code is not None:
        return {}
    equal = {}
    for task in tasks:
        for shard_id, state in a.states[task].items():
            other = b.states[task].get(shard_id)
            if state is not None and other is not None and state.digest == other.digest:
                by_kind, kinds = state.counts.by_kind, filters.kinds
                passing = by_kind if kinds is None else kinds.intersection(by_kind)
                equal[task, shard_id] = sum(by_kind[kind] for kind in passing)
    return equal


def _records(
    store: StoreDirectory,
    batch_status: BatchStatus,
    tasks: list[str],
    equal: Container[tuple[str, str]],
    filters: RecordFilter,
    other_names: Mapping[str, str],
) -> Iterator[Record]:
    """Records that pass; a renamed file is meant by either of its names."""
    content = replace(filters, path=None)
    planned = {task.id: task for task in batch_status.plan.tasks}
    for task in tasks:
        for shard_id, state in batch_status.states[task].items():
            if (task, shard_id) in equal or state is None or not filters.may_match(state):
                continue
            for record in store.shards.iter_outputs(batch_status.batch_id, planned[task], shard_id):
                path = str(record["path"])
                names = (path, other_names.get(path, path))
                if content.matches(record) and any(map(filters.matches_path, names)):
                    yield {**record, "task_id": task, "shard_id": shard_id}


def _differing_inputs(
    store: StoreDirectory, batch_status: BatchStatus, other: BatchStatus
) -> dict[str, InputFile]:
    """The inputs by path, without those of shards that are the same in the other batch.

    The path of a file is in one shard of a batch, and shards with equal digests hold the same
    paths, so leaving both out loses no difference.
    """
    same = {(shard.shard_id, shard.digest) for shard in other.plan.shards}
    files: dict[str, InputFile] = {}
    for shard in batch_status.plan.shards:
        if (shard.shard_id, shard.digest) not in same:
            inputs = store.batches.load_inputs(batch_status.batch_id, shard)
            files.update((file.path, file) for file in inputs)
    return files


def _notes(a: BatchStatus, b: BatchStatus) -> Iterator[str]:
    old = {task.id: task for task in a.plan.tasks}
    new = {task.id: task for task in b.plan.tasks}
    for task in sorted(old.keys() ^ new.keys()):
        yield f"task {task} is in one of the batches only and is not compared"
    for task in sorted(old.keys() & new.keys()):
        if old[task].fingerprint != new[task].fingerprint:
            parts = (one[task].components for one in (old, new))
            yield f"task {task} differs in {', '.join(changed_components(*parts))}"
