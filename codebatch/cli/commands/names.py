"""Names for snapshots and batches: ``names``, ``name set``, ``name rm``."""

from __future__ import annotations

from collections.abc import Iterator

import click

from codebatch import api
from codebatch.cli.command import ID, Call, command
from codebatch.cli.group import ReportingGroup
from codebatch.cli.render import output
from codebatch.cli.render.output import ago
from codebatch.model.clock import seconds_since
from codebatch.model.errors import UsageError

_NAMES: output.Columns = {
    "name": lambda row: row["name"],
    "id": lambda row: row["id"],
    "set": lambda row: ago(seconds_since(row["set"])),
}


@command()
def names(call: Call) -> None:
    """List the names in the store with the snapshots and batches that they stand for."""
    rows = call.open().names.rows()
    call.write(rows, output.table(_NAMES, rows))


@click.group("name", cls=ReportingGroup)
def name_group() -> None:
    """Name a snapshot or a batch, and remove names."""


@command(
    click.argument("name", metavar="NAME"),
    click.argument("id_", metavar="ID"),
    name="set",
    form=ID,
    group=name_group,
)
def name_set(call: Call, name: str, id_: str) -> None:
    """Give a name to a snapshot or a batch, wherever it pointed before.

    ID is an id, a unique prefix of one, 'latest', or another name. What has a name is kept:
    batch rm and snapshot rm refuse it.
    """
    opened = call.open()
    target = opened.find(id_).id
    before = opened.names.point(name, target)
    document = {"name": name, "id": target, "before": before}
    call.write(document, _named_lines(name, target, before), target)


def _named_lines(name: str, one: str, before: str | None) -> Iterator[str]:
    was = "" if before in (None, one) else f" (was {before})"
    yield f"{name}  {one}{was}"


@command(
    click.argument("names", metavar="NAME...", nargs=-1),
    name="rm",
    group=name_group,
)
def name_rm(call: Call, names: tuple[str, ...]) -> None:
    """Remove names. The snapshots and batches stay."""
    if not names:
        raise UsageError("no name is given", hints=["list them: codebatch names"])
    call.open().names.remove(*names)
    call.write({"removed": list(names)}, (f"{name}  removed" for name in names))


def give_name(store: api.Store, name: str | None, one: str) -> None:
    """Have a name, where one is given, hold an id; stderr says where it pointed before."""
    if name is None:
        return
    before = store.names.point(name, one)
    was = "" if before in (None, one) else f", no longer {before}"
    output.write_note(f"{name} is {one}{was}")
