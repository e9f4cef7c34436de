"""``codebatch batch rm`` and ``codebatch snapshot rm``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from codebatch import api
from codebatch.cli.group import OnceCommand
from codebatch.cli.options import json_option, quiet_option, store_option, wait_option
from codebatch.cli.render.output import size, write_document, write_line, write_next
from codebatch.model.errors import UsageError

if TYPE_CHECKING:
    from codebatch.maintenance.remove import RemovalReport

dry_run_option = click.option(
    "--dry-run", is_flag=True, help="Remove nothing, only say what would go."
)


@click.command("rm", cls=OnceCommand)
@click.argument("ids", metavar="ID...", nargs=-1)
@dry_run_option
@wait_option
@store_option
@json_option
@quiet_option
def batch_rm(
    ids: tuple[str, ...],
    dry_run: bool,
    wait: float,
    store: str | None,
    as_json: bool,
    quiet: bool,
) -> None:
    """Remove batches with all their results.

    A batch that is being run is refused, and then none is removed. Objects that nothing needs any
    more go with codebatch gc.
    """
    if not ids:
        raise UsageError("no batch is named", hints=["list them: codebatch batches"])
    report = api.open_store(store).remove_batch(*ids, dry_run=dry_run, wait=wait)
    _write("batch rm", report, store, as_json=as_json, quiet=quiet)


@click.command("rm", cls=OnceCommand)
@click.argument("ids", metavar="ID...", nargs=-1)
@dry_run_option
@wait_option
@store_option
@json_option
@quiet_option
def snapshot_rm(
    ids: tuple[str, ...],
    dry_run: bool,
    wait: float,
    store: str | None,
    as_json: bool,
    quiet: bool,
) -> None:
    """Remove snapshots.

    A snapshot that a batch needs is refused, and then none is removed. Objects that nothing needs
    any more go with codebatch gc.
    """
    if not ids:
        raise UsageError(
            "no snapshot is named",
            hints=["list them: codebatch snapshots", "a directory called rm is ./rm"],
        )
    report = api.open_store(store).remove_snapshot(*ids, dry_run=dry_run, wait=wait)
    _write("snapshot rm", report, store, as_json=as_json, quiet=quiet)


def _write(
    command: str, report: RemovalReport, store: str | None, *, as_json: bool, quiet: bool
) -> None:
    if as_json:
        removed = [vars(one) for one in report.removed]
        write_document({"dry_run": report.dry_run, "removed": removed})
        return
    for one in report.removed:
        verb = "would be removed" if report.dry_run else "removed"
        write_line(one.id if quiet else f"{one.id}  {verb}, {size(one.bytes)}")
    if not quiet:
        ids = " ".join(one.id for one in report.removed)
        write_next(f"codebatch {command} {ids}" if report.dry_run else "codebatch gc", store=store)
