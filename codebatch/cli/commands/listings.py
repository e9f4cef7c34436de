"""What is in a store, listed: ``snapshots`` and ``batches``, each with its tree, latest last."""

from __future__ import annotations

import os
from collections.abc import Sequence

from codebatch.cli.command import ROWS, Call, command
from codebatch.cli.render import output
from codebatch.cli.render.output import ago, size
from codebatch.model.clock import seconds_since
from codebatch.model.digest import Document
from codebatch.query.fields import check_sort, sorted_rows
from codebatch.query.views import BATCH_FIELDS, SNAPSHOT_FIELDS

# What both listings say of an asking; columns in which no row has anything are left out.
_TREE: output.Columns = {
    "tree": lambda row: os.path.basename(row["source"] or ""),
    "at": lambda row: output.revision(row["branch"], row["commit"]),
    "name": lambda row: ", ".join(row["names"]),
}
_LISTED = ("source", "branch", "commit", "names", "file_count", "total_bytes", "asked")
_SNAPSHOTS: output.Columns = {
    "snapshot_id": lambda row: row["snapshot_id"],
    **_TREE,
    "taken": lambda row: ago(seconds_since(row["asked"])),
    "files": lambda row: row["file_count"],
    "size": lambda row: size(row["total_bytes"]),
    "skipped": lambda row: row["skipped_count"],
    "source": lambda row: row["source"],
}
_BATCHES: output.Columns = {
    "batch_id": lambda row: row["batch_id"],
    **_TREE,
    "asked": lambda row: ago(seconds_since(row["asked"])),
    "status": lambda row: row["status"],
    "findings": lambda row: row["findings"],
    "errors": lambda row: row["errors"],
    "warnings": lambda row: row["warnings"],
    "pipeline": lambda row: row["pipeline"],
    "files": lambda row: row["file_count"],
    "source": lambda row: row["source"],
}


@command(select=("sort", "limit"), form=ROWS)
def snapshots(call: Call) -> None:
    """List the snapshots in the store with tree, branch, size and age, latest last."""
    check_sort(call.sort, SNAPSHOT_FIELDS)
    _write_listing(call, call.open().snapshots(), SNAPSHOT_FIELDS, _SNAPSHOTS)


@command(select=("sort", "limit"), form=ROWS)
def batches(call: Call) -> None:
    """List the batches in the store with tree, branch, status, findings and age, latest last."""
    check_sort(call.sort, BATCH_FIELDS)
    _write_listing(call, call.open().batches(), BATCH_FIELDS, _BATCHES)


def _write_listing(
    call: Call, rows: Sequence[Document], fields: Sequence[str], columns: output.Columns
) -> None:
    """Write rows of which the latest is the last; a limit without an order keeps the latest."""
    start = 0 if call.limit is None or call.sort else max(0, len(rows) - call.limit)
    chosen = sorted_rows(rows[start:], call.sort)[: call.limit]
    shown = {
        name: read
        for name, read in columns.items()
        if name not in _TREE or not chosen or any(map(read, chosen))
    }
    call.write_rows(
        chosen,
        (fields[0], *_LISTED),
        fields,
        human=lambda found: output.table(shown, found),
    )
