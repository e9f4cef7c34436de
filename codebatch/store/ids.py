"""Ids of snapshots and batches: listing what there is, finding what an abbreviation means."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from codebatch.model.errors import (
    AmbiguousIdError,
    BatchNotFoundError,
    SnapshotNotFoundError,
    StoreDamagedError,
    StoreError,
)
from codebatch.store.door import Door
from codebatch.store.files import file_status, reporting_read_errors
from codebatch.store.layout import check_name, is_name

LATEST = "latest"


def list_ids(
    door: Door, folder: Path, prefix: str, document_of: Callable[[str], Path]
) -> list[str]:
    """The ids in a folder, sorted: those whose document, written last, is there."""
    with reporting_read_errors(folder):
        names = [name for name in door.names(folder) if name.startswith(f"{prefix}-")]
    return [name for name in names if is_name(name) and door.is_file(document_of(name))]


def newest_first(door: Door, ids: list[str], document_of: Callable[[str], Path]) -> list[str]:
    """The ids ordered by when their documents were last written; ties by id."""

    def changed(name: str) -> float:
        try:
            status = file_status(door, document_of(name))
        except StoreError:
            return 0.0
        return 0.0 if status is None else status.st_mtime

    return sorted(ids, key=lambda name: (-changed(name), name))


def find_id(
    text: str,
    ids: list[str],
    time_of: Callable[[str], str],
    what: str,
    missing: type[StoreError],
) -> str:
    """The one id that ``text`` (an id, a unique prefix, ``latest``) stands for."""
    hints = [f"list them: codebatch {_plural(what)}" if ids else f"the store has no {what} yet"]
    if text == LATEST:
        if not ids:
            raise missing(f"there is no {what} in the store", hints=hints)
        return max(ids, key=lambda name: (_time_or_none(time_of, name), name))
    check_name(text, f"{what} id")
    if text in ids:
        return text
    # An abbreviation may leave out the prefix: hex digits alone are enough.
    found = [name for name in ids if name.startswith((text, f"{ids[0].split('-')[0]}-{text}"))]
    if not found:
        raise missing(f"no {what} {text} in the store", hints=hints)
    if len(found) > 1:
        raise AmbiguousIdError(
            f"{what} id {text} is ambiguous: it fits {len(found)} {_plural(what)}",
            hints=["give more digits"],
            details={"candidates": found},
        )
    return found[0]


def _time_or_none(time_of: Callable[[str], str], name: str) -> str:
    """Return the time; none of what is damaged or was removed: it is never the latest, and hides
    no other.
    """
    try:
        return time_of(name)
    except (BatchNotFoundError, SnapshotNotFoundError, StoreDamagedError):
        return ""


def _plural(what: str) -> str:
    return "batches" if what == "batch" else f"{what}s"
