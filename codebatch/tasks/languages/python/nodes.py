"""A syntax tree as one list of nodes in preorder, the form all other modules work on.

Real code nests without limit, so nothing here or above recurses over a tree: `flatten_tree` walks
it once with an explicit stack, and encoding, metrics and symbols are loops over its rows.
Expression contexts and operators are singletons without content or place; they are folded into
scalar fields of their parent and are no rows.

The children of a node stand in the order of its class's fields, but blocks of statements last.
So what belongs to a statement itself follows its row at once, up to the next statement's row, and
then come its blocks, as many statements as they hold: whoever counts statements knows at each row
which block it is in.

A `FlatTree` and what its methods answer is all that `encode` writes down and all that symbols and
edges are made from; both take nothing else, so equal encodings have equal symbols and edges.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from itertools import compress
from typing import Any, NamedTuple, TypeVar

from codebatch.tasks.languages.python.places import (
    NAMED_CLASSES,
    character_offset,
    find_name_places,
)

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

# Fields that hold a block of statements, wherever they hold a list.
_BLOCKS = frozenset({"body", "handlers", "orelse", "finalbody", "cases"})

# What a row holds. None is a hole: it stands where a list of nodes holds None (``{**x}``, a
# keyword parameter without a default).
Row = ast.AST | None

# The child fields of a class, last first, and whether each holds a list.
_ChildFields = tuple[tuple[str, bool], ...]


class Layout(NamedTuple):
    """The fields of one node class: scalars, and those that hold a node or a list of nodes.

    ``places`` names what says where a node stands, and where a name of it does (see `places`);
    ``fields`` are all attributes, in the order that the parser gives them to each node.
    """

    name: str
    scalars: tuple[str, ...]
    children: tuple[str, ...]
    lists: tuple[str, ...]
    places: tuple[str, ...]
    walk: _ChildFields
    fields: tuple[str, ...]


_HOLE = Layout("", (), (), (), (), (), ())


class FlatTree(NamedTuple):
    """The rows of a tree, and for each row the number of its class.

    ``members`` has the rows of each class in their order, the classes in order of first use, by
    which they are numbered. ``names`` is the line and the offset in characters of the names that
    `ast` does not place, by the node that has the name (see `places`). ``wide`` has the lines, by
    number, where bytes are not characters.
    """

    rows: list[Any]
    kinds: bytes
    members: Mapping[type[Any], list[Any]]
    names: Mapping[ast.AST, tuple[int, int]]
    wide: Mapping[int, str]

    def column(self, line: int, offset: int) -> int:
        """An offset that `ast` gives, in UTF-8 bytes, as one in characters."""
        text = self.wide.get(line)
        return offset if text is None else character_offset(text, offset)

    def select(self, classes: Container[type[Any]]) -> Iterator[Any]:
        """The rows of some classes, in order."""
        wanted = bytes([cls in classes for cls in self.members])
        return compress(self.rows, self.kinds.translate(wanted.ljust(256, b"\0")))


_layouts: dict[type[Any], Layout] = {type(None): _HOLE}


def layout_of(node: Any) -> Layout:
    """The layout of a node's class. A field that is a list in one instance is one in all."""
    layout = _layouts.get(type(node))
    if layout is None:
        layout = _layouts[type(node)] = _make_layout(node)
    return layout


def _make_layout(node: ast.AST) -> Layout:
    cls = type(node)
    own = _SCALARS_BY_CLASS.get(cls.__name__, set())
    scalars = tuple(f for f in cls._fields if f in _SCALAR_FIELDS or f in own)
    others = [f for f in cls._fields if f not in scalars]
    lists = tuple(f for f in others if type(getattr(node, f)) is list)
    children = tuple(sorted(others, key=lambda f: f in _BLOCKS and f in lists))
    walk = tuple((f, f in lists) for f in reversed(children))
    places = _PLACES if "end_lineno" in cls._attributes else ()
    names = _NAME_PLACES if cls in NAMED_CLASSES else ()
    return Layout(cls.__name__, scalars, children, lists, places + names, walk, tuple(vars(node)))


def flatten_tree(tree: ast.AST, lines: Sequence[str]) -> FlatTree:
    """All nodes below ``tree`` in preorder, see the module's docstring.

    ``lines`` is the text that was parsed.
    """
    rows: list[Row] = []
    kinds = bytearray()
    members: dict[type[Any], list[Any]] = {}
    known: dict[type[Any], tuple[int, Callable[[Row], None], _ChildFields]] = {}
    stack: list[Row] = [tree]
    add_row, add_kind, push, pop = rows.append, kinds.append, stack.append, stack.pop
    while stack:
        node = pop()
        add_row(node)
        try:
            kind, add_member, walk = known[type(node)]
        except KeyError:
            same = members[type(node)] = []
            kind, add_member, walk = len(known), same.append, layout_of(node).walk
            known[type(node)] = kind, add_member, walk
        add_kind(kind)
        add_member(node)
        for name, is_list in walk:
            value = getattr(node, name)
            if is_list:
                stack += value[::-1]
            elif value is not None:
                push(value)
    wide: dict[int, str] = {}
    if not all(map(str.isascii, lines)):
        wide = {number: line for number, line in enumerate(lines, 1) if not line.isascii()}
    return FlatTree(rows, bytes(kinds), members, find_name_places(members, lines), wide)


_State = TypeVar("_State")

# What a handler says of the blocks of a statement: how many of their statements stand in the same
# place as the statement itself, and how many come before these in another place, and which.
Opened = tuple[int, int, Any]

# Whether a class is a statement, and who handles it.
Steps = dict[type[ast.AST], tuple[bool, "Callable[[Any, Any, Any], Opened | None] | None"]]

_BLOCKS_OF = {
    ast.AsyncFor: ("body", "orelse"),
    ast.AsyncFunctionDef: ("body",),
    ast.AsyncWith: ("body",),
    ast.ClassDef: ("body",),
    ast.ExceptHandler: ("body",),
    ast.For: ("body", "orelse"),
    ast.FunctionDef: ("body",),
    ast.If: ("body", "orelse"),
    ast.Match: ("cases",),
    ast.Try: ("body", "handlers", "orelse", "finalbody"),
    ast.While: ("body", "orelse"),
    ast.With: ("body",),
    ast.match_case: ("body",),
}
if hasattr(ast, "TryStar"):  # from Python 3.11 on
    _BLOCKS_OF[ast.TryStar] = _BLOCKS_OF[ast.Try]

_STATEMENTS = {*ast.stmt.__subclasses__(), *_BLOCKS_OF}


def nested(node: ast.AST) -> int:
    """Return the number of statements in the blocks of a statement."""
    return sum([len(getattr(node, block)) for block in _BLOCKS_OF[type(node)]])


def _all_here(_: object, node: ast.AST, __: object) -> Opened:
    return nested(node), 0, None


def make_steps(handlers: Mapping[type[ast.AST], Callable[[Any, Any, Any], Opened | None]]) -> Steps:
    """Steps for `walk_blocks`; without a handler the blocks of a statement are no other place."""
    steps: Steps = dict.fromkeys(_STATEMENTS, (True, None))
    steps.update((cls, (True, _all_here)) for cls in _BLOCKS_OF)
    steps.update((cls, (cls in _STATEMENTS, handler)) for cls, handler in handlers.items())
    return steps


def walk_blocks(flat: FlatTree, steps: Steps, state: _State, outermost: object) -> None:
    """Call the handlers in the order of the rows, each with the state, its node and the place of
    the statement that the node belongs to; the place is ``outermost`` in the module's own block.
    """
    suspended: list[tuple[int, Any]] = []
    left, block = len(flat.rows[0].body), outermost
    place = block
    for node in flat.select(steps):
        is_statement, handler = steps[type(node)]
        if is_statement:
            while not left:
                left, block = suspended.pop()
            left -= 1
            place = block
        if handler is not None:
            opened = handler(state, node, place)
            if opened is not None:
                left += opened[0]
                if opened[1]:
                    suspended.append((left, block))
                    left, block = opened[1:]
