"""Everything in one go: `scan`."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from codebatch.api import bars
from codebatch.api.batch import Batch
from codebatch.api.given import PathLike, text_of
from codebatch.api.running import TaskLike, run_options
from codebatch.api.snapshots import Snapshot
from codebatch.api.store import STORE_VARIABLE, PipelineLike, Roots, Store, open_store
from codebatch.display.displayed import Displayed
from codebatch.model.records import DONE
from codebatch.runtime.lazy import lazily
from codebatch.snapshot import DEFAULT_MAX_FILE_BYTES
from codebatch.store.layout import check_ref

if TYPE_CHECKING:
    from codebatch import batch as batches
    from codebatch.config import Config
    from codebatch.display.card import Card
    from codebatch.plan.policy import Settings
    from codebatch.query import records as queries

with lazily():
    from codebatch.api import cards
    from codebatch.batch import scheduler as schedulers
    from codebatch.plan import pipeline as definitions
    from codebatch.plan import plan
    from codebatch.remote import location as remotes
    from codebatch.snapshot import selection
    from codebatch.snapshot import watching as trees
    from codebatch.tasks.tools import catalogue


class Scan(NamedTuple):
    """A scan to be made, once or again: how to take a snapshot (see `Store.snapshot` for
    folders with the same names), to run a batch over it, and to
    begin to watch what of the tree is taken.
    """

    store: Store
    take: Callable[[Collection[bytes]], Snapshot]
    run: Callable[[Snapshot], tuple[Batch, batches.RunReport]]
    watch: Callable[[], trees.TreeWatch]


class _Pair(NamedTuple):
    batch: Batch
    report: batches.RunReport


class ScanResult(Displayed, _Pair):
    """What `scan` has made: a pair of the ``batch`` and the ``report`` on its run, and what is at
    hand by them.
    """

    __slots__ = ()

    @property
    def store(self) -> Store:
        """The store that all of it is in."""
        return Store(self.batch.directory)

    @property
    def snapshot(self) -> Snapshot:
        """The snapshot of the tree."""
        return Snapshot(self.batch.directory, self.report.snapshot_id)

    @property
    def findings(self) -> queries.Records:
        """The findings, by path."""
        return self.batch.sorted_records(kind="diagnostic")

    def _card(self) -> Card:
        return cards.scan_card(self.batch.directory, self.report)


def check_scan(  # noqa: PLR0913 - as of `scan`
    root: Roots,
    pipeline: PipelineLike | None,
    *,
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
    ignore: bool = True,
    tasks: Sequence[TaskLike] = (),
    settings: Settings | None = None,
    scheduler: PathLike | None = None,
    shards: int | None = None,
    performance_report: PathLike | None = None,
    memo: PathLike | None = None,
    watch: bool = False,
) -> None:
    """Raise what `scan`, or `watch`, would raise later, before anything is written."""
    if watch:
        trees.check_installed()
    selection.select(root, include, exclude, ignore=ignore)
    definitions.resolve_pipeline(pipeline, tasks, settings)
    chosen = schedulers.choose_scheduler(text_of(scheduler), None, 0)
    schedulers.check_report(text_of(performance_report), chosen)
    if shards is not None:
        plan.check_shards(shards)
    if (remote := remotes.choose_memo(memo)) is not None:
        remotes.open_location(remote)


@dataclass(frozen=True)
class _Wanted:
    """What a configuration says where the caller says nothing."""

    store: PathLike | None
    include: Sequence[str]
    exclude: Sequence[str]
    pipeline: PipelineLike | None
    tasks: Sequence[TaskLike]
    settings: Settings | None
    memo: PathLike | None

    def completed(self, config: Config, root: Roots) -> _Wanted:
        tools = catalogue.load_tools(config.get("tools") or (), config.get("read-config") or ())
        include, exclude = config.patterns(selection.select(root, ignore=False)[0])
        is_chosen = self.memo is not None or remotes.choose_memo(None) is not None
        is_named = os.environ.get(STORE_VARIABLE)
        return _Wanted(
            store=self.store or (None if is_named else config.get("store")),
            include=self.include or include,
            exclude=self.exclude or exclude,
            pipeline=config.get("pipeline") if self.pipeline is None else self.pipeline,
            tasks=self.tasks or (*(config.get("tasks") or ()), *tools),
            settings=config.settings.over(self.settings),
            memo=self.memo if is_chosen else config.get("memo"),
        )


def scan(  # noqa: PLR0913 - the options of the command
    root: Roots,
    store: PathLike | None = None,
    *,
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
    pipeline: PipelineLike | None = None,
    tasks: Sequence[TaskLike] = (),
    settings: Settings | None = None,
    config: Config | None = None,
    scheduler: PathLike | None = None,
    workers: int | None = None,
    client: Any = None,
    shards: int | None = None,
    ignore: bool = True,
    max_file_bytes: int | None = DEFAULT_MAX_FILE_BYTES,
    rev: str | None = None,
    staged: bool = False,
    name: str | None = None,
    file_timeout: float | None = None,
    memory_limit: int | str | None = None,
    transport: str | None = None,
    cluster_timeout: float | None = None,
    performance_report: PathLike | None = None,
    require_reused: bool = False,
    memo: PathLike | None = None,
    progress: bars.RunShown = None,
    on_notice: Callable[[str], None] | None = None,
) -> ScanResult:
    """Snapshot a directory, or several directories and files, plan a pipeline over it and run it:
    everything in one go. Where there is no store yet, one is made. The batch gets the ``name`` once
    it is done. What is returned is a pair, ``batch, report = codebatch.scan("src")``, which has a
    ``store``, a ``snapshot`` and ``findings``, too.

    What is taken is said as for `Store.snapshot` (``include``, ``exclude``, ``ignore``,
    ``max_file_bytes``, ``rev``, ``staged``), what is done with it as for `Store.batch`
    (``pipeline``, ``tasks``, ``settings``, ``shards``), and how, by the other parameters, as for
    `Batch.run`. ``config`` (`codebatch.load_config`) says what they leave open.

    `SourceNotFoundError` where there is no such directory, `PipelineInvalidError` and
    `TaskNotFoundError` for what cannot be run: before anything is written.
    """
    prepared = prepare_scan(
        root,
        store,
        include=include,
        exclude=exclude,
        pipeline=pipeline,
        tasks=tasks,
        settings=settings,
        config=config,
        scheduler=scheduler,
        workers=workers,
        shards=shards,
        ignore=ignore,
        max_file_bytes=max_file_bytes,
        rev=rev,
        staged=staged,
        name=name,
        memo=memo,
        client=client,
        file_timeout=file_timeout,
        memory_limit=memory_limit,
        transport=transport,
        cluster_timeout=cluster_timeout,
        performance_report=performance_report,
        require_reused=require_reused,
        progress=progress,
        on_notice=on_notice,
    )
    return ScanResult(*prepared.run(prepared.take(())))


def prepare_scan(  # noqa: PLR0913 - as of `scan`
    root: Roots,
    store: PathLike | None = None,
    *,
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
    pipeline: PipelineLike | None = None,
    tasks: Sequence[TaskLike] = (),
    settings: Settings | None = None,
    config: Config | None = None,
    scheduler: PathLike | None = None,
    workers: int | None = None,
    shards: int | None = None,
    ignore: bool = True,
    max_file_bytes: int | None = DEFAULT_MAX_FILE_BYTES,
    rev: str | None = None,
    staged: bool = False,
    name: str | None = None,
    memo: PathLike | None = None,
    performance_report: PathLike | None = None,
    **options: Any,
) -> Scan:
    """Check what `scan` is given, of which ``options`` are those of a run, and open the store."""
    root = selection.listed(root)
    wanted = _Wanted(store, include, exclude, pipeline, tasks, settings, memo)
    if config is not None:
        wanted = wanted.completed(config, root)
    patterns: dict[str, Any] = {"include": wanted.include, "exclude": wanted.exclude}
    steps: dict[str, Any] = {"tasks": wanted.tasks, "settings": wanted.settings, "shards": shards}
    where: dict[str, Any] = {"scheduler": scheduler, "memo": wanted.memo}
    where["performance_report"] = performance_report
    check_scan(root, wanted.pipeline, **patterns, ignore=ignore, **steps, **where)
    run_options(**where, workers=workers, **options)
    if name is not None:
        check_ref(name)
    opened = open_store(wanted.store, create=True)
    prewarm = opened.prewarm(scheduler, workers)

    def take(same_names: Collection[bytes]) -> Snapshot:
        shown = options.get("progress")
        with bars.files_shown(None if callable(shown) else shown) as show:

            def tell(files: int, total_bytes: int) -> None:
                prewarm(files, total_bytes)
                if show is not None:
                    show(files, total_bytes)

            return opened.snapshot(
                root,
                **patterns,
                ignore=ignore,
                max_file_bytes=max_file_bytes,
                progress=tell,
                rev=rev,
                staged=staged,
                same_names=same_names,
            )

    def run(taken: Snapshot) -> tuple[Batch, batches.RunReport]:
        batch = opened.batch(taken, wanted.pipeline, **steps)
        report = batch.run(**where, workers=workers, **options)
        if name is not None and report.status == DONE:
            opened.names.point(name, batch)
        return batch, report

    return Scan(opened, take, run, lambda: open_watch(root, **patterns, ignore=ignore))


def open_watch(
    root: Roots,
    *,
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
    ignore: bool = True,
    outputs: Sequence[os.stat_result] = (),
) -> trees.TreeWatch:
    """Begin to watch what a scan takes, but not the files that have the status of ``outputs``;
    `MissingExtraError` where the extra is not installed.
    """
    tree, selected = selection.select(root, include, exclude, ignore=ignore)
    return trees.TreeWatch(tree, selected, ignore=ignore, outputs=outputs)
