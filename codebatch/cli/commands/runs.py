"""``codebatch scan``, ``run`` and ``resume``."""

from __future__ import annotations

import os
import shlex
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from codebatch import api
from codebatch.cli.commands.snapshots import take
from codebatch.cli.group import OnceCommand
from codebatch.cli.options import (
    Percent,
    batch_option,
    json_option,
    max_file_size_option,
    no_ignore_option,
    pipeline_option,
    quiet_option,
    require_reused_option,
    retry_option,
    run_options,
    shards_option,
    store_option,
)
from codebatch.cli.render import output
from codebatch.cli.render.logs import libraries_silenced
from codebatch.cli.render.progress import TaskLines
from codebatch.model.errors import (
    EXIT_GATE,
    EXIT_INTERRUPTED,
    EXIT_OK,
    EXIT_SHARDS_FAILED,
    UsageError,
)
from codebatch.model.records import DONE, FAILED, INTERRUPTED
from codebatch.tasks.rules import QUARANTINED, RULES

if TYPE_CHECKING:
    from codebatch.batch import RecheckReport, RunReport
    from codebatch.cluster.settings import ClusterUsage, WorkerUsage
    from codebatch.model.messages import Waiting

_MOST_NAMED = 10
_EXIT_CODES = {DONE: EXIT_OK, FAILED: EXIT_SHARDS_FAILED, INTERRUPTED: EXIT_INTERRUPTED}


@click.command(cls=OnceCommand)
@click.argument("directory", metavar="DIR")
@pipeline_option
@run_options
@require_reused_option
@shards_option
@store_option
@no_ignore_option
@max_file_size_option
@json_option
@quiet_option
def scan(
    directory: str,
    pipeline: str,
    scheduler: str | None,
    options: dict[str, Any],
    require_reused: bool,
    shards: int | None,
    store: str | None,
    no_ignore: bool,
    max_file_bytes: int,
    as_json: bool,
    quiet: bool,
) -> None:
    """Snapshot a directory, plan a pipeline over it and run it, in one go.

    Where there is no store yet, one is made in .codebatch (or where --store says).
    """
    api.check_scan(
        directory,
        pipeline,
        scheduler=scheduler,
        shards=shards,
        performance_report=options["performance_report"],
    )
    opened = _open_or_make(store)
    prewarm = opened.prewarm(scheduler, options["workers"])
    taken = take(
        opened, directory, no_ignore=no_ignore, max_file_bytes=max_file_bytes, watch=prewarm
    )
    batch = opened.batch(taken.snapshot_id, pipeline, shards=shards)
    report = _run(batch, scheduler, options, require_reused=require_reused)
    if not quiet:
        _note_latest(batch)
    _finish(batch, report, store, as_json=as_json, quiet=quiet, skipped=len(taken.skipped))


@click.command(cls=OnceCommand)
@batch_option
@run_options
@require_reused_option
@retry_option
@click.option(
    "--recompute",
    is_flag=True,
    help="Compute what is done again, store nothing of it, and compare.",
)
@click.option(
    "--sample",
    type=Percent(),
    metavar="P%",
    help="With --recompute: only for so many of the files, the same ones every time.",
)
@click.option(
    "--replace",
    is_flag=True,
    help="With --recompute: where results differ, forget what was remembered and compute anew.",
)
@store_option
@json_option
@quiet_option
def run(
    batch_id: str,
    scheduler: str | None,
    options: dict[str, Any],
    retry_quarantined: bool,
    require_reused: bool,
    recompute: bool,
    sample: float | None,
    replace: bool,
    store: str | None,
    as_json: bool,
    quiet: bool,
) -> None:
    """Run every shard of a batch that is not done.

    With --recompute, results are computed again and compared with those that are committed:
    the proof that they follow from the inputs alone. Any difference is named. With --replace as
    well, the shards with differences are computed anew, and what the store remembered of their
    files is forgotten.
    """
    if sample is not None and not recompute:
        raise UsageError("--sample says how much to compute again: give --recompute as well")
    if replace and not recompute:
        raise UsageError("--replace is for what --recompute finds: give --recompute as well")
    batch = api.open_store(store).find_batch(batch_id)
    report = _run(
        batch,
        scheduler,
        options,
        require_reused=require_reused,
        retry_quarantined=retry_quarantined,
    )
    if recompute and report.status == DONE:
        with libraries_silenced():
            found = batch.recheck(
                100 if sample is None else sample,
                scheduler,
                replace=replace,
                on_notice=output.write_note,
                **options,
            )
        _finish_recheck(found, store, as_json=as_json)
    else:
        _finish(batch, report, store, as_json=as_json, quiet=quiet)


@click.command(cls=OnceCommand)
@batch_option
@run_options
@require_reused_option
@retry_option
@store_option
@json_option
@quiet_option
def resume(
    batch_id: str,
    scheduler: str | None,
    options: dict[str, Any],
    retry_quarantined: bool,
    require_reused: bool,
    store: str | None,
    as_json: bool,
    quiet: bool,
) -> None:
    """Go on with a batch that was interrupted or has failed shards.

    Finished shards are kept as they are, unless their outputs do not match their digest.
    """
    batch = api.open_store(store).find_batch(batch_id)
    report = _run(
        batch,
        scheduler,
        options,
        require_reused=require_reused,
        retry_quarantined=retry_quarantined,
    )
    _finish(batch, report, store, as_json=as_json, quiet=quiet)


def _open_or_make(store: str | None) -> api.Store:
    opened = api.open_store(store, create=True)
    if opened.created:
        output.write_note(f"made a store: {os.path.relpath(opened.path)}")
    return opened


def _note_latest(batch: api.Batch) -> None:
    """Say so where ``latest``, the default of every view, is not the batch just run."""
    latest = batch.directory.batches.find("latest")
    if latest != batch.id:
        output.write_note(
            f"note: {batch.id} was made before; 'latest' is {latest}, the newest made"
        )


def _run(
    batch: api.Batch,
    scheduler: str | None,
    options: dict[str, Any],
    *,
    require_reused: bool,
    retry_quarantined: bool = False,
) -> RunReport:
    lines = TaskLines()
    try:
        with libraries_silenced():
            return batch.run(
                scheduler,
                progress=lines,
                require_reused=require_reused,
                retry_quarantined=retry_quarantined,
                on_wait=lambda waiting: lines.note(_waiting(waiting)),
                on_notice=lines.note,
                **options,
            )
    finally:
        lines.close()


def _waiting(waiting: Waiting) -> str:
    shards = output.counted(waiting.shards, "shard")
    return f"waiting for {shards} that {', '.join(waiting.runs)} is at"


def _finish_recheck(report: RecheckReport, store: str | None, *, as_json: bool) -> None:
    """Print how results compare that were computed again; exit 1 where any is left that differs."""
    if as_json:
        output.write_document(asdict(report))
    else:
        for place in report.differ:
            output.write_line(f"{output.printable(place['path'])}: {place['task_id']} differs")
        output.write_line(
            f"{report.batch_id}  {report.checked:,} results computed again, "
            f"{len(report.differ):,} differ{', and are replaced' if report.replaced else ''}"
        )
        if report.differ and not report.replaced:
            _write_remedies(report, store)
    sys.exit(EXIT_GATE if report.differ and not report.replaced else EXIT_OK)


def _write_remedies(report: RecheckReport, store: str | None) -> None:
    """Say what can be done about results that differ, which may have been remembered wrongly."""
    first, of_batch = report.differ[0], f"--batch {report.batch_id}"
    place = f"--task {first['task_id']} --file {shlex.quote(first['path'])}"
    output.write_next(
        f"codebatch run {of_batch} --recompute --replace",
        f"codebatch explain {of_batch} {place}",
        store=store,
    )


def _finish(
    batch: api.Batch,
    report: RunReport,
    store: str | None,
    *,
    as_json: bool,
    quiet: bool,
    skipped: int = 0,
) -> None:
    """Print the report in the form asked for, and exit with the code for its status."""
    if as_json:
        output.write_document(asdict(report))
    elif quiet:
        output.write_line(report.batch_id)
    else:
        _write_report(batch, report, store, skipped)
    sys.exit(_EXIT_CODES[report.status])


def _write_report(batch: api.Batch, report: RunReport, store: str | None, skipped: int) -> None:
    shards, files = report.shards, report.files
    output.write_line(f"{report.batch_id}  {output.status(report.status)}  {report.seconds:.1f} s")
    output.write_line(f"  snapshot {report.snapshot_id}" + _skipped(skipped))
    if report.result is not None:
        output.write_line(f"  result   {report.result}")
    failed = f", {shards['failed']} failed" if shards["failed"] else ""
    output.write_line(f"  shards   {shards['done']}/{shards['total']} done{failed}")
    given_up = f", {files['quarantined']:,} quarantined" if files["quarantined"] else ""
    output.write_line(
        f"  files    {files['computed']:,} computed, {files['reused']:,} reused{given_up}"
    )
    if report.cluster is not None:
        output.write_line(f"  cluster  {_used(report.cluster)}")
    for error in report.errors:
        output.write_error(f"shard {error['shard_id']}: {error['message']}")
    _write_quarantined(report)
    if report.status == DONE:
        _write_findings(batch)
        commands = [f"codebatch {name} --batch {report.batch_id}" for name in ("errors", "summary")]
        if report.quarantined:
            commands.append(f"codebatch resume --batch {report.batch_id} --retry-quarantined")
        output.write_next(*commands, store=store)
    else:
        output.write_next(f"codebatch resume --batch {report.batch_id}", store=store)


def _write_quarantined(report: RunReport) -> None:
    for one in report.quarantined[:_MOST_NAMED]:
        why = RULES[one["code"]].name
        output.write_line(
            f"  quarantined {output.printable(one['path'])}: {one['task_id']} {one['code']} {why}"
        )
    rest = len(report.quarantined) - _MOST_NAMED
    if rest > 0:
        output.write_line(f"  and {rest:,} more: codebatch errors --code {','.join(QUARANTINED)}")


def _used(cluster: ClusterUsage) -> str:
    """``shipped, 2 workers: w1 (7 calls, 2.6 MiB sent, 2.4 MiB received), …``."""
    workers = [
        f"{output.printable(one.name)} ({_done_by(one)})" for one in cluster.workers[:_MOST_NAMED]
    ]
    more = ", …" if len(cluster.workers) > _MOST_NAMED else ""
    count = output.counted(len(cluster.workers), "worker")
    return f"{cluster.transport}, {count}: {', '.join(workers)}{more}"


def _done_by(worker: WorkerUsage) -> str:
    calls = output.counted(worker.calls, "call")
    if not worker.sent_bytes:
        return calls
    sent, received = output.size(worker.sent_bytes), output.size(worker.received_bytes)
    return f"{calls}, {sent} sent, {received} received"


def _skipped(number: int) -> str:
    return f", {number:,} skipped (listed in the snapshot)" if number else ""


def _write_findings(batch: api.Batch) -> None:
    counts = batch.load_status().counts()
    found = (f"{counts.by_severity.get(name, 0):,} {name}" for name in ("error", "warning", "info"))
    output.write_line(f"  findings {', '.join(found)}")
