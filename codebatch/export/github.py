"""GitHub Actions: findings as workflow commands, which become annotations of a run.

``::error file=pkg/cart.py,line=2,col=8,title=L101 Unused import::'os' imported but unused``

GitHub keeps the first 10 errors, 10 warnings and 10 notices of a step and drops the others
without a word. Therefore no more are written, and a line of text says what is missing. Against a
base, only findings that are new or more severe are written. The help and the link of a rule are
further lines of the message.
"""

from __future__ import annotations

from typing import BinaryIO

from codebatch.export.results import (
    Key,
    Result,
    choose,
    count_severities,
    load_results,
    place_of,
    severity_of,
)
from codebatch.export.selection import ExportReport, Selection, severity_words
from codebatch.export.text import log_text, short_text
from codebatch.model.records import SEVERITIES
from codebatch.query.rules import rule_of
from codebatch.tasks.rules import Rule

STEP_LIMIT = 10
_COMMANDS = {"error": "error", "warning": "warning", "info": "notice"}
_DATA = {"%": "%25", "\r": "%0D", "\n": "%0A"}
_ESCAPED_DATA = str.maketrans(_DATA)
_ESCAPED_PROPERTY = str.maketrans({**_DATA, ":": "%3A", ",": "%2C"})


def write_github(selection: Selection, stream: BinaryIO) -> ExportReport:
    """Annotations, the most severe first and each severity by place; then what is left out."""
    results = load_results(selection)
    shown = (result for result in results.each if result.is_news)
    limit = STEP_LIMIT if selection.limited else None
    kept, totals = choose(shown, limit, _by_severity_and_place, severity_of)
    for result in kept:
        annotation = _annotation(selection, result, rule_of(result.record, results.rules))
        stream.write(annotation.encode("utf-8") + b"\n")
    left_out = totals - count_severities(kept)
    notes = results.notes
    if left_out:
        number = left_out.total()
        note = (
            f"{number:,} of {number + len(kept):,} findings are not annotated "
            f"({severity_words(left_out)}): GitHub shows {STEP_LIMIT} of each severity a step"
        )
        stream.write(note.encode("utf-8") + b"\n")
        notes = (*notes, f"{note}; export --no-limit writes all")
    return ExportReport(len(kept), dict(left_out), notes)


def _by_severity_and_place(result: Result) -> Key:
    return (SEVERITIES.index(severity_of(result)), *place_of(result))


def _annotation(selection: Selection, result: Result, rule: Rule) -> str:
    record = result.record
    properties = {
        "file": selection.place_of(record),
        "line": record["line"],
        "col": record["column"],
        "title": f"{record['code']} {rule.title}",
    }
    words = ",".join(
        f"{name}={log_text(value).translate(_ESCAPED_PROPERTY)}"
        for name, value in properties.items()
    )
    texts = filter(None, (record["message"], rule.help, rule.link))
    message = "\n".join(map(short_text, texts)).translate(_ESCAPED_DATA)
    return f"::{_COMMANDS[severity_of(result)]} {words}::{message}"
