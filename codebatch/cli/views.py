"""``codebatch status``, ``summary``, ``tasks``, ``shards`` and ``files``."""

from __future__ import annotations

from typing import Any, cast

import click

from codebatch import api
from codebatch.cli import output
from codebatch.cli.group import OnceCommand
from codebatch.cli.options import (
    batch_option,
    json_option,
    language_option,
    limit_option,
    path_option,
    store_option,
    task_option,
)


@click.command(cls=OnceCommand)
@batch_option
@store_option
@json_option
def status(batch_id: str, store: str | None, as_json: bool) -> None:
    """How far a batch is."""
    batch = api.open_store(store).find_batch(batch_id)
    document = cast("dict[str, Any]", batch.status())
    if as_json:
        output.write_document(document)
        return
    shards = document["shards"]
    output.write_line(f"{batch.id}  {output.status(document['status'])}")
    output.write_line(
        f"  {shards['done']}/{shards['total']} shards done, "
        f"{shards['failed']} failed, {shards['pending']} pending"
    )
    for task in document["tasks"]:
        done, total = task["shards"]["done"], task["shards"]["total"]
        output.write_line(f"  {task['task_id']:<12} {output.status(task['status'])} {done}/{total}")
    for error in document["errors"]:
        output.write_error(f"shard {error['shard_id']}: {error['message']}")
    finished = document["status"] == "done"
    output.write_next(
        f"codebatch {'summary' if finished else 'resume'} --batch {batch.id}", store=store
    )


@click.command(cls=OnceCommand)
@batch_option
@store_option
@json_option
def summary(batch_id: str, store: str | None, as_json: bool) -> None:
    """What a batch holds: files, records, findings, and the result digest."""
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
@json_option
def tasks(batch_id: str, store: str | None, as_json: bool) -> None:
    """List the tasks of a batch."""
    rows = api.open_store(store).find_batch(batch_id).tasks()
    _write_rows(rows, ("task_id", "type", "status", "needs", "records"), as_json=as_json)


@click.command(cls=OnceCommand)
@batch_option
@task_option
@store_option
@json_option
def shards(batch_id: str, task_id: str | None, store: str | None, as_json: bool) -> None:
    """List the shards of a batch, over all tasks or for one."""
    rows = api.open_store(store).find_batch(batch_id).shards(task_id)
    _write_rows(rows, ("shard_id", "status", "files", "records"), as_json=as_json)


@click.command(cls=OnceCommand)
@batch_option
@path_option
@language_option
@limit_option
@store_option
@json_option
def files(
    batch_id: str,
    path: str | None,
    language: str | None,
    limit: int | None,
    store: str | None,
    as_json: bool,
) -> None:
    """List the files of a batch with their language and how many records they have."""
    batch = api.open_store(store).find_batch(batch_id)
    rows = batch.files(language=language, path=path)[:limit]
    columns = ("language", "size", "records", "diagnostics", "path")
    _write_rows(rows, columns, as_json=as_json)


def _write_rows(rows: list[dict[str, object]], columns: tuple[str, ...], *, as_json: bool) -> None:
    if as_json:
        output.write_document(rows)
    else:
        output.write_table(columns, rows)


def _write_counts(label: str, total: int | None, parts: dict[str, int]) -> None:
    """``files  3,648: python 883, ...``, the largest part first."""
    ordered = sorted(parts.items(), key=lambda part: (-part[1], part[0]))
    words = ", ".join(f"{output.printable(name)} {number:,}" for name, number in ordered)
    head = "" if total is None else f"{total:,}"
    output.write_line(f"  {label:<13} {': '.join(part for part in (head, words) if part)}".rstrip())
