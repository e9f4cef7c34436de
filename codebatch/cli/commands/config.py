"""``codebatch config show``: what holds for commands here, and who says so."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import click

from codebatch.cli.command import Call, command
from codebatch.cli.config import config_of
from codebatch.cli.group import ReportingGroup
from codebatch.cli.render import output
from codebatch.cli.render.output import printable

_DEFAULT = "default"


@click.group("config", cls=ReportingGroup)
def config_group() -> None:
    """Look at what configuration files say."""


@command(
    click.option("--origin", is_flag=True, help="Say for each value where it comes from."),
    name="show",
    store=None,
    group=config_group,
)
def config_show(call: Call, origin: bool) -> None:
    """Show the value of each key of the configuration that holds for commands here.

    An option on the command line says more than a variable of the environment, that more than the
    file, and the file more than the default.
    """
    config = config_of(click.get_current_context())
    rows = config.rows()
    document = {
        "file": None if config.file is None else config.where,
        "trusted": config.file is not None and config.file.is_named,
        "keys": rows,
    }
    call.write(document, _lines(rows, with_origin=origin))


def _lines(rows: list[dict[str, Any]], *, with_origin: bool) -> Iterator[str]:
    width = max(len(row["key"]) for row in rows)
    for row in rows:
        if row["origin"] == _DEFAULT and not with_origin:
            continue
        value = "-" if row["value"] is None else json.dumps(row["value"], ensure_ascii=False)
        place = row["where"] or row["origin"]
        line = "" if row["line"] is None else f":{row['line']}"
        said = f"  ({place}{line})" if with_origin else ""
        refused = f"  refused: {row['refused']}" if row["refused"] else ""
        yield printable(f"{row['key']:<{width}}  {value}{said}{refused}")
    if not with_origin:
        yield from output.next_lines("codebatch config show --origin")
