"""The format of a store: ``store upgrade``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from codebatch.cli.command import Call, command
from codebatch.cli.group import ReportingGroup
from codebatch.cli.options import wait_option
from codebatch.cli.render.output import counted, size

if TYPE_CHECKING:
    from codebatch.maintenance.upgrade import UpgradeReport


@click.group("store", cls=ReportingGroup)
def store_group() -> None:
    """See to the format of a store."""


@command(wait_option, name="upgrade", group=store_group)
def store_upgrade(call: Call, wait: float) -> None:
    """Rewrite a store of an earlier format in place as one of the present format.

    Ids and results stay. Versions of codebatch that do not know the format cannot open the store
    afterwards. What a killed command has left to do is done by the next one.
    """
    report = call.open().upgrade(wait=wait)
    call.write(report, _upgraded_lines(report))


def _upgraded_lines(report: UpgradeReport) -> Iterator[str]:
    if report.before == report.version:
        yield f"the store has format {report.version} already"
    else:
        yield f"upgraded from format {report.before} to {report.version}"
    if report.written or report.removed:
        written, removed = counted(report.written, "file"), counted(report.removed, "file")
        yield f"  wrote {written} of outputs, {size(report.written_bytes)}"
        yield f"  removed {removed}, {size(report.removed_bytes)}"
