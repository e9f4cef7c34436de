"""The encoding ``python-ast-flat/2+msgpack``: a whole Python syntax tree as flat columns.

msgpack nests 511 deep and real trees deeper, so the tree is stored as columns over its rows.
The document is one msgpack map with these keys, in this order:

``types``       one entry per node class, in order of first use: ``[name, scalars, children,
                lists, places]``. ``scalars`` and ``children`` name the class's fields; ``lists``
                names those children that hold a list. The class named ``""`` is a hole: a None
                inside a list of nodes (``{**x}``).
``operators``   names of contexts and operators, in order of first use, see below.
``type``        bytes, one per row: index into ``types``. Rows are in preorder, the children of a
                node in the order of its class's ``children``, the items of a list in their own
                order; so a subtree is a run of rows.
``columns``     for each class in the order of ``types`` a list of columns, each with one entry
                per row of the class, in order: those that ``places`` names, then one per field
                in ``scalars`` with its values, then one per field in ``children``.

The column of a child says how many rows the field has below each row of the class: the length of
a list, or 1 for a node and 0 for None; where a field that holds no list is None nowhere, its
column is empty instead.

``places`` is empty for a class without a place, else it starts with ``line`` (from 1),
``column`` (from 0), ``more_lines`` (last line minus first) and ``end_column``. Columns count
characters of the decoded text, not bytes. Classes with a name that ``ast`` does not place
(definitions, exception handlers, patterns that capture, ``alias.asname``) have ``name_line`` and
``name_column`` as well, both 0 in a row without such a name.

Rows are all nodes but contexts and operators (subclasses of ``expr_context``, ``boolop``,
``operator``, ``unaryop``, ``cmpop``). These are values of the scalar fields ``ctx``, ``op`` and
``ops`` of their parent, whose columns are bytes, and for ``ops`` lists of bytes: indexes into
``operators``. ``nodes`` of the record counts the rows that are not holes.

Values are native msgpack: nil, booleans, strings, bin (bytes), floats (64 bits), integers from
-2**63 to 2**64-1, and lists of names. Any other is an array that opens with a tag, so that no two
values meet: ``["int", hexadecimal]`` as ``hex()`` prints it, ``["complex", real, imaginary]``,
``["ellipsis"]``, and ``["str", bin]`` for a string with lone surrogates (UTF-8 that encodes them
too).

Nothing of a flat tree is left out and no two values are written alike, so equal encodings have
equal flat trees.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import sub
from typing import Any, NamedTuple

import msgpack

from codebatch.tasks.languages.base import EncodedTree
from codebatch.tasks.languages.python.nodes import FlatTree, Layout, layout_of

FORMAT = "python-ast-flat/2+msgpack"

_NOWHERE = (0, 0)
_PLACES = ("lineno", "end_lineno", "col_offset", "end_col_offset")

# The columns of one class; their entries are what msgpack takes.
_Columns = list[Sequence[Any]]


class _Numbers(dict[type, int]):
    """Numbers classes in the order they are first asked for."""

    def __missing__(self, cls: type) -> int:
        number = self[cls] = len(self)
        return number


# Makes a column of what a field holds.
_Make = Callable[[Sequence[Any], _Numbers], Sequence[Any]]


def _singletons(values: Sequence[object], operators: _Numbers) -> bytes:
    return bytes([*map(operators.__getitem__, map(type, values))])


def _lists_of_singletons(values: Sequence[list[object]], operators: _Numbers) -> list[bytes]:
    return [_singletons(some, operators) for some in values]


def _lengths(values: Sequence[list[object]], _: _Numbers) -> list[int]:
    return [*map(len, values)]


def _presence(values: Sequence[object], _: _Numbers) -> list[int]:
    return [] if all(values) else [*map(int, map(bool, values))]


_OPERATORS: dict[str, _Make] = {
    "ctx": _singletons,
    "op": _singletons,
    "ops": _lists_of_singletons,
}


def encode_tree(flat: FlatTree) -> EncodedTree:
    """The columns of a tree as msgpack."""
    plans = [_plan_of(some[0]) for some in flat.members.values()]
    operators = _Numbers()
    columns = [
        _columns(flat, nodes, plan, operators)
        for nodes, plan in zip(flat.members.values(), plans, strict=True)
    ]
    document = {
        "types": [plan.layout[:5] for plan in plans],
        "operators": [cls.__name__ for cls in operators],
        "type": flat.kinds,
        "columns": columns,
    }
    try:
        data = msgpack.packb(document, default=_tagged)
    except UnicodeEncodeError:
        document["columns"] = [[_storable(column) for column in some] for some in columns]
        data = msgpack.packb(document, default=_tagged)
    return EncodedTree(FORMAT, data, len(flat.rows) - len(flat.members.get(type(None), ())))


class _Plan(NamedTuple):
    """The way to make the columns of a class of its fields, which are numbered in the order that
    the parser gives them to all nodes of the class. ``places`` are the fields in the order first
    line, last line, first column, last column; ``columns`` what makes a column of each field.
    """

    layout: Layout
    places: tuple[int, ...]
    columns: tuple[tuple[int, _Make | None], ...]


_plans: dict[type[Any], _Plan] = {}


def _plan_of(node: Any) -> _Plan:
    plan = _plans.get(type(node))
    if plan is None:
        plan = _plans[type(node)] = _make_plan(node)
    return plan


def _make_plan(node: Any) -> _Plan:
    layout = layout_of(node)
    order = [*vars(node)] if node is not None else []
    makers: list[tuple[str, _Make | None]] = [(f, _OPERATORS.get(f)) for f in layout.scalars]
    makers += [(f, _lengths if f in layout.lists else _presence) for f in layout.children]
    return _Plan(
        layout,
        tuple(order.index(field) for field in _PLACES if layout.places),
        tuple((order.index(field), make) for field, make in makers),
    )


def _columns(flat: FlatTree, nodes: Sequence[Any], plan: _Plan, operators: _Numbers) -> _Columns:
    if not plan.layout.name:
        return []
    known: _Columns = list(zip(*[node.__dict__.values() for node in nodes], strict=True))
    columns: _Columns = []
    if plan.places:
        lines, ends, starts, stops = [known[index] for index in plan.places]
        if flat.wide:
            starts, stops = _characters(flat, lines, starts), _characters(flat, ends, stops)
        columns += (lines, starts, [*map(sub, ends, lines)], stops)
    if "name_line" in plan.layout.places:
        columns += zip(*[flat.names.get(node, _NOWHERE) for node in nodes], strict=True)
    for index, make in plan.columns:
        values = known[index]
        columns.append(values if make is None else make(values, operators))
    return columns


def _characters(flat: FlatTree, lines: Sequence[int], offsets: Sequence[int]) -> Sequence[int]:
    wide, column = flat.wide, flat.column
    return [
        column(line, offset) if line in wide else offset
        for line, offset in zip(lines, offsets, strict=True)
    ]


def _tagged(value: Any) -> tuple[Any, ...]:
    """A value that msgpack has no type for, see the module's docstring."""
    if isinstance(value, int):
        return "int", hex(value)
    if isinstance(value, complex):
        return "complex", value.real, value.imag
    if value is Ellipsis:
        return ("ellipsis",)
    raise TypeError(f"a {type(value).__name__} in a syntax tree")


def _storable(column: Sequence[Any]) -> Sequence[Any]:
    """A column with strings that UTF-8 has no bytes for tagged."""
    if isinstance(column, bytes):
        return column
    return [_storable_text(value) if isinstance(value, str) else value for value in column]


def _storable_text(value: str) -> str | tuple[str, bytes]:
    try:
        value.encode()
    except UnicodeEncodeError:
        return "str", value.encode("utf-8", "surrogatepass")
    return value
