"""What an export is asked for, and what it says it did."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from codebatch.compare.baseline import Baseline
from codebatch.compare.compare import Comparison
from codebatch.display.displayed import Displayed
from codebatch.model.records import SEVERITIES, Record
from codebatch.query.filters import RecordFilter
from codebatch.query.records import iter_records
from codebatch.status.batch_status import BatchStatus
from codebatch.store import StoreDirectory


@dataclass(frozen=True)
class Selection:
    """Which records of which batch. ``base`` is the batch that findings are compared with, and
    ``comparison`` the outcome where that is known; those in ``baseline`` are not new either way.
    ``limited``: keep to what the consumer of the format takes; ``with_absent``: also have what the
    base alone has, where the format has a state for it. ``folder`` is where in its
    repository the tree is, with a slash at its end, and ``link_base`` the URL that the paths there
    are appended to.
    """

    store: StoreDirectory
    batch_status: BatchStatus
    filters: RecordFilter
    task_id: str | None = None
    base: BatchStatus | None = None
    limited: bool = True
    baseline: Baseline | None = None
    comparison: Comparison | None = None
    with_absent: bool = True
    folder: str = ""
    link_base: str | None = None

    def place_of(self, record: Record) -> str:
        """Return the path of a record from the root of its repository."""
        return f"{self.folder}{record['path']}"

    def takes(self, record: Record) -> bool:
        """Return whether a record passes, whatever the language of its file is."""
        return self.task_id in (None, record["task_id"]) and self.filters.matches(record)

    def records(self) -> Iterator[Record]:
        """The records, read lazily: by task, shard and path."""
        return iter_records(self.store, self.batch_status, self.filters, self.task_id)


@dataclass(frozen=True, repr=False)
class ExportReport(Displayed):
    """The numbers of records written, and left out by severity, and notes for the reader."""

    written: int
    left_out: Mapping[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def severity_words(counts: Mapping[str, int]) -> str:
    """``3 error, 1 info``, the most severe first."""
    return ", ".join(f"{counts[name]:,} {name}" for name in SEVERITIES if counts.get(name))
