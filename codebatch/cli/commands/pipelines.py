"""``codebatch pipelines`` and ``codebatch pipeline``."""

from __future__ import annotations

from typing import Any, cast

import click

from codebatch import api
from codebatch.cli.group import OnceCommand
from codebatch.cli.options import json_option, store_option
from codebatch.cli.render import output
from codebatch.plan.pipeline import load_pipeline, pipeline_document


@click.command(cls=OnceCommand)
@store_option
@json_option
def pipelines(store: str | None, as_json: bool) -> None:
    """List the packaged pipelines."""
    rows = [
        {
            "name": document["name"],
            "tasks": [task["id"] for task in cast("list[dict[str, Any]]", document["tasks"])],
            "description": document["description"],
        }
        for document in api.pipelines()
    ]
    if as_json:
        output.write_document(rows)
    else:
        output.write_table(("name", "tasks", "description"), rows)
        output.write_next("codebatch pipeline NAME")


@click.command(cls=OnceCommand)
@click.argument("name", metavar="NAME|PATH")
@store_option
@json_option
def pipeline(name: str, store: str | None, as_json: bool) -> None:
    """Show a pipeline with every setting resolved; a document of your own is validated."""
    document = cast("dict[str, Any]", pipeline_document(load_pipeline(name)))
    if as_json:
        output.write_document(document)
        return
    output.write_line(f"{document['name']}: {output.printable(document['description'])}")
    for task in document["tasks"]:
        needs = f" after {', '.join(task['needs'])}" if task["needs"] else ""
        output.write_line(f"  {task['id']} ({task['task']}){needs}")
        for key, value in task["config"].items():
            output.write_line(f"    {key}: {output.printable(value)}")
