"""What a batch holds: ``summary``, ``errors``, ``tasks``, ``shards``, ``files``
and ``query``.
"""

from __future__ import annotations

import itertools
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, cast

import click

from codebatch import api
from codebatch.cli.command import CONDITIONS, ROWS, Call, command
from codebatch.cli.gate import check_gate, fail_on_option
from codebatch.cli.group import ReportingGroup
from codebatch.cli.options import batch_option
from codebatch.cli.render import findings, output
from codebatch.cli.render.formats import JSON, Row, is_lines
from codebatch.model.records import KINDS
from codebatch.query.fields import (
    ADDED,
    FILE_FIELDS,
    check_sort,
    fields_of,
    record_columns,
    sorted_rows,
)

FINDING_COLUMNS = ("path", "line", "column", "severity", "code", "message")


@command(batch_option)
def summary(call: Call) -> None:
    """Show what a batch holds: files, records, findings, and the result digest."""
    document = cast("dict[str, Any]", call.batch().summary())
    call.write(document, _summary_lines(call, document))


def _summary_lines(call: Call, document: dict[str, Any]) -> Iterator[str]:
    yield f"{document['batch_id']}  {output.status(document['status'])}"
    yield f"  snapshot {document['snapshot_id']}, pipeline {document['pipeline']}"
    yield f"  result   {document['result'] or 'not finished'}"
    files, records, found = (document[name] for name in ("files", "records", "diagnostics"))
    hidden = document["suppressed"]
    for label, total, parts in (
        ("files", files["total"], files["by_language"]),
        ("records", records["total"], records["by_kind"]),
        ("findings", found["total"], found["by_severity"]),
        ("by code", None, found["by_code"]),
        ("suppressed", hidden["total"] or None, hidden["by_code"]),
        ("suppressed by", None, hidden["by_how"]),
        ("not looked at", None, document["skipped"]["by_reason"]),
        ("left out", None, document["skipped"]["left_out"] or {}),
    ):
        ordered = sorted(parts.items(), key=lambda part: (-part[1], part[0]))
        words = ", ".join(f"{output.printable(name)} {number:,}" for name, number in ordered)
        head = "" if total is None else f"{total:,}"
        if head or words:
            yield f"  {label:<13} {': '.join(part for part in (head, words) if part)}"
    commands = ["errors", *(["skipped"] if any(document["skipped"].values()) else [])]
    yield from call.next(*(f"codebatch {name} --batch {document['batch_id']}" for name in commands))


@command(batch_option, form=ROWS)
def tasks(call: Call) -> None:
    """List the tasks of a batch."""
    shown = ("task_id", "type", "status", "needs", "records")
    call.write_rows(call.batch().tasks(), shown, (*shown, "fingerprint"))


@command(batch_option, select=("task",), form=ROWS)
def shards(call: Call) -> None:
    """List the shards of a batch, over all tasks or for one."""
    rows = call.batch().shards(**call.filters)
    call.write_rows(rows, ("shard_id", "status", "files", "records"))


@command(batch_option, select=("task", "path", "language", "sort", "limit"), form=ROWS)
def files(call: Call) -> None:
    """List the files of a batch with their language and how many records they have."""
    check_sort(call.sort, FILE_FIELDS)
    rows = sorted_rows(call.batch().files(**call.filters), call.sort)
    shown = ("language", "size", "records", "diagnostics", "path")
    call.write_rows(rows[: call.limit], shown, FILE_FIELDS)


@command(
    batch_option,
    findings.PLAIN,
    click.option(
        "--all", "everything", is_flag=True, help="All, where a terminal would get a first page."
    ),
    fail_on_option("a finding that is chosen, shown or not,"),
    select=("task", "severity", "code", "path", "language", "sort", "limit"),
    form=ROWS,
)
def errors(call: Call, plain: bool, everything: bool, fail_on: str | None) -> None:
    """List the findings of a batch, the most severe first, then by path and line.

    A terminal shows them with their source, through a pager; without one, a first page. With
    --sort, and with --plain, there is a line for each. The forms of --format are by path.
    """
    batch, found, columns = _select(call, "diagnostic")
    by_severity: Counter[str] = Counter()
    found = _counting(found, by_severity) if fail_on else found
    if call.formats:
        call.write_rows(itertools.islice(found, call.limit), FINDING_COLUMNS, columns)
        if fail_on:
            deque(found, maxlen=0)  # those that are counted and not shown
    else:
        rows = findings.by_severity(found) if call.sort is None else list(found)
        plain = plain or call.sort is not None
        source = findings.source_of(batch)
        lines = findings.listing(rows, source, call.limit, plain=plain, whole=everything)
        output.write_lines(lines, paged=True)
    check_gate(fail_on, by_severity)


def _counting(rows: Iterable[Row], by_severity: Counter[str]) -> Iterator[Row]:
    for row in rows:
        by_severity[str(row["severity"])] += 1
        yield row


@click.group("query", cls=ReportingGroup)
def query() -> None:
    """Read the records of a batch."""


@command(
    batch_option,
    group=query,
    select=(*CONDITIONS, "metric", "min", "max", "sort", "limit"),
    form=ROWS,
)
def outputs(call: Call) -> None:
    """List records of any kind, by path, then task; JSON lines as they are read, by task."""
    _, found, columns = _select(call)
    own = _own_kinds_wanted(call)
    shown = columns[1 : -len(ADDED)] if len(own) == 1 else ("path", "line", "kind", "task_id")
    call.write_rows(itertools.islice(found, call.limit), shown, columns, record_lines)


def _listing(
    name: str,
    kind: str,
    shown: tuple[str, ...],
    about: tuple[str, ...],
    conditions: tuple[str, ...],
    summary: str,
) -> click.Command:
    """Return a command of ``query`` that lists the records of one kind as a table, ``about`` some
    of its columns.
    """

    @command(
        batch_option,
        name=name,
        help=summary,
        group=query,
        select=("task", *conditions, "path", "language", "sort", "limit"),
        form=ROWS,
    )
    def listing(call: Call) -> None:
        _, found, columns = _select(call, kind)
        call.write_rows(itertools.islice(found, call.limit), shown, columns, about=about)

    return listing


@command(batch_option, group=query, select=("task",), form=ROWS)
def stats(call: Call) -> None:
    """Count the records by task, kind, language, severity and code; no records are read."""
    call.write_rows(call.batch().stats(**call.filters), ("by", "name", "count"))


diagnostics = _listing(
    *("diagnostics", "diagnostic", FINDING_COLUMNS, ("code",), ("severity", "code")),
    "List the findings of a batch as a table.",
)
symbols = _listing(
    *("symbols", "symbol", ("path", "line", "symbol_type", "scope", "name"), ("name",)),
    *(("name", "symbol_type"), "List what the files of a batch define."),
)
edges = _listing(
    *("edges", "edge", ("path", "line", "edge_type", "target", "name", "alias"), ("target",)),
    *(("name", "target", "edge_type"), "List the imports, exports and base classes of a batch."),
)
metrics = _listing(
    *("metrics", "metric", ("path", "line", "name", "metric", "value"), ("metric", "value")),
    *(("metric", "name", "min", "max"), "List the measures of files and functions."),
)


def _select(call: Call, kind: str | None = None) -> tuple[api.Batch, Iterable[Row], Sequence[str]]:
    """The batch, the chosen records in order, and the columns of their kinds; as they are read
    where nothing asks for an order. A limit does: which records it leaves must not depend on the
    format or the shards.
    """
    batch, batch_status = call.batch_to_read()
    filters = dict(call.filters) if kind is None else {**call.filters, "kind": kind}
    fields = fields_of(batch_status.plan)
    columns = record_columns([kind] if kind else _own_kinds_wanted(call) or fields, fields)
    check_sort(call.sort, columns)
    if is_lines(call.formats) and call.sort is None and call.limit is None:
        return batch, batch.outputs(**filters), columns
    if JSON in {one.format for one in call.formats}:
        batch.check_outputs(**filters)  # an array that has begun cannot become an error
    found = batch.sorted_records(**filters)
    return batch, (found if call.sort is None else sorted_rows(found, call.sort)), columns


def _own_kinds_wanted(call: Call) -> Sequence[str]:
    """Return the kinds asked for, where all are kinds that tasks have of their own."""
    kinds = [kind.strip() for kind in (call.filters.get("kind") or "").split(",")]
    return kinds if {*kinds}.isdisjoint({"", *KINDS}) else ()


def record_lines(rows: Iterable[Row]) -> Iterator[str]:
    """Yield a line for each record: its place, its kind and its fields."""
    for row in rows:
        kind = output.printable(row["kind"])
        yield f"{output.place(row)}: {kind} {output.fields_in_words(row)}"
