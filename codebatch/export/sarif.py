"""SARIF 2.1.0: one run with the findings of a batch.

Paths are relative to ``%SRCROOT%``, the root of the snapshot, of which no location is stated.
Columns count code points. GitHub's code scanning takes 25,000 results a run, of which it shows
5,000, and 10 MB gzip-compressed; what goes beyond is left out, the least severe first, and both
the run and the report say so.
"""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import BinaryIO

from codebatch.export.results import (
    Result,
    choose,
    count_severities,
    load_results,
    place_of,
    severity_of,
)
from codebatch.export.selection import ExportReport, Selection, severity_words
from codebatch.export.text import path_uri, unicode_text
from codebatch.model.digest import Document, canonical_json
from codebatch.model.records import DONE
from codebatch.model.version import __version__
from codebatch.query.rules import rule_of
from codebatch.tasks.rules import Rule

MAX_RESULTS = 25_000
SHOWN_RESULTS = 5_000
MAX_COMPRESSED_BYTES = 10_000_000
FINGERPRINT = "codebatch/v1"

_SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
_ROOT = "%SRCROOT%"
_LEVELS = {"error": "error", "warning": "warning", "info": "note"}
_GZIP = 31  # zlib's number for a gzip frame
_WHY = "GitHub takes 25,000 results and 10 MB gzip-compressed a run"


def write_sarif(selection: Selection, stream: BinaryIO) -> ExportReport:
    """The findings by path and place."""
    results = load_results(selection)
    kept, totals = choose(results.each, MAX_RESULTS if selection.limited else None)
    data = _encoded(selection, kept, totals, results.rules)
    while selection.limited and kept and (size := _compressed(data)) > MAX_COMPRESSED_BYTES:
        kept = kept[: int(len(kept) * min(0.95, MAX_COMPRESSED_BYTES / size))]
        data = _encoded(selection, kept, totals, results.rules)
    stream.write(data)
    left_out = totals - count_severities(kept)
    notes = (*results.notes, *_notes(selection, len(kept), left_out))
    return ExportReport(len(kept), dict(left_out), notes)


def _encoded(
    selection: Selection, kept: Sequence[Result], totals: Counter[str], known: Mapping[str, Rule]
) -> bytes:
    run = _run(selection, kept, totals - count_severities(kept), _rules(kept, known))
    document = {"$schema": _SCHEMA, "version": "2.1.0", "runs": [run]}
    return canonical_json(document) + b"\n"


def _run(
    selection: Selection, kept: Sequence[Result], left_out: Counter[str], rules: Mapping[str, Rule]
) -> Document:
    numbers = {code: index for index, code in enumerate(rules)}
    properties: Document = {"batch": selection.batch_status.batch_id}
    if selection.base is not None:
        properties["base"] = selection.base.batch_id
    if left_out:
        counts = dict(sorted(left_out.items()))
        properties["leftOut"] = {"total": left_out.total(), "bySeverity": counts, "why": _WHY}
    return {
        "tool": {"driver": _driver(rules)},
        "invocations": [{"executionSuccessful": selection.batch_status.status == DONE}],
        "columnKind": "unicodeCodePoints",
        "originalUriBaseIds": {_ROOT: {"description": {"text": "The root of the snapshot."}}},
        "properties": properties,
        "results": [_result(selection, result, numbers) for result in sorted(kept, key=place_of)],
    }


def _rules(kept: Sequence[Result], known: Mapping[str, Rule]) -> dict[str, Rule]:
    """The rules that are known, and whatever else was found, by code."""
    found = {str(result.record["code"]): rule_of(result.record, known) for result in kept}
    return dict(sorted({**found, **known}.items()))


def _driver(rules: Mapping[str, Rule]) -> Document:
    return {
        "name": "CodeBatch",
        "version": __version__,
        "semanticVersion": __version__,
        "rules": [_rule(rule) for rule in rules.values()],
    }


def _rule(rule: Rule) -> Document:
    title, text = unicode_text(rule.title), unicode_text(rule.help or rule.title)
    document: Document = {
        "id": rule.code,
        "name": unicode_text(rule.name),
        "shortDescription": {"text": title},
        "fullDescription": {"text": text},
        "help": {"text": text if rule.link is None else f"{text}\n{rule.link}"},
        "defaultConfiguration": {"level": _LEVELS[rule.severity]},
    }
    return document if rule.link is None else {**document, "helpUri": rule.link}


def _result(selection: Selection, result: Result, numbers: dict[str, int]) -> Document:
    record = result.record
    document: Document = {
        "ruleId": record["code"],
        "ruleIndex": numbers[str(record["code"])],
        "level": _LEVELS[severity_of(result)],
        # Brackets that would read as a link, ``[text](target)``, are escaped.
        "message": {"text": unicode_text(record["message"]).replace("](", "\\](")},
        "locations": [
            {
                "physicalLocation": {
                    "artifactLocation": {
                        "uri": path_uri(selection.place_of(record)),
                        "uriBaseId": _ROOT,
                    },
                    "region": {"startLine": record["line"], "startColumn": record["column"]},
                }
            }
        ],
        "partialFingerprints": {FINGERPRINT: record["fingerprint"]},
        "properties": {"rule": unicode_text(record["rule"]), "task": record["task_id"]},
    }
    if result.state is not None:
        document["baselineState"] = result.state
    return document


def _compressed(data: bytes) -> int:
    compressor = zlib.compressobj(wbits=_GZIP)
    return len(compressor.compress(data)) + len(compressor.flush())


def _notes(selection: Selection, kept: int, left_out: Counter[str]) -> tuple[str, ...]:
    shown = f"of a run, GitHub shows the {SHOWN_RESULTS:,} most severe results"
    if left_out:
        cut = (
            f"{left_out.total():,} of {left_out.total() + kept:,} results are left out "
            f"({severity_words(left_out)}), the least severe first: {_WHY}; "
            "export --no-limit writes all"
        )
        return (cut, shown)
    return (shown,) if selection.limited and kept > SHOWN_RESULTS else ()
