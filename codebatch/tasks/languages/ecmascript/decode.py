"""Read ``tree-sitter-flat/2+msgpack`` back, as `encode` writes it. ``SPEC.md`` describes it."""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate
from operator import add
from typing import Any

import msgpack

from codebatch.tasks.languages.tree import Columns, Values


def decode(data: bytes) -> Columns:
    """Return the nodes of a tree. What is no such tree raises `ValueError`, or another error of
    what is looked up in vain.
    """
    document: dict[str, Any] = msgpack.unpackb(data, unicode_errors="surrogatepass")
    texts, strings = array("q", document["texts"]), document["strings"]
    starts = array("q", accumulate(document["starts"]))
    ends = array("q", map(add, starts, document["ends"]))
    kinds, fields = array("q", document["types"]), array("q", document["fields"])
    if len({len(kinds), len(fields), len(texts), len(starts), len(ends)}) != 1:
        raise ValueError("columns of different lengths")
    type_names, field_names = document["type_names"], document["field_names"]
    for column, names in ((kinds, type_names), (fields, field_names), (texts, strings)):
        if not 0 <= min(column) <= max(column) < len(names) or {*map(type, names)} != {str}:
            raise ValueError("a number without a name")
    line_starts = [*accumulate(document["lines"])]
    first_lines, columns = _places(starts, line_starts)
    last_lines, end_columns = _places(ends, line_starts)

    def values(index: int) -> Values:
        text = strings[texts[index]]
        return {"text": text} if texts[index] else {}

    return Columns(
        type_names,
        kinds,
        field_names,
        fields,
        _depths(document["parents"], len(kinds)),
        (first_lines, columns, last_lines, end_columns),
        values,
    )


def _places(offsets: Sequence[int], line_starts: Sequence[int]) -> tuple[array[int], array[int]]:
    """Return the lines and columns of offsets."""
    lines = array("q", (bisect_right(line_starts, offset) for offset in offsets))
    columns = (at - line_starts[line - 1] + 1 for at, line in zip(offsets, lines, strict=True))
    return lines, array("q", columns)


def _depths(parents: Sequence[int], count: int) -> array[int]:
    """Return how deep the nodes are, of each of which the parent is so many nodes before."""
    depths = array("q", [0])
    for index in range(1, count):
        if not 1 <= parents[index] <= index:
            raise ValueError("a node before its parent")
        depths.append(depths[index - parents[index]] + 1)
    return depths
