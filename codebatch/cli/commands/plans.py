"""What is computed and why: ``pipelines`` and ``pipeline``, ``plan``, ``explain``."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, cast

import click

from codebatch import api
from codebatch.cli.command import Call, command
from codebatch.cli.group import LeadingCommand
from codebatch.cli.options import (
    batch_option,
    pipeline_option,
    rule_settings,
    rules_options,
    shards_option,
    tasks_options,
)
from codebatch.cli.render import output
from codebatch.cli.render.output import counted, printable
from codebatch.display.widths import abridged
from codebatch.model.digest import Document, canonical_json
from codebatch.model.errors import EXIT_OK, EXIT_USAGE, UsageError
from codebatch.model.keys import CODE, CODE_PARTS
from codebatch.store import LATEST

if TYPE_CHECKING:
    from codebatch.batch.forecast import Forecast

_TEXT, _SVG = "text", "svg"
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


@command(
    click.argument("name", metavar="[NAME|PATH]", required=False),
    *tasks_options,
    click.option(
        "--draw",
        "drawing",
        is_flag=False,
        flag_value=_TEXT,
        metavar="[text|svg[:FILE]]",
        help="Draw which task needs which, for a terminal or as SVG.",
    ),
    cls=LeadingCommand,
)
def pipeline(call: Call, name: str | None, tasks: tuple[str, ...], drawing: str | None) -> None:
    """Show a pipeline with every setting resolved; a document of your own is validated."""
    if name is None and not tasks:
        raise UsageError("no pipeline is named", hints=["list them: codebatch pipelines"])
    if drawing is not None:
        _draw(call, name, tasks, drawing)
        return
    document: dict[str, Any] = api.pipeline(name, tasks)
    call.write(document, _pipeline_lines(document))


def _draw(call: Call, pipeline: str | None, tasks: Sequence[Any], drawing: str) -> None:
    """Write the drawing of a pipeline to stdout, or into the file that is named."""
    form, _, file = drawing.partition(":")
    if form not in (_TEXT, _SVG) or (file and form == _TEXT):
        raise UsageError(f"unknown drawing: {drawing}", hints=["choose text, svg or svg:FILE"])
    if call.as_json:
        raise UsageError("--draw draws for people: give one of --draw and --json")
    drawn = api.draw_pipeline(pipeline, tasks)
    if form == _TEXT:
        output.write_lines(drawn.text(ascii_only=not output.is_unicode()).splitlines())
    elif file:
        drawn.save(file)
    else:
        output.write_line(drawn.svg().rstrip())


@command(click.argument("file", metavar="FILE"), name="validate", store=None)
def pipeline_validate(call: Call, file: str) -> None:
    """Check a pipeline document, and what it extends: everything that is wrong with it at once.

    Each problem is given with its line and column, and the nearest word that would be right. Ends
    with exit code 2 if there is any. A pipeline called validate is ./validate.
    """
    rows = api.check_pipeline(file)
    document = {"file": file, "ok": not rows, "problems": rows}
    call.write(document, _validated_lines(file, rows))
    sys.exit(EXIT_USAGE if rows else EXIT_OK)


def _validated_lines(file: str, rows: Sequence[dict[str, Any]]) -> Iterator[str]:
    for row in rows:
        near = f"; did you mean {row['nearest']!r}?" if row["nearest"] else ""
        place = f"{printable(row['file'])}:{row['line']}:{row['column']}"
        where = printable(row["pointer"] or "/")
        yield f"{place}: {where}: {printable(row['message'] + near)}"
    if rows:
        yield counted(len(rows), "problem")
        return
    found: dict[str, Any] = api.pipeline(os.path.join(os.curdir, file))
    yield f"{found['name']}: {', '.join(task['id'] for task in found['tasks'])}"
    yield from output.next_lines(f"codebatch pipeline {shlex.quote(file)} --draw")


pipeline.commands = {"validate": pipeline_validate}


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
    *tasks_options,
    *rules_options,
    shards_option,
)
def plan(
    call: Call,
    snapshot: str | None,
    batch: str | None,
    pipeline: str | None,
    tasks: tuple[str, ...],
    select_rules: list[str] | None,
    ignore_rules: list[str] | None,
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
        planned = opened.find_batch(batch, tasks=tasks)
        call.name_trees(planned)
        forecast = planned.forecast()
    else:
        taken = opened.find_snapshot(snapshot or LATEST)
        call.name_trees(taken)
        settings = rule_settings(select_rules, ignore_rules)
        forecast = opened.forecast(taken, pipeline, tasks=tasks, settings=settings, shards=shards)
    rows = [{**vars(task), "reasons": _reasons(task)} for task in forecast.tasks]
    call.write({**vars(forecast), "tasks": rows}, _forecast_lines(call, forecast))


def _forecast_lines(call: Call, forecast: Forecast) -> Iterator[str]:
    against = "" if forecast.against is None else f"  compared with {forecast.against}"
    yield f"{forecast.batch_id}{against}"
    of_files = [task for task in forecast.tasks if task.unit == "files"]
    compute, reuse = sum(task.compute for task in of_files), sum(task.reuse for task in of_files)
    files = counted((compute + reuse) // max(len(of_files), 1), "file")
    yield f"  {files}, {counted(compute, 'result')} to compute, {reuse:,} to reuse"
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
            yield f"  {name} {abridged(printable(canonical_json(value).decode()))}"
