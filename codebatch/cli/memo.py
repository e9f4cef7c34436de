"""``codebatch memo export``, ``codebatch memo import`` and ``codebatch gc``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from codebatch import api
from codebatch.cli.access import prints, reads, writes
from codebatch.cli.group import OnceCommand
from codebatch.cli.options import json_option, store_option
from codebatch.cli.output import size, write_document, write_line

if TYPE_CHECKING:
    from codebatch.store.memo_archive import ArchiveReport


@click.group("memo")
def memo_group() -> None:
    """What was computed before, to be carried between machines."""


@memo_group.command("export", cls=OnceCommand)
@reads("store", "objects", "memo")
@prints("cli.memo")
@click.argument("file", metavar="FILE")
@store_option
@json_option
def export_command(file: str, store: str | None, as_json: bool) -> None:
    """Write all that is remembered to a tar file.

    The same memo gives the same file. Another store that imports it computes none of it again.
    """
    _write_report("exported", api.open_store(store).export_memo(file), as_json=as_json)


@memo_group.command("import", cls=OnceCommand)
@reads("store")
@writes("objects", "memo")
@prints("cli.memo")
@click.argument("file", metavar="FILE")
@store_option
@json_option
def import_command(file: str, store: str | None, as_json: bool) -> None:
    """Remember what another store exported.

    Import only what you would have computed by yourself: its results are taken as they are.
    """
    _write_report("imported", api.open_store(store).import_memo(file), as_json=as_json)


@click.command(cls=OnceCommand)
@reads("store", "memo", "indexes")
@writes("memo", "indexes")
@click.option("--dry-run", is_flag=True, help="Remove nothing, only say what would go.")
@click.option(
    "--max-memo-bytes",
    type=click.IntRange(min=0),
    metavar="N",
    help="Keep at most so many bytes of the memo, the last used. Default: 2 GiB.",
)
@click.option(
    "--max-memo-days",
    type=click.IntRange(min=0),
    metavar="N",
    help="Keep nothing in the memo that was not used for so many days. Default: 90.",
)
@store_option
@json_option
def gc(
    dry_run: bool,
    max_memo_bytes: int | None,
    max_memo_days: int | None,
    store: str | None,
    as_json: bool,
) -> None:
    """Trim what can be made again: the memo, and indexes of batches that are gone.

    Snapshots, batches and objects stay as they are. It is safe beside running batches.
    """
    report = api.open_store(store).collect_garbage(
        dry_run=dry_run, max_memo_bytes=max_memo_bytes, max_memo_days=max_memo_days
    )
    removed = {"objects": 0, "bytes": report.bytes, "memo": report.memo, "indexes": report.indexes}
    if as_json:
        kept = {"memo_bytes": report.memo_bytes_kept}
        write_document({"dry_run": dry_run, "removed": removed, "kept": kept})
        return
    verb = "would remove" if dry_run else "removed"
    write_line(
        f"{verb} {report.memo:,} memo segments and {report.indexes:,} indexes, {size(report.bytes)}"
    )
    write_line(f"the memo {'would keep' if dry_run else 'keeps'} {size(report.memo_bytes_kept)}")


def _write_report(verb: str, report: ArchiveReport, *, as_json: bool) -> None:
    if as_json:
        write_document(vars(report))
    else:
        write_line(
            f"{verb} {report.segments:,} segments and {report.objects:,} objects, "
            f"{size(report.bytes)}"
        )
