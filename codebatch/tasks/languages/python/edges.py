"""What a Python file refers to: the modules it imports and the classes its classes inherit from.

A base is named as written: the dotted name, without type arguments (``Generic[T]`` is
``Generic``), ``name(...)`` for a call, ``*name`` for an unpacked one, and the kind of expression
in angle brackets (``<IfExp>``) where there is no name. One edge per name that is imported, at the
name's own line. Like symbols, edges follow from the flat tree alone.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from operator import itemgetter
from typing import Any

from codebatch.tasks.languages.base import Edge
from codebatch.tasks.languages.python.nodes import FlatTree

# An edge and the node it stands at.
_Placed = tuple[ast.alias | ast.expr, Edge]


def find_edges(flat: FlatTree) -> list[Edge]:
    """All edges in source order."""
    placed: list[tuple[int, int, Edge]] = []
    for cls, edges in _EDGES.items():
        for node in flat.members.get(cls, ()):
            placed += [
                (one.lineno, flat.column(one.lineno, one.col_offset), edge)
                for one, edge in edges(node)
            ]
    return [edge for _, _, edge in sorted(placed, key=itemgetter(0, 1))]


def _imports(node: ast.Import) -> Iterator[_Placed]:
    for alias in node.names:
        local = alias.asname if alias.asname != alias.name else None
        yield alias, Edge("imports", alias.name, alias.lineno, None, local)


def _imports_from(node: ast.ImportFrom) -> Iterator[_Placed]:
    target = "." * (node.level or 0) + (node.module or "")
    for alias in node.names:
        local = alias.asname if alias.asname != alias.name else None
        yield alias, Edge("imports", target, alias.lineno, alias.name, local)


def _bases(node: ast.ClassDef) -> Iterator[_Placed]:
    for base in node.bases:
        yield base, Edge("inherits", base_name(base), base.lineno)


_EDGES: dict[type[ast.AST], Callable[[Any], Iterator[_Placed]]] = {
    ast.ClassDef: _bases,
    ast.Import: _imports,
    ast.ImportFrom: _imports_from,
}


def base_name(base: ast.expr) -> str:
    """The name of a base class as written, see the module's docstring."""
    parts: list[str] = []
    node, prefix = base, ""
    if isinstance(node, ast.Starred):
        node, prefix = node.value, "*"
    while not isinstance(node, ast.Name):
        if isinstance(node, ast.Attribute):
            parts.append("." + node.attr)
            node = node.value
        elif isinstance(node, ast.Call):
            parts.append("(...)")
            node = node.func
        elif isinstance(node, ast.Subscript):
            node = node.value
        else:
            parts.append(f"<{type(node).__name__}>")
            break
    else:
        parts.append(node.id)
    return prefix + "".join(reversed(parts))
