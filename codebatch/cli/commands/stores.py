"""``codebatch init``."""

from __future__ import annotations

from pathlib import Path

import click

from codebatch.api import STORE_NAME, named_path
from codebatch.cli.group import OnceCommand
from codebatch.cli.options import json_option, quiet_option
from codebatch.cli.render.output import printable, write_document, write_line, write_next
from codebatch.store import init_store


@click.command(cls=OnceCommand)
@click.argument("path", required=False, metavar="[PATH]")
@click.option("--store", metavar="DIR", help="The same as PATH.")
@json_option
@quiet_option
def init(path: str | None, store: str | None, as_json: bool, quiet: bool) -> None:
    """Make a store in a new or empty directory (default: .codebatch).

    A directory that is a store already is left as it is.
    """
    if path is not None and store is not None and Path(path) != Path(store):
        raise click.UsageError("PATH and --store name different directories: give one of them")
    named = named_path(next(name for name in (path, store, STORE_NAME) if name is not None))
    opened = init_store(named)
    root = str(named)
    if as_json:
        write_document(
            {"store": root, "store_id": opened.store.store_id, "created": opened.created}
        )
    elif quiet:
        write_line(printable(root))
    else:
        write_line(f"{'made' if opened.created else 'already'} a store: {printable(root)}")
        write_next("codebatch snapshot DIR", store=None if root == STORE_NAME else root)
