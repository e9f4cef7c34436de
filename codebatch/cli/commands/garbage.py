"""``codebatch gc``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from codebatch import api
from codebatch.cli.group import OnceCommand
from codebatch.cli.options import Age, Size, json_option, store_option, wait_option
from codebatch.cli.render.output import size, write_document, write_line, write_note

if TYPE_CHECKING:
    from codebatch.maintenance.gc import GarbageReport

_WORDS = {
    "objects": "objects",
    "memo": "memo segments",
    "indexes": "indexes of batches that are gone",
    "stat_caches": "stat caches",
    "temporaries": "temporary files",
    "unfinished": "unfinished snapshots and batches",
    "discarded": "removed snapshots and batches",
    "leases": "expired leases",
}


@click.command(cls=OnceCommand)
@click.option("--dry-run", is_flag=True, help="Remove nothing, only say what would go.")
@click.option(
    "--grace",
    type=Age(),
    metavar="AGE",
    help="Keep what nothing refers to until it is so old: 30m, 12h, 14d, 2w. Default: 14d.",
)
@click.option(
    "--max-memo-bytes",
    type=Size(),
    metavar="SIZE",
    help="Keep at most so much of the memo, the last used, as 512MiB. Default: 2GiB.",
)
@click.option(
    "--max-memo-days",
    type=click.IntRange(min=0),
    metavar="N",
    help="Keep nothing in the memo that was not used for so many days. Default: 90.",
)
@wait_option
@store_option
@json_option
def gc(
    dry_run: bool,
    grace: float | None,
    max_memo_bytes: int | None,
    max_memo_days: int | None,
    wait: float,
    store: str | None,
    as_json: bool,
) -> None:
    """Remove what no snapshot and no batch needs, and what killed commands have left.

    Trims the memo and other indexes, too. Snapshots, runs and queries may go on meanwhile: what
    they rely on stays. Remove snapshots and batches with snapshot rm and batch rm.
    """
    report = api.open_store(store).gc(
        dry_run=dry_run,
        grace=grace,
        max_memo_bytes=max_memo_bytes,
        max_memo_days=max_memo_days,
        wait=wait,
    )
    if as_json:
        write_document(_document(report))
    else:
        _write_report(report)


def _document(report: GarbageReport) -> dict[str, object]:
    kept = {
        "objects": report.kept["objects"],
        "object_bytes": report.kept_bytes["objects"],
        "memo_bytes": report.kept_bytes["memo"],
    }
    return {
        "dry_run": report.dry_run,
        "removed": {**report.removed, "bytes": report.bytes},
        "removed_bytes": report.removed_bytes,
        "kept": kept,
        "protected_by": list(report.protected_by),
        "left": list(report.left),
    }


def _write_report(report: GarbageReport) -> None:
    verb = "would remove" if report.dry_run else "removed"
    write_line(f"{verb} {size(report.bytes)}")
    for kind, number in report.removed.items():
        if number:
            write_line(f"  {number:,} {_WORDS[kind]}, {size(report.removed_bytes[kind])}")
    kept = report.kept_bytes
    write_line(
        f"{'would keep' if report.dry_run else 'kept'} {report.kept['objects']:,} objects, "
        f"{size(kept['objects'])}, and {size(kept['memo'])} of the memo"
    )
    if report.protected_by:
        write_note(f"at work, and safe: {', '.join(report.protected_by)}")
    for place in report.left:
        write_note(f"left, as it is no folder of the store: {place}")
