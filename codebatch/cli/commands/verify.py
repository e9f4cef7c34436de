"""``codebatch verify``."""

from __future__ import annotations

import sys
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from codebatch import api
from codebatch.cli.group import OnceCommand
from codebatch.cli.options import json_option, store_option, wait_option
from codebatch.cli.render.output import (
    counted,
    printable,
    size,
    write_document,
    write_line,
    write_next,
)
from codebatch.cli.render.progress import Progress
from codebatch.model.digest import Document
from codebatch.model.errors import EXIT_GATE, EXIT_OK, UsageError
from codebatch.runtime.lazy import lazy

if TYPE_CHECKING:
    from codebatch.maintenance.verify import Problem, VerifyReport, problems
else:
    problems = lazy("codebatch.maintenance.verify.problems")

_UNREPAIRABLE = frozenset({"FOREIGN_FILE", "PLAN_DAMAGED", "INPUTS_DAMAGED"})


@click.command(cls=OnceCommand)
@click.option("--read-data", is_flag=True, help="Read every object and check what it holds.")
@click.option(
    "--subset",
    metavar="P%|N/T",
    help="Read a part of the objects, always the same one: 10%, or 2/5 for the second of five.",
)
@click.option("--repair", is_flag=True, help="Drop what can be computed again, restore the rest.")
@click.option(
    "--source",
    metavar="DIR",
    help="With --repair: a directory that may still have files which the store has lost.",
)
@wait_option
@store_option
@json_option
def verify(
    read_data: bool,
    subset: str | None,
    repair: bool,
    source: str | None,
    wait: float,
    store: str | None,
    as_json: bool,
) -> None:
    """Check everything in a store, and report all damage with what it touches.

    Ends with exit code 1 if there is any damage, with --repair only if some is left. --repair
    changes damaged files alone: results and indexes are dropped, and count as missing until
    resume computes them again; documents are written anew from what is whole; lost files are looked
    for in --source.
    """
    if source is not None and not repair:
        raise UsageError("--source is for --repair alone")
    opened = api.open_damaged_store(store)
    progress = Progress("verify", "objects")
    try:
        report = opened.verify(
            read_data=read_data,
            subset=subset,
            repair=repair,
            source=source,
            progress=progress.count,
            wait=wait,
        )
    finally:
        progress.close()
    if as_json:
        write_document(_document(report))
    else:
        _write_report(report, store, repaired=repair)
    sys.exit(EXIT_OK if report.ok else EXIT_GATE)


def _document(report: VerifyReport) -> Document:
    return {
        "ok": report.ok,
        "checked": asdict(report.checked),
        "notes": asdict(report.notes),
        "problems": [
            {
                "code": problem.code,
                "message": problem.message,
                "path": problem.path,
                "batches": list(problem.batches),
                "snapshots": list(problem.snapshots),
                "derived": problem.is_derived,
                "action": problem.action,
            }
            for problem in report.problems
        ],
    }


def _write_report(report: VerifyReport, store: str | None, *, repaired: bool) -> None:
    for problem in report.problems:
        _write_problem(problem)
    checked = report.checked
    read = f"{checked.read:,} read ({size(checked.bytes)})" if checked.read else "none read"
    objects, snapshots = counted(checked.objects, "object"), counted(checked.snapshots, "snapshot")
    batches = counted(checked.batches, "batch", "batches")
    shards = counted(checked.shards, "result of a shard", "results of shards")
    write_line(f"checked {objects}, {read}; {snapshots}, {batches}, {shards}")
    for name, number in asdict(report.notes).items():
        if number:
            write_line(f"  no damage: {number:,} {name.replace('_', ' ')}")
    number = len(report.problems)
    write_line(counted(number, "problem") if number else "no problems")
    commands = _next(report, repaired=repaired)
    if commands:
        write_next(*commands, store=store)


def _write_problem(problem: Problem) -> None:
    done = "" if problem.action is None else f"  [{problem.action}]"
    write_line(f"{printable(problem.path)}: {problem.code}{done}")
    write_line(f"  {printable(problem.message)}")
    touched = [*problem.snapshots, *problem.batches]
    if touched:
        write_line(f"  touches {', '.join(touched)}")


def _next(report: VerifyReport, *, repaired: bool) -> list[str]:
    """Return what to do now: repair, then compute again what was dropped."""
    if not repaired:
        can_help = not _UNREPAIRABLE.issuperset(problem.code for problem in report.problems)
        return ["codebatch verify --repair"] if can_help else []
    pending = [
        p for p in report.problems if p.action == problems.DROPPED or p.code == "STATE_MISSING"
    ]
    again = sorted({batch_id for problem in pending for batch_id in problem.batches})
    commands = [f"codebatch resume --batch {batch_id}" for batch_id in again]
    if any(p.action == problems.NO_ACTION and p.snapshots for p in report.problems):
        commands.append("codebatch verify --repair --source DIR")
    return commands
