"""A syntax tree as flat columns in preorder, the one form all other modules work on.

Real code nests without limit, so nothing here or above recurses over a tree: `flatten_tree` walks
it once with an explicit stack, and encoding, metrics and symbols are loops over the columns.
Expression contexts and operators are singletons without content or place; they are folded into
scalar fields of their parent (``Name.ctx`` is ``"Load"``) and are no rows.
"""

from __future__ import annotations

import ast
from typing import NamedTuple

# Fields whose value is no node. What a field holds is the same in every class that has it,
# except for the classes named below.
_SCALAR_FIELDS = frozenset(
    (
        *("arg", "asname", "attr", "conversion", "ctx", "id", "is_async", "kind", "kwd_attrs"),
        *("level", "module", "op", "ops", "rest", "simple", "tag", "type_comment"),
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


class Hole(ast.AST):
    """Stands where a list of nodes holds None (``{**x}``, a keyword parameter's default)."""


HOLE = Hole()


class Layout(NamedTuple):
    """The fields of one node class: scalars, and those that hold a node or a list of nodes."""

    name: str
    scalars: tuple[str, ...]
    children: tuple[str, ...]
    lists: frozenset[str]
    walk: tuple[tuple[str, bool], ...]
    positioned: bool


class FlatTree(NamedTuple):
    """Row ``i`` is a node, its parent's row (-1 for the root) and its field in the parent."""

    nodes: list[ast.AST]
    parents: list[int]
    fields: list[str]


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
    lists = frozenset(f for f in children if type(getattr(node, f)) is list)
    walk = tuple((f, f in lists) for f in reversed(children))
    return Layout(name, scalars, children, lists, walk, "end_lineno" in cls._attributes)


def flatten_tree(tree: ast.AST) -> FlatTree:
    """All nodes below ``tree`` in preorder, children in the order of the class's fields."""
    nodes: list[ast.AST] = []
    parents: list[int] = []
    fields: list[str] = []
    walks = {cls: layout.walk for cls, layout in _layouts.items()}
    stack: list[tuple[ast.AST, int, str]] = [(tree, -1, "")]
    pop, push = stack.pop, stack.append
    row = 0
    while stack:
        node, parent, field = pop()
        nodes.append(node)
        parents.append(parent)
        fields.append(field)
        try:
            walk = walks[type(node)]
        except KeyError:
            walk = walks[type(node)] = layout_of(node).walk
        for name, is_list in walk:
            value = getattr(node, name)
            if is_list:
                for item in reversed(value):
                    push((HOLE if item is None else item, row, name))
            elif value is not None:
                push((value, row, name))
        row += 1
    return FlatTree(nodes, parents, fields)
