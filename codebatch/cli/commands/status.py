"""``codebatch status``."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any, cast

import click

from codebatch import api
from codebatch.cli.group import OnceCommand
from codebatch.cli.options import batch_option, json_option, store_option
from codebatch.cli.render import output
from codebatch.cli.render.progress import Region, duration, screen_size, speed

_WATCH_SECONDS = 1.0


@click.command(cls=OnceCommand)
@batch_option
@click.option(
    "--watch",
    is_flag=True,
    help="Wait until no run is at work, and show meanwhile how far it is, on a terminal.",
)
@store_option
@json_option
def status(batch_id: str, watch: bool, store: str | None, as_json: bool) -> None:
    """Show how far a batch is, and who runs it."""
    batch = api.open_store(store).find_batch(batch_id)
    document = _awaited(batch) if watch else _document(batch)
    if as_json:
        output.write_document(document)
        return
    for line in _lines(document):
        output.write_line(line)
    for error in document["errors"]:
        output.write_error(f"shard {error['shard_id']}: {error['message']}")
    output.write_next(f"codebatch {_next(document)} --batch {batch.id}", store=store)


def _awaited(batch: api.Batch) -> dict[str, Any]:
    """The document when no run is at work any more; what it is meanwhile, for a terminal."""
    region = Region()
    try:
        while _is_run(document := _document(batch)):
            if region.is_live:
                screen = screen_size()
                lines = [click.unstyle(line)[: screen.columns - 1] for line in _lines(document)]
                region.draw(lines[: screen.lines - 1])
            time.sleep(_WATCH_SECONDS)
    finally:
        region.erase()
    return document


def _document(batch: api.Batch) -> dict[str, Any]:
    return cast("dict[str, Any]", batch.status())


def _is_run(document: dict[str, Any]) -> bool:
    return any(run["live"] for run in document["runs"])


def _lines(document: dict[str, Any]) -> Iterator[str]:
    shards = document["shards"]
    yield f"{document['batch_id']}  {output.status(document['status'])}"
    yield (
        f"  {shards['done']}/{shards['total']} shards done, "
        f"{shards['failed']} failed, {shards['pending']} pending"
    )
    for task in document["tasks"]:
        done, total = task["shards"]["done"], task["shards"]["total"]
        yield f"  {task['task_id']:<12} {output.status(task['status'])} {done}/{total}"
    for run in document["runs"]:
        yield f"  {_run_line(run)}"
    if pace := _pace(document):
        yield f"  pace     {pace}"


def _run_line(run: dict[str, Any]) -> str:
    who = "a run" if run["pid"] is None else f"process {run['pid']} on {run['host']}"
    who = output.printable(who)
    if run["live"]:
        return f"running  {who}, for {duration(run['seconds'])}"
    return f"gone     {who}, begun {output.ago(run['seconds'])}"


def _pace(document: dict[str, Any]) -> str:
    """Return the rates and the time left, as far as they are known."""
    rate, left = document["rate"], document["seconds_left"]
    parts = [f"{speed(rate[what])} {what}/s" for what in ("shards", "files") if rate[what]]
    if left:
        parts.append(f"{duration(left)} left")
    return ", ".join(parts)


def _next(document: dict[str, Any]) -> str:
    """Return the command that makes sense now."""
    if _is_run(document):
        return "status --watch"
    return {"done": "summary", "pending": "run"}.get(document["status"], "resume")
