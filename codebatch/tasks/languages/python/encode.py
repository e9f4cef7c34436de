"""The encoding ``python-ast-flat/2+msgpack``: a whole Python syntax tree as flat columns.

msgpack nests 511 deep and real trees deeper, so the tree is stored as columns over its rows.
``SPEC.md`` describes the document. Nothing of a flat tree is left out and no two values are
written alike, so equal encodings have equal flat trees.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import sub
from typing import Any

import msgpack

from codebatch.tasks.languages.base import EncodedTree, Numbers
from codebatch.tasks.languages.python.nodes import FlatTree, layout_of

FORMAT = "python-ast-flat/2+msgpack"

_NOWHERE = (0, 0)
_PLACES = ("lineno", "end_lineno", "col_offset", "end_col_offset")

# The columns of one class; their entries are what msgpack takes.
_Columns = list[Sequence[Any]]


def _singletons(values: Sequence[object], operators: Numbers[type]) -> bytes:
    return bytes([*map(operators.__getitem__, map(type, values))])


def _lists_of_singletons(values: Sequence[list[object]], operators: Numbers[type]) -> list[bytes]:
    return [_singletons(some, operators) for some in values]


_OPERATORS: dict[str, Callable[[Sequence[Any], Numbers[type]], Sequence[Any]]] = {
    "ctx": _singletons,
    "op": _singletons,
    "ops": _lists_of_singletons,
}


def encode_tree(flat: FlatTree) -> EncodedTree:
    """The columns of a tree as msgpack."""
    operators = Numbers[type]()
    columns = [_columns(flat, nodes, operators) for nodes in flat.members.values()]
    document = {
        "types": [layout_of(nodes[0])[:5] for nodes in flat.members.values()],
        "operators": [cls.__name__ for cls in operators],
        "type": flat.kinds,
        "columns": columns,
    }
    try:
        data = msgpack.packb(document, default=_tagged)
    except UnicodeEncodeError:
        document["columns"] = [
            [c if isinstance(c, bytes) else [*map(_storable, c)] for c in some] for some in columns
        ]
        data = msgpack.packb(document, default=_tagged)
    return EncodedTree(FORMAT, data, len(flat.rows) - len(flat.members.get(type(None), ())))


def _columns(flat: FlatTree, nodes: Sequence[Any], operators: Numbers[type]) -> _Columns:
    layout = layout_of(nodes[0])
    if not layout.name:
        return []
    fields = zip(*[node.__dict__.values() for node in nodes], strict=True)
    known: dict[str, Sequence[Any]] = dict(zip(layout.fields, fields, strict=True))
    columns: _Columns = []
    if layout.places:
        lines, ends, starts, stops = [known[field] for field in _PLACES]
        if flat.wide:
            starts, stops = _characters(flat, lines, starts), _characters(flat, ends, stops)
        columns += (lines, starts, [*map(sub, ends, lines)], stops)
    if "name_line" in layout.places:
        columns += zip(*[flat.names.get(node, _NOWHERE) for node in nodes], strict=True)
    for field in layout.scalars:
        make = _OPERATORS.get(field)
        columns.append(known[field] if make is None else make(known[field], operators))
    for field in layout.children:
        values = known[field]
        if field in layout.lists:
            columns.append([*map(len, values)])
        else:
            columns.append([] if all(values) else [*map(int, map(bool, values))])
    return columns


def _characters(flat: FlatTree, lines: Sequence[int], offsets: Sequence[int]) -> Sequence[int]:
    wide, column = flat.wide, flat.column
    return [
        column(line, offset) if line in wide else offset
        for line, offset in zip(lines, offsets, strict=True)
    ]


def _tagged(value: Any) -> tuple[Any, ...]:
    """A value that msgpack has no type for, see ``SPEC.md``."""
    if isinstance(value, int):
        return "int", hex(value)
    if isinstance(value, complex):
        return "complex", value.real, value.imag
    if value is Ellipsis:
        return ("ellipsis",)
    raise TypeError(f"a {type(value).__name__} in a syntax tree")


def _storable(value: object) -> object:
    """A value as it is, or tagged where it is a string that UTF-8 has no bytes for."""
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError:
            return "str", value.encode("utf-8", "surrogatepass")
    return value
