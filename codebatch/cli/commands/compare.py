"""``codebatch diff``, ``regressions`` and ``improvements``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import click

from codebatch import api
from codebatch.cli.command import ROWS, Call, command
from codebatch.cli.gate import ANY, check_gate, fail_on_option
from codebatch.cli.options import SELECTION
from codebatch.cli.render import changes as in_words
from codebatch.cli.render import findings, formats, output
from codebatch.cli.render.formats import JSON, Columns, Destination, Row
from codebatch.compare.changes import (
    CHANGED,
    RENAMED,
    ROW_FIELDS,
    SHOWN_FIELDS,
    STAT_FIELDS,
    Change,
    count_changes,
    list_changes,
    rows_of,
)
from codebatch.compare.compare import FINDING_COLUMNS, Comparison
from codebatch.compare.diff import ADDED, REMOVED, place_key, regressions
from codebatch.display.displayed import Rows
from codebatch.model.digest import Document
from codebatch.model.records import Record
from codebatch.query.fields import record_columns

_BATCHES = (click.argument("a", metavar="A"), click.argument("b", metavar="B"))
_FAIL_ON = fail_on_option("a finding listed (for diff: a new one)", ANY)
_DIFF = Columns(SHOWN_FIELDS, ROW_FIELDS)
_TO_STDOUT = Destination(JSON)
_STAT = Columns(STAT_FIELDS, STAT_FIELDS)
_FINDINGS = Columns(
    FINDING_COLUMNS,
    ("change", *record_columns(["diagnostic"])),
)


@command(
    *_BATCHES,
    click.option("--stat", is_flag=True, help="Count the changes alone: by kind, code and file."),
    SELECTION["kind"],
    _FAIL_ON,
    select=("path", "limit"),
    form=ROWS,
)
def diff(call: Call, a: str, b: str, stat: bool, kind: str | None, fail_on: str | None) -> None:
    """Show what changed in the records from batch A to batch B: a summary, then file by file.

    Moved lines are no change; a renamed file is one rename. The forms of --format have a row for
    each change, or with --stat for each number; --json is one document of both batches.
    """
    found = _compare(call, a, b, kind)
    every = list_changes(found)
    counts, changes = count_changes(every), every[: call.limit]
    rows, columns = (counts[: call.limit], _STAT) if stat else (rows_of(changes), _DIFF)
    lines = map(findings.inert, _diff_lines(found, every, counts, None if stat else changes))
    _write(call, lambda: _diff_document(found, changes, counts), rows, columns, lines)
    severities = Counter(str(new.record["severity"]) for new in regressions(found.diff))
    check_gate(fail_on, severities, len(every))


def _findings_command(
    name: str, chosen: Callable[[Comparison], Rows[Record]], summary: str
) -> click.Command:
    """Return a command that lists what ``chosen`` finds in the diagnostics of two batches."""

    @command(
        *(*_BATCHES, findings.PLAIN, _FAIL_ON),
        select=("path", "limit"),
        form=ROWS,
        name=name,
        help=summary,
    )
    def listing(call: Call, a: str, b: str, plain: bool, fail_on: str | None) -> None:
        found = _compare(call, a, b, "diagnostic")
        items = chosen(found)
        rows = items[: call.limit]
        lines = _finding_lines(call, found, items, plain=plain)
        _write(call, lambda: _findings_document(found, items, rows), rows, _FINDINGS, lines)
        check_gate(fail_on, Counter(str(item["severity"]) for item in items), len(items))

    return listing


regressions_command = _findings_command(
    "regressions",
    Comparison.regressions,
    "The findings of batch B that are new since batch A, or more severe.",
)
improvements_command = _findings_command(
    "improvements",
    Comparison.improvements,
    "The findings of batch A that are gone in batch B, or less severe.",
)


def _compare(call: Call, a: str, b: str, kind: str | None) -> Comparison:
    """Return the comparison; stderr says of which trees, and what limits it."""
    opened = call.open()
    found = opened.compare(a, b, kind=kind, **call.filters)
    if call.is_for_people:
        old, new = opened.find_batch(found.a), opened.find_batch(found.b)
        call.name_trees(old, new)
        folders = [batch.source_folder for batch in (old, new)]
        if None not in folders and folders[0] != folders[1]:
            output.write_note(f"note: these are two trees: {folders[0]} and {folders[1]}")
    for note in found.notes:
        output.write_note(f"note: {note}")
    return found


def _write(
    call: Call,
    document: Callable[[], Document],
    rows: Sequence[Row],
    columns: Columns,
    lines: Iterable[str],
) -> None:
    """Write the document with ``--json``, the rows in the formats asked for, else the lines."""
    if call.as_json:
        output.write_document(document())
    destinations = [one for one in call.formats if not (call.as_json and one == _TO_STDOUT)]
    if destinations:
        formats.write_rows(rows, columns, destinations)
    elif not call.as_json:
        output.write_lines(lines, paged=True)


def _diff_document(found: Comparison, changes: Sequence[Change], counts: Sequence[Row]) -> Document:
    def listed(what: str) -> list[Change]:
        return [change for change in changes if change.change == what]

    lists: dict[str, list[Any]] = {
        "added": [change.new for change in listed(ADDED)],
        "removed": sorted((change.record for change in listed(REMOVED)), key=place_key),
        "changed": [{"old": change.old, "new": change.new} for change in listed(CHANGED)],
        "renamed": [{"from": change.old_path, "to": change.path} for change in listed(RENAMED)],
    }
    diff = found.diff
    numbers = map(len, (diff.added, diff.removed, diff.changed, found.renames))
    return {
        "a": found.a,
        "b": found.b,
        **lists,
        "summary": {**dict(zip(lists, numbers, strict=True)), "unchanged": diff.unchanged},
        "stat": list(counts),
        "notes": list(found.notes),
    }


def _diff_lines(
    found: Comparison,
    every: Sequence[Change],
    counts: Sequence[Row],
    changes: Sequence[Change] | None,
) -> Iterator[str]:
    """Yield the summary, with files where no changes are shown, then the changes."""
    renames = {new: old for old, new in found.rename_map.items()}
    summed = counts if changes is None else [row for row in counts if row["by"] != "path"]
    yield from in_words.stat_lines(summed, renames)
    if changes:
        yield from in_words.change_lines(found, changes)
    if every:
        yield ""
    cut = changes is not None and len(changes) < len(every)
    shown = f"; {len(changes or ()):,} shown" if cut else ""
    yield in_words.total_line(found, every) + shown


def _finding_lines(
    call: Call, found: Comparison, items: Sequence[Document], *, plain: bool
) -> Iterator[str]:
    opened = api.open_store(call.store)
    old, new = (findings.source_of(opened.find_batch(name)) for name in (found.a, found.b))

    def source(row: Row) -> Sequence[str]:
        return (old if row["change"] == "removed" else new)(row)

    return findings.listing(
        findings.by_severity(items), source, call.limit, plain=plain, whole=True
    )


def _findings_document(
    found: Comparison, items: Sequence[Document], shown: Sequence[Document]
) -> Document:
    def counted(name: str) -> Document:
        return dict(sorted(Counter(str(item[name]) for item in items).items()))

    return {
        "a": found.a,
        "b": found.b,
        "items": list(shown),
        "summary": {
            "count": len(items),
            "by_severity": counted("severity"),
            "by_code": counted("code"),
        },
        "notes": list(found.notes),
    }
