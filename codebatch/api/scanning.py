"""Everything in one go: `scan`."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

from codebatch.api.batch import Batch, TaskLike
from codebatch.api.store import PathLike, PipelineLike, named_path, open_store
from codebatch.model.errors import SourceNotFoundError
from codebatch.runtime.lazy import lazy
from codebatch.snapshot import DEFAULT_MAX_FILE_BYTES

if TYPE_CHECKING:
    from codebatch import batch as batches
    from codebatch.batch import scheduler as schedulers
    from codebatch.plan import pipeline as definitions
    from codebatch.plan import plan
    from codebatch.snapshot import take
else:
    definitions = lazy("codebatch.plan.pipeline")
    plan = lazy("codebatch.plan.plan")
    schedulers = lazy("codebatch.batch.scheduler")
    take = lazy("codebatch.snapshot.take")


def check_scan(
    root: PathLike,
    pipeline: PipelineLike | None,
    *,
    tasks: Sequence[TaskLike] = (),
    scheduler: str | None = None,
    shards: int | None = None,
    performance_report: PathLike | None = None,
) -> None:
    """Raise what `scan` would raise later, before anything is written."""
    take.check_directory(named_path(root, SourceNotFoundError))
    definitions.resolve_pipeline(pipeline, tasks)
    report = None if performance_report is None else os.fspath(performance_report)
    schedulers.check_report(report, schedulers.choose_scheduler(scheduler, None, 0))
    if shards is not None:
        plan.check_shards(shards)


def scan(  # noqa: PLR0913 - the options of the command
    root: PathLike,
    store: PathLike | None = None,
    *,
    pipeline: PipelineLike | None = None,
    tasks: Sequence[TaskLike] = (),
    scheduler: str | None = None,
    workers: int | None = None,
    shards: int | None = None,
    ignore: bool = True,
    max_file_bytes: int | None = DEFAULT_MAX_FILE_BYTES,
) -> tuple[Batch, batches.RunReport]:
    """Snapshot a directory, plan a pipeline over it and run it: everything in one go."""
    check_scan(root, pipeline, tasks=tasks, scheduler=scheduler, shards=shards)
    opened = open_store(store, create=True)
    watch = opened.prewarm(scheduler, workers)
    taken = opened.snapshot(root, ignore=ignore, max_file_bytes=max_file_bytes, progress=watch)
    batch = opened.batch(taken, pipeline, tasks=tasks, shards=shards)
    return batch, batch.run(scheduler, workers=workers)
