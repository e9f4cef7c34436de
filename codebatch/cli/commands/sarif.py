"""Findings of other scanners: ``sarif import``."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from dataclasses import asdict

import click

from codebatch import api
from codebatch.cli.command import ID, Call, command, libraries_silenced
from codebatch.cli.group import ReportingGroup
from codebatch.cli.options import batch_option
from codebatch.cli.render import output
from codebatch.cli.render.output import counted, printable
from codebatch.cli.render.progress import Display
from codebatch.model.errors import EXIT_INTERRUPTED, EXIT_OK, EXIT_SHARDS_FAILED, UsageError
from codebatch.model.records import DONE, INTERRUPTED
from codebatch.runtime.lazy import lazily

with lazily():
    from codebatch.batch import report as reports
    from codebatch.batch import sarif as logs

_MOST_NAMED = 10


@click.group("sarif", cls=ReportingGroup)
def sarif_group() -> None:
    """Take in what other scanners have found."""


@command(
    click.argument("file", metavar="FILE"),
    batch_option,
    click.option(
        "--snapshot",
        "snapshot_id",
        metavar="ID",
        help="Make a batch of the log alone, over this snapshot.",
    ),
    click.option("--alone", is_flag=True, help="Make a batch of the log alone."),
    click.option(
        "--task",
        "task_id",
        metavar="NAME",
        help="What the task is called. Default: as the tool that wrote the log.",
    ),
    name="import",
    form=ID,
    group=sarif_group,
)
def sarif_import(
    call: Call, file: str, snapshot_id: str | None, alone: bool, task_id: str | None
) -> None:
    """Make the findings of a log of SARIF 2.1.0 the records of a task.

    FILE is what CodeQL or any other scanner has written; '-' is standard input. A new batch over
    the snapshot of the given one has its findings beside the tasks of that batch, so that errors,
    diff, export and sql show them. The same log gives the same batch.

    Paths in the log may be absolute, or begin at another folder: they are matched to the files of
    the snapshot by their ends. What is no finding of a file of the snapshot is counted and named.
    """
    if snapshot_id is not None and call.batch_id is not None:
        raise UsageError("--snapshot is for a log alone, and --batch for one beside tasks")
    data = logs.read_file(file, sys.stdin.buffer if file == "-" else None)
    if snapshot_id is not None:
        opened = call.open()
        imported = opened.find_snapshot(snapshot_id).import_sarif(data, task=task_id)
    else:
        base = call.batch()
        opened = api.Store(base.directory)
        imported = base.import_sarif(data, task=task_id, alone=alone)
    with libraries_silenced(), Display(quiet=call.quiet) as display:
        try:
            report = opened.find_batch(imported.batch_id).run(progress=display)
        except reports.RunInterrupted as interrupted:
            report = interrupted.report
    for note in _notes(imported):
        output.write_note(note)
    document = {**asdict(imported), "status": report.status, "result": report.result}
    call.write(document, _lines(call, imported, report), imported.batch_id)
    codes = {DONE: EXIT_OK, INTERRUPTED: EXIT_INTERRUPTED}
    sys.exit(codes.get(report.status, EXIT_SHARDS_FAILED))


def _lines(call: Call, imported: logs.ImportReport, report: reports.RunReport) -> Iterator[str]:
    known = "" if imported.created else "  (as before)"
    yield f"{imported.batch_id}  {output.status(report.status)}{known}"
    for task in imported.tasks:
        tools = ", ".join(f"{one['name']} {one['version']}".strip() for one in task.tools)
        findings = f"{counted(task.findings, 'finding')} in {counted(task.files, 'file')}"
        yield f"  {task.task_id}  {findings}, of {printable(tools)}"
    yield f"  snapshot {imported.snapshot_id}"
    for error in report.errors:
        output.write_error(f"shard {error['shard_id']}: {error['message']}")
    if report.status != DONE:
        yield from call.next(f"codebatch resume --batch {imported.batch_id}")
        return
    tasks = [f" --task {task.task_id}" for task in imported.tasks][:_MOST_NAMED]
    yield from call.next(*(f"codebatch errors --batch {imported.batch_id}{task}" for task in tasks))


def _notes(imported: logs.ImportReport) -> Iterator[str]:
    """Yield what is worth knowing of results that were left out."""
    for tool in imported.unsuccessful:
        yield f"the log says that {tool} did not end well"
    left_out = dict(imported.left_out)
    named = ((logs.NOT_IN_SNAPSHOT, imported.missing), (logs.BEYOND_END, imported.beyond))
    for reason, paths in named:
        number = left_out.pop(reason, 0)
        if number:
            yield f"left out {counted(number, 'result')} {reason}: {_named(paths)}"
    for reason, number in left_out.items():
        yield f"left out {counted(number, 'result')} {reason}"


def _named(paths: Mapping[str, int]) -> str:
    shown = [f"{path} ({number:,})" for path, number in paths.items()]
    rest = len(shown) - _MOST_NAMED
    more = [f"and {rest:,} more"] if rest > 0 else []
    return ", ".join([*shown[:_MOST_NAMED], *more])
