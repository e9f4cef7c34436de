"""``codebatch sql``."""

from __future__ import annotations

from collections.abc import Sequence

import click

from codebatch import api
from codebatch.cli import output
from codebatch.cli.access import reads, writes
from codebatch.cli.formats import Columns, Destination, output_options, write_rows
from codebatch.cli.group import OnceCommand
from codebatch.cli.options import batch_option, store_option
from codebatch.query.sql import DEFAULT_TIMEOUT, run_sql


@click.command(cls=OnceCommand)
@click.argument("statement", metavar="STATEMENT")
@batch_option
@click.option(
    "--timeout",
    type=float,
    default=DEFAULT_TIMEOUT,
    show_default=True,
    metavar="SECONDS",
    help="How long the statement may take.",
)
@store_option
@output_options
@reads("store", "batches", "inputs", "states", "outputs", "indexes")
@writes("indexes")
def sql(
    statement: str,
    batch_id: str,
    timeout: float,
    store: str | None,
    destinations: Sequence[Destination],
) -> None:
    """Run one SELECT over the records of a batch.

    The tables: files, diagnostics, symbols, edges, metrics, records; SELECT * FROM one of them
    with LIMIT 1 shows its columns. They are an SQLite index of the batch, made when it is first
    needed, which may be deleted at any time. Statements can read, nothing else.
    """
    batch = api.open_store(store).find_batch(batch_id)
    overview = batch.overview()
    output.note_unfinished(batch.id, overview.status, overview.shards())
    result = run_sql(batch.store.directory, overview, statement, timeout)
    write_rows(result.rows, Columns(result.columns, result.columns), destinations)
