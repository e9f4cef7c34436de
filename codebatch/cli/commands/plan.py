"""``codebatch plan``: what a run would compute."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from codebatch import api
from codebatch.cli.group import OnceCommand
from codebatch.cli.options import json_option, pipeline_option, shards_option, store_option
from codebatch.cli.render.output import write_document, write_line, write_next, write_table
from codebatch.model.errors import UsageError

if TYPE_CHECKING:
    from codebatch.batch.forecast import Forecast


@click.command(cls=OnceCommand)
@click.option("--snapshot", "snapshot_id", metavar="ID", help="A snapshot. Default: the latest.")
@click.option("--batch", "batch_id", metavar="ID", help="A batch that is there, instead.")
@pipeline_option
@shards_option
@store_option
@json_option
def plan(
    snapshot_id: str | None,
    batch_id: str | None,
    pipeline: str,
    shards: int | None,
    store: str | None,
    as_json: bool,
) -> None:
    """Tell what a run would compute and reuse, and why. Nothing is written.

    Per task: how many files would be computed, at most, and how many results taken over. The
    reasons name what differs from the nearest earlier batch: content, config, version,
    toolchain, facets, upstream; 'first' where there is none, 'forgotten' where nothing differs
    but the result is not remembered.
    """
    if snapshot_id is not None and batch_id is not None:
        raise UsageError("a plan is for a snapshot or a batch: give one of --snapshot and --batch")
    opened = api.open_store(store)
    if batch_id is not None:
        forecast = opened.find_batch(batch_id).forecast()
    else:
        forecast = opened.forecast(snapshot_id or "latest", pipeline, shards=shards)
    if as_json:
        write_document(_document(forecast))
    else:
        _write(forecast, store)


def _document(forecast: Forecast) -> dict[str, object]:
    return {
        "batch_id": forecast.batch_id,
        "against": forecast.against,
        "tasks": [
            {**vars(task), "reasons": dict(sorted(task.reasons.items()))} for task in forecast.tasks
        ],
    }


def _write(forecast: Forecast, store: str | None) -> None:
    against = "" if forecast.against is None else f"  compared with {forecast.against}"
    write_line(f"{forecast.batch_id}{against}")
    rows = [
        {
            "task": task.task_id,
            "compute": f"{task.compute:,}",
            "reuse": f"{task.reuse:,}",
            "because of": ", ".join(f"{name} {n:,}" for name, n in sorted(task.reasons.items())),
        }
        for task in forecast.tasks
    ]
    write_table(("task", "compute", "reuse", "because of"), rows)
    write_next(f"codebatch run --batch {forecast.batch_id}", store=store)
