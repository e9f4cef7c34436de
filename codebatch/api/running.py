"""The runs of a batch: awaited here, or in a thread beside what else goes on."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal, overload

from codebatch.api import bars
from codebatch.api.given import PathLike, text_of
from codebatch.api.results import Results, of_batch
from codebatch.cluster.settings import choose_cluster_settings
from codebatch.model.limits import choose_limits
from codebatch.runtime.lazy import lazily

if TYPE_CHECKING:
    from codebatch.status.progress import RunProgress

with lazily():
    import asyncio  # a tenth of what a snapshot imports

    from codebatch import batch as batches
    from codebatch.api import handle as handles
    from codebatch.batch import scheduler as schedulers
    from codebatch.cluster.connect import beside
    from codebatch.remote import location as remotes
    from codebatch.tasks import registry

TaskLike = Any  # a task, or what names one: its name, ``FILE.py:NAME``, ``module:NAME``


def run_options(  # noqa: PLR0913 - the options of the command
    scheduler: PathLike | None = None,
    *,
    workers: int | None = None,
    client: Any = None,
    file_timeout: float | None = None,
    memory_limit: int | str | None = None,
    transport: str | None = None,
    cluster_timeout: float | None = None,
    performance_report: PathLike | None = None,
    require_reused: bool = False,
    retry_quarantined: bool = False,
    progress: batches.Progress | None = None,
    on_wait: batches.OnWait | None = None,
    on_notice: Callable[[str], None] | None = None,
    memo: PathLike | None = None,
) -> batches.RunOptions:
    """Return the options of a run from those of `Batch.run`."""
    return batches.RunOptions(
        text_of(scheduler),
        workers,
        client,
        progress,
        on_wait,
        require_reused,
        retry_quarantined,
        limits=choose_limits(file_timeout, memory_limit),
        cluster=choose_cluster_settings(transport, cluster_timeout, performance_report, on_notice),
        memo=remotes.choose_memo(memo),
    )


class Running(Results):
    """What can be run, as far as it is not done."""

    def give_tasks(self, tasks: Sequence[TaskLike]) -> None:
        """Make tasks of your own known to this process, as runs of the batch need them: its code is
        not in the store. Those it was planned with in this process are known.
        """
        if tasks:
            registry.give_tasks(tasks, self.directory.batches.load_plan(self.id).tasks)

    @overload
    def run(
        self,
        scheduler: PathLike | None = ...,
        *,
        wait: Literal[True] = ...,
        tasks: Sequence[TaskLike] = ...,
        workers: int | None = ...,
        client: Any = ...,
        file_timeout: float | None = ...,
        memory_limit: int | str | None = ...,
        transport: str | None = ...,
        cluster_timeout: float | None = ...,
        performance_report: PathLike | None = ...,
        require_reused: bool = ...,
        retry_quarantined: bool = ...,
        memo: PathLike | None = ...,
        progress: bars.RunShown = ...,
        on_wait: batches.OnWait | None = ...,
        on_notice: Callable[[str], None] | None = ...,
    ) -> batches.RunReport: ...

    @overload
    def run(
        self,
        scheduler: PathLike | None = ...,
        *,
        wait: Literal[False],
        tasks: Sequence[TaskLike] = ...,
        workers: int | None = ...,
        client: Any = ...,
        file_timeout: float | None = ...,
        memory_limit: int | str | None = ...,
        transport: str | None = ...,
        cluster_timeout: float | None = ...,
        performance_report: PathLike | None = ...,
        require_reused: bool = ...,
        retry_quarantined: bool = ...,
        memo: PathLike | None = ...,
        progress: bars.RunShown = ...,
        on_wait: batches.OnWait | None = ...,
        on_notice: Callable[[str], None] | None = ...,
    ) -> handles.RunHandle: ...

    def run(  # noqa: PLR0913 - the options of the command
        self,
        scheduler: PathLike | None = None,
        *,
        wait: bool = True,
        tasks: Sequence[TaskLike] = (),
        workers: int | None = None,
        client: Any = None,
        file_timeout: float | None = None,
        memory_limit: int | str | None = None,
        transport: str | None = None,
        cluster_timeout: float | None = None,
        performance_report: PathLike | None = None,
        require_reused: bool = False,
        retry_quarantined: bool = False,
        memo: PathLike | None = None,
        progress: bars.RunShown = None,
        on_wait: batches.OnWait | None = None,
        on_notice: Callable[[str], None] | None = None,
    ) -> batches.RunReport | handles.RunHandle:
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

        ``memo`` is a remote that shares results: a folder, ``s3://bucket/prefix`` or
        ``https://host/path``; None is that of ``CODEBATCH_MEMO``, and ``""`` is none. This process
        reads there what is missing before anything is computed, and adds what was computed at the
        end. Where that fails, it is said by ``on_notice``, and all is computed here.

        Several runs of a batch, in whatever processes, share its shards; ``on_wait`` is called when
        one has to wait for others, ``on_notice`` with what else is worth knowing. ``progress`` is
        called with a `status.progress.RunProgress`, first with what is done already, and then
        whenever a shard is done or has failed; true shows bars instead, false nothing, and None
        bars in a notebook.

        With ``wait=False`` the run goes on in a thread, which calls the functions that are given,
        and a handle is returned. The client may be asynchronous then.

        Ctrl-C commits what is in flight and raises `RunInterrupted`, a `KeyboardInterrupt` whose
        ``report`` says how far the batch is; a second one ends the run where it is.
        """
        self.give_tasks(tasks)
        options = run_options(
            scheduler,
            workers=workers,
            client=client,
            file_timeout=file_timeout,
            memory_limit=memory_limit,
            transport=transport,
            cluster_timeout=cluster_timeout,
            performance_report=performance_report,
            require_reused=require_reused,
            retry_quarantined=retry_quarantined,
            on_wait=on_wait,
            on_notice=on_notice,
            memo=memo,
        )
        if not wait:
            return self._begin(options, progress)
        with bars.run_shown(progress) as show:
            return self._run(replace(options, progress=show))

    async def run_async(
        self, scheduler: PathLike | None = None, **options: Any
    ) -> batches.RunReport:
        """Run what is not done, as `run` with the same options, while the event loop goes on.

        The run is that of ``wait=False``; where this is cancelled, it is too, and has ended then.
        """
        handle = self.run(scheduler, wait=False, **options)
        try:
            return await handle
        except asyncio.CancelledError:
            handle.cancel()
            with contextlib.suppress(Exception, asyncio.CancelledError):  # what became of it
                await handle
            raise

    def _begin(self, options: batches.RunOptions, progress: bars.RunShown) -> handles.RunHandle:
        """Begin a run in a thread, and return its handle."""
        client = options.client or schedulers.current_client(options.scheduler, asynchronous=True)
        opened = contextlib.nullcontext if client is None else beside.beside(client)
        bars.load(progress)

        def work(keep: batches.Progress) -> batches.RunReport:
            with opened() as own, bars.run_shown(progress) as show:

                def tell(found: RunProgress) -> None:
                    keep(found)
                    if show is not None:
                        show(found)

                return self._run(replace(options, client=own, progress=tell))

        return handles.RunHandle(self.id, work)

    @of_batch
    def _run(self, options: batches.RunOptions) -> batches.RunReport:
        with self.annotated():
            return batches.run_batch(self.directory, self.id, options)
