"""A batch: run it, look at its results, export them."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from os import PathLike
from typing import TYPE_CHECKING, Any, BinaryIO, TypeVar, cast

from codebatch.api.collection import Collection
from codebatch.cluster.settings import choose_cluster_settings
from codebatch.model.digest import Document
from codebatch.model.limits import choose_limits
from codebatch.model.records import Record
from codebatch.runtime.lazy import lazy
from codebatch.status.batch_status import BatchStatus, load_batch_status
from codebatch.store import StoreDirectory, expecting

if TYPE_CHECKING:
    from codebatch import batch as batches
    from codebatch import export as exports
    from codebatch.batch import explain as explanations
    from codebatch.batch import forecast as forecasts
    from codebatch.cluster.connect import beside
    from codebatch.query import filters as conditions
    from codebatch.query import inspect, sql, top, views
    from codebatch.query import records as queries
    from codebatch.status import activity as activities
    from codebatch.tasks import registry
else:
    activities = lazy("codebatch.status.activity")
    beside = lazy("codebatch.cluster.connect.beside")
    batches = lazy("codebatch.batch")
    explanations = lazy("codebatch.batch.explain")
    exports = lazy("codebatch.export")
    forecasts = lazy("codebatch.batch.forecast")
    conditions = lazy("codebatch.query.filters")
    inspect = lazy("codebatch.query.inspect")
    queries = lazy("codebatch.query.records")
    registry = lazy("codebatch.tasks.registry")
    sql = lazy("codebatch.query.sql")
    top = lazy("codebatch.query.top")
    views = lazy("codebatch.query.views")

Paths = str | PathLike[str] | Sequence[str | PathLike[str]]  # folders, files, globs
TaskLike = Any  # a task, or what names one: its name, ``FILE.py:NAME``, ``module:NAME``
F = TypeVar("F", bound=Callable[..., Any])


def _of_batch(method: F) -> F:
    """The method, which says so where the batch is removed meanwhile."""

    @functools.wraps(method)
    def wrapped(self: Batch, *args: Any, **kwargs: Any) -> Any:
        with expecting(self.directory.layout, self.id):
            return method(self, *args, **kwargs)

    return cast("F", wrapped)


class Batch(Collection):
    """A plan over a snapshot and its results, as far as they are committed; ``made`` says what
    making it found, where this process made it.
    """

    def __init__(
        self, directory: StoreDirectory, batch_id: str, made: batches.BatchResult | None = None
    ) -> None:
        super().__init__(directory, batch_id)
        self.made = made

    def __repr__(self) -> str:
        return f"<codebatch.Batch {self.id}>"

    def give_tasks(self, tasks: Sequence[TaskLike]) -> None:
        """Make tasks of your own known to this process, as runs of the batch need them: its code is
        not in the store. Those it was planned with in this process are known.
        """
        if tasks:
            registry.give_tasks(tasks, self.directory.batches.load_plan(self.id).tasks)

    @_of_batch
    def run(  # noqa: PLR0913 - the options of the command
        self,
        scheduler: str | None = None,
        *,
        tasks: Sequence[TaskLike] = (),
        workers: int | None = None,
        client: Any = None,
        file_timeout: float | None = None,
        memory_limit: int | str | None = None,
        transport: str | None = None,
        cluster_timeout: float | None = None,
        performance_report: str | PathLike[str] | None = None,
        require_reused: bool = False,
        retry_quarantined: bool = False,
        progress: batches.Progress | None = None,
        on_wait: batches.OnWait | None = None,
        on_notice: Callable[[str], None] | None = None,
    ) -> batches.RunReport:
        """Run what is not done, and return a report. With ``require_reused`` it is an error that
        something has to be computed; ``retry_quarantined`` tries files again that are quarantined.
        ``tasks`` are those of your own that the batch runs, unless this process has planned it.

        ``scheduler`` is ``auto``, ``sync``, ``threads``, ``processes``, an address or a scheduler
        file; a ``distributed.Client`` is used instead as ``client``. There are ``workers`` on this
        machine. A worker process may spend ``file_timeout`` seconds on a task on a file, and take
        ``memory_limit`` (bytes, or ``"2GiB"``) beyond what it starts with; 0 is no limit. What ends
        it by more is quarantined.

        On a cluster, ``transport`` says how workers get at the store: ``shared`` (they open it),
        ``shipped`` (they never see it) or ``auto``. A scheduler or workers that are not there, yet
        or any more, are waited for, ``cluster_timeout`` seconds at most. Dask's report on the run
        is written to ``performance_report``.

        Several runs of a batch, in whatever processes, share its shards; ``on_wait`` is called when
        one has to wait for others, ``on_notice`` with what else is worth knowing. ``progress`` is
        called with a `status.progress.RunProgress`, first with what is done already, and then
        whenever a shard is done or has failed.
        """
        self.give_tasks(tasks)
        options = batches.RunOptions(
            scheduler,
            workers,
            client,
            progress,
            on_wait,
            require_reused,
            retry_quarantined,
            limits=choose_limits(file_timeout, memory_limit),
            cluster=choose_cluster_settings(
                transport, cluster_timeout, performance_report, on_notice
            ),
        )
        with self.annotated():
            return batches.run_batch(self.directory, self.id, options)

    async def run_async(self, *, client: Any, **options: Any) -> batches.RunReport:
        """Run what is not done, as `run` with the same options, while the event loop goes on.

        The client may be asynchronous: the run has one of its own, in a thread, for the same
        scheduler. Functions that are given are called in that thread. Where this is cancelled,
        the run ends, and what is done stays.
        """
        return await beside.run_beside(client, lambda own: self.run(client=own, **options))

    @_of_batch
    def submit(  # noqa: PLR0913 - those of `run`
        self,
        client: Any = None,
        *,
        tasks: Sequence[TaskLike] = (),
        scheduler: str | None = None,
        file_timeout: float | None = None,
        memory_limit: int | str | None = None,
        cluster_timeout: float | None = None,
        require_reused: bool = False,
        retry_quarantined: bool = False,
        on_notice: Callable[[str], None] | None = None,
    ) -> batches.Submission:
        """Leave what is not done to a cluster whose workers open the store: it goes on when this
        process ends, and `status` says how far it is. The parameters are those of `run`.
        """
        self.give_tasks(tasks)
        options = batches.RunOptions(
            scheduler,
            client=client,
            require_reused=require_reused,
            retry_quarantined=retry_quarantined,
            limits=choose_limits(file_timeout, memory_limit),
            cluster=choose_cluster_settings(None, cluster_timeout, None, on_notice),
        )
        return batches.submit_batch(self.directory, self.id, options)

    @_of_batch
    def recheck(  # noqa: PLR0913 - as of `run`
        self,
        sample: float = 100,
        scheduler: str | None = None,
        *,
        tasks: Sequence[TaskLike] = (),
        replace: bool = False,
        workers: int | None = None,
        client: Any = None,
        file_timeout: float | None = None,
        memory_limit: int | str | None = None,
        transport: str | None = None,
        cluster_timeout: float | None = None,
        performance_report: str | PathLike[str] | None = None,
        on_notice: Callable[[str], None] | None = None,
    ) -> batches.RecheckReport:
        """Compute ``sample`` percent of the files again, store nothing, and compare; what is
        quarantined is left out. With ``replace``, shards with results that differ are computed
        anew then, and the memo entries of their files are dropped. The other parameters are
        those of `run`.
        """
        self.give_tasks(tasks)
        options = batches.RunOptions(
            scheduler,
            workers,
            client,
            limits=choose_limits(file_timeout, memory_limit),
            cluster=choose_cluster_settings(
                transport, cluster_timeout, performance_report, on_notice
            ),
        )
        directory = self.directory
        report = batches.recheck_batch(directory, self.id, round(sample * 10_000), options)
        return batches.replace_differing(directory, report, options) if replace else report

    @_of_batch
    def forecast(self) -> forecasts.Forecast:
        """Return what a run would compute and what it would reuse, and why."""
        return forecasts.forecast_batch(self.directory, self.id)

    @_of_batch
    def explain(self, task: str, path: str) -> Document:
        """Return what the result of a task on a file depends on, and where it came from; the file
        is named as for `inspect`.
        """
        plan = self.directory.batches.load_plan(self.id)
        located = inspect.locate_file(self.directory, self.id, plan, path)
        return explanations.explain_result(self.directory, self.id, task, located.file.path)

    def load_status(self) -> BatchStatus:
        """The states of all shards as they are now."""
        return load_batch_status(self.directory, self.id)

    def status(self) -> Document:
        """Return how far the batch is and who runs it, as ``codebatch status --json`` prints it."""
        batch_status = self.load_status()
        activity = activities.load_activity(self.directory, batch_status)
        return {**views.status(batch_status), **activity.as_document()}

    def summary(self) -> Document:
        """Return what it holds, as ``codebatch summary --json`` prints it."""
        return views.summary(self.load_status())

    def tasks(self) -> list[Document]:
        """One row a task."""
        return views.task_rows(self.load_status())

    def shards(self, task: str | None = None) -> list[Document]:
        """One row a shard."""
        return views.shard_rows(self.load_status(), task)

    @_of_batch
    def files(
        self, *, task: str | None = None, language: str | None = None, path: Paths | None = None
    ) -> list[Document]:
        """One row a file of the snapshot, in path order; records counted over all tasks or one."""
        batch_status, chosen = self._select(language=language, path=path)
        return views.file_rows(self.directory, batch_status, chosen, task)

    @_of_batch
    def stats(self, task: str | None = None) -> list[Document]:
        """Return the numbers of records by task, kind, language, severity and code."""
        return views.stats_rows(self.directory, self.load_status(), task)

    @_of_batch
    def top(self, by: str = "path", *, task: str | None = None, **filters: Any) -> list[Document]:
        """The most frequent values of a field or paths of a kind, or the largest values of a metric
        or of a field of numbers.
        """
        batch_status, chosen = self._select(**filters)
        return top.top_rows(self.directory, batch_status, by, chosen, task)

    @_of_batch
    def sql(self, statement: str, *, timeout: float | None = None) -> list[Document]:
        """The rows of one SELECT over ``files, diagnostics, symbols, edges, metrics, records``, and
        a table for each kind that a task has of its own.

        ``timeout`` is how many seconds it may take (default: 60), 0 as long as it likes.
        """
        result = sql.run_sql(self.directory, self.load_status(), statement, timeout)
        return list(result.rows)

    @_of_batch
    def inspect(self, path: str, *, at: int | None = None) -> Document:
        """All about one file, which the end of its path may name; ``at`` is a line of it."""
        return inspect.inspect(self.directory, self.id, path, at)

    @_of_batch
    def lines(self, path: str) -> list[str]:
        """The lines of a file, as its language decodes them."""
        return inspect.file_lines(self.directory, self.id, path)

    def records(
        self,
        *,
        task: str | None = None,
        kind: str | None = None,
        severity: str | None = None,
        code: str | None = None,
        path: Paths | None = None,
        language: str | None = None,
    ) -> Iterator[Record]:
        """Matching records, read lazily: by task, shard and path."""
        batch_status, filters = self._select(
            kind=kind, severity=severity, code=code, path=path, language=language
        )
        return queries.iter_records(self.directory, batch_status, filters, task)

    def outputs(self, *, task: str | None = None, **filters: Any) -> queries.Records:
        """Matching records, read each time they are iterated over, with ``to_list()`` and
        ``to_pandas()``; the conditions are those of `query.filters.RecordFilter`.
        """
        _, chosen = self._select(**filters)
        return queries.records(self.directory, self.load_status, chosen, task)

    @_of_batch
    def sorted_records(self, *, task: str | None = None, **filters: Any) -> list[Record]:
        """Return the records in an order that does not depend on the sharding: by path, task."""
        batch_status, chosen = self._select(**filters)
        return queries.sorted_records(self.directory, batch_status, chosen, task)

    def _select(self, **filters: Any) -> tuple[BatchStatus, conditions.RecordFilter]:
        """Return the batch as it is, and the conditions, if it may have what they name."""
        batch_status = self.load_status()
        chosen = conditions.RecordFilter(**filters)
        return batch_status, conditions.filters_for(self.directory, chosen, batch_status)

    @_of_batch
    def export(
        self,
        format: str,  # noqa: A002 - the word of the command line
        stream: BinaryIO,
        *,
        base: Batch | str | None = None,
        limited: bool = True,
        task: str | None = None,
        **filters: Any,
    ) -> exports.ExportReport:
        """Write matching records as ``jsonl``, ``csv`` or ``parquet``, or findings as ``sarif`` or
        ``github``, compared with ``base``; ``limited=False`` writes more than GitHub takes.
        """
        if isinstance(base, str):
            base = Batch(self.directory, self.directory.batches.find(base))
        batch_status, chosen = self._select(**filters)
        selection = exports.Selection(
            store=self.directory,
            batch_status=batch_status,
            filters=chosen,
            task_id=task,
            base=None if base is None else base.load_status(),
            limited=limited,
        )
        return exports.export_records(selection, format, stream)
