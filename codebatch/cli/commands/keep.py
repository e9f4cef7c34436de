"""Keeping a store: ``verify``, ``gc``, ``memo`` and ``store-stats``."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from codebatch import api
from codebatch.cli.command import Call, command
from codebatch.cli.options import AGE, SIZE, wait_option
from codebatch.cli.render import output
from codebatch.cli.render.output import counted, printable, size
from codebatch.cli.render.progress import Display, Row, Word, count_row
from codebatch.model.digest import Document
from codebatch.model.errors import EXIT_GATE, EXIT_OK, UsageError
from codebatch.runtime.lazy import lazily

if TYPE_CHECKING:
    from codebatch.maintenance.gc import GarbageReport
    from codebatch.maintenance.stats import StoreStats
    from codebatch.maintenance.verify import VerifyReport
    from codebatch.remote.shared import PullReport, PushReport
    from codebatch.store.indexes.memo_archive import ArchiveReport

with lazily():
    from codebatch.maintenance.verify import problems

_UNREPAIRABLE = frozenset(
    {"FOREIGN_FILE", "INPUTS_DAMAGED", "NAME_DAMAGED", "NAME_DANGLING", "PLAN_DAMAGED"}
)
_GARBAGE = {
    "objects": "objects",
    "packs": "packs, gone or written anew",
    "memo": "memo segments",
    "partials": "partial values of batch tasks",
    "indexes": "indexes of batches that are gone",
    "stat_caches": "stat caches",
    "temporaries": "temporary files",
    "unfinished": "unfinished snapshots and batches",
    "discarded": "removed snapshots and batches",
    "leases": "expired leases",
}


def _first_path(found: Any) -> str:
    path = printable(found.paths[0]) if found.paths else "-"
    more = found.path_count - 1
    return f"{path} and {more:,} more" if more > 0 else path


_STEPS = {"object": "objects", "shard": "batches", "file": "indexes"}
_SHORT_DIGEST = len("sha256:") + 12
_KINDS: output.Columns = {
    "kind": lambda usage: usage.kind,
    "files": lambda usage: usage.files,
    "objects": lambda usage: usage.objects or "",
    "size": lambda usage: size(usage.bytes),
    "on disk": lambda usage: size(usage.disk_bytes),
}
_GROWTH: output.Columns = {
    "batch_id": lambda growth: growth.batch_id,
    "new objects": lambda growth: growth.objects,
    "size": lambda growth: size(growth.object_bytes),
    "own files": lambda growth: size(growth.own_bytes),
}
_LARGEST: output.Columns = {
    "object": lambda found: found.object[:_SHORT_DIGEST],
    "kind": lambda found: found.kind.removesuffix(" objects"),
    "size": lambda found: size(found.bytes),
    "path": _first_path,
}


@command(
    click.option("--read-data", is_flag=True, help="Read every object and check what it holds."),
    click.option(
        "--subset",
        metavar="P%|N/T",
        help="Read a part of the objects, always the same one: 10%, or 2/5 for the second of five.",
    ),
    click.option(
        "--repair", is_flag=True, help="Drop what can be computed again, restore the rest."
    ),
    click.option(
        "--source",
        metavar="DIR",
        help="With --repair: a directory that may still have files which the store has lost.",
    ),
    wait_option,
)
def verify(call: Call, **options: Any) -> None:
    """Check everything in a store, and report all damage with what it touches.

    Ends with exit code 1 if there is any damage, with --repair only if some is left. --repair
    changes damaged files alone: results and indexes are dropped, and count as missing until
    resume computes them again; documents are written anew from what is whole; lost files are looked
    for in --source.
    """
    if options["source"] is not None and not options["repair"]:
        raise UsageError("--source is for --repair alone")
    opened = api.open_damaged_store(call.store)
    call.name_store(opened)
    with Display() as display:

        def tell(step: problems.Step) -> None:
            if display.is_due(label := f"verify {_STEPS[step.unit]}"):
                display.show(_verify_row(label, step))

        report = opened.verify(progress=tell, **options)
    lines = _verified_lines(call, report, repaired=options["repair"])
    call.write(_verified_document(report), lines)
    sys.exit(EXIT_OK if report.ok else EXIT_GATE)


def _verify_row(label: str, step: problems.Step) -> Row:
    if step.total is None:
        return count_row(label, step.unit, step.done, step.bytes)
    words = Word(f"{step.done:,}/{counted(step.total, step.unit)}")
    return Row(label, step.done, step.total, (words,))


def _verified_document(report: VerifyReport) -> Document:
    return {
        "ok": report.ok,
        "checked": asdict(report.checked),
        "notes": asdict(report.notes),
        "problems": [
            {
                "code": problem.code,
                "message": problem.message,
                "path": problem.path,
                "batches": list(problem.batches),
                "snapshots": list(problem.snapshots),
                "derived": problem.is_derived,
                "action": problem.action,
            }
            for problem in report.problems
        ],
    }


def _verified_lines(call: Call, report: VerifyReport, *, repaired: bool) -> Iterator[str]:
    for problem in report.problems:
        done = "" if problem.action is None else f"  [{problem.action}]"
        yield f"{printable(problem.path)}: {problem.code}{done}"
        yield f"  {printable(problem.message)}"
        if touched := [*problem.snapshots, *problem.batches]:
            yield f"  touches {', '.join(touched)}"
    checked = report.checked
    read = f"{checked.read:,} read ({size(checked.bytes)})" if checked.read else "none read"
    objects, snapshots = counted(checked.objects, "object"), counted(checked.snapshots, "snapshot")
    batches = counted(checked.batches, "batch", "batches")
    shards = counted(checked.shards, "result of a shard", "results of shards")
    yield f"checked {objects}, {read}; {snapshots}, {batches}, {shards}"
    for name, number in asdict(report.notes).items():
        if number:
            yield f"  no damage: {number:,} {name.replace('_', ' ')}"
    number = len(report.problems)
    yield counted(number, "problem") if number else "no problems"
    if commands := _remedies(report, repaired=repaired):
        yield from call.next(*commands)


def _remedies(report: VerifyReport, *, repaired: bool) -> list[str]:
    """Return what to do now: repair, then compute again what was dropped."""
    if not repaired:
        can_help = not _UNREPAIRABLE.issuperset(problem.code for problem in report.problems)
        return ["codebatch verify --repair"] if can_help else []
    pending = [
        p for p in report.problems if p.action == problems.DROPPED or p.code == "STATE_MISSING"
    ]
    again = sorted({batch_id for problem in pending for batch_id in problem.batches})
    commands = [f"codebatch resume --batch {batch_id}" for batch_id in again]
    if any(p.action == problems.NO_ACTION and p.snapshots for p in report.problems):
        commands.append("codebatch verify --repair --source DIR")
    return commands


@command(
    click.option("--dry-run", is_flag=True, help="Remove nothing, only say what would go."),
    click.option(
        "--grace",
        type=AGE,
        metavar="AGE",
        help="Keep what nothing refers to until it is so old: 30m, 12h, 14d, 2w. Default: 14d.",
    ),
    click.option(
        "--max-memo-bytes",
        type=SIZE,
        metavar="SIZE",
        help="Keep at most so much of the memo, the last used, as 512MiB. Default: 2GiB.",
    ),
    click.option(
        "--max-memo-days",
        type=click.IntRange(min=0),
        metavar="N",
        help="Keep nothing in the memo that was not used for so many days. Default: 90.",
    ),
    wait_option,
)
def gc(call: Call, **limits: Any) -> None:
    """Remove what no snapshot and no batch needs, and what killed commands have left.

    Trims the memo and other indexes, too. Snapshots, runs and queries may go on meanwhile: what
    they rely on stays. Remove snapshots and batches with snapshot rm and batch rm.
    """
    report = call.open().gc(**limits)
    call.write(_garbage_document(report), _garbage_lines(report))


def _garbage_document(report: GarbageReport) -> Document:
    return {
        "dry_run": report.dry_run,
        "removed": {**report.removed, "bytes": report.bytes},
        "removed_bytes": report.removed_bytes,
        "kept": {
            "objects": report.kept["objects"],
            "object_bytes": report.kept_bytes["objects"],
            "memo_bytes": report.kept_bytes["memo"],
        },
        "protected_by": list(report.protected_by),
        "left": list(report.left),
    }


def _garbage_lines(report: GarbageReport) -> Iterator[str]:
    yield f"{'would remove' if report.dry_run else 'removed'} {size(report.bytes)}"
    for kind, number in report.removed.items():
        if number:
            yield f"  {number:,} {_GARBAGE[kind]}, {size(report.removed_bytes[kind])}"
    kept, objects = report.kept_bytes, counted(report.kept["objects"], "object")
    yield (
        f"{'would keep' if report.dry_run else 'kept'} {objects}, "
        f"{size(kept['objects'])}, and {size(kept['memo'])} of the memo"
    )
    if report.protected_by:
        output.write_note(f"at work, and safe: {', '.join(report.protected_by)}")
    for place in report.left:
        output.write_note(f"left, as it is no folder of the store: {place}")


_REMOTE = click.argument("memo", metavar="[URL]", required=False)


@click.group("memo")
def memo_group() -> None:
    """Share what was computed before with other stores."""


@command(click.argument("file", metavar="FILE"), name="export", group=memo_group)
def memo_export(call: Call, file: str) -> None:
    """Write the whole memo to a tar file.

    The same memo gives the same file. Another store that imports it computes none of it again.
    """
    report = call.open().export_memo(file)
    call.write(report, _archive_lines("exported", report))


@command(click.argument("file", metavar="FILE"), name="import", group=memo_group)
def memo_import(call: Call, file: str) -> None:
    """Remember what another store exported.

    Import only what you would have computed by yourself: its results are taken as they are.
    """
    report = call.open().import_memo(file)
    call.write(report, _archive_lines("imported", report))


@command(
    _REMOTE,
    click.option(
        "--max-size",
        "max_bytes",
        type=SIZE,
        metavar="SIZE",
        help="How much the remote may have from now on, as 512MiB: what was added first goes then. "
        "At first: 2GiB.",
    ),
    click.option(
        "--prune",
        is_flag=True,
        help="Remove what killed commands have left there, where it is a day old. Not on https.",
    ),
    name="push",
    group=memo_group,
)
def memo_push(call: Call, memo: str | None, **options: Any) -> None:
    """Add what the store remembers to a remote: all results that are not there.

    A remote is a folder, s3://bucket/prefix, or https://host/path where GET and PUT are answered.
    Runs with --memo add what they have computed themselves.
    """
    report = call.open().push_memo(memo, on_notice=output.write_note, **options)
    call.write(report, _pushed_lines(report))


@command(_REMOTE, name="pull", group=memo_group)
def memo_pull(call: Call, memo: str | None) -> None:
    """Remember everything that a remote has and the store does not.

    Pull only what you would have computed by yourself: its results are taken as they are. Fails
    where nothing was ever pushed. Runs with --memo read what they need themselves.
    """
    report = call.open().pull_memo(memo, on_notice=output.write_note)
    call.write(report, _pulled_lines(report))


def _pushed_lines(report: PushReport) -> Iterator[str]:
    results, packs = counted(report.results, "result"), counted(report.packs, "pack")
    yield f"pushed {results} in {packs}, {size(report.bytes)}"
    if report.removed or report.left:
        left = f", {report.left:,} could not be" if report.left else ""
        yield f"  {counted(report.removed, 'file')} removed{left}"
    yield f"  the remote has {counted(report.remote_packs, 'pack')}, {size(report.remote_bytes)}"


def _pulled_lines(report: PullReport) -> Iterator[str]:
    results, packs = counted(report.results, "result"), counted(report.packs, "pack")
    yield f"pulled {results} in {packs}, {size(report.bytes)}"


def _archive_lines(verb: str, report: ArchiveReport) -> Iterator[str]:
    segments, objects = counted(report.segments, "segment"), counted(report.objects, "object")
    yield f"{verb} {segments} and {objects}, {size(report.bytes)}"


@command(
    click.option(
        "--largest",
        type=click.IntRange(min=0),
        default=10,
        show_default=True,
        metavar="N",
        help="How many of the largest objects to name.",
    ),
    name="store-stats",
)
def store_stats(call: Call, largest: int) -> None:
    """Say what takes the store's room.

    Bytes by kind of data, how much equal files and compression save, what each batch added, and
    the largest objects with their paths. The whole store is looked at.
    """
    stats = call.open().stats(largest)
    ratios = {name: getattr(stats, name) for name in ("deduplication", "compression", "saving")}
    call.write({**asdict(stats), "ratios": ratios}, _stats_lines(call, stats))


def _stats_lines(call: Call, stats: StoreStats) -> Iterator[str]:
    snapshots, files = counted(stats.snapshots, "snapshot"), counted(stats.files, "file")
    batches = counted(stats.batches, "batch", "batches")
    yield f"{snapshots} with {files}, {size(stats.logical_bytes)}; {batches}"
    if stats.saving is not None:
        yield (
            f"different contents {size(stats.distinct_bytes)} ({stats.deduplication} times less), "
            f"compressed {size(stats.stored_bytes)} ({stats.compression} times less)"
        )
    for columns, rows in (
        (_KINDS, (*stats.kinds, stats.total)),
        (_GROWTH, stats.growth),
        (_LARGEST, stats.largest),
    ):
        if rows:
            yield ""
            yield from output.table(columns, rows)
    yield from call.next("codebatch gc --dry-run")
