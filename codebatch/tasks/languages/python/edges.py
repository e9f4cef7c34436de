"""What a Python file refers to: the modules it imports and the classes its classes inherit from.

A base is named as written: the dotted name, without type arguments (``Generic[T]`` is
``Generic``), ``name(...)`` for a call, ``*name`` for an unpacked one, and the kind of expression
in angle brackets (``<IfExp>``) where there is no name.
"""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from codebatch.tasks.languages.base import Edge

if TYPE_CHECKING:
    from collections.abc import Iterator

    from codebatch.tasks.languages.python.nodes import FlatTree


def find_edges(flat: FlatTree) -> list[Edge]:
    """All edges in source order."""
    placed: list[tuple[int, int, Edge]] = []
    for node in flat.nodes:
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            placed += _imports(node)
        elif isinstance(node, ast.ClassDef):
            placed += _bases(node)
    return [edge for _, _, edge in sorted(placed, key=lambda one: one[:2])]


def _imports(node: ast.Import | ast.ImportFrom) -> Iterator[tuple[int, int, Edge]]:
    """One edge per name, at the name's own line."""
    for alias in node.names:
        line = alias.lineno
        if isinstance(node, ast.Import):
            local = alias.asname if alias.asname != alias.name else None
            edge = Edge("import", alias.name, line, None, local)
        else:
            target = "." * (node.level or 0) + (node.module or "")
            local = alias.asname if alias.asname != alias.name else None
            edge = Edge("import", target, line, alias.name, local)
        yield line, alias.col_offset, edge


def _bases(node: ast.ClassDef) -> Iterator[tuple[int, int, Edge]]:
    for base in node.bases:
        yield base.lineno, base.col_offset, Edge("inherits", base_name(base), base.lineno)


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
