"""``--fail-on``: the exit code of a command says if it has found what must not be."""

from __future__ import annotations

import sys
from collections.abc import Mapping

import click

from codebatch.cli.options import Option
from codebatch.cli.render import output
from codebatch.model.errors import EXIT_GATE
from codebatch.model.records import SEVERITIES

ANY = "any"


def fail_on_option(what: str, *more: str) -> Option:
    """Return the option; ``what`` is looked at, ``more`` words may be given beside severities."""
    return click.option(
        "--fail-on",
        type=click.Choice((*SEVERITIES, *more)),
        help=f"Exit 1 if {what} is at least this severe"
        + ("; 'any': if anything is listed." if more else "."),
    )


def check_new(fail_on: str, failing: int, most: int) -> None:
    """Exit, and say why, where more new findings are as severe as ``fail_on`` than there may be."""
    if failing > most:
        words = output.counted(failing, "new finding")
        limit = f" --max-new {most:,}," if most else ""
        click.echo(f"exit code {EXIT_GATE}: --fail-on {fail_on},{limit} {words}", err=True)
        sys.exit(EXIT_GATE)


def check_stale(number: int) -> None:
    """Exit, and say why, where a baseline file has stale entries."""
    if number:
        words = output.counted(number, "stale entry", "stale entries")
        click.echo(f"exit code {EXIT_GATE}: --fail-on-stale, {words}", err=True)
        sys.exit(EXIT_GATE)


def check_gate(fail_on: str | None, by_severity: Mapping[str, int], anything: int = 0) -> None:
    """Exit, and say why, where there are findings as severe as ``fail_on``, or ``anything``."""
    if fail_on is None:
        return
    if fail_on == ANY:
        failing = output.counted(anything, "change") if anything else ""
    else:
        severe = SEVERITIES[: SEVERITIES.index(fail_on) + 1]
        counts = {name: by_severity[name] for name in severe if by_severity.get(name)}
        failing = output.findings(counts) if counts else ""
    if failing:
        click.echo(f"exit code {EXIT_GATE}: --fail-on {fail_on}, {failing}", err=True)
        sys.exit(EXIT_GATE)
