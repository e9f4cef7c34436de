"""Tasks of your own, before they are in a batch: ``task new``, ``task run`` and ``task list``."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import click

from codebatch import api
from codebatch.cli.command import ROWS, Call, command
from codebatch.cli.commands.results import FINDING_COLUMNS, record_lines
from codebatch.cli.group import ReportingGroup
from codebatch.cli.render import findings, output
from codebatch.cli.render.formats import Row
from codebatch.cli.render.output import counted, printable
from codebatch.cli.render.source import diff_lines
from codebatch.model.errors import EXIT_GATE, EXIT_OK, UsageError
from codebatch.query.fields import ADDED, record_columns
from codebatch.runtime.lazy import lazily
from codebatch.tasks.rules import FAILURES

with lazily():
    from codebatch.tasks import registry
    from codebatch.testing import files as given_files
    from codebatch.testing import run as trials


@click.group("task", cls=ReportingGroup)
def task_group() -> None:
    """Write tasks of your own, try them, list those there are."""


@command(click.argument("name", metavar="NAME"), name="new", store=None, group=task_group)
def task_new(call: Call, name: str) -> None:
    """Write NAME.py with a task that works, and test_NAME.py with its test, here.

    No file is overwritten.
    """
    files = [str(path) for path in api.new_task(name)]
    call.write({"name": name, "files": files}, _new_lines(name, files))


def _new_lines(name: str, files: Sequence[str]) -> Iterator[str]:
    yield from (f"wrote {file}" for file in files)
    address = f"{name}.py:{name}"
    yield from output.next_lines(
        f"codebatch task run {address} .",
        f"python -m pytest test_{name}.py",
        f"codebatch scan . --task {address}",
    )


@command(
    click.argument("address", metavar="FILE.py:NAME|MODULE:NAME|NAME"),
    click.argument("paths", metavar="PATH...", nargs=-1),
    click.option(
        "--config",
        "settings",
        multiple=True,
        metavar="KEY=VALUE",
        help="A setting of the task, or TASK.KEY of one that it needs, as JSON or text. May be "
        "given again.",
    ),
    click.option(
        "--with",
        "others",
        multiple=True,
        metavar="FILE.py:NAME",
        help="Another task of your own that this one needs. May be given again.",
    ),
    click.option("--language", metavar="NAME", help="Take the files to be in this language."),
    name="run",
    store=None,
    form=ROWS,
    group=task_group,
)
def task_run(
    call: Call,
    address: str,
    paths: tuple[str, ...],
    settings: tuple[str, ...],
    others: tuple[str, ...],
    language: str | None,
) -> None:
    """Run a task on files, and on those of folders, without a store, and show its records.

    What it needs is run as well. Ends with exit code 1 if the task failed on a file, which E0002
    then says in place of its records.
    """
    if not paths:
        raise UsageError("no file is named", hints=[f"codebatch task run {address} PATH..."])
    task = registry.resolve_task(address)
    wanted = trials.needed_by(task, [*map(registry.resolve_task, others)])
    tasks = trials.configured(wanted, _settings(settings, task.name, [one.id for one in wanted]))
    objects: dict[str, bytes] = {}
    files = given_files.iter_files(paths, language)
    rows: list[Row] = [*trials.run_on_files(tasks, files, objects=objects)]
    own = (name for fields in task.own.values() for name in fields)
    known = dict.fromkeys(("kind", "path", *record_columns(task.kinds), *own))
    columns = [one for one in known if one not in ADDED]
    if rows and all(row["kind"] == "diagnostic" for row in rows):
        call.write_rows(rows, FINDING_COLUMNS, columns, findings.plain_lines)
    else:
        call.write_rows(rows, ("path", "line", "kind"), columns, partial(_lines, objects))
    if not call.formats:
        number = len({row["path"] for row in rows})
        output.write_note(f"{counted(len(rows), 'record')} in {counted(number, 'file')}")
    sys.exit(EXIT_GATE if any(row.get("code") in FAILURES for row in rows) else EXIT_OK)


def _lines(objects: Mapping[str, bytes], rows: Iterable[Row]) -> Iterator[str]:
    """Yield a line for each record, and behind that of a patch its diff."""
    for row in rows:
        if row["kind"] != "patch" or row.get("chunked"):
            yield from record_lines([row])
            continue
        yield f"{output.place(row)}: patch +{row['added']} -{row['removed']}"
        yield from (f"  {line}" for line in diff_lines(objects[str(row["object"])]))


def _settings(given: Sequence[str], task_id: str, known: Sequence[str]) -> dict[str, Any]:
    """Return settings by task id; those of other tasks than the one at hand name it first."""
    found: dict[str, dict[str, Any]] = {}
    for one in given:
        name, equals, text = one.partition("=")
        owner, _, key = name.rpartition(".")
        if not key or not equals or (owner or task_id) not in known:
            hints = ["write KEY=VALUE, or TASK.KEY=VALUE for a task that this one needs"]
            raise UsageError(f"not a setting: {one!r}", hints=hints)
        try:
            value = json.loads(text)
        except ValueError:
            value = text
        found.setdefault(owner or task_id, {})[key] = value
    return found


@command(name="list", store=None, form=ROWS, group=task_group)
def task_list(call: Call) -> None:
    """List the tasks that there are by name: built-in ones, and those of installed packages."""
    rows = api.list_tasks()
    for row in rows:
        if row["error"]:
            output.write_note(f"note: {printable(row['error'])}")
    shown = ("name", "scope", "needs", "source", "summary")
    call.write_rows(rows, shown, (*shown, "kinds", "version", "error"))
