"""The records of a batch in formats that other programs read.

An export writes to a binary stream that it is given and answers with what it wrote and what it
left out; it never prints. Nothing that it writes holds a time, a host or a path of a machine.
"""

from __future__ import annotations

from dataclasses import replace
from typing import BinaryIO

from codebatch.export.github import write_github
from codebatch.export.gitlab import write_gitlab
from codebatch.export.junit import write_junit
from codebatch.export.markdown import write_markdown
from codebatch.export.patch import write_patch
from codebatch.export.sarif import write_sarif
from codebatch.export.selection import ExportReport, Selection
from codebatch.export.tables import write_csv, write_parquet
from codebatch.model.digest import canonical_json
from codebatch.model.errors import UsageError
from codebatch.model.records import DONE


def write_jsonl(selection: Selection, stream: BinaryIO) -> ExportReport:
    """Records of any kinds, by task, shard and path."""
    written = 0
    for record in selection.records():
        stream.write(canonical_json(record) + b"\n")
        written += 1
    return ExportReport(written)


_WRITERS = {
    "jsonl": write_jsonl,
    "csv": write_csv,
    "parquet": write_parquet,
    "sarif": write_sarif,
    "github": write_github,
    "gitlab": write_gitlab,
    "junit": write_junit,
    "md": write_markdown,
    "patch": write_patch,
}
FORMATS = tuple(_WRITERS)
FINDING_FORMATS = ("sarif", "github", "gitlab", "junit", "md")
LIMITED_FORMATS = ("sarif", "github", "md")
BINARY_FORMATS = ("parquet",)

__all__ = [
    "BINARY_FORMATS",
    "FINDING_FORMATS",
    "FORMATS",
    "ExportReport",
    "Selection",
    "export_records",
]


def export_records(selection: Selection, name: str, stream: BinaryIO) -> ExportReport:
    """Write the selected records to ``stream`` in the format of that name."""
    if name not in FORMATS:
        raise UsageError(f"unknown format: {name}", hints=[f"choose one of {', '.join(FORMATS)}"])
    # Settings that mean nothing to a format are refused rather than passed over.
    if name not in FINDING_FORMATS and selection.base is not None:
        hints = [f"{', '.join(FINDING_FORMATS)} do"]
        raise UsageError(f"the format {name} does not compare with a base", hints=hints)
    if name not in LIMITED_FORMATS and not selection.limited:
        hints = [f"{', '.join(LIMITED_FORMATS)} do"]
        raise UsageError(f"the format {name} has no limit to lift", hints=hints)
    report = _WRITERS[name](selection, stream)
    unfinished = _unfinished_note(selection)
    return replace(report, notes=(*unfinished, *report.notes))


def _unfinished_note(selection: Selection) -> tuple[str, ...]:
    found = selection.batch_status
    if found.status == DONE:
        return ()
    shards = found.shards()
    committed = f"{shards['done']} of {shards['total']} shards have committed"
    return (f"batch {found.batch_id} is {found.status}: the export holds what {committed}",)
