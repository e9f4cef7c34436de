"""One canonical JSON document a line, streamed."""

from __future__ import annotations

from typing import BinaryIO

from codebatch.export.selection import ExportReport, Selection
from codebatch.model.digest import canonical_json


def write_jsonl(selection: Selection, stream: BinaryIO) -> ExportReport:
    """Records of any kinds, by task, shard and path."""
    written = 0
    for record in selection.records():
        stream.write(canonical_json(record) + b"\n")
        written += 1
    return ExportReport(written)
