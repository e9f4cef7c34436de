"""``codebatch batch rm`` and ``codebatch snapshot rm``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import click

from codebatch import api
from codebatch.cli.group import OnceCommand
from codebatch.cli.options import json_option, quiet_option, store_option, wait_option
from codebatch.cli.render.output import size, write_document, write_line, write_next
from codebatch.model.errors import UsageError

if TYPE_CHECKING:
    from codebatch.maintenance.remove import RemovalReport


def _removal(
    noun: str, remove: Callable[..., RemovalReport], hints: Sequence[str], summary: str
) -> click.Command:
    """Return the command ``rm`` of the things that ``remove`` removes from a store."""

    @click.command("rm", cls=OnceCommand, help=summary)
    @click.argument("ids", metavar="ID...", nargs=-1)
    @click.option("--dry-run", is_flag=True, help="Remove nothing, only say what would go.")
    @wait_option
    @store_option
    @json_option
    @quiet_option
    def command(
        ids: tuple[str, ...],
        dry_run: bool,
        wait: float,
        store: str | None,
        as_json: bool,
        quiet: bool,
    ) -> None:
        if not ids:
            raise UsageError(f"no {noun} is named", hints=hints)
        report = remove(api.open_store(store), *ids, dry_run=dry_run, wait=wait)
        _write(f"{noun} rm", report, store, as_json=as_json, quiet=quiet)

    return command


batch_rm = _removal(
    "batch",
    api.Store.remove_batch,
    ["list them: codebatch batches"],
    """Remove batches with all their results.

    A batch that is being run is refused, and then none is removed. Objects that nothing needs any
    more go with codebatch gc.
    """,
)
snapshot_rm = _removal(
    "snapshot",
    api.Store.remove_snapshot,
    ["list them: codebatch snapshots", "a directory called rm is ./rm"],
    """Remove snapshots.

    A snapshot that a batch needs is refused, and then none is removed. Objects that nothing needs
    any more go with codebatch gc.
    """,
)


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
