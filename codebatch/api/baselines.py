"""Baseline files written from a batch."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Literal

from codebatch.compare.baseline import (
    Baseline,
    BaselineReport,
    entries_of,
    in_order,
    read_baseline,
    stale_entries,
    write_baseline,
)
from codebatch.model.errors import BaselineInvalidError
from codebatch.model.records import Record
from codebatch.snapshot.git.history import Head, find_head
from codebatch.store.destination import writing_file

Change = Literal["create", "update", "prune"]

_ATTRIBUTES = ".gitattributes"
_UNION = "merge=union"
_PLAIN = re.compile(r"[\w.-]+")
_MOST_BYTES = 2**20


def change_baseline(
    file: str, change: Change, batch_id: str, findings: list[Record], *, attributes: bool
) -> BaselineReport:
    """Write a file with the findings of a batch; `Batch.write_baseline` says how."""
    before = known_entries(file, change)
    after = before - {*stale_entries(before, findings)}
    if change != "prune":
        after |= entries_of(findings)
    if after != before or change == "create":
        write_baseline(file, after)
    return BaselineReport(
        file,
        batch_id,
        len(after),
        tuple(in_order(after - before)),
        tuple(in_order(before - after)),
        _told_git(Path(file)) if change != "prune" and attributes else None,
    )


def known_entries(file: str, change: Change) -> Baseline:
    """Return the entries of a file that is to be changed; of one to be made there are none, and it
    is an error if it is there.
    """
    if change != "create":
        return read_baseline(file)
    if os.path.lexists(file):
        hints = ["change it: codebatch baseline update", "or prune, for stale entries alone"]
        raise BaselineInvalidError(f"{file} is already there", hints=hints)
    return frozenset()


def _told_git(file: Path) -> str | None:
    """Tell git to keep the lines of both sides where it merges the file; return the file that says
    so, if it was written: outside of a work tree, and where something is said of the file, none is.
    """
    attributes = file.parent / _ATTRIBUTES
    if find_head(os.fsencode(file.parent.resolve())) == Head() or attributes.is_symlink():
        return None
    try:
        with attributes.open("rb") as stream:
            said = stream.read(_MOST_BYTES)
    except FileNotFoundError:
        said = b""
    if not _PLAIN.fullmatch(file.name) or len(said) == _MOST_BYTES or file.name.encode() in said:
        return None
    end = b"" if said.endswith(b"\n") or not said else b"\n"
    with writing_file(os.fspath(attributes)) as stream:
        stream.write(said + end + f"/{file.name} {_UNION}\n".encode())
    return os.fspath(attributes)
