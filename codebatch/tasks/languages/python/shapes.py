"""Digests of a Python file and of its functions that positions do not enter.

Equal are those whose trees `ast.dump` writes alike: white space, comments, quotes and redundant
parentheses do not count; names, docstrings and decorators do. Names of functions are qualified as
those of metrics are.
"""

from __future__ import annotations

import ast
from collections.abc import Sequence
from typing import Any

from codebatch.tasks.languages.base import Shape
from codebatch.tasks.languages.python.nodes import (
    FlatTree,
    Opened,
    layout_of,
    make_steps,
    walk_blocks,
)
from codebatch.tasks.languages.spans import span_digests

_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
_IMPLIED = frozenset(("ctx",))  # by where the expression stands


def find_shapes(flat: FlatTree, lines: int) -> list[Shape]:
    """Return the shape of a file of so many lines, and of each function in source order."""
    functions: list[tuple[str, ast.FunctionDef]] = []
    walk_blocks(flat, _STEPS, functions, "")
    texts, sizes = _rows(flat)
    kinds = {number for number, cls in enumerate(flat.members) if cls in _FUNCTIONS}
    starts = [row for row, kind in enumerate(flat.kinds) if kind in kinds] if kinds else []
    spans = [(0, len(texts)), *((row, row + sizes[row]) for row in starts)]
    whole, *digests = span_digests(texts, spans)
    return [
        Shape(None, 1, lines, whole),
        *(
            Shape(name, node.lineno, node.end_lineno or node.lineno, digest)
            for (name, node), digest in zip(functions, digests, strict=True)
        ),
    ]


def _rows(flat: FlatTree) -> tuple[list[str], list[int]]:
    """Return for each row its text, and the number of rows of its subtree."""
    described = [iter(_described(nodes)) for nodes in flat.members.values()]
    rows = [next(described[kind]) for kind in flat.kinds]
    sizes, pending = [1] * len(rows), list[int]()
    for row in range(len(rows) - 1, -1, -1):
        children = rows[row][1]
        if children:
            sizes[row] += sum(pending[-children:])
            del pending[-children:]
        pending.append(sizes[row])
    return [text for text, _ in rows], sizes


def _described(nodes: Sequence[Any]) -> list[tuple[str, int]]:
    """Return for each node of one class its text and the number of its children."""
    layout = layout_of(nodes[0])
    scalars = [name for name in layout.scalars if name not in _IMPLIED]
    rows = []
    for node in nodes:
        held = [
            len(getattr(node, name)) if name in layout.lists else +(getattr(node, name) is not None)
            for name in layout.children
        ]
        values = [_plain(getattr(node, name)) for name in scalars]
        rows.append((f"{layout.name}{held}{values}", sum(held)))
    return rows


def _plain(value: object) -> object:
    """Return what stands for a scalar: the names of operators, and digits as there is no limit to
    of long numbers.
    """
    if isinstance(value, ast.AST):
        return type(value).__name__
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return (hex(value),) if type(value) is int else value


def _function(found: list[tuple[str, ast.FunctionDef]], node: Any, prefix: str) -> Opened:
    found.append((prefix + node.name, node))
    return _class(found, node, prefix)


def _class(_: object, node: Any, prefix: str) -> Opened:
    return 0, len(node.body), f"{prefix}{node.name}."


_STEPS = make_steps({ast.ClassDef: _class, **dict.fromkeys(_FUNCTIONS, _function)})
