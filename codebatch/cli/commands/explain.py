"""``codebatch explain``: the origin of a result of a task on a file."""

from __future__ import annotations

from typing import Any

import click

from codebatch import api
from codebatch.cli.group import OnceCommand
from codebatch.cli.options import batch_option, json_option, store_option
from codebatch.cli.render import output
from codebatch.model.digest import Document, canonical_json

_FROM = {
    "computed": "computed by this batch",
    "equal": "taken over from an equal file",
    "remembered": "taken over from the memo",
    "linked": "taken over with the whole shard",
}


@click.command(cls=OnceCommand)
@batch_option
@click.option("--task", "task_id", required=True, metavar="TASK", help="The task of the result.")
@click.option("--file", "path", required=True, metavar="PATH", help="The file of the result.")
@store_option
@json_option
def explain(batch_id: str, task_id: str, path: str, store: str | None, as_json: bool) -> None:
    """Explain the result of a task on a file.

    Everything the result depends on, the key made of it, and whether it was computed or taken
    over, and from where.
    """
    document = api.open_store(store).find_batch(batch_id).explain(task_id, path)
    if as_json:
        output.write_document(document)
    else:
        _write(document)


def _write(document: Document) -> None:
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
