"""``codebatch baseline``: make, change and prune a file of known findings."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import click

from codebatch.api import baselines
from codebatch.api.checking import finished_batch, snapshot_of
from codebatch.cli.command import DOCUMENT, Call, command
from codebatch.cli.commands.check import (
    TREE_OPTIONS,
    entry_lines,
    open_or_make,
    options_of,
    path_argument,
)
from codebatch.cli.commands.runs import shown
from codebatch.cli.group import ReportingGroup
from codebatch.cli.options import Option, batch_option
from codebatch.cli.render import output
from codebatch.cli.render.output import counted, printable
from codebatch.compare.baseline import DEFAULT_FILE, BaselineReport
from codebatch.snapshot import selection
from codebatch.store.destination import check_writable


@click.group("baseline", cls=ReportingGroup)
def baseline_group() -> None:
    """Keep a file of findings that are known, which check takes for not new."""


def _baseline_command(
    name: baselines.Change, option: Option, summary: str, *more: Option
) -> click.Command:
    """Return a command that changes a file by the findings of a tree."""

    @command(
        path_argument,
        option,
        *more,
        batch_option,
        *TREE_OPTIONS,
        name=name,
        help=summary,
        form=DOCUMENT,
        group=baseline_group,
    )
    def changing(
        call: Call, path: str, baseline: str, *, attributes: bool = True, **asked: Any
    ) -> None:
        baselines.known_entries(baseline, name)  # an error before anything is run
        check_writable(baseline)
        opened = open_or_make(call)
        chosen = None
        if call.batch_id is not None:
            batch = opened.find_batch(call.batch_id)
        else:
            _, chosen = selection.select(path, asked["include"], asked["exclude"])
            with shown(call) as display:
                options = options_of(call, opened, display, asked)
                taken = snapshot_of(opened, path, **options)
                batch = finished_batch(opened, taken, **options)
        report = baselines.change_baseline(baseline, name, batch, chosen, attributes=attributes)
        if report.attributes is not None:
            output.write_note(
                f"note: {report.attributes} now tells git to merge it by lines: commit both"
            )
        changed = report if name != "create" else replace(report, added=())
        words = f"codebatch check {shlex.quote(path)} --baseline {shlex.quote(baseline)}"
        call.write(report.as_document(), (*_lines(changed, report), *call.next(printable(words))))

    return changing


_FILE = click.option(
    "--baseline",
    metavar="FILE",
    default=DEFAULT_FILE,
    show_default=True,
    help="The file.",
)

_NO_ATTRIBUTES = click.option(
    "--no-gitattributes",
    "attributes",
    is_flag=True,
    flag_value=False,
    default=True,
    help="Leave .gitattributes as it is.",
)

create = _baseline_command(
    "create",
    click.option(
        "--output",
        "baseline",
        metavar="FILE",
        default=DEFAULT_FILE,
        show_default=True,
        help="The file to make.",
    ),
    """Make a file with all findings of a tree (default: here), or of a batch.

    Entries have no line numbers: the file changes when findings come and go, and not when lines
    move. Inside a git work tree, a line in the .gitattributes beside it has two branches that both
    change it merge without a conflict.
    """,
    _NO_ATTRIBUTES,
)
update = _baseline_command(
    "update",
    _FILE,
    "Add the findings of a tree or a batch that are new to a file, and drop stale entries.",
    _NO_ATTRIBUTES,
)
prune = _baseline_command(
    "prune", _FILE, "Drop the entries of a file that stand for no finding any more."
)


def _lines(listed: BaselineReport, report: BaselineReport) -> Iterator[str]:
    """Yield the entries of one report, and the numbers of the other."""
    yield from entry_lines("added", listed.added)
    yield from entry_lines("removed", listed.removed)
    yield (
        f"{printable(report.file)}  {counted(report.entries, 'entry', 'entries')}: "
        f"{len(report.added):,} added, {len(report.removed):,} removed"
    )
