"""The encoding ``python-ast-flat/1+msgpack``: a whole Python syntax tree as flat columns.

msgpack nests 511 deep and real trees deeper, so the tree is stored as columns over its rows.
The document is one msgpack map with these keys, in this order:

``types``       one entry per node class, in order of first use: ``[name, scalars, children,
                lists]``. ``scalars`` and ``children`` name the class's fields in the order of
                its ``_fields``; ``lists`` names those children that hold a list. The class named
                ``""`` is a hole: a None inside a list of nodes (``{**x}``).
``fields``      names of fields, in order of first use; the first is ``""``, the root's.
``values``      distinct scalar values, in order of first use, see below.
``type``        per row, index into ``types``. Rows are in preorder, the children of a node in
                the order of its class's ``children``, the items of a list in their own order; so
                a subtree is a run of rows, and an item's place in its list follows from order.
``parent``      per row, how many rows above it its parent stands; 0 for the root (row 0).
``field``       per row, index into ``fields``: the field of the parent that holds it. A child
                field without a row is None, or the empty list where ``lists`` names it.
``line``        per row, as ``ast`` counts: lines from 1, 0 where the class has no place.
``column``      per row, UTF-8 bytes from 0, as ``ast`` counts.
``more_lines``  per row, ``end_lineno - lineno``.
``end_column``  per row, UTF-8 bytes from 0.
``scalars``     indexes into ``values``: for each row in turn, one per scalar field of its class.

Rows are all nodes but contexts and operators (subclasses of ``expr_context``, ``boolop``,
``operator``, ``unaryop``, ``cmpop``): these are scalar fields of their parent that hold the name
of the class (``Name.ctx`` is ``"Load"``, ``Compare.ops`` a list of names). ``nodes`` of the
record counts the rows that are not holes.

Values. Native msgpack: nil, booleans, strings, bin (bytes) and integers from -2**63 to
2**64-1. Everything else is an array that opens with a tag, so that no two values meet:
``["int", hexadecimal]`` as ``hex()`` prints it, ``["float", repr]``, ``["complex", repr of the
real part, repr of the imaginary part]``, ``["ellipsis"]``, ``["list", [names]]``, and
``["str", bin]`` for a string with lone surrogates (UTF-8 that encodes them too).
"""

from __future__ import annotations

import ast
from operator import attrgetter
from typing import TYPE_CHECKING, Any, NamedTuple

import msgpack

from codebatch.tasks.languages.base import EncodedTree
from codebatch.tasks.languages.python.nodes import FlatTree, Hole, layout_of

if TYPE_CHECKING:
    from collections.abc import Callable

FORMAT = "python-ast-flat/1+msgpack"


class _Tag(NamedTuple):
    """A kind of value that msgpack has no type for, and what follows its tag."""

    name: str
    parts: Callable[[Any], tuple[Any, ...]]


# Values that are their own key in a dict: strings, None, and the contexts, which are singletons.
_SELF_KEYED = frozenset({str, type(None), ast.Load, ast.Store, ast.Del})

_TAGS: dict[type, _Tag] = {
    complex: _Tag("complex", lambda value: (repr(value.real), repr(value.imag))),
    float: _Tag("float", lambda value: (repr(value),)),
    list: _Tag("list", lambda value: (value,)),
    type(Ellipsis): _Tag("ellipsis", lambda _: ()),
}

_NOWHERE = (0, 0, 0, 0)
_place: Callable[[ast.AST], tuple[int, int, int, int]] = attrgetter(
    "lineno", "col_offset", "end_lineno", "end_col_offset"
)


def encode_tree(flat: FlatTree) -> EncodedTree:
    """The columns of a tree as msgpack."""
    nodes = flat.nodes
    classes = list(map(type, nodes))
    order = list(dict.fromkeys(classes))
    layouts = {cls: layout_of(nodes[classes.index(cls)]) for cls in order}
    fields = list(dict.fromkeys(flat.fields))
    values, scalars = _scalar_columns(flat, {cls: layouts[cls].scalars for cls in order})
    type_index = {cls: index for index, cls in enumerate(order)}
    field_index = {name: index for index, name in enumerate(fields)}
    placed = frozenset(cls for cls in order if layouts[cls].positioned)
    places = [
        _place(node) if cls in placed else _NOWHERE
        for node, cls in zip(nodes, classes, strict=True)
    ]
    lines, columns, end_lines, end_columns = zip(*places, strict=True)
    document = {
        "types": [
            (one.name, one.scalars, one.children, [f for f in one.children if f in one.lists])
            for one in layouts.values()
        ],
        "fields": fields,
        "values": [_wire_value(value) for value in values],
        "type": [type_index[cls] for cls in classes],
        "parent": [0, *map(int.__sub__, range(1, len(nodes)), flat.parents[1:])],
        "field": [field_index[name] for name in flat.fields],
        "line": lines,
        "column": columns,
        "more_lines": list(map(int.__sub__, end_lines, lines)),
        "end_column": end_columns,
        "scalars": scalars,
    }
    data: bytes = msgpack.packb(document)
    return EncodedTree(FORMAT, data, len(nodes) - classes.count(Hole))


def _scalar_columns(
    flat: FlatTree, fields: dict[type[ast.AST], tuple[str, ...]]
) -> tuple[list[Any], list[int]]:
    """Distinct values in order of first use, and for each scalar field of each row its index."""
    seen: dict[object, int] = {}
    values: list[Any] = []
    scalars: list[int] = []
    put, find = scalars.append, seen.get
    for node in flat.nodes:
        for name in fields[type(node)]:
            value = getattr(node, name)
            key = value if type(value) in _SELF_KEYED else _value_key(value)
            index = find(key)
            if index is None:
                index = seen[key] = _index_of(_folded(value), seen, values)
            put(index)
    return values, scalars


def _index_of(value: Any, seen: dict[object, int], values: list[Any]) -> int:
    """A context and an equal string are two keys, but one value."""
    index = seen.get(value) if type(value) is str else None
    if index is None:
        index = len(values)
        values.append(value)
        if type(value) is str:
            seen[value] = index
    return index


def _folded(value: Any) -> Any:
    """A context or an operator as the name of its class, a list of them as names."""
    if isinstance(value, ast.AST):
        return type(value).__name__
    if isinstance(value, list):
        return [item if type(item) is str else type(item).__name__ for item in value]
    return value


def _value_key(value: Any) -> object:
    """A key that tells apart what compares equal (1, 1.0 and True; 0.0 and -0.0)."""
    if isinstance(value, ast.AST):
        return type(value).__name__
    if isinstance(value, list):
        return "list", *_folded(value)
    return type(value), repr(value) if isinstance(value, (float, complex)) else value


def _wire_value(value: Any) -> Any:
    """A value as msgpack can hold it, see the module's docstring."""
    if isinstance(value, str):
        return _wire_text(value)
    if isinstance(value, int) and not -(2**63) <= value < 2**64:
        return "int", hex(value)
    tag = _TAGS.get(type(value))
    return (tag.name, *tag.parts(value)) if tag is not None else value


def _wire_text(value: str) -> str | tuple[str, bytes]:
    try:
        value.encode()
    except UnicodeEncodeError:
        return "str", value.encode("utf-8", "surrogatepass")
    return value
