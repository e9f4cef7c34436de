"""``codebatch batch init`` and ``batch rm``, and ``codebatch batches``."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any, cast

import click

from codebatch import api
from codebatch.cli.commands.removal import batch_rm
from codebatch.cli.group import OnceCommand, ReportingGroup
from codebatch.cli.options import (
    json_option,
    pipeline_option,
    quiet_option,
    shards_option,
    store_option,
)
from codebatch.cli.render.output import (
    ago,
    size,
    write_document,
    write_line,
    write_next,
    write_table,
)
from codebatch.model.clock import seconds_since

_SHORT_ID = len("snap-") + 8
_SHORT_DIGEST = len("sha256:") + 12


@click.group("batch", cls=ReportingGroup)
def batch_group() -> None:
    """Plan batches, and remove them."""


batch_group.add_command(batch_rm)


@batch_group.command("init", cls=OnceCommand)
@click.option(
    "--snapshot",
    "snapshot_id",
    default="latest",
    show_default=True,
    metavar="ID",
    help="A snapshot id, a unique prefix of one, or 'latest'.",
)
@pipeline_option
@shards_option
@store_option
@json_option
@quiet_option
def batch_init(
    snapshot_id: str,
    pipeline: str,
    shards: int | None,
    store: str | None,
    as_json: bool,
    quiet: bool,
) -> None:
    """Plan a pipeline over a snapshot.

    The same snapshot, pipeline and tools give the same batch, which keeps the number of shards
    it was first planned with.
    """
    opened = api.open_store(store)
    made = opened.batch(opened.find_snapshot(snapshot_id), pipeline, shards=shards).made
    assert made is not None  # noqa: S101 - just made
    if as_json:
        write_document(asdict(made))
    elif quiet:
        write_line(made.batch_id)
    else:
        write_line(f"{made.batch_id}  {'planned' if made.created else 'already in the store'}")
        write_line(f"  pipeline {made.pipeline}: {', '.join(made.tasks)}")
        kept = "" if made.created or shards is None else " (as it was first planned)"
        write_line(f"  {made.shards} shards{kept}")
        write_next(f"codebatch run --batch {made.batch_id}", store=store)


@click.command(cls=OnceCommand)
@store_option
@json_option
def batches(store: str | None, as_json: bool) -> None:
    """List the batches in the store with status, size, age and result, oldest first."""
    rows = api.open_store(store).batches()
    if as_json:
        write_document(rows)
    else:
        columns = ("batch_id", "status", "pipeline", "files", "size", "records", "outputs")
        write_table((*columns, "created", "snapshot", "result"), map(_for_people, rows))


def _for_people(row: dict[str, object]) -> dict[str, object]:
    """Sizes in units, an age, and what names other things abbreviated."""
    document = cast("dict[str, Any]", row)
    result = document["result"]
    return {
        **document,
        "files": document["file_count"],
        "size": size(document["total_bytes"]),
        "outputs": size(document["output_bytes"]),
        "created": ago(seconds_since(document["created"])),
        "snapshot": document["snapshot_id"][:_SHORT_ID],
        "result": "-" if result is None else result[:_SHORT_DIGEST],
    }
