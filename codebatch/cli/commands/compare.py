"""``codebatch diff``, ``regressions`` and ``improvements``."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import click

from codebatch.cli.command import Call, command
from codebatch.cli.options import SELECTION
from codebatch.cli.render import output
from codebatch.compare.compare import Comparison
from codebatch.compare.diff import Finding, improvements, regressions, severity_rank
from codebatch.model.digest import Document
from codebatch.model.errors import EXIT_GATE
from codebatch.model.records import SEVERITIES, Record

ANY = "any"
Paths = tuple[str, ...]

_BATCHES = (click.argument("a", metavar="A"), click.argument("b", metavar="B"))
_FAIL_ON = click.option(
    "--fail-on",
    type=click.Choice((*SEVERITIES, ANY)),
    help="Exit 1 if a finding listed (for diff: a new one) is at least this severe; 'any': if "
    "anything is listed.",
)
_WORDS = {
    "diagnostic": ("severity", "code", "message"),
    "symbol": ("symbol_type", "scope", "name"),
    "metric": ("metric", "name", "value"),
    "edge": ("edge_type", "target", "name", "alias"),
    "ast": ("language", "format"),
    "skip": ("reason",),
}


@command(*_BATCHES, SELECTION["kind"], SELECTION["path"], _FAIL_ON)
def diff(
    call: Call, a: str, b: str, kind: str | None, path: Paths | None, fail_on: str | None
) -> None:
    """Show what changed in the records from batch A to batch B.

    Moved lines are no change; a renamed file is one rename.
    """
    found = _compare(call, a, b, kind, path)
    call.write(_diff_document(found), _diff_lines(found))
    changes = (*found.diff.added, *found.diff.removed, *found.diff.changed, *found.renames)
    _exit(regressions(found.diff), bool(changes), fail_on)


def _findings_command(
    name: str, chosen: Callable[[Comparison], Sequence[Finding]], summary: str
) -> click.Command:
    """Return a command that lists what ``chosen`` finds in the diagnostics of two batches."""

    @command(*_BATCHES, SELECTION["path"], _FAIL_ON, name=name, help=summary)
    def findings(call: Call, a: str, b: str, path: Paths | None, fail_on: str | None) -> None:
        found = _compare(call, a, b, "diagnostic", path)
        items = chosen(found)
        call.write(_findings_document(found, items), _finding_lines(items))
        _exit(items, bool(items), fail_on)

    return findings


regressions_command = _findings_command(
    "regressions",
    lambda found: regressions(found.diff),
    "The findings of batch B that are new since batch A, or more severe.",
)
improvements_command = _findings_command(
    "improvements",
    lambda found: improvements(found.diff, found.rename_map),
    "The findings of batch A that are gone in batch B, or less severe.",
)


def _compare(call: Call, a: str, b: str, kind: str | None, path: Paths | None) -> Comparison:
    found = call.open().compare(a, b, kind=kind, path=path)
    for note in found.notes:
        output.write_note(f"note: {note}")
    return found


def _exit(new: Sequence[Finding], anything: bool, fail_on: str | None) -> None:
    if fail_on == ANY:
        failed = anything
    else:
        least = None if fail_on is None else severity_rank(fail_on)
        ranks = (severity_rank(item.record["severity"]) for item in new)
        failed = least is not None and any(rank >= least for rank in ranks)
    if failed:
        sys.exit(EXIT_GATE)


def _diff_document(found: Comparison) -> Document:
    lists: dict[str, list[Any]] = {
        "added": list(found.diff.added),
        "removed": list(found.diff.removed),
        "changed": [{"old": change.old, "new": change.new} for change in found.diff.changed],
        "renamed": [{"from": rename.old, "to": rename.new} for rename in found.renames],
    }
    numbers = {name: len(items) for name, items in lists.items()}
    return {
        "a": found.a,
        "b": found.b,
        **lists,
        "summary": {**numbers, "unchanged": found.diff.unchanged},
        "notes": list(found.notes),
    }


def _diff_lines(found: Comparison) -> Iterator[str]:
    changes = found.diff
    for rename in found.renames:
        yield f"renamed {output.printable(rename.old)} -> {output.printable(rename.new)}"
    for record in changes.removed:
        yield click.style(f"- {_words(record)}", fg="red")
    for record in changes.added:
        yield click.style(f"+ {_words(record)}", fg="green")
    for change in changes.changed:
        yield f"~ {_words(change.old)} -> {_value(change.new)}"
    yield (
        f"{len(changes.added):,} added, {len(changes.removed):,} removed, "
        f"{len(changes.changed):,} changed, {len(found.renames):,} files renamed, "
        f"{changes.unchanged:,} unchanged"
    )


def _findings_document(found: Comparison, items: Sequence[Finding]) -> Document:
    def counted(name: str) -> Document:
        return dict(sorted(Counter(str(item.record[name]) for item in items).items()))

    return {
        "a": found.a,
        "b": found.b,
        "items": [{**item.record, "change": item.change} for item in items],
        "summary": {
            "count": len(items),
            "by_severity": counted("severity"),
            "by_code": counted("code"),
        },
        "notes": list(found.notes),
    }


def _finding_lines(items: Sequence[Finding]) -> Iterator[str]:
    for item in items:
        yield f"{item.change}: {_words(item.record)}"
    yield output.findings(len(items), Counter(str(item.record["severity"]) for item in items))


def _words(record: Record) -> str:
    return f"{output.place(record)}: {output.printable(record['kind'])} {_value(record)}"


def _value(record: Record) -> str:
    """Return the content of a record in a few words."""
    names = _WORDS.get(str(record["kind"]))
    if names is None:
        return output.fields_in_words(record)
    return " ".join(output.printable(record[name]) for name in names if name in record)
