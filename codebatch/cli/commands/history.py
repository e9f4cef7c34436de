"""``codebatch history`` and ``codebatch blame``."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import click

from codebatch import api
from codebatch.api.history import CUT, INTRODUCED, SHORT, Blame, History, date_of
from codebatch.cli.command import Call, command
from codebatch.cli.commands.check import TREE_OPTIONS, open_or_make, path_argument
from codebatch.cli.commands.export import writing_to
from codebatch.cli.commands.runs import shown, told
from codebatch.cli.options import json_option, rule_settings, shards_option
from codebatch.cli.render import formats, output
from codebatch.cli.render.formats import CSV, FORMATS, JSON, Columns, Destination, format_choice
from codebatch.cli.render.output import counted, printable
from codebatch.cli.render.progress import Display, Row, Word
from codebatch.compare.trend import AGGREGATES, parse_measure
from codebatch.export.sparklines import sparklines
from codebatch.model.errors import EXIT_SHARDS_FAILED
from codebatch.model.records import DONE, SEVERITIES
from codebatch.snapshot.git.ancestry import CommitInfo
from codebatch.snapshot.git.history import open_history
from codebatch.snapshot.revisions import Chosen, check_chosen
from codebatch.store.destination import check_writable

SVG = "svg"
_TO_STDOUT = Destination(JSON)
_COMMIT = ("commit", "date", "tags", "subject")
_BATCH = ("batch_id", "snapshot_id", "status", "result")
_NUMBERS = ("files", "records", "findings")
_CHANGES = ("new", "fixed")
_FORMULA = ("=", "+", "-", "@")


def _codes(_: click.Context, __: click.Parameter, text: str | None) -> list[str]:
    return list(dict.fromkeys(one.strip() for one in text.split(","))) if text else []


_REVS = click.option(
    "--revs", metavar="A..B", help="What is reachable from B and not from A; B: all up to B."
)


@command(
    path_argument,
    _REVS,
    click.option(
        "--every",
        type=click.IntRange(min=1),
        metavar="N",
        help="Only every Nth revision, and the newest.",
    ),
    click.option("--tags", is_flag=True, help="Only revisions that have a tag."),
    click.option("--first-parent", is_flag=True, help="Leave out what came by merges."),
    click.option(
        "--code",
        "codes",
        metavar="CODE",
        callback=_codes,
        help="Count the findings of this code, as L101. Several with commas.",
    ),
    click.option(
        "--metric",
        "metrics",
        multiple=True,
        metavar="METRIC[:HOW]",
        help=f"Add up a metric: complexity. HOW is one of {', '.join(AGGREGATES)}; default: "
        f"{AGGREGATES[0]}. May be given again.",
    ),
    click.option("--changes", is_flag=True, help="Count what is new and fixed in each revision."),
    *TREE_OPTIONS,
    shards_option,
    form=(format_choice((*FORMATS, SVG)), json_option),
)
def history(call: Call, path: str, codes: list[str], **asked: Any) -> None:
    """Show how findings and metrics went over the revisions of a git repository.

    Each revision of --revs, --every or --tags has the batch that a scan of its checkout gives; of
    each only what is new is computed. PATH is a work tree or a folder of it (default: here), or
    a bare repository; nothing is checked out. Killed and started again, it goes on.
    """
    chosen = Chosen(*(asked[name] for name in ("revs", "every", "tags", "first_parent")))
    check_chosen(chosen)
    measures = [parse_measure(text).name for text in asked["metrics"]]
    for destination in call.formats:
        if destination.file is not None:
            check_writable(destination.file)
    opened = _opened(call, path)
    with shown(call) as display:
        options = _options(call, display, asked)
        options["progress"] = lambda what, done, all_: display.show(_row(what, done, all_))
        found = opened.history(path, **options)
    _write(call, found, codes, measures, changes=asked["changes"])
    unfinished = [one.batch_id for one in found if one.status != DONE]
    if unfinished:
        words = counted(len(unfinished), "revision")
        output.write_note(f"{words} not done: codebatch resume --batch {unfinished[0]}")
        sys.exit(EXIT_SHARDS_FAILED)


@command(
    click.argument("finding", metavar="FINDING"),
    path_argument,
    _REVS,
    *TREE_OPTIONS,
    shards_option,
)
def blame(call: Call, finding: str, path: str, **asked: Any) -> None:
    """Show which revision of a git repository brought a finding.

    FINDING is of the newest revision: of HEAD, or of B. It is PATH:LINE, PATH:LINE:CODE, or a
    fingerprint or the beginning of one. Older revisions are looked at until one is without it,
    under whatever name the file had.
    """
    opened = _opened(call, path)
    with shown(call) as display:
        found = opened.blame(finding, path, **_options(call, display, asked))
    call.write(found.as_document(), _blame_lines(call, found))


def _opened(call: Call, path: str) -> api.Store:
    """Return the store, which is made only where there is a repository."""
    with open_history(os.fsencode(path)):
        return open_or_make(call)


def _options(call: Call, display: Display, asked: Mapping[str, Any]) -> dict[str, Any]:
    given = {**asked, **call.options, "on_notice": told(display)["on_notice"]}
    given["settings"] = rule_settings(given.pop("select_rules"), given.pop("ignore_rules"))
    given["ignore"] = not given.pop("no_ignore")
    return given


def _row(what: str, done: int, total: int) -> Row:
    return Row(what, done, total, (Word(f"{done:,}/{counted(total, 'revision')}"),))


def _write(
    call: Call, found: History, codes: Sequence[str], measures: Sequence[str], *, changes: bool
) -> None:
    """Write the document with ``--json``, else the rows, or their lines, in the formats asked for,
    or as a table.
    """
    more = (*SEVERITIES, *codes, *measures, *(_CHANGES if changes else ()))
    shown_columns = ("revision", "date", "tags", "subject", *_NUMBERS[::2], *more)
    columns = Columns(shown_columns, (*_COMMIT, *_BATCH, *_NUMBERS, *more), ("findings",))
    rows = found.rows(codes)
    if call.as_json:
        output.write_document(found.as_document())
    wanted = [one for one in call.formats if not (call.as_json and one == _TO_STDOUT)]
    for destination in wanted:
        if destination.format == SVG:
            names = ("findings", *more)
            series: dict[str, list[Any]] = {name: [row.get(name) for row in rows] for name in names}
            with writing_to(destination.file) as stream:
                title = f"{rows[0]['revision']} to {rows[-1]['revision']}"
                stream.write(sparklines(series, title).encode())
    listed = [one for one in wanted if one.format != SVG]
    if formats.is_for_people(listed):
        rows = [{**row, "date": str(row["date"] or "")[:10]} for row in rows]
    if not (wanted or call.as_json):
        formats.write_rows(rows, columns, ())
    for one in listed:
        inert = rows if one.format != CSV else [{**row, "subject": _cell(row)} for row in rows]
        formats.write_rows(inert, columns, [one])


def _cell(row: Mapping[str, Any]) -> str:
    """Return a subject of which no spreadsheet makes a formula: whoever commits may write one."""
    subject = str(row["subject"])
    return f"'{subject}" if subject.startswith(_FORMULA) else subject


def _blame_lines(call: Call, found: Blame) -> Iterator[str]:
    now, then = found.finding, found.origin
    words = f"{output.severity(str(now['severity']))} {now['code']} {printable(now['message'])}"
    yield f"{output.place(now)}: {words}"
    yield f"  {_HOW[found.how]} {_commit(found.commit)}"
    if (then["path"], then["line"]) != (now["path"], now["line"]):
        yield f"  there   {output.place(then)}"
    if found.merge is not None:
        yield f"  merged by {_commit(found.merge)}"
    yield f"  {counted(found.revisions, 'revision')} looked at"
    yield from call.next(f"codebatch inspect {printable(then['path'])} --batch {found.batch_id}")


_HOW = {
    INTRODUCED: "came with",
    CUT: "was there before the clone is cut off (git fetch --unshallow), at",
    "outside": "was there before the range, as at",
}


def _commit(commit: CommitInfo) -> str:
    day = (date_of(commit) or "")[:10]
    return f"{commit.hash[:SHORT]}  {day}  {printable(commit.subject)}"
