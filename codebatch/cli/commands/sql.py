"""``codebatch sql``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import click

from codebatch import api
from codebatch.cli.group import OnceCommand
from codebatch.cli.options import batch_option, store_option
from codebatch.cli.render import output
from codebatch.cli.render.formats import (
    Columns,
    Destination,
    is_streamed,
    output_options,
    write_rows,
)
from codebatch.model.digest import Document
from codebatch.model.errors import SqlTooLargeError
from codebatch.query.sql import DEFAULT_TIMEOUT, run_sql

_MAX_HELD_BYTES = 256 * 2**20
_ROW_BYTES = 256  # what a row takes besides its texts, about


@click.command(cls=OnceCommand)
@click.argument("statement", metavar="STATEMENT")
@batch_option
@click.option(
    "--timeout",
    type=float,
    default=DEFAULT_TIMEOUT,
    show_default=True,
    metavar="SECONDS",
    help="How long to wait for the statement; 0 is no limit.",
)
@store_option
@output_options
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
    needed, which may be deleted at any time. Statements can read, nothing else, and use 512 MiB
    of memory. Results of any size are written with --format jsonl; other forms hold 256 MiB.
    """
    batch = api.open_store(store).find_batch(batch_id)
    batch_status = batch.load_status()
    output.note_unfinished(batch.id, batch_status.status, batch_status.shards())
    result = run_sql(batch.directory, batch_status, statement, timeout)
    rows = result.rows if is_streamed(destinations) else _bounded(result.rows)
    write_rows(rows, Columns(result.columns, result.columns), destinations)


def _bounded(rows: Iterator[Document]) -> Iterator[Document]:
    """The rows, unless they are too many to be held at once."""
    held = 0
    for row in rows:
        held += _ROW_BYTES + sum(len(value) for value in row.values() if isinstance(value, str))
        if held > _MAX_HELD_BYTES:
            raise SqlTooLargeError(
                f"the result is larger than {_MAX_HELD_BYTES // 2**20} MiB",
                hints=["have it written as it comes: --format jsonl", "or ask for less: LIMIT"],
            )
        yield row
