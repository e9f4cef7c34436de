"""Tools: programs of others that run as tasks, by their descriptions."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Sequence
from typing import Any

import click

from codebatch import api
from codebatch.cli.command import Call, command
from codebatch.cli.group import ReportingGroup
from codebatch.cli.options import read_configs_option
from codebatch.cli.render import output
from codebatch.cli.render.output import counted, printable
from codebatch.model.errors import EXIT_GATE, EXIT_OK
from codebatch.runtime.lazy import lazily
from codebatch.tasks.tools.description import SIBLINGS

with lazily():
    from codebatch.tasks.tools import listing
    from codebatch.testing import certify as certifying

_MOST_DIFFERENCES = 5
_HERE: output.Columns = {
    "name": lambda row: row["name"],
    "version": lambda row: _number(row["version"]),
    "depends": lambda row: row["depends"],
    "languages": lambda row: ", ".join(row["languages"]),
    "what it looks for": lambda row: row["summary"],
}
_MISSING: output.Columns = {
    "name": lambda row: row["name"],
    "to get it": lambda row: (row["install"] or [row["link"]])[0],
    "languages": lambda row: ", ".join(row["languages"]),
    "what it looks for": lambda row: row["summary"],
}
_LEFT: output.Columns = {"left": lambda row: row["name"], "because": lambda row: row["reason"]}


@click.group("tool", cls=ReportingGroup)
def tool_group() -> None:
    """Descriptions of programs that run as tasks."""


@command(store=None)
def tools(call: Call) -> None:
    """List the tools that have a packaged description: those that are installed, and how to get the
    others.
    """
    rows = listing.tools()
    call.write(rows, _tools_lines(rows))


def _tools_lines(rows: list[dict[str, Any]]) -> Iterator[str]:
    here = [row for row in rows if row["version"] is not None]
    missing = [row for row in rows if row["version"] is None]
    if here:
        yield from output.table(_HERE, here)
    if missing:
        yield from ["", "not installed:"] if here else []
        yield from output.table(_MISSING, missing)
    if here:
        yield from output.next_lines(f"codebatch scan . --tool {here[0]['name']}")


def _number(version: str) -> str:
    """The number in what a tool says of its version."""
    found = re.search(r"\d+(?:\.\w+)*", version)
    return found[0] if found else version


@command(
    click.argument("tool", metavar="NAME|FILE.json"),
    click.argument("folder", metavar="DIR"),
    click.option(
        "--rounds",
        type=click.IntRange(1, 100),
        default=2,
        show_default=True,
        metavar="N",
        help="How often the files are divided anew.",
    ),
    click.option(
        "--seed",
        type=int,
        default=0,
        show_default=True,
        metavar="N",
        help="Where the generator starts that divides them.",
    ),
    read_configs_option,
    name="certify",
    store=None,
    group=tool_group,
)
def tool_certify(
    call: Call, tool: str, folder: str, rounds: int, seed: int, read_configs: tuple[str, ...]
) -> None:
    """Show what the findings of a tool depend on, on the files of a folder.

    It is run on all files, and then on other batches, under other names and with other neighbours.
    Ends with exit code 1 if its description says less than the tool depends on.
    """
    found = certifying.certify(tool, folder, rounds=rounds, seed=seed, read_configs=read_configs)
    call.write(found.document(), _certificate_lines(found))
    sys.exit(EXIT_OK if found.holds else EXIT_GATE)


def _certificate_lines(found: certifying.Certificate) -> Iterator[str]:
    files, commands = counted(found.files, "file"), counted(found.commands, "command")
    failed = f", without {counted(len(found.failed), 'file')} on which it fails" * bool(
        found.failed
    )
    yield f"{found.tool}: {files}, {commands}{failed}"
    for one in found.differences[:_MOST_DIFFERENCES]:
        yield f"{printable(one.path)}: {printable(one.change)}"
        for sign, findings in (("-", one.missing), ("+", one.added)):
            for line, column, code, _, _, message in findings[:_MOST_DIFFERENCES]:
                yield f"  {sign} {line}:{column} {printable(code)} {printable(message)}"
    if more := len(found.differences) - _MOST_DIFFERENCES:
        yield from [f"and {counted(more, 'more file')}"] if more > 0 else []
    if found.depends is None:
        yield "the same command does not say the same twice: its results cannot be kept"
        return
    described = _dependence(found.described, found.described_siblings)
    yield f"depends on: {_dependence(found.depends, found.siblings)}"
    if found.holds:
        yield f"described as: {described}"
    else:
        yield f"described as: {described}, which is less: kept results would be wrong"


def _dependence(depends: str, siblings: Sequence[str]) -> str:
    names = f" ({', '.join(map(printable, siblings))})" if depends == SIBLINGS and siblings else ""
    return f"{depends}{names}"


@command(
    click.argument("source", metavar="DIR"),
    click.option(
        "--output",
        "folder",
        metavar="FOLDER",
        default="tools",
        show_default=True,
        help="Write the descriptions there; the folder is made if need be.",
    ),
    name="import",
    store=None,
    group=tool_group,
)
def tool_import(call: Call, source: str, folder: str) -> None:
    """Write descriptions of tools from trunk's plugins, or from the hooks of pre-commit.

    DIR is a checkout of the plugins, a .pre-commit-config.yaml, or a folder that has one. Nothing
    that is named there is run. What cannot be translated is listed with the reason.
    """
    document: dict[str, Any] = api.import_tools(source, folder)
    call.write(document, _import_lines(document))


def _import_lines(document: dict[str, list[dict[str, str]]]) -> Iterator[str]:
    written = document["written"]
    yield from (f"wrote {printable(one['file'])}" for one in written)
    if document["left"]:
        yield from output.table(_LEFT, document["left"])
    if written:
        yield from output.next_lines(f"codebatch scan . --tool {written[0]['file']}")
