"""One loop over the statements of a tree that knows for each which block it stands in.

The rows of a `FlatTree` hold a statement, then what belongs to it alone, then its blocks. So it is
enough to count: a block ends after as many statements as it has. Exception handlers and cases
count as statements, of the block that a ``try`` or a ``match`` opens.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from codebatch.tasks.languages.python.nodes import FlatTree

_State = TypeVar("_State")

# What a handler says of the blocks of a statement: how many of their statements stand in the same
# place as the statement itself, and how many come before these in another place, and which.
Opened = tuple[int, int, Any]

# Whether a class is a statement, and who handles it.
Steps = dict[type[ast.AST], tuple[bool, "Callable[[Any, Any, Any], Opened | None] | None"]]

_BLOCKS = {
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
    _BLOCKS[ast.TryStar] = _BLOCKS[ast.Try]

_STATEMENTS = {*ast.stmt.__subclasses__(), *_BLOCKS}


def nested(node: ast.AST) -> int:
    """Return the number of statements in the blocks of a statement."""
    return sum([len(getattr(node, block)) for block in _BLOCKS[type(node)]])


def _all_here(_: object, node: ast.AST, __: object) -> Opened:
    return nested(node), 0, None


def make_steps(handlers: Mapping[type[ast.AST], Callable[[Any, Any, Any], Opened | None]]) -> Steps:
    """Steps for `walk_blocks`; without a handler the blocks of a statement are no other place."""
    steps: Steps = dict.fromkeys(_STATEMENTS, (True, None))
    steps.update((cls, (True, _all_here)) for cls in _BLOCKS)
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
