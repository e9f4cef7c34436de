"""Put a report together: read the batch, fill tables as far as there is room, write the page."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import BinaryIO

from codebatch.display.displayed import Displayed
from codebatch.model.digest import Document
from codebatch.model.records import DONE, PlannedTask
from codebatch.query.columns import INTEGER, NUMBER, columns_of
from codebatch.query.fields import own_fields
from codebatch.query.filters import RecordFilter, has_own_metrics
from codebatch.query.ordered import ordered_records
from codebatch.query.skipped import reason_counts, skipped_rows
from codebatch.report import findings as finding
from codebatch.report import numbers, page, tables
from codebatch.report.tables import PATH, TEXT, Budget, Column, Strings, Table, shown
from codebatch.report.trend import Named, load_trend
from codebatch.status.batch_status import BatchStatus
from codebatch.store import StoreDirectory
from codebatch.tasks.rules import FAILURES

# The data of a page, which is then below 5 MB; and of that the most that each part may have, in
# the order in which they are filled. What is not used is for those that follow.
DATA_BYTES = 4_600_000
_FILES, _RULES, _FUNCTIONS, _SKIPPED, _RECORDS = 1_100_000, 250_000, 250_000, 200_000, 300_000
_FINDINGS = 3_200_000
_RULE_COLUMNS = tuple(Column(name, TEXT) for name in ("code", "title", "help", "link"))
_SKIPPED_COLUMNS = (
    *(Column(name, TEXT) for name in ("reason", "where", "tasks")),
    Column("path", PATH),
)
_FAILED_COLUMNS = (
    *(Column(name, TEXT) for name in ("code", "task", "message")),
    Column("path", PATH),
)
_OF_TASKS = "records: "
_NOT_OF_READERS = ("kind", "shard_id", "value_text")


@dataclass(frozen=True)
class ReportRequest:
    """What is reported on: a batch, the one that its findings are compared with, and those before
    it under the names by which they are called, the oldest first.
    """

    store: StoreDirectory
    batch: BatchStatus
    base: BatchStatus | None = None
    history: Sequence[Named] = ()
    title: str | None = None


@dataclass(frozen=True, repr=False)
class WrittenReport(Displayed):
    """What a report holds: rows by table, what it had no room for, its bytes, and notes."""

    batch_id: str
    base: str | None
    history: tuple[str, ...]
    bytes: int
    written: dict[str, int]
    left_out: dict[str, int]
    notes: tuple[str, ...] = field(default=())

    def as_document(self) -> Document:
        """Return what ``report --json`` prints, without the name of the file."""
        return {**vars(self), "history": list(self.history), "notes": list(self.notes)}


def write_report(request: ReportRequest, stream: BinaryIO) -> WrittenReport:
    """Write the page about a batch, as far as it is done."""
    report = _Report(request)
    data = page.render(report.context(), report.data()).encode()
    stream.write(data)
    base = request.base
    return WrittenReport(
        batch_id=request.batch.batch_id,
        base=None if base is None else base.batch_id,
        history=tuple(batch.batch_id for _, batch in request.history),
        bytes=len(data),
        written={name: table.rows for name, table in report.tables.items()},
        left_out={name: table.left_out for name, table in report.tables.items() if table.left_out},
        notes=tuple(report.notes),
    )


class _Report:
    """State: ``tables`` by name, ``records`` the tables of kinds that tasks have of their own."""

    def __init__(self, request: ReportRequest) -> None:
        self.request = request
        self.strings = Strings()
        self.budget = Budget(DATA_BYTES)
        store, batch, base = request.store, request.batch, request.base
        self.findings = finding.load_findings(store, batch, base)
        self.numbers = numbers.load_numbers(store, batch)
        self.skipped = skipped_rows(store, batch)
        self.records: dict[str, Table] = {}
        self.tables: dict[str, Table] = {}
        self._fill()

    @property
    def notes(self) -> list[str]:
        """What limits the report, in words."""
        batch, shards = self.request.batch, self.request.batch.shards()
        done = f"{shards['done']} of {shards['total']} shards have committed"
        unfinished = [f"the batch is {batch.status}: this page holds what {done}"]
        left_out = [
            f"{name}: {table.rows:,} of {table.total:,}, for want of room"
            for name, table in self.tables.items()
            if table.left_out and name != "functions"  # of which the most complex are wanted
        ]
        partial = [
            f"of {shown(name)}, which is {one.status}, the trend has what is done"
            for name, one in self.request.history
            if one.status != DONE
        ]
        if batch.status == DONE:
            unfinished = []
        return [*unfinished, *self.findings.notes, *partial, *left_out]

    def _fill(self) -> None:
        """Fill the tables, each with a part of the room that there is."""
        files = self.numbers.files
        self._add("files", numbers.FILE_COLUMNS, _FILES, iter(files))
        self._add("functions", numbers.FUNCTION_COLUMNS, _FUNCTIONS, iter(self.numbers.functions))
        self.tables["functions"].total = self.numbers.function_count
        self._add("skipped", _SKIPPED_COLUMNS, _SKIPPED, map(_skipped_row, self.skipped))
        self._add("quarantined", _FAILED_COLUMNS, _SKIPPED, self._failures())
        for name, columns, chosen, task in self._own_kinds():
            rows = self._records(chosen, task)
            table = self._add(f"{_OF_TASKS}{name}", columns, _RECORDS, rows)
            if table.total:
                self.records[name] = table
        self._fill_findings()

    def _fill_findings(self) -> None:
        """Fill the tables of findings, of their rules, and of the lines around them."""
        part = self.budget.part(_FINDINGS)
        table = finding.finding_table(self.findings, self.strings, part)
        self.tables["findings"] = table
        self.budget.give_back(part)
        rules = finding.rule_rows(self.findings, table.rows)
        self._add("rules", _RULE_COLUMNS, _RULES, iter(rules))
        request = self.request
        sources = {False: request.batch, True: request.base or request.batch}
        listed = self.findings.listed[: table.rows]
        self.tables["excerpts"] = finding.excerpt_table(
            request.store, sources, listed, self.strings, self.budget
        )

    def _add(
        self, name: str, columns: Sequence[Column], size: int, rows: Iterator[Document]
    ) -> Table:
        part = self.budget.part(size)
        table = self.tables[name] = Table(columns, self.strings, part).extend(rows)
        self.budget.give_back(part)
        return table

    def _failures(self) -> Iterator[Document]:
        """Yield the findings which say that a task failed on a file, listed or not."""
        chosen = RecordFilter(kind="diagnostic", code=",".join(sorted(FAILURES)))
        for record in self._records(chosen, None):
            yield {**record, "task": record["task_id"]}

    def _own_kinds(self) -> Iterator[tuple[str, list[Column], RecordFilter, str | None]]:
        """Yield the kinds that tasks have of their own, and tasks with metrics of their own."""
        plan = self.request.batch.plan
        for kind in own_fields(plan.tasks):
            yield kind, _columns(kind, self.request.batch), RecordFilter(kind=kind), None
        for task in filter(has_own_metrics, plan.tasks):
            chosen = RecordFilter(kind="metric")
            yield f"metric of {task.id}", _columns("metric", self.request.batch), chosen, task.id

    def _records(self, chosen: RecordFilter, task: str | None) -> Iterator[Document]:
        return ordered_records(self.request.store, self.request.batch, chosen, task)

    def data(self) -> Document:
        """Return what the script of the page reads."""
        named = [{"name": shown(name), **t.document()} for name, t in self.records.items()]
        rest = {
            name: table.document()
            for name, table in self.tables.items()
            if not name.startswith(_OF_TASKS)
        }
        by_lines = self.numbers.is_by_lines
        return {**self.strings.document(), "tables": rest, "records": named, "by_lines": by_lines}

    def context(self) -> dict[str, object]:
        """Return what the template reads."""
        request, batch = self.request, self.request.batch
        history = list(request.history)
        if batch.batch_id not in [one.batch_id for _, one in history]:
            history.append(("this batch", batch))
        return {
            "title": request.title or "CodeBatch report",
            "batch": batch,
            "plan": batch.plan,
            "tasks": [(task, _tools_of(task)) for task in batch.plan.tasks],
            "base": request.base,
            "counts": batch.counts(),
            "findings": self.findings,
            "numbers": self.numbers,
            "unsized": sum(not row["lines"] for row in self.numbers.files),
            "languages": self.numbers.by_language(),
            "codes": self._frequent_codes(),
            "skipped": reason_counts(self.skipped),
            "tables": self.tables,
            "records": self.records,
            "history": history if len(history) > 1 else [],
            "trend": load_trend(request.store, history) if len(history) > 1 else [],
            "notes": self.notes,
            "unseen": self._unseen_kinds(),
        }

    def _frequent_codes(self) -> list[tuple[str, int, str]]:
        """Return codes with their numbers and titles, the most frequent first."""
        counts = sorted(self.request.batch.counts().by_code.items(), key=lambda one: (-one[1], one))
        rules = self.findings.rules
        return [(code, n, rules[code].title if code in rules else "") for code, n in counts]

    def _unseen_kinds(self) -> list[tuple[str, int]]:
        """Return the kinds with their numbers of which no record is in the page as it is."""
        counts = self.request.batch.counts().by_kind
        seen = {"diagnostic", "skip", *self.records}
        return [(kind, number) for kind, number in counts.items() if kind not in seen]


def _columns(kind: str, batch: BatchStatus) -> list[Column]:
    types = {INTEGER: tables.NUMBER, NUMBER: tables.NUMBER}
    found = (one for one in columns_of(kind, batch.plan) if one.name not in _NOT_OF_READERS)
    return [
        Column(one.name, PATH if one.name == "path" else types.get(one.type, TEXT)) for one in found
    ]


def _tools_of(task: PlannedTask) -> list[str]:
    """Return the tools that results of a task depend on, each with its version."""
    found = task.components.get("toolchain")
    known = found if isinstance(found, dict) else {}
    return [f"{name} {known[name]}" for name in sorted(known) if not name.endswith(" limits")]


def _skipped_row(row: Document) -> Document:
    tasks = row["tasks"]
    return {**row, "tasks": ", ".join(tasks) if isinstance(tasks, list) else ""}
