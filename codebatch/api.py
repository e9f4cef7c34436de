"""The Python face: stores, snapshots, batches. The command line is built on this module.

    >>> import codebatch
    >>> store = codebatch.open_store("work/store", create=True)
    >>> batch = store.batch(store.snapshot("path/to/project"), pipeline="full")
    >>> batch.run().status
    'done'
    >>> [record["message"] for record in batch.records(code="L101")]

A `Batch` is a Dask collection: ``dask.compute(batch)`` and ``client.compute(batch)`` run it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, BinaryIO

from codebatch import query
from codebatch.batch import (
    BatchResult,
    Progress,
    RunReport,
    finish_run,
    init_batch,
    pending_calls,
    run_batch,
)
from codebatch.compare import Comparison, compare_batches
from codebatch.digest import Document
from codebatch.errors import SourceNotFoundError, StoreNotFoundError, UsageError
from codebatch.export import ExportReport, Selection, export_records
from codebatch.overview import BatchOverview, load_overview
from codebatch.pipeline import load_pipeline, parse_pipeline, pipeline_document
from codebatch.plan import check_shards
from codebatch.query import RecordFilter, Records, Target
from codebatch.records import DONE, FileRecord, Receipt, Record
from codebatch.resources import list_pipelines
from codebatch.schedulers import choose_scheduler
from codebatch.snapshot import SnapshotResult, check_directory, take_snapshot
from codebatch.store import StoreDirectory, init_store
from codebatch.store import open_store as open_directory

STORE_NAME = ".codebatch"
STORE_VARIABLE = "CODEBATCH_STORE"

PathLike = str | os.PathLike[str]


def named_path(path: PathLike, error: type[UsageError] = UsageError) -> Path:
    """The path, unless it is empty: an unset variable must not mean the current folder."""
    if not os.fspath(path):
        raise error("an empty name names no directory", hints=["is a variable not set?"])
    return Path(path)


def find_store(path: PathLike | None = None) -> Path:
    """Where the store is: ``path``, else ``CODEBATCH_STORE``, else ``.codebatch`` in the nearest
    folder from here upwards; `StoreNotFoundError` where there is none.
    """
    chosen = path if path is not None else os.environ.get(STORE_VARIABLE) or None
    if chosen is not None:
        return named_path(chosen)
    here = Path.cwd()
    for folder in (here, *here.parents):
        if (folder / STORE_NAME).is_dir():
            return folder / STORE_NAME
    raise StoreNotFoundError(
        f"no store: neither --store nor {STORE_VARIABLE} is given, and no {STORE_NAME} is here "
        "or in a folder above",
        hints=["make one: codebatch init", "or do everything at once: codebatch scan DIR"],
    )


def open_store(path: PathLike | None = None, *, create: bool = False) -> Store:
    """Open the store at ``path``, or where `find_store` finds one; ``create`` makes it where
    there is none: at ``path``, else in ``.codebatch`` here.
    """
    if not create:
        return Store(open_directory(find_store(path)))
    try:
        opened = init_store(find_store(path))
    except StoreNotFoundError:
        opened = init_store(Path(STORE_NAME))
    return Store(opened.store, created=opened.created)


class Store:
    """A store: take snapshots into it, make batches from them, find both again.

    ``created`` says whether opening it has made it.
    """

    def __init__(self, directory: StoreDirectory, *, created: bool = False) -> None:
        self.directory = directory
        self.created = created

    def __repr__(self) -> str:
        return f"<codebatch.Store {str(self.directory.root)!r}>"

    @property
    def path(self) -> Path:
        """The store's directory."""
        return self.directory.root

    def snapshot(
        self, root: PathLike, *, ignore: bool = True, progress: Progress | None = None
    ) -> Snapshot:
        """Snapshot a directory; ``ignore=False`` takes ignored files and ``.git`` as well."""
        result = take_snapshot(
            self.directory, named_path(root, SourceNotFoundError), ignore=ignore, progress=progress
        )
        return Snapshot(self, result.snapshot_id, result)

    def find_snapshot(self, snapshot_id: str) -> Snapshot:
        """A snapshot by id, unique prefix of an id, or ``latest``."""
        return Snapshot(self, self.directory.find_snapshot(snapshot_id))

    def batch(
        self,
        snapshot: Snapshot | str,
        pipeline: str | Mapping[str, object] = "full",
        *,
        shards: int | None = None,
    ) -> Batch:
        """Plan a pipeline (name, path or document) over a snapshot, or find that very batch."""
        found = self.find_snapshot(snapshot) if isinstance(snapshot, str) else snapshot
        load = load_pipeline if isinstance(pipeline, str) else parse_pipeline
        planned = load(pipeline)  # type: ignore[arg-type]  # narrowed by the line above
        result = init_batch(self.directory, found.id, planned, shards)
        return Batch(self, result.batch_id, result)

    def find_batch(self, batch_id: str) -> Batch:
        """A batch by id, unique prefix of an id, or ``latest``."""
        return Batch(self, self.directory.find_batch(batch_id))

    def compare(
        self, a: str, b: str, *, kind: str | None = None, path: str | None = None
    ) -> Comparison:
        """Compare batch ``b`` with the older batch ``a``, both done; ids as in `find_batch`."""
        old, new = self.find_batch(a).overview(), self.find_batch(b).overview()
        return compare_batches(self.directory, old, new, RecordFilter(kind=kind, path=path))

    def snapshots(self) -> list[Document]:
        """One row a snapshot, oldest first: id, when, from where, files, bytes."""
        return query.snapshot_rows(self.directory)

    def batches(self) -> list[Document]:
        """One row a batch, oldest first: what it is, its status, result and sizes."""
        return query.batch_rows(self.directory)

    def find(self, text: str) -> Target:
        """The snapshot, batch or object that an id, a digest, a prefix or ``latest`` names."""
        return query.find_target(self.directory, text)

    def show(self, text: str) -> Document:
        """The stored document of what `find` finds; of an object, how it is stored."""
        return query.show(self.directory, self.find(text))

    def read_object(self, digest: str) -> bytes:
        """The bytes of an object, checked against its digest."""
        return self.directory.objects.read(digest)


@dataclass(frozen=True)
class Snapshot:
    """A snapshot; ``taken`` says what taking it found, where this process took it."""

    store: Store
    id: str
    taken: SnapshotResult | None = None

    @cached_property
    def files(self) -> list[FileRecord]:
        """The manifest: path, object, size and mode of each file, in path order."""
        return self.store.directory.load_manifest(self.id)


class Batch:
    """A plan over a snapshot and its results, as far as they are committed.

    It implements Dask's collection protocol over the shards that are not done.
    """

    def __init__(self, store: Store, batch_id: str, made: BatchResult | None = None) -> None:
        self.store = store
        self.id = batch_id
        self.made = made
        self._graph: dict[Any, Any] | None = None

    def __repr__(self) -> str:
        return f"<codebatch.Batch {self.id}>"

    def run(
        self,
        scheduler: str | None = None,
        *,
        workers: int | None = None,
        client: Any = None,
        progress: Progress | None = None,
    ) -> RunReport:
        """Run what is not done. ``scheduler``: ``auto``, ``sync``, ``threads``, ``processes``, an
        address or a scheduler file; or give a ``distributed.Client``.
        """
        return run_batch(
            self.store.directory,
            self.id,
            scheduler=scheduler,
            workers=workers,
            client=client,
            progress=progress,
        )

    def overview(self) -> BatchOverview:
        """The states of all shards as they are now."""
        return load_overview(self.store.directory, self.id)

    def status(self) -> Document:
        """How far the batch is; the document that ``codebatch status --json`` prints."""
        return query.status(self.overview())

    def summary(self) -> Document:
        """What it holds; the document that ``codebatch summary --json`` prints."""
        return query.summary(self.overview())

    def tasks(self) -> list[Document]:
        """One row a task."""
        return query.task_rows(self.overview())

    def shards(self, task: str | None = None) -> list[Document]:
        """One row a shard."""
        return query.shard_rows(self.overview(), task)

    def files(
        self, *, task: str | None = None, language: str | None = None, path: str | None = None
    ) -> list[Document]:
        """One row a file of the snapshot, in path order; records counted over all tasks or one."""
        filters = RecordFilter(language=language, path=path)
        return query.file_rows(self.store.directory, self.overview(), filters, task)

    def stats(self, task: str | None = None) -> list[Document]:
        """How many records there are by task, kind, language, severity and code."""
        return query.stats_rows(self.store.directory, self.overview(), task)

    def top(self, by: str = "path", *, task: str | None = None, **filters: Any) -> list[Document]:
        """The most frequent values of a field, or the largest values of a metric."""
        chosen = RecordFilter(**filters)
        return query.top_rows(self.store.directory, self.overview(), by, chosen, task)

    def sql(self, statement: str, *, timeout: float = query.DEFAULT_TIMEOUT) -> list[Document]:
        """The rows of one SELECT over ``files, diagnostics, symbols, edges, metrics, records``."""
        return query.run_sql(self.store.directory, self.overview(), statement, timeout).rows

    def inspect(self, path: str, *, at: int | None = None) -> Document:
        """All about one file, which the end of its path may name; ``at`` is a line of it."""
        return query.inspect(self.store.directory, self.id, path, at)

    def lines(self, path: str) -> list[str]:
        """The lines of a file, as its language decodes them."""
        return query.file_lines(self.store.directory, self.id, path)

    def records(
        self,
        *,
        task: str | None = None,
        kind: str | None = None,
        severity: str | None = None,
        code: str | None = None,
        path: str | None = None,
        language: str | None = None,
    ) -> Iterator[Record]:
        """Matching records, read lazily: by task, shard and path."""
        filters = RecordFilter(kind, severity, code, path, language)
        return query.iter_records(self.store.directory, self.overview(), filters, task)

    def outputs(self, *, task: str | None = None, **filters: Any) -> Records:
        """Matching records, read each time they are iterated over, with ``to_list()`` and
        ``to_pandas()``; the conditions are those of `codebatch.query.RecordFilter`.
        """
        chosen = RecordFilter(**filters)
        return query.records(self.store.directory, self.overview, chosen, task)

    def sorted_records(self, *, task: str | None = None, **filters: Any) -> list[Record]:
        """As `records`, in an order that does not depend on the sharding: by path, then task."""
        return query.sorted_records(
            self.store.directory, self.overview(), RecordFilter(**filters), task
        )

    def export(
        self,
        format: str,  # noqa: A002 - the word of the command line
        stream: BinaryIO,
        *,
        base: Batch | str | None = None,
        limited: bool = True,
        task: str | None = None,
        **filters: Any,
    ) -> ExportReport:
        """Write matching records as ``jsonl``, ``csv`` or ``parquet``, or findings as ``sarif`` or
        ``github``, compared with ``base``; ``limited=False`` writes more than GitHub takes.
        """
        against = self.store.find_batch(base) if isinstance(base, str) else base
        selection = Selection(
            store=self.store.directory,
            overview=self.overview(),
            filters=RecordFilter(**filters),
            task_id=task,
            base=None if against is None else against.overview(),
            limited=limited,
        )
        return export_records(selection, format, stream)

    # -- Dask's collection protocol: https://docs.dask.org/en/stable/custom-collections.html ----

    __dask_optimize__ = None

    def __dask_graph__(self) -> dict[Any, Any]:
        """A task for each shard that is not done; the same graph until all of it is."""
        from codebatch import graph  # noqa: PLC0415 - imports dask

        overview = load_overview(self.store.directory, self.id, verify=True)
        if self._graph is None or overview.status == DONE:
            self._graph = graph.compile_graph(pending_calls(self.store.directory, overview))
        return self._graph

    def __dask_keys__(self) -> list[Any]:
        """The keys of the graph."""
        return list(self.__dask_graph__())

    def __dask_postcompute__(self) -> tuple[Callable[..., RunReport], tuple[object, ...]]:
        """How receipts become the report of the run."""
        return _report_of_receipts, (str(self.path.resolve()), self.id)

    def __dask_tokenize__(self) -> tuple[str, str]:
        """What makes two batches the same for Dask."""
        return self.store.directory.store_id, self.id

    @staticmethod
    def __dask_scheduler__(*arguments: Any, **options: Any) -> Any:
        """Threads, unless Dask is told otherwise."""
        from codebatch import graph  # noqa: PLC0415 - imports dask

        return graph.get_in_threads(*arguments, **options)

    @property
    def path(self) -> Path:
        """The directory of the store the batch lives in."""
        return self.store.path


def _report_of_receipts(receipts: Sequence[Receipt], store: str, batch_id: str) -> RunReport:
    """Finish a batch whose shards Dask has run: a plain function, as a worker may call it."""
    return finish_run(open_directory(Path(store)), batch_id, receipts)


def check_scan(
    root: PathLike, pipeline: str, *, scheduler: str | None = None, shards: int | None = None
) -> None:
    """Raise what `scan` would raise later, before anything is written."""
    check_directory(named_path(root, SourceNotFoundError))
    load_pipeline(pipeline)
    choose_scheduler(scheduler, None, 0)
    if shards is not None:
        check_shards(shards)


def scan(
    root: PathLike,
    store: PathLike | None = None,
    *,
    pipeline: str = "full",
    scheduler: str | None = None,
    workers: int | None = None,
    shards: int | None = None,
    ignore: bool = True,
) -> tuple[Batch, RunReport]:
    """Snapshot a directory, plan a pipeline over it and run it: everything in one go."""
    check_scan(root, pipeline, scheduler=scheduler, shards=shards)
    opened = open_store(store, create=True)
    batch = opened.batch(opened.snapshot(root, ignore=ignore), pipeline, shards=shards)
    return batch, batch.run(scheduler, workers=workers)


def pipelines() -> list[Document]:
    """The packaged pipelines, resolved."""
    return [pipeline_document(load_pipeline(name)) for name in list_pipelines()]
