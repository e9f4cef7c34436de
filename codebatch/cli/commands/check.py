"""``codebatch check``."""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, BinaryIO

import click

from codebatch import api
from codebatch.api.checking import CheckReport
from codebatch.cli.command import Call, command
from codebatch.cli.commands.export import link_base_option, writing_to
from codebatch.cli.commands.runs import shown, told
from codebatch.cli.config import config_of
from codebatch.cli.gate import check_new, check_stale
from codebatch.cli.options import (
    FILES_OPTIONS,
    RUN_OPTIONS,
    json_option,
    pipeline_option,
    rev_option,
    rule_settings,
    rules_options,
    staged_option,
    tasks_options,
)
from codebatch.cli.render import findings, output
from codebatch.cli.render.formats import (
    JSON,
    JSONL,
    REPORT_FORMATS,
    TEXT,
    Destination,
    format_choice,
)
from codebatch.cli.render.output import counted, printable
from codebatch.cli.render.progress import Display, count_row
from codebatch.compare.baseline import Entry
from codebatch.compare.diff import ADDED, finding_rows
from codebatch.model.digest import canonical_json
from codebatch.model.records import SEVERITIES
from codebatch.store.destination import check_writable

_MOST_NAMED = 10

# What of a tree is looked at, and with what: as for a scan.
TREE_OPTIONS = (
    pipeline_option,
    *tasks_options,
    *rules_options,
    *RUN_OPTIONS,
    *FILES_OPTIONS,
)
path_argument = click.argument("path", default=".", metavar="[PATH]")


@command(
    path_argument,
    click.option(
        "--base",
        metavar="REV|NAME|ID",
        help="What to compare with: a revision of git, a name, a snapshot or a batch. Default: "
        "what the build of a pull request names, else where the branch left its upstream or the "
        "default branch.",
    ),
    staged_option,
    rev_option,
    click.option(
        "--baseline",
        metavar="FILE",
        help="Findings that are not new; without --base, all others are. See codebatch baseline.",
    ),
    link_base_option,
    click.option("--fail-on-stale", is_flag=True, help="Exit 1 if --baseline has stale entries."),
    *TREE_OPTIONS,
    click.option(
        "--fail-on",
        type=click.Choice(SEVERITIES),
        default="warning",
        show_default=True,
        help="Exit 1 if a new finding is at least this severe.",
    ),
    click.option(
        "--max-new",
        type=click.IntRange(min=0),
        default=0,
        show_default=True,
        metavar="N",
        help="How many such findings there may be.",
    ),
    findings.PLAIN,
    form=(format_choice(REPORT_FORMATS), json_option),
)
def check(
    call: Call,
    path: str,
    fail_on: str,
    max_new: int,
    fail_on_stale: bool,
    plain: bool,
    **asked: Any,
) -> None:
    """Show the findings that are new since a base, and exit 1 if there are any.

    The pipeline is run over the tree of the base and over PATH (default: here), as far as that has
    not been done. What is compared are the findings of both, not lines that changed: a change in
    one file may break another.

    Where there is no store yet, one is made in .codebatch (or where --store says).
    """
    if fail_on_stale and asked["baseline"] is None:
        raise click.UsageError("--fail-on-stale is about the entries of --baseline FILE")
    for destination in call.formats:
        if destination.file is not None:
            check_writable(destination.file)
    opened = open_or_make(call)
    try:
        with shown(call) as display:
            report = opened.check(path, **options_of(call, opened, display, asked))
    except KeyboardInterrupt:
        output.write_note("what is computed is kept: the same command goes on from there")
        raise
    if holds := config_of(click.get_current_context()).file:
        said = f"{holds.shown} holds, for what is compared with as well"
        report = replace(report, notes=(said, *report.notes))
    if call.is_for_people and report.base_words:
        output.write_note(f"compared with {report.base_words}")
    for note in report.notes:
        output.write_note(f"note: {note}")
    words = ("codebatch", "baseline", "prune", path, "--baseline", asked["baseline"] or "")
    lines = partial(_lines, call, opened, report, printable(shlex.join(words)), plain=plain)
    for destination in call.formats or [Destination(TEXT)]:
        _write(report, destination, lines)
    check_new(fail_on, report.failing(fail_on), max_new)
    if fail_on_stale:
        check_stale(len(report.stale))


def open_or_make(call: Call) -> api.Store:
    """Return the store that is meant; stderr says so where it is made."""
    opened = call.open(create=True)
    if opened.created:
        output.write_note(f"made a store: {os.path.relpath(opened.path)}")
    return opened


def options_of(
    call: Call, opened: api.Store, display: Display, asked: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the arguments of `api.Store.check` for the options asked for; the display tells of
    files and of runs.
    """
    given = {**asked, **call.options, **told(display)}
    watch = opened.prewarm(given["scheduler"], given["workers"])

    def tell(files: int, total_bytes: int) -> None:
        if display.is_due("snapshot"):
            display.show(count_row("snapshot", "file", files, total_bytes, None))
        watch(files, total_bytes)

    given["settings"] = rule_settings(given.pop("select_rules"), given.pop("ignore_rules"))
    given["ignore"] = not given.pop("no_ignore")
    return {**given, "on_files": tell}


def entry_lines(word: str, entries: Sequence[Entry]) -> Iterator[str]:
    """Yield a line for each entry of a baseline file, and one for those too many to be named."""
    for entry in entries[:_MOST_NAMED]:
        yield f"{word}: {entry.fingerprint} {entry.code} {printable(entry.path)}"
    if len(entries) > _MOST_NAMED:
        yield f"{word}: {len(entries) - _MOST_NAMED:,} more (all: --json)"


def _write(
    report: CheckReport, destination: Destination, lines_of: Callable[[], Iterator[str]]
) -> None:
    """Write the report in one form."""
    name, file = destination
    if name == TEXT and file is None:
        output.write_lines(lines_of(), paged=True)
    elif name == JSON and file is None:
        output.write_document(report.as_document())
    else:
        with writing_to(file) as stream:
            if name == TEXT:
                lines = map(click.unstyle, lines_of())
                stream.writelines(f"{one}\n".encode("utf-8", "backslashreplace") for one in lines)
            elif name == JSON:
                stream.write(output.document_bytes(report.as_document()))
            elif name == JSONL:
                rows = finding_rows((*report.new, *report.fixed))
                stream.writelines(canonical_json(row) + b"\n" for row in rows)
            else:
                _export(report, name, stream)


def _export(report: CheckReport, name: str, stream: BinaryIO) -> None:
    for note in report.export(name, stream).notes:
        if note not in report.notes:
            output.write_note(f"note: {note}")


def _lines(
    call: Call, opened: api.Store, report: CheckReport, prune: str, *, plain: bool
) -> Iterator[str]:
    return map(findings.inert, _report_lines(call, opened, report, prune, plain=plain))


def _report_lines(
    call: Call, opened: api.Store, report: CheckReport, prune: str, *, plain: bool
) -> Iterator[str]:
    # All that is listed is new, and needs no word for it.
    rows = [
        {**row, "change": ""} if row["change"] == ADDED else row for row in finding_rows(report.new)
    ]
    source = findings.source_of(opened.find_batch(report.head))
    yield from findings.one_a_line(rows) if plain else findings.by_file(rows, source)
    yield from entry_lines("stale", report.stale)
    yield _summary(report)
    commands = []
    if rows:
        path = shlex.quote(printable(rows[0]["path"]))
        commands.append(f"codebatch inspect {path} --batch {report.head}")
    if report.stale:
        commands.append(prune)
    if commands:
        yield from call.next(*commands)


def _summary(report: CheckReport) -> str:
    """Return ``2 new findings: 1 error, 1 warning; 3 fixed, 120 as before``."""
    words = output.findings(report.counts()).replace("finding", "new finding", 1)
    parts = [f"{len(report.fixed):,} fixed", f"{report.unchanged:,} as before"]
    if report.suppressed:
        parts.insert(1, f"{report.suppressed:,} suppressed")
    if report.stale:
        parts.append(counted(len(report.stale), "stale entry", "stale entries"))
    return f"{words}; {', '.join(parts)}"
