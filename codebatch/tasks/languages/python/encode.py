"""The encoding ``python-ast-flat/2+msgpack``: a whole Python syntax tree as flat columns.

msgpack nests 511 deep and real trees deeper, so the tree is stored as columns over its rows.
The document is one msgpack map with these keys, in this order:

``types``       one entry per node class, in order of first use: ``[name, scalars, children,
                lists, places]``. ``scalars`` and ``children`` name the class's fields in the
                order of its ``_fields``; ``lists`` names those children that hold a list. The
                class named ``""`` is a hole: a None inside a list of nodes (``{**x}``).
``fields``      names of fields: ``""``, the root's, then the ``children`` of all classes.
``values``      distinct scalar values, in order of first use, see below.
``type``        bytes, one per row: index into ``types``. Rows are in preorder, the children of a
                node in the order of its class's ``children``, the items of a list in their own
                order; so a subtree is a run of rows, and an item's place in its list follows.
``parent``      per row, how many rows above it its parent stands; 0 for the root (row 0).
``field``       bytes, one per row: index into ``fields``, the field of the parent that holds it.
                A child field without a row is None, or the empty list where ``lists`` names it.
``columns``     for each class in the order of ``types`` a list of columns, each with one entry
                per row of the class, in order: first those that ``places`` names, then one per
                field in ``scalars``, of indexes into ``values``.

``places`` is empty for a class without a place, else it starts with ``line`` (from 1),
``column`` (from 0), ``more_lines`` (last line minus first) and ``end_column``. Columns count
characters of the decoded text, not bytes. Classes with a name that ``ast`` does not place
(definitions, exception handlers, patterns that capture, ``alias.asname``) have ``name_line`` and
``name_column`` as well, both 0 in a row without such a name.

Rows are all nodes but contexts and operators (subclasses of ``expr_context``, ``boolop``,
``operator``, ``unaryop``, ``cmpop``): these are scalar fields of their parent that hold the name
of the class (``Name.ctx`` is ``"Load"``, ``Compare.ops`` a list of names). ``nodes`` of the
record counts the rows that are not holes.

Values. Native msgpack: nil, booleans, strings, bin (bytes) and integers from -2**63 to
2**64-1. Everything else is an array that opens with a tag, so that no two values meet:
``["int", hexadecimal]`` as ``hex()`` prints it, ``["float", repr]``, ``["complex", repr of the
real part, repr of the imaginary part]``, ``["ellipsis"]``, ``["list", [names]]``, and
``["str", bin]`` for a string with lone surrogates (UTF-8 that encodes them too).

Nothing of a flat tree is left out and no two values are written alike, so equal encodings have
equal flat trees.
"""

from __future__ import annotations

import ast
from collections import defaultdict
from itertools import chain, count
from operator import sub
from typing import TYPE_CHECKING, Any, NamedTuple

import msgpack

from codebatch.tasks.languages.base import EncodedTree
from codebatch.tasks.languages.python.nodes import FlatTree, Hole, Layout, layout_of

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Sequence

FORMAT = "python-ast-flat/2+msgpack"

_NOWHERE = (0, 0)

# Fields that hold a string or None, and fields that hold a context or an operator.
_TEXTS = frozenset("arg asname attr id kind module name rest tag type_comment".split())
_SINGLETONS = frozenset({"ctx", "op"})


class _Tag(NamedTuple):
    """A kind of value that msgpack has no type for, and what follows its tag."""

    name: str
    parts: Callable[[Any], tuple[Any, ...]]


_TAGS: dict[type, _Tag] = {
    complex: _Tag("complex", lambda value: (repr(value.real), repr(value.imag))),
    float: _Tag("float", lambda value: (repr(value),)),
    list: _Tag("list", lambda value: (value,)),
    type(Ellipsis): _Tag("ellipsis", lambda _: ()),
}


def encode_tree(flat: FlatTree) -> EncodedTree:
    """The columns of a tree as msgpack."""
    nodes, members = flat.nodes, flat.members
    layouts = {cls: layout_of(some[0]) for cls, some in members.items()}
    children = chain.from_iterable(layout.children for layout in layouts.values())
    types = {cls: index for index, cls in enumerate(layouts)}
    fields = {name: index for index, name in enumerate(dict.fromkeys(chain([""], children)))}
    values = _Values()
    columns = [_columns(flat, cls, layout, values) for cls, layout in layouts.items()]
    document = {
        "types": [layout[:5] for layout in layouts.values()],
        "fields": list(fields),
        "values": values.wire(),
        "type": bytes([*map(types.__getitem__, map(type, nodes))]),
        "parent": [0, *map(sub, count(1), flat.parents[1:])],
        "field": bytes([*map(fields.__getitem__, flat.fields)]),
        "columns": columns,
    }
    data: bytes = msgpack.packb(document)
    return EncodedTree(FORMAT, data, len(nodes) - len(members.get(Hole, ())))


def _columns(
    flat: FlatTree, cls: type[ast.AST], layout: Layout, values: _Values
) -> list[Sequence[int]]:
    """The columns of one class. The parser gives all its nodes their fields in one order."""
    nodes = flat.members[cls]
    known = dict(
        zip(vars(nodes[0]), zip(*map(dict.values, map(vars, nodes)), strict=True), strict=True)
    )
    columns: list[Sequence[int]] = []
    if "line" in layout.places:
        lines, ends = known["lineno"], known["end_lineno"]
        starts = _characters(flat, lines, known["col_offset"])
        stops = _characters(flat, ends, known["end_col_offset"])
        columns += (lines, starts, list(map(sub, ends, lines)), stops)
    if "name_line" in layout.places:
        columns += zip(*(flat.names.get(node, _NOWHERE) for node in nodes), strict=True)
    columns += (values.numbers(name, known[name]) for name in layout.scalars)
    return columns


def _characters(flat: FlatTree, lines: Sequence[int], offsets: Sequence[int]) -> Sequence[int]:
    wide, column = flat.wide, flat.column
    if not wide:
        return offsets
    return [
        column(line, offset) if line in wide else offset
        for line, offset in zip(lines, offsets, strict=True)
    ]


class _ClassNames(dict[type, str]):
    """The name of a class by the class."""

    def __missing__(self, cls: type) -> str:
        name = self[cls] = cls.__name__
        return name


_class_names = _ClassNames()


class _Values:
    """The distinct values of a file, numbered in order of first use.

    A string and None are their own keys; any other value has one that tells apart what compares
    equal (1, 1.0 and True; 0.0 and -0.0), and is kept in ``_others`` by this key.
    """

    def __init__(self) -> None:
        self._numbers: defaultdict[Hashable, int] = defaultdict(count().__next__)
        self._others: dict[Hashable, Any] = {}

    def numbers(self, field: str, values: Iterable[Any]) -> list[int]:
        """The numbers of the values that nodes have in a field."""
        keys: Iterable[Hashable] = values
        if field in _SINGLETONS:
            keys = map(_class_names.__getitem__, map(type, values))
        elif field not in _TEXTS:
            keys = map(self._key, values)
        return list(map(self._numbers.__getitem__, keys))

    def wire(self) -> list[Any]:
        """All values as msgpack can hold them, see the module's docstring."""
        others = self._others
        return [
            key if type(key) is str and key.isascii() else _wire_value(others.get(key, key))
            for key in self._numbers
        ]

    def _key(self, value: Any) -> Hashable:
        """A list of operators is as a list of their names."""
        kind = type(value)
        if kind is str or value is None:
            text: str | None = value
            return text
        key: tuple[object, ...]
        if kind is list:
            value = [item if type(item) is str else type(item).__name__ for item in value]
            key = (list, *value)
        else:
            key = (kind, repr(value) if kind in (float, complex) else value)
        self._others[key] = value
        return key


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
