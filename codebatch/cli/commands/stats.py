"""``codebatch store-stats``."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from codebatch import api
from codebatch.cli.group import OnceCommand
from codebatch.cli.options import json_option, store_option
from codebatch.cli.render.output import (
    counted,
    printable,
    size,
    write_document,
    write_line,
    write_next,
    write_table,
)
from codebatch.model.digest import Document

if TYPE_CHECKING:
    from codebatch.maintenance.stats import StoreStats

_SHORT_DIGEST = len("sha256:") + 12


@click.command("store-stats", cls=OnceCommand)
@click.option(
    "--largest",
    type=click.IntRange(min=0),
    default=10,
    show_default=True,
    metavar="N",
    help="How many of the largest objects to name.",
)
@store_option
@json_option
def store_stats(largest: int, store: str | None, as_json: bool) -> None:
    """Say what takes the store's room.

    Bytes by kind of data, how much equal files and compression save, what each batch added, and
    the largest objects with their paths. The whole store is looked at.
    """
    stats = api.open_store(store).stats(largest)
    if as_json:
        write_document(_document(stats))
        return
    _write_totals(stats)
    rows = [*stats.kinds, stats.total]
    write_line()
    write_table(("kind", "files", "size", "on disk"), map(_row, map(vars, rows)))
    if stats.growth:
        write_line()
        columns = ("batch_id", "new objects", "size", "own files")
        write_table(columns, [_growth_row(vars(one)) for one in stats.growth])
    if stats.largest:
        write_line()
        columns = ("object", "kind", "size", "path")
        write_table(columns, [_object_row(vars(one)) for one in stats.largest])
    write_next("codebatch gc --dry-run", store=store)


def _document(stats: StoreStats) -> Document:
    ratios = {name: getattr(stats, name) for name in ("deduplication", "compression", "saving")}
    return {**asdict(stats), "ratios": ratios}


def _write_totals(stats: StoreStats) -> None:
    snapshots, files = counted(stats.snapshots, "snapshot"), counted(stats.files, "file")
    batches = counted(stats.batches, "batch", "batches")
    write_line(f"{snapshots} with {files}, {size(stats.logical_bytes)}; {batches}")
    if stats.saving is not None:
        write_line(
            f"different contents {size(stats.distinct_bytes)} ({stats.deduplication} times less), "
            f"compressed {size(stats.stored_bytes)} ({stats.compression} times less)"
        )


def _row(usage: Document) -> Document:
    return {
        "kind": usage["kind"],
        "files": usage["files"],
        "size": size(int(str(usage["bytes"]))),
        "on disk": size(int(str(usage["disk_bytes"]))),
    }


def _growth_row(growth: Document) -> Document:
    return {
        "batch_id": growth["batch_id"],
        "new objects": growth["objects"],
        "size": size(int(str(growth["object_bytes"]))),
        "own files": size(int(str(growth["own_bytes"]))),
    }


def _object_row(found: Document) -> Document:
    paths = found["paths"]
    assert isinstance(paths, tuple)  # noqa: S101 - as it is declared
    more = int(str(found["path_count"])) - 1
    path = printable(paths[0]) if paths else "-"
    return {
        "object": str(found["object"])[:_SHORT_DIGEST],
        "kind": str(found["kind"]).removesuffix(" objects"),
        "size": size(int(str(found["bytes"]))),
        "path": f"{path} and {more:,} more" if more > 0 else path,
    }
