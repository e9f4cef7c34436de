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
from codebatch.query.fields import check_sort, record_columns, sorted_rows

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
    columns = Columns(_FINDING_COLUMNS, record_columns(["diagnostic"]))
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


def _listing(
    name: str, kind: str, shown: tuple[str, ...], options: tuple[str, ...], summary: str
) -> click.Command:
    """Return a command of ``query`` that lists the records of one kind as a table."""
    columns = Columns(shown, record_columns([kind]))

    @query.command(name, cls=OnceCommand, help=summary)
    @batch_option
    @selection_options("task", *options, "path", "language", "sort", "limit")
    @store_option
    @output_options
    def listing(
        batch_id: str, selection: Selection, store: str | None, destinations: Sequence[Destination]
    ) -> None:
        found = _select(batch_id, store, selection, columns, destinations, kind)
        write_rows(itertools.islice(found, selection.limit), columns, destinations)

    return listing


diagnostics = _listing(
    *("diagnostics", "diagnostic", _FINDING_COLUMNS, ("severity", "code")),
    "List the findings of a batch as a table.",
)
symbols = _listing(
    *("symbols", "symbol", ("path", "line", "symbol_type", "scope", "name")),
    *(("name", "symbol_type"), "List what the files of a batch define."),
)
edges = _listing(
    *("edges", "edge", ("path", "line", "edge_type", "target", "name", "alias")),
    *(("name", "target", "edge_type"), "List the imports, exports and base classes of a batch."),
)
metrics = _listing(
    *("metrics", "metric", ("path", "line", "name", "metric", "value")),
    *(("metric", "name", "min", "max"), "List the measures of files and functions."),
)


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
    batch_status = batch.load_status()
    output.note_unfinished(batch.id, batch_status.status, batch_status.shards())
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
