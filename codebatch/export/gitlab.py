"""GitLab's Code Quality: an array of findings, which a merge request shows beside the changes.

Against a base, only findings that are new or more severe are written. GitLab takes two findings
with one fingerprint for the same, wherever they are: that of a report covers the path, the code and
the fingerprint of the record, and numbers those of several tasks that are equal in all of these.
"""

from __future__ import annotations

from collections import Counter
from typing import BinaryIO

from codebatch.export.results import Result, load_results, place_of, severity_of
from codebatch.export.selection import ExportReport, Selection
from codebatch.export.text import log_text, short_text
from codebatch.model.digest import DIGEST_PREFIX, canonical_json, numbered_digests

_SEVERITIES = {"error": "major", "warning": "minor", "info": "info"}


def write_gitlab(selection: Selection, stream: BinaryIO) -> ExportReport:
    """The findings by path and place."""
    results = load_results(selection)
    news = sorted((result for result in results.each if result.is_news), key=place_of)
    seen: Counter[tuple[object, ...]] = Counter()
    before = b"["
    for result in news:
        names = ("path", "code", "fingerprint")
        identity = tuple(result.record[name] for name in names)
        digest = numbered_digests("report-finding", list(identity))(seen[identity])
        seen[identity] += 1
        document = _finding(selection, result, digest.removeprefix(DIGEST_PREFIX))
        stream.write(before + canonical_json(document))
        before = b",\n"
    stream.write(b"[]\n" if before == b"[" else b"]\n")
    return ExportReport(len(news), notes=results.notes)


def _finding(selection: Selection, result: Result, fingerprint: str) -> dict[str, object]:
    record = result.record
    return {
        "description": short_text(record["message"]),
        "check_name": record["code"],
        "fingerprint": fingerprint,
        "severity": _SEVERITIES[severity_of(result)],
        "location": {
            "path": log_text(selection.place_of(record)),
            "lines": {"begin": record["line"]},
        },
    }
