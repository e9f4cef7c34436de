"""``codebatch top``."""

from __future__ import annotations

from collections.abc import Sequence

import click

from codebatch import api
from codebatch.cli.group import OnceCommand
from codebatch.cli.options import batch_option, store_option
from codebatch.cli.render import output
from codebatch.cli.render.formats import (
    Columns,
    Destination,
    is_for_people,
    output_options,
    write_rows,
)
from codebatch.cli.selection import Selection, selection_options
from codebatch.query.top import CHOICES, DEFAULT_FIELD, FIELDS

_TABLE_ROWS = 10
_COUNTS = ("count", "name")
_MEASURES = ("value", "path", "line", "name")


@click.command(cls=OnceCommand)
@batch_option
@click.option(
    "--by",
    default=DEFAULT_FIELD,
    show_default=True,
    metavar="FIELD|METRIC",
    help=f"What to count or rank by: {', '.join(CHOICES)}.",
)
@selection_options(
    *("task", "kind", "severity", "code", "path", "language", "name", "symbol_type", "edge_type"),
    *("target", "min", "max", "limit"),
)
@store_option
@output_options
def top(
    batch_id: str,
    by: str,
    selection: Selection,
    store: str | None,
    destinations: Sequence[Destination],
) -> None:
    """Show what there is most of, or the largest values of a metric.

    Paths, codes, severities, rules and languages are counted over the findings, unless --kind
    says otherwise. A table shows ten rows without --limit; the other formats all.
    """
    batch = api.open_store(store).find_batch(batch_id)
    batch_status = batch.load_status()
    output.note_unfinished(batch.id, batch_status.status, batch_status.shards())
    rows = batch.top(by, task=selection.task, **selection.filters)
    limit = selection.limit
    if limit is None and is_for_people(destinations):
        limit = _TABLE_ROWS
    shown = _COUNTS if by in FIELDS else _MEASURES
    write_rows(rows[:limit], Columns(shown, shown[::-1] if by in FIELDS else shown), destinations)
    if selection.limit is None and limit is not None and len(rows) > limit:
        output.write_note(f"{limit} of {len(rows):,} shown (more: --limit N)")
