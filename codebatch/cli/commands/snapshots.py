"""``codebatch snapshot``, which leads ``snapshot rm``, and ``codebatch snapshots``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

import click

from codebatch import api
from codebatch.cli.commands.removal import snapshot_rm
from codebatch.cli.group import LeadingCommand, OnceCommand
from codebatch.cli.options import (
    json_option,
    max_file_size_option,
    no_ignore_option,
    quiet_option,
    store_option,
)
from codebatch.cli.render.output import (
    ago,
    printable,
    size,
    write_document,
    write_line,
    write_next,
    write_table,
)
from codebatch.cli.render.progress import Progress
from codebatch.model.clock import seconds_since
from codebatch.model.errors import UsageError

if TYPE_CHECKING:
    from codebatch.snapshot.writer import SnapshotResult


LED = {"rm": snapshot_rm}


@click.command(cls=LeadingCommand)
@click.argument("directory", metavar="DIR")
@store_option
@no_ignore_option
@max_file_size_option
@click.option(
    "--no-cache",
    is_flag=True,
    help="Read files again that look as they did, and restore damaged objects.",
)
@json_option
@quiet_option
def snapshot(
    directory: str,
    store: str | None,
    no_ignore: bool,
    max_file_bytes: int,
    no_cache: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    """Record the files of a directory as an immutable snapshot.

    Ignored files, .git and stores are left out; everything that is left out is listed with
    its reason. The same content gives the same id, wherever and whenever it is taken.
    A directory called rm is given as ./rm.
    """
    if directory in LED:
        raise UsageError(
            f"{directory} is a command",
            hints=[f"codebatch snapshot {directory} ID...", f"the directory is ./{directory}"],
        )
    taken = take(
        api.open_store(store),
        directory,
        no_ignore=no_ignore,
        max_file_bytes=max_file_bytes,
        no_cache=no_cache,
    )
    if as_json:
        skipped = [file._asdict() for file in taken.skipped]
        write_document({**vars(taken), "skipped": skipped})
    elif quiet:
        write_line(taken.snapshot_id)
    else:
        write_line(f"{taken.snapshot_id}  {'taken' if taken.created else 'already in the store'}")
        _write_counts(taken)
        write_next(
            f"codebatch batch init --snapshot {taken.snapshot_id} --pipeline full", store=store
        )


snapshot.commands = LED


@click.command(cls=OnceCommand)
@store_option
@json_option
def snapshots(store: str | None, as_json: bool) -> None:
    """List the snapshots in the store with size, age and source, oldest first."""
    rows = api.open_store(store).snapshots()
    if as_json:
        write_document(rows)
    else:
        columns = ("snapshot_id", "files", "size", "skipped", "taken", "source")
        write_table(columns, map(_for_people, rows))


def take(
    store: api.Store,
    directory: str,
    *,
    no_ignore: bool,
    max_file_bytes: int,
    no_cache: bool = False,
    watch: Callable[[int, int], None] | None = None,
) -> SnapshotResult:
    """Take a snapshot with progress on stderr; ``watch`` is told of it, too."""
    progress = Progress("snapshot", "files")

    def tell(files: int, total_bytes: int) -> None:
        progress.count(files, total_bytes)
        if watch is not None:
            watch(files, total_bytes)

    try:
        taken = store.snapshot(
            directory,
            ignore=not no_ignore,
            max_file_bytes=max_file_bytes,
            use_cache=not no_cache,
            progress=tell,
        ).taken
    finally:
        progress.close()
    assert taken is not None  # noqa: S101 - just taken
    return taken


def _for_people(row: dict[str, object]) -> dict[str, object]:
    """The size in units, and an age."""
    document = cast("dict[str, Any]", row)
    return {
        **document,
        "files": document["file_count"],
        "size": size(document["total_bytes"]),
        "skipped": document["skipped_count"],
        "taken": ago(seconds_since(document["taken"])),
    }


def _write_counts(taken: SnapshotResult) -> None:
    write_line(f"  {taken.file_count:,} files, {size(taken.total_bytes)}")
    for reason, count in sorted(Counter(file.reason for file in taken.skipped).items()):
        write_line(f"  {count:,} skipped: {printable(reason)}")
