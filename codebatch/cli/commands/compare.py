"""``codebatch diff``, ``regressions`` and ``improvements``."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Sequence
from typing import TypeVar

import click

from codebatch import api
from codebatch.cli.group import OnceCommand
from codebatch.cli.options import json_option, kind_option, path_option, store_option
from codebatch.cli.render import output
from codebatch.compare.compare import Comparison
from codebatch.compare.diff import Finding, improvements, regressions, severity_rank
from codebatch.model.digest import Document
from codebatch.model.errors import EXIT_GATE
from codebatch.model.records import SEVERITIES, Record

F = TypeVar("F", bound=Callable[..., object])
ANY = "any"

_FAIL_ON = click.option(
    "--fail-on",
    type=click.Choice((*SEVERITIES, ANY)),
    help="Exit 1 if a finding listed (for diff: a new one) is at least this severe; 'any': if "
    "anything is listed.",
)


def _two_batches(command: F) -> F:
    command = click.argument("b", metavar="B")(command)
    return click.argument("a", metavar="A")(command)


@click.command(cls=OnceCommand)
@_two_batches
@kind_option
@path_option
@_FAIL_ON
@store_option
@json_option
def diff(
    a: str,
    b: str,
    kind: str | None,
    path: str | None,
    fail_on: str | None,
    store: str | None,
    as_json: bool,
) -> None:
    """Show what changed in the records from batch A to batch B.

    Moved lines are no change; a renamed file is one rename.
    """
    found = _compare(store, a, b, kind=kind, path=path)
    if as_json:
        output.write_document(_diff_document(found))
    else:
        _write_diff(found)
    changes = (*found.diff.added, *found.diff.removed, *found.diff.changed, *found.renames)
    _exit(regressions(found.diff), bool(changes), fail_on)


def _findings_command(
    name: str, chosen: Callable[[Comparison], Sequence[Finding]], summary: str
) -> click.Command:
    """Return a command that lists what ``chosen`` finds in the diagnostics of two batches."""

    @click.command(name, cls=OnceCommand, help=summary)
    @_two_batches
    @path_option
    @_FAIL_ON
    @store_option
    @json_option
    def command(
        a: str, b: str, path: str | None, fail_on: str | None, store: str | None, as_json: bool
    ) -> None:
        found = _compare(store, a, b, kind="diagnostic", path=path)
        items = chosen(found)
        _write_findings(found, items, as_json=as_json)
        _exit(items, bool(items), fail_on)

    return command


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


def _compare(
    store: str | None, a: str, b: str, *, kind: str | None, path: str | None
) -> Comparison:
    found = api.open_store(store).compare(a, b, kind=kind, path=path)
    for note in found.notes:
        output.write_note(f"note: {note}")
    return found


def _exit(new: Sequence[Finding], anything: bool, fail_on: str | None) -> None:
    if fail_on is None:
        return
    if fail_on == ANY:
        failed = anything
    else:
        least = severity_rank(fail_on)
        failed = any(severity_rank(item.record["severity"]) >= least for item in new)
    if failed:
        sys.exit(EXIT_GATE)


def _diff_document(found: Comparison) -> Document:
    changes = found.diff
    return {
        "a": found.a,
        "b": found.b,
        "added": list(changes.added),
        "removed": list(changes.removed),
        "changed": [{"old": change.old, "new": change.new} for change in changes.changed],
        "renamed": [{"from": rename.old, "to": rename.new} for rename in found.renames],
        "summary": {
            "added": len(changes.added),
            "removed": len(changes.removed),
            "changed": len(changes.changed),
            "renamed": len(found.renames),
            "unchanged": changes.unchanged,
        },
        "notes": list(found.notes),
    }


def _write_diff(found: Comparison) -> None:
    for rename in found.renames:
        old, new = output.printable(rename.old), output.printable(rename.new)
        output.write_line(f"renamed {old} -> {new}")
    for record in found.diff.removed:
        output.write_line(click.style(f"- {_words(record)}", fg="red"))
    for record in found.diff.added:
        output.write_line(click.style(f"+ {_words(record)}", fg="green"))
    for change in found.diff.changed:
        output.write_line(f"~ {_words(change.old)} -> {_value(change.new)}")
    changes = found.diff
    output.write_line(
        f"{len(changes.added):,} added, {len(changes.removed):,} removed, "
        f"{len(changes.changed):,} changed, {len(found.renames):,} files renamed, "
        f"{changes.unchanged:,} unchanged"
    )


def _write_findings(found: Comparison, items: Sequence[Finding], *, as_json: bool) -> None:
    by_severity = Counter(str(item.record["severity"]) for item in items)
    if as_json:
        by_code = Counter(str(item.record["code"]) for item in items)
        output.write_document(
            {
                "a": found.a,
                "b": found.b,
                "items": [{**item.record, "change": item.change} for item in items],
                "summary": {
                    "count": len(items),
                    "by_severity": dict(sorted(by_severity.items())),
                    "by_code": dict(sorted(by_code.items())),
                },
                "notes": list(found.notes),
            }
        )
        return
    for item in items:
        output.write_line(f"{item.change}: {_words(item.record)}")
    output.write_line(output.findings(len(items), by_severity))


def _words(record: Record) -> str:
    place = ":".join(
        output.printable(record[name]) for name in ("path", "line", "column") if name in record
    )
    return f"{place}: {output.printable(record['kind'])} {_value(record)}"


def _value(record: Record) -> str:
    """Return the content of a record in a few words."""
    names = {
        "diagnostic": ("severity", "code", "message"),
        "symbol": ("symbol_type", "scope", "name"),
        "metric": ("metric", "name", "value"),
        "edge": ("edge_type", "target", "name", "alias"),
        "ast": ("language", "format"),
        "skip": ("reason",),
    }.get(str(record["kind"]), ())
    return " ".join(output.printable(record[name]) for name in names if name in record)
