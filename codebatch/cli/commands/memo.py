"""``codebatch memo export`` and ``codebatch memo import``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from codebatch import api
from codebatch.cli.group import OnceCommand
from codebatch.cli.options import json_option, store_option
from codebatch.cli.render.output import size, write_document, write_line

if TYPE_CHECKING:
    from codebatch.store.indexes.memo_archive import ArchiveReport


@click.group("memo")
def memo_group() -> None:
    """Carry what was computed before between machines."""


@memo_group.command("export", cls=OnceCommand)
@click.argument("file", metavar="FILE")
@store_option
@json_option
def export_command(file: str, store: str | None, as_json: bool) -> None:
    """Write all that is remembered to a tar file.

    The same memo gives the same file. Another store that imports it computes none of it again.
    """
    _write_report("exported", api.open_store(store).export_memo(file), as_json=as_json)


@memo_group.command("import", cls=OnceCommand)
@click.argument("file", metavar="FILE")
@store_option
@json_option
def import_command(file: str, store: str | None, as_json: bool) -> None:
    """Remember what another store exported.

    Import only what you would have computed by yourself: its results are taken as they are.
    """
    _write_report("imported", api.open_store(store).import_memo(file), as_json=as_json)


def _write_report(verb: str, report: ArchiveReport, *, as_json: bool) -> None:
    if as_json:
        write_document(vars(report))
    else:
        write_line(
            f"{verb} {report.segments:,} segments and {report.objects:,} objects, "
            f"{size(report.bytes)}"
        )
