"""``codebatch status``."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any, cast

import click

from codebatch import api
from codebatch.cli.command import Call, command
from codebatch.cli.options import batch_option
from codebatch.cli.render import output
from codebatch.cli.render.output import counted
from codebatch.cli.render.progress import Display, duration, run_rows, speed
from codebatch.status.progress import RunProgress, TaskProgress

_WATCH_SECONDS = 1.0


@command(
    batch_option,
    click.option(
        "--watch",
        is_flag=True,
        help="Wait until no run is at work, and show meanwhile how far it is.",
    ),
)
def status(call: Call, watch: bool) -> None:
    """Show how far a batch is, and who runs it."""
    batch = call.batch()
    document = _awaited(batch) if watch else _document(batch)
    call.write(document, _all_lines(call, document))


def _awaited(batch: api.Batch) -> dict[str, Any]:
    """The document when no run is at work any more; meanwhile, how far it is is shown."""
    with Display() as display:
        while _is_run(document := _document(batch)):
            display.show(*run_rows(_progress(document)))
            time.sleep(_WATCH_SECONDS)
    return document


def _progress(document: dict[str, Any]) -> RunProgress:
    shards, files = document["shards"], document["files"]
    tasks = (
        TaskProgress(task["task_id"], done["done"], done["total"], failed=done["failed"])
        for task in document["tasks"]
        if (done := task["shards"])
    )
    return RunProgress(
        done=shards["done"],
        total=shards["total"],
        tasks=tuple(tasks),
        files_done=files["done"],
        files_total=files["total"],
        rate=document["rate"]["files"],
        seconds_left=document["seconds_left"],
    )


def _document(batch: api.Batch) -> dict[str, Any]:
    return cast("dict[str, Any]", batch.status())


def _is_run(document: dict[str, Any]) -> bool:
    return any(run["live"] for run in document["runs"])


def _all_lines(call: Call, document: dict[str, Any]) -> Iterator[str]:
    """All lines, and the command that makes sense now."""
    yield from _lines(document)
    for error in document["errors"]:
        output.write_error(f"shard {error['shard_id']}: {error['message']}")
    then = {"done": "summary", "pending": "run"}.get(document["status"], "resume")
    name = "status --watch" if _is_run(document) else then
    yield from call.next(f"codebatch {name} --batch {document['batch_id']}")


def _lines(document: dict[str, Any]) -> Iterator[str]:
    shards, files = document["shards"], document["files"]
    yield f"{document['batch_id']}  {output.status(document['status'])}"
    yield f"  {files['done']:,}/{counted(files['total'], 'file')} done"
    yield (
        f"  {shards['done']:,}/{counted(shards['total'], 'shard')} done, "
        f"{shards['failed']} failed, {shards['pending']} pending"
    )
    for task in document["tasks"]:
        done, total = task["shards"]["done"], task["shards"]["total"]
        yield f"  {task['task_id']:<12} {output.status(task['status'])} {done}/{total}"
    for run in document["runs"]:
        who = "a run" if run["host"] is None else f"the cluster at {run['host']}"
        if run["pid"] is not None:
            who = f"process {run['pid']} on {run['host']}"
        if run["live"]:
            yield f"  running  {output.printable(who)}, for {duration(run['seconds'])}"
        else:
            yield f"  gone     {output.printable(who)}, begun {output.ago(run['seconds'])}"
    rate, left = document["rate"], document["seconds_left"]
    pace = [f"{speed(rate[what])} {what}/s" for what in ("shards", "files") if rate[what]]
    if left:
        pace.append(f"{duration(left)} left")
    if pace:
        yield f"  pace     {', '.join(pace)}"
