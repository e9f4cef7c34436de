"""Ordering of rows by one of their fields."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import cast

from codebatch.model.digest import Document
from codebatch.query.fields import check_choice

_DESCENDING = "-"


def check_sort(key: str | None, fields: Sequence[str]) -> None:
    """Raise `FilterInvalidError` unless the key is None or a field, perhaps after ``-``."""
    check_choice("sort key", None if key is None else key.removeprefix(_DESCENDING), fields)


def sorted_rows(rows: Iterable[Document], key: str | None) -> list[Document]:
    """The rows by a field, descending after ``-``; equal ones keep their order, rows without
    the field come last either way. Numbers go before text either way.
    """
    if key is None:
        return list(rows)
    field = key.removeprefix(_DESCENDING)
    numbers: list[Document] = []
    texts: list[Document] = []
    missing: list[Document] = []
    for row in rows:
        value = row.get(field)
        kind = missing if value is None else numbers if isinstance(value, int | float) else texts
        kind.append(row)
    descending = key.startswith(_DESCENDING)
    numbers.sort(key=lambda row: cast("float", row[field]), reverse=descending)
    texts.sort(key=lambda row: _bytes(row[field]), reverse=descending)
    return numbers + texts + missing


def _bytes(value: object) -> bytes:
    return str(value).encode("utf-8", "surrogatepass")
