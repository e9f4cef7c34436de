"""Read ``python-ast-flat/2+msgpack`` back, as `encode` writes it. ``SPEC.md`` describes it."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from typing import Any, NamedTuple

import msgpack

from codebatch.tasks.languages.tree import Columns, Values

_PLACES = 4  # line, column, more lines, end column
_TAGS = frozenset({"str", "int", "complex", "ellipsis"})


class _Class(NamedTuple):
    """A class of nodes: the columns of its places, scalars and children, these by the number of
    the field.
    """

    name: str
    places: Sequence[Sequence[int]]
    scalars: Mapping[str, Sequence[object]]
    children: Sequence[tuple[int, Sequence[int]]]

    def columns(self) -> Iterator[Sequence[object]]:
        """Yield all columns."""
        return chain(self.places, self.scalars.values(), (column for _, column in self.children))


def decode(data: bytes) -> Columns:
    """Return the nodes of a tree but for the holes in its lists. What is no such tree raises
    `ValueError`, or another error of what is looked up in vain.
    """
    document = msgpack.unpackb(data)
    kinds, field_names = document["type"], [""]
    classes = _classes(document, Counter(kinds), field_names)
    rows, fields, depths = _arranged(kinds, classes)
    shown = bytes(kinds[row] for row, _ in rows)
    places = [array("q", bytes(8 * len(rows))) for _ in range(_PLACES)]
    for index, (row, number) in enumerate(rows):
        if columns := classes[kinds[row]].places:
            line, start, more, stop = (column[number] for column in columns)
            for into, value in zip(places, (line, start + 1, line + more, stop + 1), strict=True):
                into[index] = value
    numbers = array("q", (number for _, number in rows))

    def values(index: int) -> Values:
        scalars, number = classes[shown[index]].scalars, numbers[index]
        return {name: column[number] for name, column in scalars.items()}

    lines, starts, ends, stops = places
    names = [one.name for one in classes]
    return Columns(names, shown, field_names, fields, depths, (lines, starts, ends, stops), values)


def _classes(
    document: Mapping[str, Any], counts: Mapping[int, int], field_names: list[str]
) -> list[_Class]:
    """Return the classes, which have so many rows each; the names of fields that hold nodes are
    numbered in ``field_names``.
    """
    classes = []
    found = zip(document["types"], document["columns"], strict=True)
    for kind, ((name, scalars, children, _, places), columns) in enumerate(found):
        # A child that is there in every row has no column.
        whole = [column or [1] * counts[kind] for column in columns]
        values = {
            field: [_value(field, value, document["operators"]) for value in column]
            for field, column in zip(scalars, whole[len(places) :], strict=False)
        }
        of_children = whole[len(places) + len(scalars) :]
        numbers = (_number(field, field_names) for field in children)
        below = [*zip(numbers, of_children, strict=True)]
        one = _Class(str(name), whole[:_PLACES] if places else (), values, below)
        if any(len(column) != counts[kind] for column in one.columns()):
            raise ValueError("a column of another length")
        classes.append(one)
    return classes


def _number(field: object, field_names: list[str]) -> int:
    if field not in field_names:
        field_names.append(str(field))
    return field_names.index(str(field))


def _arranged(
    kinds: bytes, classes: Sequence[_Class]
) -> tuple[list[tuple[int, int]], array[int], array[int]]:
    """Return the rows that are no holes, each with its number within its class, the fields that
    they fill, and how deep they are.
    """
    seen: Counter[int] = Counter()
    rows: list[tuple[int, int]] = []
    fields, depths = array("q"), array("q")
    due = [(0, 0)]  # fields to be filled, the next one last, and the depth of what fills them
    for row, kind in enumerate(kinds):
        field, depth = due.pop()
        number = seen[kind]
        seen[kind] += 1
        if not classes[kind].name:
            continue
        rows.append((row, number))
        fields.append(field)
        depths.append(depth)
        for below, column in reversed(classes[kind].children):
            count = column[number]
            if len(due) + count > len(kinds) - row:
                raise ValueError("more children than rows")
            due.extend([(below, depth + 1)] * count)
    if due:
        raise ValueError("fewer rows than children")
    return rows, fields, depths


def _value(field: str, value: Any, operators: Sequence[str]) -> object:
    if field in {"ctx", "op"}:
        return operators[value]
    if field == "ops":
        return [operators[index] for index in value]
    if not isinstance(value, list) or not value or value[0] not in _TAGS or field == "names":
        return value
    tag, *parts = value
    if tag == "str":
        return parts[0].decode("utf-8", "surrogatepass")
    if tag == "complex":
        return complex(*parts)
    return int(parts[0], 16) if tag == "int" else ...
