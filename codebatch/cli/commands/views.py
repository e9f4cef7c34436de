"""``codebatch summary``, ``tasks``, ``shards`` and ``files``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import click

from codebatch import api
from codebatch.cli.group import OnceCommand
from codebatch.cli.options import batch_option, json_option, store_option, task_option
from codebatch.cli.render import output
from codebatch.cli.render.formats import Columns, Destination, output_options, write_rows
from codebatch.cli.selection import Selection, selection_options
from codebatch.query.fields import FILE_FIELDS, check_sort, sorted_rows


@click.command(cls=OnceCommand)
@batch_option
@store_option
@json_option
def summary(batch_id: str, store: str | None, as_json: bool) -> None:
    """Show what a batch holds: files, records, findings, and the result digest."""
    batch = api.open_store(store).find_batch(batch_id)
    document = cast("dict[str, Any]", batch.summary())
    if as_json:
        output.write_document(document)
        return
    output.write_line(f"{batch.id}  {output.status(document['status'])}")
    output.write_line(f"  snapshot {document['snapshot_id']}, pipeline {document['pipeline']}")
    output.write_line(f"  result   {document['result'] or 'not finished'}")
    _write_counts("files", document["files"]["total"], document["files"]["by_language"])
    _write_counts("records", document["records"]["total"], document["records"]["by_kind"])
    diagnostics = document["diagnostics"]
    _write_counts("findings", diagnostics["total"], diagnostics["by_severity"])
    _write_counts("by code", None, diagnostics["by_code"])
    _write_counts("not looked at", None, document["skipped"]["by_reason"])
    output.write_next(f"codebatch errors --batch {batch.id}", store=store)


@click.command(cls=OnceCommand)
@batch_option
@store_option
@output_options
def tasks(batch_id: str, store: str | None, destinations: Sequence[Destination]) -> None:
    """List the tasks of a batch."""
    rows = api.open_store(store).find_batch(batch_id).tasks()
    shown = ("task_id", "type", "status", "needs", "records")
    write_rows(rows, Columns(shown, (*shown, "fingerprint")), destinations)


@click.command(cls=OnceCommand)
@batch_option
@task_option
@store_option
@output_options
def shards(
    batch_id: str, task_id: str | None, store: str | None, destinations: Sequence[Destination]
) -> None:
    """List the shards of a batch, over all tasks or for one."""
    rows = api.open_store(store).find_batch(batch_id).shards(task_id)
    shown = ("shard_id", "status", "files", "records")
    write_rows(rows, Columns(shown, shown), destinations)


@click.command(cls=OnceCommand)
@batch_option
@selection_options("task", "path", "language", "sort", "limit")
@store_option
@output_options
def files(
    batch_id: str, selection: Selection, store: str | None, destinations: Sequence[Destination]
) -> None:
    """List the files of a batch with their language and how many records they have."""
    check_sort(selection.sort, FILE_FIELDS)
    batch = api.open_store(store).find_batch(batch_id)
    rows = sorted_rows(batch.files(task=selection.task, **selection.filters), selection.sort)
    columns = Columns(("language", "size", "records", "diagnostics", "path"), FILE_FIELDS)
    write_rows(rows[: selection.limit], columns, destinations)


def _write_counts(label: str, total: int | None, parts: dict[str, int]) -> None:
    """``files  3,648: python 883, ...``, the largest part first."""
    ordered = sorted(parts.items(), key=lambda part: (-part[1], part[0]))
    words = ", ".join(f"{output.printable(name)} {number:,}" for name, number in ordered)
    if total is None and not parts:
        return
    head = "" if total is None else f"{total:,}"
    output.write_line(f"  {label:<13} {': '.join(part for part in (head, words) if part)}".rstrip())
