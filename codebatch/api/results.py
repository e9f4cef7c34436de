"""The results of a batch as far as they are committed: look at them, query and export them.

An answer from a batch that is not done is not the whole one. Every reader of records passes one
gate (`Results.load_readable`): where nothing is done yet, it is an error, and where a part is, the
caller is told.
"""

from __future__ import annotations

import functools
import os
import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Literal, TypeVar, cast, overload

from codebatch.api.collection import Collection
from codebatch.api.given import IdLike, PathLike, id_of
from codebatch.display.displayed import Rows
from codebatch.display.documents import StatusDocument, SummaryDocument
from codebatch.model.digest import Document
from codebatch.model.errors import BatchUnfinishedError
from codebatch.model.records import DONE, PENDING, Record
from codebatch.runtime.lazy import lazily
from codebatch.snapshot import resolve
from codebatch.status.batch_status import BatchStatus, load_batch_status
from codebatch.store import StoreDirectory, expecting
from codebatch.store.destination import writing_file

if TYPE_CHECKING:
    from codebatch.tasks.languages.tree import SyntaxTree

with lazily():
    from codebatch import export as exports
    from codebatch import report as reports
    from codebatch.query import filters as conditions
    from codebatch.query import inspect, skipped, sql, syntax, top, values, views
    from codebatch.query import records as queries
    from codebatch.status import activity as activities

Paths = PathLike | Sequence[PathLike]  # folders, files, globs
F = TypeVar("F", bound=Callable[..., Any])
_PACKAGE = os.path.join(Path(__file__).parents[1], "")


class UnfinishedBatchWarning(UserWarning):
    """An answer from a batch that is not done: more may be to come."""


def warn_unfinished(text: str) -> None:
    """Warn where the package was called from, so that each such line warns once."""
    level = 1
    frame = sys._getframe()  # noqa: SLF001 - `warnings` looks at frames in the same way
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_PACKAGE):
        frame, level = frame.f_back, level + 1
    warnings.warn(text, UnfinishedBatchWarning, stacklevel=level)


def of_batch(method: F) -> F:
    """The method, which says so where the batch is removed meanwhile."""

    @functools.wraps(method)
    def wrapped(self: Results, *args: Any, **kwargs: Any) -> Any:
        with expecting(self.directory.layout, self.id):
            return method(self, *args, **kwargs)

    return cast("F", wrapped)


class Results(Collection):
    """The results of a batch. ``on_unfinished`` is told where an answer is not the whole one."""

    def __init__(self, directory: StoreDirectory, batch_id: str) -> None:
        super().__init__(directory, batch_id)
        self.on_unfinished: Callable[[str], None] = warn_unfinished

    def load_status(self) -> BatchStatus:
        """The states of all shards as they are now."""
        return load_batch_status(self.directory, self.id)

    def load_readable(self) -> BatchStatus:
        """Return the states for an answer from the records: `BatchUnfinishedError` where nothing is
        done yet; where a part is, ``on_unfinished`` is told so.
        """
        batch_status = self.load_status()
        if batch_status.status == PENDING:
            raise BatchUnfinishedError(
                f"nothing of {self.id} is done yet: it has no records to read",
                hints=["in Python: batch.run()", f"run it: codebatch run --batch {self.id}"],
            )
        if batch_status.status != DONE:
            self._tell_unfinished(batch_status)
        return batch_status

    def _tell_unfinished(self, batch_status: BatchStatus) -> None:
        shards = batch_status.shards()
        covered = f"{shards['done']} of {shards['total']} shards"
        self.on_unfinished(f"{self.id} is {batch_status.status}: this covers {covered}")

    def status(self) -> StatusDocument:
        """Return how far the batch is and who runs it, as ``codebatch status --json`` prints it."""
        batch_status = self.load_status()
        activity = activities.load_activity(self.directory, batch_status)
        return StatusDocument({**views.status(batch_status), **activity.as_document()})

    def summary(self) -> SummaryDocument:
        """Return what it holds, as ``codebatch summary --json`` prints it.

        >>> batch.summary()["diagnostics"]["by_severity"]
        {'error': 1, 'warning': 2}
        """
        return SummaryDocument(views.summary(self.directory, self.load_status()))

    def tasks(self) -> Rows[Document]:
        """One row a task."""
        return Rows(views.task_rows(self.load_status()), views.TASK_COLUMNS)

    def shards(self, task: str | None = None) -> Rows[Document]:
        """One row a shard."""
        return Rows(views.shard_rows(self.load_status(), task))

    @of_batch
    def files(
        self, *, task: str | None = None, language: str | None = None, path: Paths | None = None
    ) -> Rows[Document]:
        """One row a file of the snapshot, in path order; records counted over all tasks or one.

        >>> [row["path"] for row in batch.files(language="python")]
        ['broken.py', 'cart.py']
        """
        batch_status, chosen = self._select(language=language, path=path)
        found = views.file_rows(self.directory, batch_status, chosen, task)
        return Rows(found, views.FILE_COLUMNS)

    @of_batch
    def skipped(self, reason: str | None = None) -> Rows[Document]:
        """One row for each path that was left out of the snapshot, or that tasks skipped, and each
        reason, which may be chosen by a glob.
        """
        return Rows(skipped.skipped_rows(self.directory, self.load_readable(), reason))

    @of_batch
    def stats(self, task: str | None = None) -> Rows[Document]:
        """Return the numbers of records by task, kind, language, severity and code."""
        return Rows(views.stats_rows(self.directory, self.load_readable(), task))

    @of_batch
    def top(self, by: str = "path", *, task: str | None = None, **filters: Any) -> Rows[Document]:
        """The most frequent values of a field or paths of a kind, or the largest values of a metric
        or of a field of numbers.

        >>> list(batch.top("severity"))
        [{'name': 'warning', 'count': 2}, {'name': 'error', 'count': 1}]
        """
        batch_status, chosen = self._select(**filters)
        return Rows(top.top_rows(self.directory, batch_status, by, chosen, task))

    @of_batch
    def sql(
        self, statement: str, *, timeout: float | None = None, engine: str = "sqlite"
    ) -> Rows[Document]:
        """The rows of one SELECT over ``files, diagnostics, symbols, edges, metrics, patches,
        artifacts, records``, and a table for each kind that a task has of its own.

        ``timeout`` is how many seconds it may take (default: 60), 0 as long as it likes.
        ``engine`` is ``sqlite``, or ``duckdb``, which needs the extra ``sql``.
        """
        question = sql.Question(self.directory, [self.load_readable()], engine=engine)
        return Rows(sql.run_sql(question, statement, timeout).rows)

    @of_batch
    def sql_schema(self, table: str | None = None) -> Rows[Document]:
        """Return a row for each column of the tables of `sql`, or of one: ``table, rows, column,
        type``; a type is empty where values of several are.
        """
        question = sql.Question(self.directory, [self.load_readable()])
        return Rows(sql.schema_rows(question, table))

    @of_batch
    def inspect(self, path: PathLike, *, at: int | None = None) -> Document:
        """All about one file, which the end of its path may name; ``at`` is a line of it."""
        document = inspect.inspect(self.directory, self.id, os.fspath(path), at)
        tasks = cast("list[Document]", document["tasks"])
        if any(task["status"] != DONE for task in tasks):
            self._tell_unfinished(self.load_status())
        return document

    @of_batch
    def lines(self, path: PathLike) -> list[str]:
        """The lines of a file, as its language decodes them."""
        return inspect.file_lines(self.directory, self.id, os.fspath(path))

    @of_batch
    def tree(self, path: PathLike) -> SyntaxTree:
        """Return the syntax tree of a file: ``print`` shows it indented, and it is iterated over in
        preorder. `NoSyntaxTreeError` says why there is none.

        >>> [(node.type, node.line) for node in batch.tree("cart.py").at_line(2)]
        [('Import', 2)]
        """
        return syntax.load_tree(self.directory, self.id, os.fspath(path))

    @overload
    def source(self, path: PathLike, *, raw: Literal[False] = False) -> str: ...

    @overload
    def source(self, path: PathLike, *, raw: Literal[True]) -> bytes: ...

    @of_batch
    def source(self, path: PathLike, *, raw: bool = False) -> str | bytes:
        """Return the text of a file, as its language decodes it, or with ``raw`` its bytes. The
        batch need not be run for that.

        >>> batch.source("broken.py").splitlines()
        ['def broken(:', '    pass']
        """
        _, found = syntax.load_source(self.directory, self.id, os.fspath(path))
        return found.content if raw else found.text

    @of_batch
    def value(self, record: Record) -> bytes:
        """Return the bytes that a record refers to: of a patch the diff, of an artifact the file,
        of a syntax tree its encoding.
        """
        return values.load_value(self.directory, record)

    def records(
        self,
        *,
        task: str | None = None,
        kind: str | None = None,
        severity: str | None = None,
        code: str | None = None,
        path: Paths | None = None,
        language: str | None = None,
    ) -> queries.Records:
        """Matching records, read each time they are iterated over, with `to_pandas` and the like:
        by task, shard and path.
        """
        return self.outputs(
            task=task, kind=kind, severity=severity, code=code, path=path, language=language
        )

    def outputs(self, *, task: str | None = None, **filters: Any) -> queries.Records:
        """Return what `records` does; the conditions are those of `query.filters.RecordFilter`."""
        return self._records(task, filters, in_order=False)

    def sorted_records(self, *, task: str | None = None, **filters: Any) -> queries.Records:
        """Return what `outputs` does, in an order that does not depend on the sharding: by path,
        then task.
        """
        return self._records(task, filters, in_order=True)

    @of_batch
    def check_outputs(self, *, task: str | None = None, **filters: Any) -> None:
        """Read all that matching records may be in: damage is an error now, and not after some of
        the records.
        """
        batch_status, chosen = self._select(**filters)
        queries.check_outputs(self.directory, batch_status, chosen, task)

    def _records(
        self, task: str | None, filters: Mapping[str, Any], *, in_order: bool
    ) -> queries.Records:
        batch_status, directory = self.load_status(), self.directory
        chosen = conditions.filters_for(directory, conditions.RecordFilter(**filters), batch_status)
        return queries.Records(
            directory,
            batch_status.plan,
            self.load_readable,
            chosen,
            task,
            in_order=in_order,
            batch_id=self.id,
            partitioned=queries.Partitioned(
                functools.partial(self.to_bag, task=task, **filters),
                functools.partial(self.to_dask_dataframe, task=task, **filters),
            ),
        )

    def _select(
        self, *others: BatchStatus, **filters: Any
    ) -> tuple[BatchStatus, conditions.RecordFilter]:
        """Return the batch as it is, and the conditions, if they name what it or others have."""
        batch_status = self.load_readable()
        chosen = conditions.RecordFilter(**filters)
        return batch_status, conditions.filters_for(self.directory, chosen, batch_status, *others)

    def _status_of(self, batch: IdLike) -> BatchStatus:
        return load_batch_status(self.directory, resolve.find_batch(self.directory, id_of(batch)))

    @of_batch
    def export(
        self,
        format: str,  # noqa: A002 - the word of the command line
        stream: BinaryIO,
        *,
        base: IdLike | None = None,
        limited: bool = True,
        link_base: str | None = None,
        task: str | None = None,
        **filters: Any,
    ) -> exports.ExportReport:
        """Write matching records as ``jsonl``, ``csv`` or ``parquet``, patches as ``patch``, or
        findings as ``sarif``, ``github``, ``gitlab``, ``junit`` or ``md``, compared with ``base``;
        ``limited=False`` writes more than GitHub takes. Places in ``md`` are links below the URL
        ``link_base``.
        """
        others = [] if base is None else [self._status_of(base)]
        batch_status, chosen = self._select(*others, **filters)
        selection = exports.Selection(
            store=self.directory,
            batch_status=batch_status,
            filters=chosen,
            task_id=task,
            base=others[0] if others else None,
            limited=limited,
            link_base=link_base,
        )
        return exports.export_records(selection, format, stream)

    @of_batch
    def report(
        self,
        file: PathLike | BinaryIO,
        *,
        base: IdLike | None = None,
        history: Sequence[IdLike] = (),
        title: str | None = None,
    ) -> reports.WrittenReport:
        """Write a page of HTML about the batch, to be looked at offline: to a file, all or nothing,
        or to a binary stream. Its findings are compared with those of ``base``; ``history`` are
        batches before it, the oldest first, by whose names it shows how the numbers went.
        """
        if isinstance(file, str | os.PathLike):
            with writing_file(os.fspath(file)) as stream:
                return self.report(stream, base=base, history=history, title=title)
        compared = None if base is None else self._status_of(base)
        named = [(str(id_of(one)), self._status_of(one)) for one in history]
        request = reports.ReportRequest(
            self.directory, self.load_readable(), compared, named, title
        )
        return reports.write_report(request, file)
