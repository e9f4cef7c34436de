"""A batch as a Dask collection: the graph of what is not done of it, which ends in a report.

See https://docs.dask.org/en/stable/custom-collections.html for the protocol. Dask is imported by
what is asked of a collection, and not by making one.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from codebatch.api.given import PathLike
from codebatch.model import clock
from codebatch.model.errors import StoreNotFoundError
from codebatch.runtime.lazy import lazily
from codebatch.status.batch_status import load_batch_status
from codebatch.store import StoreDirectory, open_store

with lazily():
    from codebatch import batch as batches
    from codebatch.api import drawing
    from codebatch.batch import scheduler as schedulers
    from codebatch.cluster import home
    from codebatch.graph import collection as dasks
    from codebatch.graph import compile as graph
    from codebatch.graph import effort, keys
    from codebatch.model import messages
    from codebatch.processes import pool as pools
    from codebatch.query import filters as conditions
    from codebatch.query import partitions

C = TypeVar("C", bound="Collection")


class Collection:
    """What is not done of a batch, as Dask sees it. Values are receipts; `compute` gives a report.

    State: ``_graph`` is the graph and ``_result`` the batch's result when it was made: it stays the
    same until all of it is done. ``_keys`` are the outputs of a graph that Dask has given, None
    where it is of this process. ``_annotations`` are Dask's where the batch was made. ``_began`` is
    when the computation of what was persisted began, in seconds since 1970.
    """

    def __init__(self, directory: StoreDirectory, batch_id: str) -> None:
        self.directory = directory
        self.id = batch_id
        self._graph: Any = None
        self._result: object = None
        self._keys: list[Any] | None = None
        self._began: float | None = None
        # Dask's layers have them from then on. Where no Dask is, neither are annotations, and a
        # command that only reads is spared what runs.
        self._annotations = schedulers.current_annotations() if "dask" in sys.modules else {}

    def __reduce__(self) -> tuple[Any, ...]:
        return _opened, (type(self), str(self.path.resolve()), self.id)

    @property
    def path(self) -> Path:
        """The directory of the store the batch lives in."""
        return self.directory.root

    def compute(self, **options: Any) -> Any:
        """Run what is not done by the scheduler that Dask chooses, and return a report; the options
        are those of `dask.compute`.
        """
        return dasks.compute(self, **options)

    def persist(self: C, **options: Any) -> C:
        """Return the batch with its graph run, or being run on a cluster; see `dask.persist`."""
        persisted: C = dasks.persist(self, **options)
        return persisted

    def visualize(self, filename: PathLike | None = None) -> drawing.Drawing:
        """Return a drawing of the tasks, what each needs and how far it is: SVG in a notebook, text
        where it is printed. With ``filename`` it is written there as SVG, too.

        The graph of what is not done is drawn by Dask: ``dask.visualize(batch)``.
        """
        drawn = drawing.draw_batch(load_batch_status(self.directory, self.id))
        if filename is not None:
            drawn.save(filename)
        return drawn

    def annotated(self) -> AbstractContextManager[object]:
        """Have Dask's annotations of the batch in force for a block."""
        return dasks.annotate(**self._annotations) if self._annotations else nullcontext()

    def to_bag(self, *, task: str | None = None, **filters: Any) -> Any:
        """Return the matching records as a `dask.bag.Bag`, a partition a shard: read from the store
        where the graph runs, which it has to see, when the shard is done. The conditions are those
        of `outputs`.
        """
        return dasks.make_bag(self._reading(partitions.read_records, task, filters))

    def to_dask_dataframe(self, *, task: str | None = None, **filters: Any) -> Any:
        """Return the matching records as a `dask.dataframe.DataFrame`, as `to_bag` does; it needs
        pandas and pyarrow.
        """
        reading = self._reading(partitions.read_frame, task, filters)
        plan = self.directory.batches.load_plan(self.id)
        chosen = conditions.RecordFilter(**filters)
        empty = partitions.empty_frame(self.directory, plan, chosen)
        return dasks.make_dataframe(reading, empty)

    def _reading(
        self, read: Callable[..., Any], task: str | None, filters: Mapping[str, Any]
    ) -> dasks.Reading:
        """Return the partitions of matching records, each of which waits for its shard."""
        batch_status = load_batch_status(self.directory, self.id)
        batch_status.check_task(task)
        chosen = conditions.filters_for(
            self.directory, conditions.RecordFilter(**filters), batch_status
        )
        nodes = self.__dask_graph__()
        waits: dict[str, list[Any]] = {}
        for key in dasks.output_keys(nodes):
            waits.setdefault(key[1], []).append(key)
        calls = batches.all_calls(self.directory, batch_status, set())
        found = [
            partitions.Partition(call.store, call.store_id, self.id, call.shard_id, chosen, task)
            for call in sorted(calls, key=lambda call: call.shard_id)
        ]
        wanted = {**filters, "path": chosen.path} if chosen.path else filters
        facts = [read.__name__, task, {name: str(value) for name, value in wanted.items()}]
        name = keys.records_name(calls[0], facts) if calls else "records"
        each = [(one, waits.get(one.shard_id, []) + waits.get("", [])) for one in found]
        return dasks.Reading(name, read, each, nodes)

    @property
    def dask(self) -> Any:
        """The graph."""
        return self.__dask_graph__()

    __dask_optimize__ = None

    def __dask_graph__(self) -> Any:
        """The nodes of what is not done: shards, and the values of batch tasks."""
        if self._keys is None and (self._graph is None or self._result != self._stored_result()):
            batch_status = load_batch_status(self.directory, self.id, verify=True)
            nodes = graph.compile_graph(*batches.pending_work(self.directory, batch_status))
            self._graph = dasks.layered(nodes, self._annotations)
            self._result = self._stored_result()
        return self._graph

    def __dask_keys__(self) -> list[Any]:
        """The keys of the outputs: all receipts."""
        if self._keys is not None:
            return self._keys
        return dasks.output_keys(self.__dask_graph__())

    def __dask_layers__(self) -> tuple[str, ...]:
        """The names of the layers that have the outputs."""
        return tuple(dict.fromkeys(map(dasks.name_of, self.__dask_keys__())))

    def __dask_tokenize__(self) -> tuple[object, ...]:
        """Return the identity of the batch for Dask, and of its outputs where Dask gave them."""
        return self.directory.store_id, self.id, *(self._keys or ())

    def __dask_postcompute__(self) -> tuple[Callable[..., batches.RunReport], tuple[object, ...]]:
        """Return the function that makes the report of the run from receipts, and its arguments. A
        client that is there is asked for the run by workers that do not see the store.
        """
        client = schedulers.current_client(None)
        if client is not None:
            home.serve_run(client, self._topic, self._run_on(client))
        # Dask asks for it where a computation begins.
        began = clock.seconds() if self._began is None else self._began
        return _report_of_receipts, (str(self.path.resolve()), self.id, self._topic, began)

    @property
    def _topic(self) -> str:
        return f"codebatch-run-{self.directory.store_id}-{self.id}"

    def _run_on(self, client: Any) -> Callable[[], batches.RunReport]:
        directory, batch_id = self.directory, self.id
        return lambda: batches.run_batch(directory, batch_id, batches.RunOptions(client=client))

    def __dask_postpersist__(self: C) -> tuple[Callable[..., C], tuple[Sequence[Any], float]]:
        """Return the function that makes the batch from another graph, and its arguments."""
        return self._rebuilt, (self.__dask_keys__(), clock.seconds())

    @staticmethod
    def __dask_scheduler__(*arguments: Any, **options: Any) -> Any:
        """Threads, unless Dask is told otherwise."""
        return graph.get_in_threads(*arguments, **options)

    def _rebuilt(
        self: C, nodes: Mapping[Any, Any], keys: Sequence[Any], began: float, *, rename: Any = None
    ) -> C:
        made = type(self)(self.directory, self.id)
        made.take_graph(nodes, [dasks.renamed(key, rename or {}) for key in keys], began)
        return made

    def take_graph(self, nodes: Mapping[Any, Any], keys: list[Any], began: float) -> None:
        """Have a graph that Dask has made of another one, at the time ``began``."""
        self._began = began if dasks.is_persisted(nodes) else self._began
        self._graph, self._keys = dasks.layered(nodes), keys

    def _stored_result(self) -> object:
        return self.directory.batches.load(self.id).get("result")


def _opened(kind: type[C], path: str, batch_id: str) -> C:
    return kind(open_store(Path(path)), batch_id)


def _report_of_receipts(
    receipts: Sequence[messages.Receipt], store: str, batch_id: str, topic: str, began: float
) -> batches.RunReport:
    """Finish a batch whose shards Dask has run since ``began``: a plain function, as a worker may
    call it.
    """
    on_worker = effort.current_worker() is not None
    try:
        directory = open_store(Path(store))
    except StoreNotFoundError:
        if not on_worker:
            raise
        report: batches.RunReport = home.ask_for_run(topic, f"workers see no store at {store}")
        passed = round(clock.seconds() - began, 3)
        return replace(report, seconds=max(report.seconds, passed))
    report = batches.finish_run(directory, batch_id, receipts, began)
    if not on_worker:
        pools.let_children_go()
    return report
