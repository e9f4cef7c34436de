"""A syntax tree as flat columns in preorder, the one form all other modules work on.

Real code nests without limit, so nothing here or above recurses over a tree: `flatten_tree` walks
it once with an explicit stack, and encoding, metrics and symbols are loops over the columns.
Expression contexts and operators are singletons without content or place; they are folded into
scalar fields of their parent (``Name.ctx`` is ``"Load"``) and are no rows.

A `FlatTree` and what its methods answer is all that `encode` writes down and all that symbols and
edges are made from; both take nothing else, so equal encodings have equal symbols and edges.
"""

from __future__ import annotations

import ast
from collections import defaultdict
from typing import TYPE_CHECKING, NamedTuple

from codebatch.tasks.languages.python.names import NAMED_CLASSES, find_name_places
from codebatch.tasks.languages.python.places import character_offset

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

# Fields whose value is no node. What a field holds is the same in every class that has it,
# except for the classes named below.
_SCALAR_FIELDS = frozenset(
    (
        *("arg", "asname", "attr", "conversion", "ctx", "id", "is_async", "kind", "kwd_attrs"),
        *("level", "module", "op", "ops", "rest", "simple", "str", "tag", "type_comment"),
    )
)
_SCALARS_BY_CLASS = {
    "AsyncFunctionDef": {"name"},
    "ClassDef": {"name"},
    "Constant": {"value"},
    "ExceptHandler": {"name"},
    "FunctionDef": {"name"},
    "Global": {"names"},
    "MatchAs": {"name"},
    "MatchSingleton": {"value"},
    "MatchStar": {"name"},
    "Nonlocal": {"names"},
    "ParamSpec": {"name"},
    "TypeVar": {"name"},
    "TypeVarTuple": {"name"},
    "alias": {"name"},
}
_PLACES = ("line", "column", "more_lines", "end_column")
_NAME_PLACES = ("name_line", "name_column")


class Hole(ast.AST):
    """Stands where a list of nodes holds None (``{**x}``, a keyword parameter's default)."""


HOLE = Hole()


# The child fields of a class, last first, and whether each holds a list.
_Steps = tuple[tuple[str, bool], ...]


class Layout(NamedTuple):
    """The fields of one node class: scalars, and those that hold a node or a list of nodes.

    ``places`` names what says where a node stands, and where a name of it does (see `names`).
    """

    name: str
    scalars: tuple[str, ...]
    children: tuple[str, ...]
    lists: tuple[str, ...]
    places: tuple[str, ...]
    walk: _Steps


class FlatTree(NamedTuple):
    """Row ``i`` is a node, its parent's row (-1 for the root) and its field in the parent.

    ``members`` has the nodes of each class in the order of their rows, the classes in order of
    first use. ``names`` is the line and the offset in characters of the names that `ast` does not
    place, by the node that has the name (see `names`). ``wide`` has the lines, by number, where
    bytes are not characters.
    """

    nodes: list[ast.AST]
    parents: list[int]
    fields: list[str]
    members: Mapping[type[ast.AST], list[ast.AST]]
    names: Mapping[ast.AST, tuple[int, int]]
    wide: Mapping[int, str]

    def column(self, line: int, offset: int) -> int:
        """An offset that `ast` gives, in UTF-8 bytes, as one in characters."""
        text = self.wide.get(line)
        return offset if text is None else character_offset(text, offset)


_layouts: dict[type[ast.AST], Layout] = {}


def layout_of(node: ast.AST) -> Layout:
    """The layout of a node's class. A field that is a list in one instance is one in all."""
    cls = type(node)
    layout = _layouts.get(cls)
    if layout is None:
        layout = _layouts[cls] = _make_layout(node)
    return layout


def _make_layout(node: ast.AST) -> Layout:
    cls = type(node)
    name = "" if cls is Hole else cls.__name__
    own = _SCALARS_BY_CLASS.get(name, set())
    scalars = tuple(f for f in cls._fields if f in _SCALAR_FIELDS or f in own)
    children = tuple(f for f in cls._fields if f not in scalars)
    lists = tuple(f for f in children if type(getattr(node, f)) is list)
    walk = tuple((f, f in lists) for f in reversed(children))
    places = _PLACES if "end_lineno" in cls._attributes else ()
    names = _NAME_PLACES if cls in NAMED_CLASSES else ()
    return Layout(name, scalars, children, lists, places + names, walk)


def flatten_tree(tree: ast.AST, lines: Sequence[str]) -> FlatTree:
    """All nodes below ``tree`` in preorder, children in the order of the class's fields.

    ``lines`` is the text that was parsed.
    """
    nodes: list[ast.AST] = []
    parents: list[int] = []
    fields: list[str] = []
    members: defaultdict[type[ast.AST], list[ast.AST]] = defaultdict(list)
    known: dict[type[ast.AST], tuple[_Steps, list[ast.AST]]] = {}
    stack: list[tuple[ast.AST, int, str]] = [(tree, -1, "")]
    row = 0
    while stack:
        node, parent, field = stack.pop()
        nodes.append(node)
        parents.append(parent)
        fields.append(field)
        try:
            walk, like = known[type(node)]
        except KeyError:
            walk, like = known[type(node)] = layout_of(node).walk, members[type(node)]
        like.append(node)
        for name, is_list in walk:
            value = getattr(node, name)
            if is_list:
                stack += [(HOLE if item is None else item, row, name) for item in reversed(value)]
            elif value is not None:
                stack.append((value, row, name))
        row += 1
    wide: dict[int, str] = {}
    if not all(map(str.isascii, lines)):
        wide = {number: line for number, line in enumerate(lines, 1) if not line.isascii()}
    return FlatTree(nodes, parents, fields, members, find_name_places(members, lines), wide)
