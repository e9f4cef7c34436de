"""What is computed and why: ``pipelines`` and ``pipeline``, ``plan``, ``explain``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, cast

import click

from codebatch import api
from codebatch.cli.command import Call, command
from codebatch.cli.options import batch_option, pipeline_option, shards_option, tasks_option
from codebatch.cli.render import output
from codebatch.cli.render.output import printable
from codebatch.model.digest import Document, canonical_json
from codebatch.model.errors import UsageError
from codebatch.model.keys import CODE, CODE_PARTS
from codebatch.plan.pipeline import load_pipeline, pipeline_document

if TYPE_CHECKING:
    from codebatch.batch.forecast import Forecast

_ORIGINS = {
    "computed": "computed by this batch",
    "equal": "taken over from an equal file",
    "remembered": "taken over from the memo",
    "linked": "taken over with the whole shard",
}
_FORECAST: output.Columns = {
    "task": lambda task: task.task_id + ("" if task.unit == "files" else f" ({task.unit})"),
    "compute": lambda task: task.compute,
    "reuse": lambda task: task.reuse,
    "because of": lambda task: ", ".join(f"{name} {n:,}" for name, n in _reasons(task).items()),
}


@command()
def pipelines(call: Call) -> None:
    """List the packaged pipelines."""
    rows = [
        {
            "name": document["name"],
            "tasks": [task["id"] for task in cast("list[dict[str, Any]]", document["tasks"])],
            "description": document["description"],
        }
        for document in api.pipelines()
    ]
    call.write(rows, _pipeline_rows(rows))


def _pipeline_rows(rows: list[Document]) -> Iterator[str]:
    yield from output.terminal_table(("name", "tasks", "description"), rows)
    yield from output.next_lines("codebatch pipeline NAME")


@command(click.argument("name", metavar="NAME|PATH"))
def pipeline(call: Call, name: str) -> None:
    """Show a pipeline with every setting resolved; a document of your own is validated."""
    document = pipeline_document(load_pipeline(name))
    call.write(document, _pipeline_lines(document))


def _pipeline_lines(document: dict[str, Any]) -> Iterator[str]:
    yield f"{document['name']}: {printable(document['description'])}"
    for task in document["tasks"]:
        needs = f" after {', '.join(task['needs'])}" if task["needs"] else ""
        yield f"  {task['id']} ({task['task']}){needs}"
        for key, value in task["config"].items():
            yield f"    {key}: {printable(value)}"


@command(
    click.option("--snapshot", metavar="ID", help="A snapshot. Default: the latest."),
    click.option("--batch", metavar="ID", help="A batch that is there, instead."),
    pipeline_option,
    tasks_option,
    shards_option,
)
def plan(
    call: Call,
    snapshot: str | None,
    batch: str | None,
    pipeline: str | None,
    tasks: tuple[str, ...],
    shards: int | None,
) -> None:
    """Tell what a run would compute and reuse, and why. Nothing is written.

    Per task: how many files would be computed, at most, and how many results taken over. The
    reasons name what differs from the nearest earlier batch: content, config, version,
    toolchain, facets, upstream, and of the code of your own tasks the module, value or
    distribution, as 'code pkg.helper'; 'first' where there is none, 'forgotten' where nothing
    differs but the result is not in the memo. Of a task over the whole batch, the values in its
    tree are counted.
    """
    if snapshot is not None and batch is not None:
        raise UsageError("a plan is for a snapshot or a batch: give one of --snapshot and --batch")
    opened = call.open()
    if batch is not None:
        forecast = opened.find_batch(batch, tasks=tasks).forecast()
    else:
        forecast = opened.forecast(snapshot or "latest", pipeline, tasks=tasks, shards=shards)
    rows = [{**vars(task), "reasons": _reasons(task)} for task in forecast.tasks]
    call.write({**vars(forecast), "tasks": rows}, _forecast_lines(call, forecast))


def _forecast_lines(call: Call, forecast: Forecast) -> Iterator[str]:
    against = "" if forecast.against is None else f"  compared with {forecast.against}"
    yield f"{forecast.batch_id}{against}"
    yield from output.table(_FORECAST, forecast.tasks)
    yield from call.next(f"codebatch run --batch {forecast.batch_id}")


def _reasons(task: Any) -> dict[str, int]:
    return dict(sorted(task.reasons.items()))


@command(
    batch_option,
    click.option("--task", required=True, metavar="TASK", help="The task of the result."),
    click.option("--file", "path", required=True, metavar="PATH", help="The file of the result."),
)
def explain(call: Call, task: str, path: str) -> None:
    """Explain the result of a task on a file.

    Everything the result depends on, the key made of it, and whether it was computed or taken
    over, and from where.
    """
    document = call.batch().explain(task, path)
    call.write(document, _explain_lines(document))


def _code_lines(code: dict[str, dict[str, str]]) -> Iterator[str]:
    """A line for each part of the code of a user's task."""
    for part, word in zip(CODE_PARTS, ("module", "value", "distribution"), strict=True):
        for name, value in code[part].items():
            yield f"  {CODE}: {word} {printable(name)} {printable(value or '(none)')}"


def _explain_lines(document: dict[str, Any]) -> Iterator[str]:
    yield f"{printable(document['path'])}  {document['task_id']}  {document['status']}"
    if document["origin"] is not None:
        source = document["source"]
        place = "" if source is None else f": {printable(next(iter(source.values())))}"
        yield f"  {_ORIGINS[document['origin']]}{place}"
    yield f"  batch {document['batch_id']}, shard {document['shard_id']}"
    yield f"  key {document['key'] or 'not known before what it needs is done'}"
    if document["preimage"] is not None:
        yield "the key is the SHA-256 of these lines:"
        yield from (f"  {printable(line)}" for line in document["preimage"].splitlines())
    yield "the fingerprint of the task is over:"
    for name, value in sorted(document["components"].items()):
        if name == CODE:
            yield from _code_lines(value)
        else:
            yield f"  {name} {printable(canonical_json(value).decode())}"
