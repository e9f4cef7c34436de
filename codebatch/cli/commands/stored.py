"""What is in a store, made, shown and removed: ``init``, ``snapshot``, ``batch``, ``show``."""

from __future__ import annotations

import functools
import os
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import click

from codebatch import api
from codebatch.cli.command import ID, Call, command
from codebatch.cli.commands.names import give_name
from codebatch.cli.group import LeadingCommand, ReportingGroup
from codebatch.cli.options import (
    FILES_OPTIONS,
    name_option,
    paths_argument,
    pipeline_option,
    rev_option,
    rule_settings,
    rules_options,
    shards_option,
    staged_option,
    store_option,
    tasks_options,
    wait_option,
)
from codebatch.cli.render import output
from codebatch.cli.render.output import counted, printable, size
from codebatch.cli.render.progress import Display, count_row
from codebatch.display.widths import abridged
from codebatch.model.errors import StoreError, UsageError
from codebatch.query.show import BATCH, OBJECT
from codebatch.store import init_store

if TYPE_CHECKING:
    from codebatch.batch import BatchResult
    from codebatch.maintenance.remove import RemovalReport
    from codebatch.snapshot.writer import SnapshotResult


@command(
    click.argument("path", required=False, metavar="[PATH]"),
    store=click.option("--store", metavar="DIR", help="The same as PATH."),
    form=ID,
)
def init(call: Call, path: str | None) -> None:
    """Make a store in a new or empty directory (default: .codebatch).

    A directory that is a store already is left as it is.
    """
    store = call.store if path is None else call.given_store
    if path is not None and store is not None and Path(path) != Path(store):
        raise click.UsageError("PATH and --store name different directories: give one of them")
    named = (name for name in (path, store, api.STORE_NAME) if name is not None)
    root = api.named_path(next(named))
    opened = init_store(root)
    document = {"store": str(root), "store_id": opened.store.store_id, "created": opened.created}
    call.write(document, _made_lines(str(root), created=opened.created), printable(root))


def _made_lines(root: str, *, created: bool) -> Iterator[str]:
    yield f"{'made' if created else 'already'} a store: {printable(root)}"
    store = None if root == api.STORE_NAME else root
    yield from output.next_lines("codebatch snapshot DIR", store=store)


@command(
    paths_argument,
    store_option,
    name_option,
    *FILES_OPTIONS,
    rev_option,
    staged_option,
    click.option(
        "--no-cache",
        is_flag=True,
        help="Read files again that look as they did, and restore damaged objects.",
    ),
    store=None,
    form=ID,
    cls=LeadingCommand,
)
def snapshot(
    call: Call,
    paths: tuple[str, ...],
    name: str | None,
    include: tuple[str, ...],
    exclude: tuple[str, ...],
    no_ignore: bool,
    max_file_bytes: int,
    rev: str | None,
    staged: bool,
    no_cache: bool,
) -> None:
    """Record the files of a directory as an immutable snapshot.

    Of several directories and files, the tree is the current folder if they are all in it, else the
    nearest one that holds them, and only they are taken. What is named is taken even if it is
    ignored.

    Ignored files, .git and stores are left out; everything that is left out is listed with
    its reason. The same content gives the same id, wherever and whenever it is taken.
    A directory called rm is given as ./rm.
    """
    if paths[0] in snapshot.commands:
        raise UsageError(
            f"{paths[0]} is a command",
            hints=[f"codebatch snapshot {paths[0]} ID...", f"the directory is ./{paths[0]}"],
        )
    opened = call.open()
    with Display(quiet=call.quiet) as display:
        _, taken = take(
            opened,
            paths,
            display,
            include=include,
            exclude=exclude,
            ignore=not no_ignore,
            max_file_bytes=max_file_bytes,
            rev=rev,
            staged=staged,
            use_cache=not no_cache,
        )
    give_name(opened, name, taken.snapshot_id)
    skipped = [file._asdict() for file in taken.skipped]
    call.write({**vars(taken), "skipped": skipped}, _taken_lines(call, taken), taken.snapshot_id)


def take(
    store: api.Store,
    paths: Sequence[str],
    display: Display,
    *,
    watch: Callable[[int, int], None] = lambda *_: None,
    **options: Any,
) -> tuple[api.Snapshot, SnapshotResult]:
    """Take a snapshot with progress on a display; ``watch`` is told of it, too."""
    before = functools.cache(lambda: _size_before(store, paths))

    def tell(files: int, total_bytes: int) -> None:
        if display.is_due("snapshot"):
            display.show(count_row("snapshot", "file", files, total_bytes, before()))
        watch(files, total_bytes)

    snapshot = store.snapshot(paths, progress=tell, **options)
    assert snapshot.taken is not None  # noqa: S101 - just taken
    return snapshot, snapshot.taken


def _size_before(store: api.Store, paths: Sequence[str]) -> tuple[int, int] | None:
    """Return how many files and bytes a directory had at the latest snapshot of it."""
    source = os.path.abspath(paths[0]) if len(paths) == 1 else None
    try:
        rows = [row for row in store.snapshots() if row["source"] == source]
    except StoreError:  # damage of others is no matter of this one
        return None
    return (
        cast("tuple[int, int]", (rows[-1]["file_count"], rows[-1]["total_bytes"])) if rows else None
    )


def _taken_lines(call: Call, taken: SnapshotResult) -> Iterator[str]:
    yield f"{taken.snapshot_id}  {'taken' if taken.created else 'already in the store'}"
    yield f"  {counted(taken.file_count, 'file')}, {size(taken.total_bytes)}"
    for reason, count in sorted(Counter(file.reason for file in taken.skipped).items()):
        yield f"  {count:,} skipped: {printable(reason)}"
    yield from call.next(f"codebatch batch init --snapshot {taken.snapshot_id} --pipeline full")


@click.group("batch", cls=ReportingGroup)
def batch_group() -> None:
    """Plan batches, and remove them."""


@command(
    click.option(
        "--snapshot",
        "snapshot_id",
        default="latest",
        show_default=True,
        metavar="ID",
        help="A snapshot id, a unique prefix of one, a name, 'latest' or 'latest~N'.",
    ),
    name_option,
    pipeline_option,
    *tasks_options,
    *rules_options,
    shards_option,
    name="init",
    form=ID,
)
def batch_init(
    call: Call,
    snapshot_id: str,
    name: str | None,
    pipeline: str | None,
    tasks: tuple[str, ...],
    select_rules: list[str] | None,
    ignore_rules: list[str] | None,
    shards: int | None,
) -> None:
    """Plan a pipeline over a snapshot.

    The same snapshot, pipeline and tools give the same batch, which keeps the number of shards
    it was first planned with. How wide a run is cut on a cluster does not depend on it.
    """
    opened = call.open()
    snapshot = opened.find_snapshot(snapshot_id)
    settings = rule_settings(select_rules, ignore_rules)
    made = opened.batch(snapshot, pipeline, tasks=tasks, settings=settings, shards=shards).made
    assert made is not None  # noqa: S101 - just made
    give_name(opened, name, made.batch_id)
    if shards is not None and not made.created:
        output.write_note(
            f"note: {made.batch_id} keeps the {made.shards:,} shards that it was planned with; "
            "a run on a cluster is cut for the workers there"
        )
    call.write(made, _planned_lines(call, made), made.batch_id)


def _planned_lines(call: Call, made: BatchResult) -> Iterator[str]:
    yield f"{made.batch_id}  {'planned' if made.created else 'already in the store'}"
    yield f"  pipeline {made.pipeline}: {', '.join(made.tasks)}"
    yield f"  {counted(made.shards, 'shard')}"
    yield from call.next(f"codebatch run --batch {made.batch_id}")


def _removal(
    noun: str, remove: Callable[..., RemovalReport], hints: Sequence[str], summary: str
) -> click.Command:
    """Return the command ``rm`` of the things that ``remove`` removes from a store."""

    @command(
        click.argument("ids", metavar="ID...", nargs=-1),
        click.option("--dry-run", is_flag=True, help="Remove nothing, only say what would go."),
        wait_option,
        name="rm",
        help=summary,
        form=ID,
    )
    def rm(call: Call, ids: tuple[str, ...], dry_run: bool, wait: float) -> None:
        if not ids:
            raise UsageError(f"no {noun} is named", hints=hints)
        report = remove(call.open(), *ids, dry_run=dry_run, wait=wait)
        short = "\n".join(one.id for one in report.removed)
        call.write(report, _removed_lines(call, noun, report), short)

    return rm


def _removed_lines(call: Call, noun: str, report: RemovalReport) -> Iterator[str]:
    verb = "would be removed" if report.dry_run else "removed"
    for one in report.removed:
        yield f"{one.id}  {verb}, {size(one.bytes)}"
    ids = " ".join(one.id for one in report.removed)
    yield from call.next(f"codebatch {noun} rm {ids}" if report.dry_run else "codebatch gc")


batch_rm = _removal(
    "batch",
    api.Store.remove_batch,
    ["list them: codebatch batches"],
    """Remove batches with all their results.

    A batch that is being run is refused, and then none is removed. Objects that nothing needs any
    more go with codebatch gc.
    """,
)
snapshot_rm = _removal(
    "snapshot",
    api.Store.remove_snapshot,
    ["list them: codebatch snapshots", "a directory called rm is ./rm"],
    """Remove snapshots.

    A snapshot that a batch needs is refused, and then none is removed. Objects that nothing needs
    any more go with codebatch gc.
    """,
)
batch_group.add_command(batch_rm)
batch_group.add_command(batch_init)
snapshot.commands = {"rm": snapshot_rm}


@command(click.argument("id_", metavar="ID"))
def show(call: Call, id_: str) -> None:
    """Show what is stored under an id: a snapshot, a batch with its plan, or an object.

    ID is a snapshot or batch id, a digest, a unique prefix of one, a name, or 'latest', the
    latest batch. The bytes of an object (sha256:...) are written as they are; with --json, its size
    and how it is stored.
    """
    opened = call.open()
    target = opened.find(id_)
    if target.type == OBJECT and not call.as_json:
        _write_bytes(opened.read_object(target.id), target.id)
        return
    document = cast("dict[str, Any]", opened.show(target.id))
    lines = _batch_lines if target.type == BATCH else _snapshot_lines
    call.write(document, lines(call, document))


def _write_bytes(data: bytes, digest: str) -> None:
    """Write the bytes as they are; a terminal gets text only, with control characters escaped."""
    if not sys.stdout.isatty():
        click.echo(data, nl=False)
        return
    if b"\0" in data:
        raise UsageError(
            f"{digest} is binary, which a terminal cannot show",
            hints=[f"write it to a file: codebatch show {digest} > FILE", "or use --json"],
        )
    for line in data.decode("utf-8", "surrogateescape").splitlines():
        output.write_line("\t".join(map(printable, line.split("\t"))))


def _snapshot_lines(call: Call, document: dict[str, Any]) -> Iterator[str]:
    yield from _field_lines(document["snapshot_id"], document)
    yield f"  {'size':<12} {size(document['total_bytes'])}"
    yield f"  {'skipped':<12} {len(document['skipped']):,}"
    for file in document["skipped"]:
        yield f"    {printable(file['path'])}: {printable(file['reason'])}"
    yield from call.next(f"codebatch batch init --snapshot {document['snapshot_id']}")


def _batch_lines(call: Call, document: dict[str, Any]) -> Iterator[str]:
    plan = document["plan"]
    yield from _field_lines(document["batch_id"], document)
    yield f"  {'files':<12} {plan['files']:,}"
    yield f"  {'shards':<12} {len(plan['shards']):,}"
    for task in plan["tasks"]:
        needs = f" after {', '.join(task['needs'])}" if task["needs"] else ""
        yield f"  task {task['id']} ({task['task']}){needs}  {task['fingerprint']}"
        for key, value in sorted(task["config"].items()):
            yield f"    {printable(key)}: {abridged(printable(value))}"
        for tool, version in sorted(task["components"]["toolchain"].items()):
            yield f"    {printable(tool)} {printable(version)}"
    yield from call.next(f"codebatch summary --batch {document['batch_id']}")


def _field_lines(title: str, document: dict[str, Any]) -> Iterator[str]:
    """The id, and the other plain fields one a line."""
    yield title
    for name, value in document.items():
        if isinstance(value, str | int | None) and value != title:
            words = f"{value:,}" if isinstance(value, int) else printable(value)
            yield f"  {output.heading(name):<12} {'-' if value is None else words}"
