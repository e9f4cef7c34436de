"""``codebatch show``: what is stored under an id."""

from __future__ import annotations

import sys
from typing import Any, cast

import click

from codebatch import api
from codebatch.cli.group import OnceCommand
from codebatch.cli.options import json_option, store_option
from codebatch.cli.render import output
from codebatch.model.errors import UsageError
from codebatch.query.show import BATCH, OBJECT

_SCALARS = (str, int, type(None))


@click.command(cls=OnceCommand)
@click.argument("id_", metavar="ID")
@store_option
@json_option
def show(id_: str, store: str | None, as_json: bool) -> None:
    """Show what is stored under an id: a snapshot, a batch with its plan, or an object.

    ID is a snapshot or batch id, a digest, a unique prefix of one, or 'latest', the latest
    batch. The bytes of an object (sha256:...) are written as they are; with --json, its size
    and how it is stored.
    """
    opened = api.open_store(store)
    target = opened.find(id_)
    if target.type == OBJECT and not as_json:
        _write_bytes(opened.read_object(target.id), target.id)
        return
    document = cast("dict[str, Any]", opened.show(target.id))
    if as_json:
        output.write_document(document)
    elif target.type == BATCH:
        _write_batch(document, store)
    else:
        _write_snapshot(document, store)


def _write_bytes(data: bytes, digest: str) -> None:
    """Write the bytes as they are; a terminal gets text only, with control characters escaped."""
    if not sys.stdout.isatty():
        click.echo(data, nl=False)
        return
    if b"\0" in data:
        raise UsageError(
            f"{digest} is binary, which a terminal cannot show",
            hints=[f"write it to a file: codebatch show {digest} > FILE", "or use --json"],
        )
    for line in data.decode("utf-8", "surrogateescape").splitlines():
        output.write_line("\t".join(map(output.printable, line.split("\t"))))


def _write_snapshot(document: dict[str, Any], store: str | None) -> None:
    _write_fields(document["snapshot_id"], document)
    output.write_line(f"  {'size':<12} {output.size(document['total_bytes'])}")
    output.write_line(f"  {'skipped':<12} {len(document['skipped']):,}")
    for file in document["skipped"]:
        output.write_line(
            f"    {output.printable(file['path'])}: {output.printable(file['reason'])}"
        )
    output.write_next(f"codebatch batch init --snapshot {document['snapshot_id']}", store=store)


def _write_batch(document: dict[str, Any], store: str | None) -> None:
    plan = document["plan"]
    _write_fields(document["batch_id"], document)
    output.write_line(f"  {'files':<12} {plan['files']:,}")
    output.write_line(f"  {'shards':<12} {len(plan['shards']):,}")
    for task in plan["tasks"]:
        needs = f" after {', '.join(task['needs'])}" if task["needs"] else ""
        output.write_line(f"  task {task['id']} ({task['task']}){needs}  {task['fingerprint']}")
        for key, value in sorted(task["config"].items()):
            output.write_line(f"    {output.printable(key)}: {output.printable(value)}")
        for tool, version in sorted(task["components"]["toolchain"].items()):
            output.write_line(f"    {output.printable(tool)} {output.printable(version)}")
    output.write_next(f"codebatch summary --batch {document['batch_id']}", store=store)


def _write_fields(title: str, document: dict[str, Any]) -> None:
    """The id, and the other plain fields one a line."""
    output.write_line(title)
    for name, value in document.items():
        if isinstance(value, _SCALARS) and value != title:
            output.write_line(f"  {output.heading(name):<12} {_words(value)}")


def _words(value: str | int | None) -> str:
    if value is None:
        return "-"
    return f"{value:,}" if isinstance(value, int) else output.printable(value)
