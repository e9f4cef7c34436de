"""Ordering of rows by one of their fields."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from codebatch.digest import Document
from codebatch.query.filters import check_choice

_DESCENDING = "-"


def check_sort(key: str | None, fields: Sequence[str]) -> None:
    """Raise `FilterInvalidError` unless the key is None or a field, perhaps after ``-``."""
    check_choice("sort key", None if key is None else key.removeprefix(_DESCENDING), fields)


def sorted_rows(rows: Iterable[Document], key: str | None) -> list[Document]:
    """The rows by a field, descending after ``-``; equal ones keep their order, rows without
    the field come last either way. Numbers go before text.
    """
    if key is None:
        return list(rows)
    field = key.removeprefix(_DESCENDING)
    present: list[Document] = []
    missing: list[Document] = []
    for row in rows:
        (missing if row.get(field) is None else present).append(row)
    present.sort(key=lambda row: _rank(row[field]), reverse=key.startswith(_DESCENDING))
    return present + missing


def _rank(value: object) -> tuple[int, float, bytes]:
    if isinstance(value, int | float):
        return 0, value, b""
    return 1, 0, str(value).encode("utf-8", "surrogatepass")
