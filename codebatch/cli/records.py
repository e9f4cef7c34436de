"""``codebatch errors`` and ``codebatch query``."""

from __future__ import annotations

from collections import Counter

import click

from codebatch import api
from codebatch.cli import output
from codebatch.cli.group import OnceCommand, ReportingGroup
from codebatch.cli.options import (
    batch_option,
    code_option,
    json_option,
    kind_option,
    language_option,
    limit_option,
    path_option,
    severity_option,
    store_option,
    task_option,
)
from codebatch.records import SEVERITIES, Record

_PLACE_KEYS = frozenset({"kind", "path", "line", "column", "task_id", "shard_id"})


@click.command(cls=OnceCommand)
@batch_option
@task_option
@severity_option
@code_option
@path_option
@language_option
@limit_option
@store_option
@json_option
def errors(
    batch_id: str,
    task_id: str | None,
    severity: str | None,
    code: str | None,
    path: str | None,
    language: str | None,
    limit: int | None,
    store: str | None,
    as_json: bool,
) -> None:
    """List the findings of a batch: syntax errors and diagnostics, by path and line."""
    batch = api.open_store(store).find_batch(batch_id)
    found = batch.sorted_records(
        task=task_id, kind="diagnostic", severity=severity, code=code, path=path, language=language
    )
    if as_json:
        output.write_document(found[:limit])
        return
    for record in found[:limit]:
        _write_diagnostic(record)
    _write_totals(found, len(found) if limit is None else limit)


@click.group("query", cls=ReportingGroup)
def query() -> None:
    """Read the records of a batch."""


@query.command("outputs", cls=OnceCommand)
@batch_option
@task_option
@kind_option
@severity_option
@code_option
@path_option
@language_option
@limit_option
@store_option
@json_option
def outputs(
    batch_id: str,
    task_id: str | None,
    kind: str | None,
    severity: str | None,
    code: str | None,
    path: str | None,
    language: str | None,
    limit: int | None,
    store: str | None,
    as_json: bool,
) -> None:
    """List records of any kind, by path, then task."""
    batch = api.open_store(store).find_batch(batch_id)
    found = batch.sorted_records(
        task=task_id, kind=kind, severity=severity, code=code, path=path, language=language
    )[:limit]
    if as_json:
        output.write_document(found)
        return
    for record in found:
        fields = {key: value for key, value in record.items() if key not in _PLACE_KEYS}
        words = " ".join(f"{key}={output.printable(value)}" for key, value in fields.items())
        output.write_line(f"{_place(record)}: {record['kind']} {words}")


def _write_diagnostic(record: Record) -> None:
    output.write_line(
        f"{_place(record)}: {output.severity(str(record['severity']))} {record['code']} "
        f"{output.printable(record['message'])}"
    )


def _place(record: Record) -> str:
    path = output.printable(record["path"])
    numbers = (str(record[key]) for key in ("line", "column") if key in record)
    return ":".join((path, *numbers))


def _write_totals(found: list[Record], shown: int) -> None:
    counts = Counter(str(record["severity"]) for record in found)
    parts = ", ".join(f"{counts[name]:,} {name}" for name in SEVERITIES if counts[name])
    cut = f", {shown:,} shown" if shown < len(found) else ""
    output.write_line(f"{len(found):,} findings{f': {parts}' if parts else ''}{cut}")
