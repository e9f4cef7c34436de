"""Tools: programs of others that run as tasks, by their descriptions."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from codebatch.cli.command import Call, command
from codebatch.cli.group import ReportingGroup
from codebatch.cli.render import output
from codebatch.model.errors import OutputError, ToolImportError
from codebatch.runtime.lazy import lazy
from codebatch.snapshot.descriptors import Folder, read_file
from codebatch.store.destination import new_file

if TYPE_CHECKING:
    from codebatch.model import resources
    from codebatch.tasks.tools import imports, program
else:
    imports = lazy("codebatch.tasks.tools.imports")
    program = lazy("codebatch.tasks.tools.program")
    resources = lazy("codebatch.model.resources")

_MAX_BYTES = 2**20
_LINTERS = "linters"
_LEFT: output.Columns = {"left": lambda row: row["name"], "because": lambda row: row["reason"]}


@click.group("tool", cls=ReportingGroup)
def tool_group() -> None:
    """Descriptions of programs that run as tasks."""


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
    found = _imported(source)
    paths = {name: os.path.join(folder, f"{name}.json") for name in sorted(found.descriptions)}
    if taken := [path for path in paths.values() if os.path.lexists(path)]:
        hints = ["name another folder with --output, or remove what is there"]
        raise OutputError(f"{taken[0]} is there already", hints=hints, details={"all": taken})
    try:
        os.makedirs(folder, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot make {folder}: {error.strerror}") from error
    for name, path in paths.items():
        with new_file(path) as stream:
            stream.write(json.dumps(found.descriptions[name], indent=2).encode() + b"\n")
    document = {
        "written": [{"name": name, "file": path} for name, path in paths.items()],
        "left": [one._asdict() for one in found.left],
    }
    call.write(document, _import_lines(document))


def _import_lines(document: dict[str, list[dict[str, str]]]) -> Iterator[str]:
    written = document["written"]
    yield from (f"wrote {output.printable(one['file'])}" for one in written)
    if document["left"]:
        yield from output.table(_LEFT, document["left"])
    if written:
        yield from output.next_lines(f"codebatch scan . --tool {written[0]['file']}")


def _imported(source: str) -> imports.Imported:
    """Return what there is to import at a path; `ToolImportError` where there is nothing."""
    where, plugins = source, {}
    try:
        if os.path.isdir(source):
            with Folder.at(os.fsencode(source)) as folder:
                plugins = dict(_plugins(folder))
                where = imports.PRECOMMIT_FILE
                hooks = folder.read(os.fsencode(where), _MAX_BYTES)
        else:
            hooks = read_file(os.fsencode(source), _MAX_BYTES)
    except OSError as error:
        raise ToolImportError(f"cannot read {source}: {error.strerror}") from error
    packaged = {name: resources.load_tool_document(name) for name in resources.list_tools()}
    if plugins:
        return imports.import_trunk(plugins, packaged)
    if hooks is None:
        kinds = f"{_LINTERS}/*/{imports.PLUGIN_FILE} or {imports.PRECOMMIT_FILE}"
        raise ToolImportError(f"nothing to import from {source}: no {kinds}")
    return imports.import_precommit(hooks, where, packaged, program.find_program)


def _plugins(folder: Folder) -> Iterator[tuple[str, bytes]]:
    """Yield each plugin of a checkout by its path; links are not followed."""
    if folder.status(os.fsencode(_LINTERS)) is None:
        return
    with folder.open(os.fsencode(_LINTERS)) as linters:
        for name in ("", *sorted(os.listdir(linters.descriptor))):
            path = os.path.join(name, imports.PLUGIN_FILE)
            inner = linters.status(os.fsencode(path))
            data = linters.read(os.fsencode(path), _MAX_BYTES) if inner else None
            if data is not None:
                yield f"{_LINTERS}/{path}", data
