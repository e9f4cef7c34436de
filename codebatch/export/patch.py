"""Patches as one unified diff over all files, which ``git apply`` and ``patch -p1`` take."""

from __future__ import annotations

from dataclasses import replace
from typing import BinaryIO

from codebatch.export.selection import ExportReport, Selection
from codebatch.model.errors import UsageError
from codebatch.model.records import path_key
from codebatch.model.unified import file_header
from codebatch.patches.collect import KIND, load_patches
from codebatch.query.values import load_value


def write_patch(selection: Selection, stream: BinaryIO) -> ExportReport:
    """The diff of each file, by path."""
    kinds = selection.filters.kinds
    if kinds not in (None, {KIND}):
        raise UsageError(
            f"this format holds patches, not records of kind {', '.join(sorted(kinds))}",
            hints=["leave out --kind, --severity and --code"],
        )
    filters = replace(selection.filters, kind=KIND)
    patches = load_patches(selection.store, selection.batch_status, filters, selection.task_id)
    for patch in patches:
        hunks = load_value(selection.store, patch.record)
        stream.write(file_header(path_key(patch.path)) + hunks)
    return ExportReport(len(patches))
