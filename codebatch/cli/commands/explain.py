"""``codebatch explain``: a result of a task on a file, or a command."""

from __future__ import annotations

from typing import Any

import click

from codebatch import api
from codebatch.cli.access import prints, reads
from codebatch.cli.commands.describe import explain_command
from codebatch.cli.group import OnceCommand, root_command
from codebatch.cli.options import batch_option, json_option, store_option
from codebatch.cli.render import output
from codebatch.model.digest import Document, canonical_json
from codebatch.model.errors import UsageError

_FROM = {
    "computed": "computed by this batch",
    "equal": "taken over from an equal file",
    "remembered": "taken over from the memo",
    "linked": "taken over with the whole shard",
}


@click.command(cls=OnceCommand)
@reads("store", "manifests", "batches", "inputs", "states", "outputs", "memo")
@prints("cli.explain", "cli.explain-result")
@click.argument("command", nargs=-1, metavar="[COMMAND]")
@batch_option
@click.option("--task", "task_id", metavar="TASK", help="The task of the result.")
@click.option("--file", "path", metavar="PATH", help="The file of the result.")
@store_option
@json_option
@click.pass_context
def explain(
    ctx: click.Context,
    command: tuple[str, ...],
    batch_id: str,
    task_id: str | None,
    path: str | None,
    store: str | None,
    as_json: bool,
) -> None:
    """Explain the result of a task on a file, or a command.

    With --task and --file: everything the result depends on, the key made of it, and whether it
    was computed or taken over, and from where. With the name of a command: which data of a
    store it reads and writes, and the schema of its JSON.
    """
    if command and (task_id, path) == (None, None):
        document = explain_command(root_command(ctx), " ".join(command))
        write = _write_command
    elif task_id is not None and path is not None and not command:
        document = api.open_store(store).find_batch(batch_id).explain(task_id, path)
        write = _write_result
    else:
        raise UsageError(
            "nothing to explain",
            hints=[
                "a result: codebatch explain --task T --file F",
                "or a command: codebatch explain run",
            ],
        )
    if as_json:
        output.write_document(document)
    else:
        write(document)


def _write_result(document: Document) -> None:
    shown = output.printable
    output.write_line(f"{shown(document['path'])}  {document['task_id']}  {document['status']}")
    if document["origin"] is not None:
        source: Any = document["source"]
        place = "" if source is None else f": {shown(next(iter(source.values())))}"
        output.write_line(f"  {_FROM[str(document['origin'])]}{place}")
    output.write_line(f"  batch {document['batch_id']}, shard {document['shard_id']}")
    output.write_line(f"  key {document['key'] or 'not known before what it needs is done'}")
    if document["preimage"] is not None:
        output.write_line("the key is the SHA-256 of these lines:")
        for line in str(document["preimage"]).splitlines():
            output.write_line(f"  {shown(line)}")
    output.write_line("the fingerprint of the task is over:")
    components: Any = document["components"]
    for name, value in sorted(components.items()):
        output.write_line(f"  {name} {shown(canonical_json(value).decode())}")


def _write_command(document: Document) -> None:
    output.write_line(f"codebatch {document['command']}: {document['summary']}")
    _write_data("reads", document["reads"])
    _write_data("writes", document["writes"])
    schemas: Any = document["schemas"]
    output.write_line(f"  prints   {', '.join(schemas) or 'no JSON document of its own'}")


def _write_data(label: str, rows: Any) -> None:
    if not rows:
        output.write_line(f"  {label:<8} nothing")
    for index, row in enumerate(rows):
        files = ", ".join(row["files"])
        head = label if index == 0 else ""
        output.write_line(f"  {head:<8} {row['data']:<9} {row['description']}: {files}")
