"""What is reckoned from the records of a batch: ``top`` and ``sql``."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import click

from codebatch import api
from codebatch.cli.command import CONDITIONS, ROWS, Call, command
from codebatch.cli.options import batch_option
from codebatch.cli.render import output
from codebatch.cli.render.formats import is_for_people, is_streamed
from codebatch.model.digest import Document
from codebatch.model.errors import SqlTooLargeError
from codebatch.query.sql import (
    DEFAULT_TIMEOUT,
    ENGINES,
    SCHEMA_COLUMNS,
    Question,
    run_sql,
    schema_rows,
)
from codebatch.query.top import CHOICES, DEFAULT_FIELD, ranking_of

_TOP_ROWS = 10
_MAX_HELD_BYTES = 256 * 2**20
_ROW_BYTES = 256  # what a row takes besides its texts, about


@command(
    batch_option,
    click.option(
        "--by",
        default=DEFAULT_FIELD,
        show_default=True,
        metavar="FIELD|METRIC",
        help=f"What to count or rank by: {', '.join(CHOICES)}; a kind of records, a field of a "
        "kind that a task has of its own, or a metric of your tasks.",
    ),
    select=(*CONDITIONS, "min", "max", "limit"),
    form=ROWS,
)
def top(call: Call, by: str) -> None:
    """Show what there is most of, or the largest values of a metric.

    Paths, codes, severities, rules and languages are counted over the findings, unless --kind
    says otherwise; a kind by path. Fields of numbers are ranked. A table shows ten rows without
    --limit; the other formats all.
    """
    batch, batch_status = call.batch_to_read()
    rows = batch.top(by, **call.filters)
    limit = call.limit
    if limit is None and is_for_people(call.formats):
        limit = _TOP_ROWS
    if ranking_of(batch_status.plan, by).measured:
        call.write_rows(rows[:limit], ("value", "path", "line", "name"), about=("value",))
    else:
        call.write_rows(rows[:limit], ("count", "name"), ("name", "count"), about=("count", "name"))
    if call.limit is None and limit is not None and len(rows) > limit:
        output.write_note(f"{limit} of {len(rows):,} shown (more: --limit N)")


@command(
    click.argument("statement", metavar="STATEMENT|TABLE", required=False),
    batch_option,
    click.option(
        "--batches",
        metavar="ID,ID",
        help="Several batches, each as with --batch; every table tells the batch then.",
    ),
    click.option(
        "--all", "every", is_flag=True, help="All batches that have records, as with --batches."
    ),
    click.option(
        "--schema",
        is_flag=True,
        help="Show the tables, or the one that is named, with columns, types and rows.",
    ),
    click.option(
        "--engine",
        type=click.Choice(ENGINES),
        default=ENGINES[0],
        show_default=True,
        help="What runs the statement; duckdb needs pip install 'codebatch[sql]'.",
    ),
    click.option(
        "--timeout",
        type=float,
        default=DEFAULT_TIMEOUT,
        show_default=True,
        metavar="SECONDS",
        help="How long to wait for the statement; 0 is no limit.",
    ),
    form=ROWS,
)
def sql(
    call: Call,
    statement: str | None,
    batches: str | None,
    every: bool,
    schema: bool,
    engine: str,
    timeout: float,
) -> None:
    """Run one SELECT over the records of a batch, of several or of all.

    The tables: files, diagnostics, symbols, edges, metrics, patches, artifacts, suppressions,
    records, and one for each kind that a task has of its own (todos for the kind todo); sql
    --schema shows their columns, and with --batches or --all each has the column batch. They are
    an SQLite index, made when it is first needed, which may be deleted at any time; what batches
    share is in it once. Statements can read, nothing else, and use 512 MiB of memory, with duckdb
    1 GiB. Rows have no order without ORDER BY. Results of any size are written as they come; a
    table on a terminal, and several forms at once, hold 256 MiB.
    """
    if statement is None and not schema:
        raise click.UsageError("Missing argument 'STATEMENT': a SELECT, or --schema for the tables")
    with _question(call, batches, every, engine) as question:
        if schema:
            found = schema_rows(question, statement)
            call.write_rows(found, SCHEMA_COLUMNS, head=output.printable)
            return
        result = run_sql(question, str(statement), timeout)
        rows = result.rows if is_streamed(call.formats) else _bounded(result.rows)
        human = partial(output.table_or_records, result.columns)
        call.write_rows(rows, result.columns, human=human, head=output.printable)


@contextmanager
def _question(call: Call, batches: str | None, every: bool, engine: str) -> Iterator[Question]:
    """Return what is asked about: the batch, or those that are named, or all."""
    if sum((call.batch_id is not None, batches is not None, every)) > 1:
        raise click.UsageError("--batch, --batches and --all say which batches: give one")
    if batches is None and not every:
        batch, batch_status = call.batch_to_read()
        yield Question(batch.directory, [batch_status], engine=engine)
        return
    named = None if batches is None else [*filter(None, map(str.strip, batches.split(",")))]
    opened, note = call.open(), call.note_unfinished()
    with api.question_about(opened.directory, named, note, engine) as question:
        if call.is_for_people:
            output.write_note(f"{len(question.statuses):,} batches")
        yield question


def _bounded(rows: Iterator[Document]) -> Iterator[Document]:
    """The rows, unless they are too many to be held at once."""
    held = 0
    for row in rows:
        held += _ROW_BYTES + sum(len(value) for value in row.values() if isinstance(value, str))
        if held > _MAX_HELD_BYTES:
            raise SqlTooLargeError(
                f"the result is larger than {_MAX_HELD_BYTES // 2**20} MiB",
                hints=[
                    "have it written as it comes: --format jsonl alone",
                    "or ask for less: LIMIT",
                ],
            )
        yield row
