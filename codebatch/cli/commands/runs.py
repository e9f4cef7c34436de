"""``codebatch run`` and ``resume``, and what other commands that run a batch share with them."""

from __future__ import annotations

import contextlib
import shlex
import sys
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, NoReturn

import click

from codebatch import api
from codebatch.cli.command import ID, Call, command, libraries_silenced
from codebatch.cli.commands.apply import commands_to_apply
from codebatch.cli.gate import check_gate, fail_on_option
from codebatch.cli.options import PERCENT, RUN_OPTIONS, batch_option, given_tasks_option
from codebatch.cli.render import output
from codebatch.cli.render.output import counted, printable
from codebatch.cli.render.progress import Display
from codebatch.cli.render.usage import usage_words
from codebatch.cluster.settings import SHIPPED
from codebatch.model.errors import (
    EXIT_GATE,
    EXIT_INTERRUPTED,
    EXIT_OK,
    EXIT_SHARDS_FAILED,
    UsageError,
)
from codebatch.model.records import DONE, FAILED, INTERRUPTED, Counts
from codebatch.runtime.lazy import lazily
from codebatch.tasks.rules import QUARANTINED, RULES

if TYPE_CHECKING:
    from codebatch.batch import RecheckReport, RunReport
    from codebatch.batch.detached import Submission
    from codebatch.model.messages import Waiting

with lazily():
    from codebatch.batch import report as reports

_MOST_NAMED = 10
_EXIT_CODES = {DONE: EXIT_OK, FAILED: EXIT_SHARDS_FAILED, INTERRUPTED: EXIT_INTERRUPTED}
REQUIRE_REUSED = click.option(
    "--require-reused",
    is_flag=True,
    help="Fail instead of computing anything that is not there yet.",
)
_RETRY = click.option(
    "--retry-quarantined",
    is_flag=True,
    help="Try again what is quarantined, in shards that are done as well.",
)
FAIL_ON = fail_on_option("a finding of the batch, once it is done,")
_DETACH = click.option(
    "--detach",
    is_flag=True,
    help="Leave the run to the cluster, whose workers have to see the store, and end.",
)


@command(
    batch_option,
    given_tasks_option,
    *RUN_OPTIONS,
    REQUIRE_REUSED,
    _RETRY,
    click.option(
        "--recompute",
        is_flag=True,
        help="Compute what is done again, store nothing of it, and compare.",
    ),
    click.option(
        "--sample",
        type=PERCENT,
        metavar="P%",
        help="With --recompute: only for so many of the files, the same ones every time.",
    ),
    click.option(
        "--replace",
        is_flag=True,
        help="With --recompute: where results differ, forget what the memo has and compute anew.",
    ),
    FAIL_ON,
    _DETACH,
    form=ID,
)
def run(
    call: Call,
    recompute: bool,
    sample: float | None,
    replace: bool,
    fail_on: str | None,
    detach: bool,
    **options: Any,
) -> None:
    """Run every shard of a batch that is not done.

    With --recompute, results are computed again and compared with those that are committed:
    the proof that they follow from the inputs alone. Any difference is named. With --replace as
    well, the shards with differences are computed anew, and what the memo has of their
    files is forgotten.

    With --detach, the run is left to the cluster: it goes on when this command has ended.
    """
    if detach and recompute:
        raise UsageError("--detach is for a run, and --recompute for what is done: give one")
    if sample is not None and not recompute:
        raise UsageError("--sample says how much to compute again: give --recompute as well")
    if replace and not recompute:
        raise UsageError("--replace is for what --recompute finds: give --recompute as well")
    batch = call.batch()
    if detach:
        _leave(call, batch, fail_on, **options)
        return
    with shown(call) as display:
        report = run_shown(call, batch, display, **options)
    if not recompute or report.status != DONE:
        finish(call, batch, report, fail_on)
    with libraries_silenced():
        percent = 100 if sample is None else sample
        options = {name: value for name, value in call.options.items() if name != "memo"}
        found = batch.recheck(percent, replace=replace, on_notice=output.write_note, **options)
    differs = bool(found.differ) and not found.replaced
    by_severity = _severities(batch, fail_on)
    call.write(found, _recheck_lines(call, found, differs=differs), found.batch_id)
    if differs:
        sys.exit(EXIT_GATE)
    check_gate(fail_on, by_severity)


@command(
    *(batch_option, given_tasks_option, *RUN_OPTIONS, REQUIRE_REUSED, _RETRY, FAIL_ON, _DETACH),
    form=ID,
)
def resume(call: Call, fail_on: str | None, detach: bool, **options: Any) -> None:
    """Go on with a batch that was interrupted or has failed shards.

    Finished shards are kept as they are, unless their outputs do not match their digest.
    """
    batch = call.batch()
    if detach:
        _leave(call, batch, fail_on, **options)
        return
    with shown(call) as display:
        report = run_shown(call, batch, display, **options)
    finish(call, batch, report, fail_on)


def _leave(call: Call, batch: api.Batch, fail_on: str | None, **options: Any) -> None:
    """Leave a run to a cluster, and say where it is and how to follow it."""
    if fail_on is not None:
        raise UsageError(
            "--fail-on is for a run that this command awaits",
            hints=["leave out --detach, or ask later: codebatch errors --fail-on LEVEL"],
        )
    of_run = dict(call.options)
    if of_run.pop("memo") is not None:
        output.write_note("--memo is for a run that this command awaits: it is not used")
    if of_run.pop("transport") == SHIPPED:
        raise UsageError(
            "workers that never see the store get their work from this command: it has to stay",
            hints=["leave out --detach, or --transport shipped"],
        )
    if of_run.pop("performance_report") is not None or of_run.pop("workers") is not None:
        raise UsageError(
            "--performance-report and --workers are for a run that this command awaits"
        )
    with libraries_silenced():
        left = batch.submit(on_notice=output.write_note, **of_run, **options)
    call.write(left, _submission_lines(call, left), left.batch_id)


def _submission_lines(call: Call, left: Submission) -> Iterator[str]:
    if left.scheduler is None:
        yield f"{left.batch_id}  {output.status(left.status)}: nothing was to be computed"
        yield from call.next(f"codebatch summary --batch {left.batch_id}")
        return
    yield f"{left.batch_id}  {counted(left.shards, 'shard')} left to {printable(left.scheduler)}"
    yield from call.next(f"codebatch status --watch --batch {left.batch_id}")


@contextlib.contextmanager
def shown(call: Call) -> Iterator[Display]:
    """For a block, show progress, and have nothing else write to where it is drawn."""
    with libraries_silenced(), Display(quiet=call.quiet) as display:
        yield display


def run_shown(call: Call, batch: api.Batch, display: Display, **options: Any) -> RunReport:
    """Return the report on a run with the options of the call, also where it was interrupted."""
    try:
        return batch.run(wait=True, **told(display), **options, **call.options)
    except reports.RunInterrupted as interrupted:
        return interrupted.report


def told(display: Display) -> dict[str, Any]:
    """Return the options of a run by which a display and notes tell what happens in it."""

    def tell_waiting(waiting: Waiting) -> None:
        shards = counted(waiting.shards, "shard")
        output.write_note(f"waiting for {shards} that {', '.join(waiting.runs)} is at")

    return {"progress": display, "on_wait": tell_waiting, "on_notice": output.write_note}


def _recheck_lines(call: Call, report: RecheckReport, *, differs: bool) -> Iterator[str]:
    """Yield how results compare that were computed again, and what can be done where they differ,
    which the memo may have wrongly.
    """
    for place in report.differ:
        yield f"{printable(place['path'])}: {place['task_id']} differs"
    yield (
        f"{report.batch_id}  {counted(report.checked, 'result')} computed again, "
        f"{len(report.differ):,} differ{', and are replaced' if report.replaced else ''}"
    )
    if differs:
        first, of_batch = report.differ[0], f"--batch {report.batch_id}"
        result = f"--task {first['task_id']} --file {shlex.quote(first['path'])}"
        yield from call.next(
            f"codebatch run {of_batch} --recompute --replace",
            f"codebatch explain {of_batch} {result}",
        )


def finish(
    call: Call, batch: api.Batch, report: RunReport, fail_on: str | None, skipped: int = 0
) -> NoReturn:
    """Print the report in the form asked for, and exit with the code for its status, or for what
    was found.
    """
    by_severity = _severities(batch, fail_on) if report.status == DONE else {}
    call.write(report.as_document(), report_lines(call, batch, report, skipped), report.batch_id)
    check_gate(fail_on, by_severity)
    sys.exit(_EXIT_CODES[report.status])


def _severities(batch: api.Batch, fail_on: str | None) -> Mapping[str, int]:
    """Return how many findings a batch has by severity, where ``fail_on`` asks: another process may
    remove the batch, and after the report is printed is too late to say so.
    """
    return {} if fail_on is None else batch.load_status().counts().by_severity


def _counts(batch: api.Batch, report: RunReport) -> Counts:
    """Return the counts of all records, which a run has seen in the states that it left."""
    return batch.load_status().counts() if report.totals is None else report.totals.counts


def report_lines(call: Call, batch: api.Batch, report: RunReport, skipped: int) -> Iterator[str]:
    """Yield what a run came to, with errors on stderr, and the commands that make sense now."""
    shards, files = report.shards, report.files
    yield f"{report.batch_id}  {output.status(report.status)}  {report.seconds:.1f} s"
    yield f"  {counted(report.file_count, 'file')}, {_results(files)}"
    left_out = f", {skipped:,} left out" if skipped else ""
    yield f"  snapshot {report.snapshot_id}{left_out}"
    if report.result is not None:
        yield f"  result   {report.result}"
    failed = f", {shards['failed']} failed" if shards["failed"] else ""
    yield f"  shards   {shards['done']}/{shards['total']} done{failed}"
    if any(report.nodes.values()):
        yield f"  nodes    {report.nodes['computed']:,} computed, {report.nodes['reused']:,} reused"
    if report.cluster is not None:
        yield f"  cluster  {usage_words(report.cluster)}"
    if report.memo is not None:
        yield f"  memo     {_shared_words(report.memo)}"
    write_errors(report)
    yield from _quarantined_lines(report)
    resume = f"codebatch resume --batch {report.batch_id}"
    if report.status != DONE:
        yield from call.next(resume)
        return
    counts = _counts(batch, report)
    found = (
        output.of_severity(counts.by_severity.get(name, 0), name)
        for name in ("error", "warning", "info")
    )
    yield f"  findings {', '.join(found)}"
    names = ["errors", "summary", *(["skipped"] if skipped or counts.by_skip_reason else [])]
    commands = [f"codebatch {name} --batch {report.batch_id}" for name in names]
    commands += [f"{resume} --retry-quarantined"] if report.quarantined else []
    yield from call.next(*commands, *commands_to_apply(batch, counts))


def write_errors(report: RunReport) -> None:
    """Write on stderr why shards failed."""
    for message, shards_with in _by_message(report).items():
        where = f"shard {shards_with[0]}"
        if len(shards_with) > 1:
            where = f"{len(shards_with):,} shards ({', '.join(shards_with[:_MOST_NAMED])})"
        output.write_error(f"{where}: {message}")


def _by_message(report: RunReport) -> dict[str, list[str]]:
    """Return the shards that failed with each message: a task may fail on all in the same way."""
    found: dict[str, list[str]] = {}
    for error in report.errors:
        found.setdefault(str(error["message"]), []).append(str(error["shard_id"]))
    return found


def _shared_words(memo: Mapping[str, Mapping[str, int]]) -> str:
    """Return ``120 results read from 1 pack, 4 written``."""
    read, written = memo["read"], memo["written"]
    packs = counted(read["packs"], "pack")
    return f"{counted(read['results'], 'result')} read from {packs}, {written['results']:,} written"


def _results(counts: Mapping[str, int]) -> str:
    """Return ``12 results computed, 0 reused``."""
    given_up = f", {counts['quarantined']:,} quarantined" if counts["quarantined"] else ""
    return (
        f"{counted(counts['computed'], 'result')} computed, {counts['reused']:,} reused{given_up}"
    )


def _quarantined_lines(report: RunReport) -> Iterator[str]:
    for one in report.quarantined[:_MOST_NAMED]:
        why = RULES[one["code"]].name
        yield f"  quarantined {printable(one['path'])}: {one['task_id']} {one['code']} {why}"
    rest = len(report.quarantined) - _MOST_NAMED
    if rest > 0:
        yield f"  and {rest:,} more: codebatch errors --code {','.join(QUARANTINED)}"
