"""``codebatch errors`` and ``codebatch query``."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable, Sequence

import click

from codebatch import api
from codebatch.cli.group import OnceCommand, ReportingGroup
from codebatch.cli.options import batch_option, store_option
from codebatch.cli.render import output
from codebatch.cli.render.formats import (
    Columns,
    Destination,
    Row,
    is_streamed,
    output_options,
    write_rows,
)
from codebatch.cli.selection import Selection, selection_options
from codebatch.model.records import KINDS
from codebatch.query.fields import record_columns
from codebatch.query.order import check_sort, sorted_rows

_PLACE_KEYS = frozenset({"kind", "path", "line", "column", "task_id", "shard_id"})
_FINDING_COLUMNS = ("path", "line", "column", "severity", "code", "message")


@click.command(cls=OnceCommand)
@batch_option
@selection_options("task", "severity", "code", "path", "language", "sort", "limit")
@store_option
@output_options
def errors(
    batch_id: str, selection: Selection, store: str | None, destinations: Sequence[Destination]
) -> None:
    """List the findings of a batch: syntax errors and diagnostics, by path and line."""
    columns = _columns("diagnostic", _FINDING_COLUMNS)
    found = _select(batch_id, store, selection, columns, destinations, "diagnostic")
    if destinations:
        write_rows(itertools.islice(found, selection.limit), columns, destinations)
    else:
        _write_findings(list(found), selection.limit)


@click.group("query", cls=ReportingGroup)
def query() -> None:
    """Read the records of a batch."""


@query.command("outputs", cls=OnceCommand)
@batch_option
@selection_options(
    *("task", "kind", "severity", "code", "path", "language", "name", "symbol_type", "edge_type"),
    *("target", "metric", "min", "max", "sort", "limit"),
)
@store_option
@output_options
def outputs(
    batch_id: str, selection: Selection, store: str | None, destinations: Sequence[Destination]
) -> None:
    """List records of any kind, by path, then task; JSON lines as they are read, by task."""
    columns = Columns(("path", "line", "kind", "task_id"), record_columns(KINDS))
    found = _select(batch_id, store, selection, columns, destinations)
    write_rows(itertools.islice(found, selection.limit), columns, destinations, _write_records)


@query.command("diagnostics", cls=OnceCommand)
@batch_option
@selection_options("task", "severity", "code", "path", "language", "sort", "limit")
@store_option
@output_options
def diagnostics(
    batch_id: str, selection: Selection, store: str | None, destinations: Sequence[Destination]
) -> None:
    """List the findings of a batch as a table."""
    columns = _columns("diagnostic", _FINDING_COLUMNS)
    found = _select(batch_id, store, selection, columns, destinations, "diagnostic")
    write_rows(itertools.islice(found, selection.limit), columns, destinations)


@query.command("symbols", cls=OnceCommand)
@batch_option
@selection_options("task", "name", "symbol_type", "path", "language", "sort", "limit")
@store_option
@output_options
def symbols(
    batch_id: str, selection: Selection, store: str | None, destinations: Sequence[Destination]
) -> None:
    """List what the files of a batch define."""
    columns = _columns("symbol", ("path", "line", "symbol_type", "scope", "name"))
    found = _select(batch_id, store, selection, columns, destinations, "symbol")
    write_rows(itertools.islice(found, selection.limit), columns, destinations)


@query.command("edges", cls=OnceCommand)
@batch_option
@selection_options("task", "name", "target", "edge_type", "path", "language", "sort", "limit")
@store_option
@output_options
def edges(
    batch_id: str, selection: Selection, store: str | None, destinations: Sequence[Destination]
) -> None:
    """List the imports, exports and base classes of a batch."""
    columns = _columns("edge", ("path", "line", "edge_type", "target", "name", "alias"))
    found = _select(batch_id, store, selection, columns, destinations, "edge")
    write_rows(itertools.islice(found, selection.limit), columns, destinations)


@query.command("metrics", cls=OnceCommand)
@batch_option
@selection_options("task", "metric", "name", "min", "max", "path", "language", "sort", "limit")
@store_option
@output_options
def metrics(
    batch_id: str, selection: Selection, store: str | None, destinations: Sequence[Destination]
) -> None:
    """List the measures of files and functions."""
    columns = _columns("metric", ("path", "line", "name", "metric", "value"))
    found = _select(batch_id, store, selection, columns, destinations, "metric")
    write_rows(itertools.islice(found, selection.limit), columns, destinations)


@query.command("stats", cls=OnceCommand)
@batch_option
@selection_options("task")
@store_option
@output_options
def stats(
    batch_id: str, selection: Selection, store: str | None, destinations: Sequence[Destination]
) -> None:
    """Count the records by task, kind, language, severity and code; no records are read."""
    rows = api.open_store(store).find_batch(batch_id).stats(selection.task)
    names = ("by", "name", "count")
    write_rows(rows, Columns(names, names), destinations)


def _columns(kind: str, shown: tuple[str, ...]) -> Columns:
    return Columns(shown, record_columns([kind]))


def _select(
    batch_id: str,
    store: str | None,
    selection: Selection,
    columns: Columns,
    destinations: Sequence[Destination],
    kind: str | None = None,
) -> Iterable[Row]:
    """The chosen records in order; as they are read where nothing asks for an order. A limit
    does: which records it leaves must not depend on the format or the shards.
    """
    check_sort(selection.sort, columns.all)
    batch = api.open_store(store).find_batch(batch_id)
    overview = batch.overview()
    output.note_unfinished(batch.id, overview.status, overview.shards())
    filters = dict(selection.filters) if kind is None else {**selection.filters, "kind": kind}
    if is_streamed(destinations) and selection.sort is None and selection.limit is None:
        return batch.outputs(task=selection.task, **filters)
    return sorted_rows(batch.sorted_records(task=selection.task, **filters), selection.sort)


def _write_records(rows: Sequence[Row]) -> None:
    for row in rows:
        fields = {key: value for key, value in row.items() if key not in _PLACE_KEYS}
        words = " ".join(
            f"{output.printable(key)}={output.printable(value)}" for key, value in fields.items()
        )
        output.write_line(f"{_place(row)}: {output.printable(row['kind'])} {words}")


def _write_findings(found: Sequence[Row], limit: int | None) -> None:
    for row in found[:limit]:
        output.write_line(
            f"{_place(row)}: {output.severity(str(row['severity']))} {row['code']} "
            f"{output.printable(row['message'])}"
        )
    _write_totals(found, len(found) if limit is None else limit)


def _place(row: Row) -> str:
    path = output.printable(row["path"])
    numbers = (output.printable(row[key]) for key in ("line", "column") if key in row)
    return ":".join((path, *numbers))


def _write_totals(found: Sequence[Row], shown: int) -> None:
    counts = Counter(str(row["severity"]) for row in found)
    cut = f", {shown:,} shown" if shown < len(found) else ""
    output.write_line(output.findings(len(found), counts) + cut)
