"""What ``codebatch scan --watch`` prints."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, NoReturn, TypeVar

import click
from click.core import ParameterSource

from codebatch import api
from codebatch.cli.command import Call
from codebatch.cli.commands.runs import report_lines, shown, write_errors
from codebatch.cli.render import findings, output
from codebatch.cli.render.progress import Display
from codebatch.model.errors import EXIT_INTERRUPTED, EXIT_OK, UsageError
from codebatch.model.records import DONE, INTERRUPTED
from codebatch.runtime.interrupts import deferred

if TYPE_CHECKING:
    from codebatch.batch import RunReport

T = TypeVar("T")


def refuse_beside_watch(*names: str) -> None:
    """Raise `UsageError` where an option is given that is for a scan which ends, or for a tree that
    does not change; what a configuration file has of them is for other scans.
    """
    context = click.get_current_context()
    for name in names:
        if context.get_parameter_source(name) is ParameterSource.COMMANDLINE:
            option = name.replace("_", "-")
            raise UsageError(f"--watch scans a tree as it is, again and again: not --{option}")


def displayed(call: Call, step: Callable[[Display], T]) -> T:
    """Do a step of a scan with a display of its own."""
    with shown(call) as display:
        return step(display)


def own_outputs() -> list[os.stat_result]:
    """Return the status of the files that this command writes to: to write is no change of a tree
    that holds them.
    """
    found = []
    for descriptor in (1, 2):
        with contextlib.suppress(OSError):  # closed: nothing is written there
            found.append(os.fstat(descriptor))
    return found


def left_out(snapshot: api.Snapshot | None) -> int:
    """Return how much was left out of a snapshot that was just taken."""
    return len(snapshot.taken.skipped) if snapshot and snapshot.taken else 0


def write_updates(call: Call, updates: Iterator[api.ScanUpdate]) -> NoReturn:
    """Write each as it comes, and exit when there are no more, or a run was interrupted."""
    for number, update in enumerate(updates):
        with deferred():  # an interrupt within could have a line twice, or half of one
            _write(call, update, is_first=number == 0)
        if update.report is not None and update.report.status == INTERRUPTED:
            sys.exit(EXIT_INTERRUPTED)
    sys.exit(EXIT_OK)


def _write(call: Call, update: api.ScanUpdate, *, is_first: bool) -> None:
    if call.as_json:
        click.echo(output.document_bytes(_document(update)), nl=False)
    elif update.error is not None:
        output.write_error(update.error.message, update.error.hints)
    elif call.quiet:
        output.write_line(_report(update).batch_id)
    elif is_first:
        _write_first(call, update)
    else:
        output.write_lines(_lines(update))


def _write_first(call: Call, update: api.ScanUpdate) -> None:
    batch, report = _batch(update), _report(update)
    output.write_lines(report_lines(call, batch, report, left_out(update.snapshot)))
    output.write_note(f"watching {batch.source_folder}: Ctrl-C ends")


def _lines(update: api.ScanUpdate) -> Iterator[str]:
    """Yield the findings that are new or gone, then a line that counts them."""
    batch, report, base = _batch(update), _report(update), update.base
    if report.status != DONE:
        write_errors(report)
    new, old = (findings.source_of(one) for one in (batch, base or batch))

    def source(row: findings.Row) -> Sequence[str]:
        return (old if row["change"] == "removed" else new)(row)

    yield from findings.changes((*update.new, *update.fixed), source)
    counts = f"{len(update.new):,} new, {len(update.fixed):,} fixed"
    words = counts if report.status == DONE else output.status(report.status)
    yield f"{batch.id}  {words}  {update.seconds:.1f} s"


def _document(update: api.ScanUpdate) -> object:
    """Return what ``scan --json`` prints with what has changed since the base, or an error."""
    if update.error is not None:
        return update.error.as_document()
    return {
        **_report(update).as_document(),
        "base": update.base and update.base.id,
        "new": update.new,
        "fixed": update.fixed,
        "summary": {"new": len(update.new), "fixed": len(update.fixed)},
    }


def _batch(update: api.ScanUpdate) -> api.Batch:
    assert update.batch is not None  # noqa: S101 - without an error, there is one
    return update.batch


def _report(update: api.ScanUpdate) -> RunReport:
    assert update.report is not None  # noqa: S101 - as above
    return update.report
