"""Everything in one go: `scan`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from codebatch.api.batch import Batch, TaskLike
from codebatch.api.given import PathLike, text_of
from codebatch.api.store import PipelineLike, Roots, open_store
from codebatch.runtime.lazy import lazy
from codebatch.snapshot import DEFAULT_MAX_FILE_BYTES

if TYPE_CHECKING:
    from codebatch import batch as batches
    from codebatch.batch import scheduler as schedulers
    from codebatch.plan import pipeline as definitions
    from codebatch.plan import plan
    from codebatch.plan.pipeline import Settings
    from codebatch.snapshot import selection
else:
    definitions = lazy("codebatch.plan.pipeline")
    plan = lazy("codebatch.plan.plan")
    schedulers = lazy("codebatch.batch.scheduler")
    selection = lazy("codebatch.snapshot.selection")


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
) -> None:
    """Raise what `scan` would raise later, before anything is written."""
    selection.select(root, include, exclude, ignore=ignore)
    definitions.resolve_pipeline(pipeline, tasks, settings)
    chosen = schedulers.choose_scheduler(text_of(scheduler), None, 0)
    schedulers.check_report(text_of(performance_report), chosen)
    if shards is not None:
        plan.check_shards(shards)


def scan(  # noqa: PLR0913 - the options of the command
    root: Roots,
    store: PathLike | None = None,
    *,
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
    pipeline: PipelineLike | None = None,
    tasks: Sequence[TaskLike] = (),
    settings: Settings | None = None,
    scheduler: PathLike | None = None,
    workers: int | None = None,
    shards: int | None = None,
    ignore: bool = True,
    max_file_bytes: int | None = DEFAULT_MAX_FILE_BYTES,
) -> tuple[Batch, batches.RunReport]:
    """Snapshot a directory, or several directories and files, plan a pipeline over it and run it:
    everything in one go. ``include`` and ``exclude`` are patterns as for `Store.snapshot`.
    """
    root = selection.listed(root)
    check_scan(
        root,
        pipeline,
        include=include,
        exclude=exclude,
        ignore=ignore,
        tasks=tasks,
        settings=settings,
        scheduler=scheduler,
        shards=shards,
    )
    opened = open_store(store, create=True)
    watch = opened.prewarm(scheduler, workers)
    taken = opened.snapshot(
        root,
        include=include,
        exclude=exclude,
        ignore=ignore,
        max_file_bytes=max_file_bytes,
        progress=watch,
    )
    batch = opened.batch(taken, pipeline, tasks=tasks, settings=settings, shards=shards)
    return batch, batch.run(scheduler, workers=workers)
