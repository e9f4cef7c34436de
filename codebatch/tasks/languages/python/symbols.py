"""Names a Python file defines, by one loop over the statements of its tree, and what it refers to.

Functions, methods (a function directly in a class) and classes: one symbol per definition, and one
per parameter of a definition. For variables, imports and exports the first in a scope counts: one
symbol per scope, name and type. A variable is any other name that is bound: by an assignment or
annotation, by ``for``, ``with``, ``except``, ``:=`` or a match capture, in targets of any shape.
``global`` names belong to the module; ``nonlocal`` ones to the function that binds them. Not
symbols: variables of comprehensions, parameters and variables of lambdas, type parameters,
attributes.

Exports are the strings in ``__all__`` at module level (assigned, added, extended or appended as
literals) and redundant aliases (``import a as a``, ``from a import b as b``).

An edge is one for each name that is imported, at the name's own line, and one for each base, which
is named as written: the dotted name, without type arguments (``Generic[T]`` is ``Generic``),
``name(...)`` for a call, ``*name`` for an unpacked one, and the kind of expression in angle
brackets (``<IfExp>``) where there is no name.

All follows from the flat tree alone, places of names and offsets in characters included, and so
from its encoding.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Callable, Iterator
from operator import itemgetter
from typing import Any

from codebatch.tasks.languages.base import MODULE_SCOPE, Edge, Symbol
from codebatch.tasks.languages.python.nodes import FlatTree, Opened, make_steps, nested, walk_blocks

_FIRST_ONLY = frozenset({"variable", "import", "export"})

# A symbol's fields. Most names that are bound are bound before and make no symbol.
_Found = tuple[str, str, str, int, int, int]
# An edge and the node it stands at.
_Placed = tuple[ast.alias | ast.expr, Edge]


class _Scope:
    """The scope of a name; ``kind`` is module, class or function."""

    __slots__ = ("foreign", "kind", "name")

    def __init__(self, name: str, kind: str) -> None:
        self.name = name
        self.kind = kind
        # Names that global and nonlocal statements give to another scope; None for "not ours".
        self.foreign: dict[str, _Scope | None] = {}

    def inner(self, name: str, kind: str) -> _Scope:
        qualified = name if self.kind == "module" else f"{self.name}.{name}"
        return _Scope(qualified, kind)


def find_symbols(flat: FlatTree) -> list[Symbol]:
    """All symbols in source order."""
    finder = _Finder(flat)
    walk_blocks(flat, _STEPS, finder, finder.module)
    return _first_of_each(sorted(finder.found, key=itemgetter(3, 4)))


def _first_of_each(found: list[_Found]) -> list[Symbol]:
    seen: set[tuple[str, str, str]] = set()
    kept = []
    for one in found:
        if one[1] in _FIRST_ONLY:
            key = one[:3]
            if key in seen:
                continue
            seen.add(key)
        kept.append(one)
    return [*map(Symbol._make, kept)]


class _Finder:
    """A handler per node class: notes what the node binds, says where its blocks stand."""

    def __init__(self, flat: FlatTree) -> None:
        self._flat = flat
        self._wide = bool(flat.wide)
        self._hidden = _find_hidden(flat) if ast.NamedExpr in flat.members else frozenset()
        self.module = _Scope(MODULE_SCOPE, "module")
        self.found: list[_Found] = []

    def _bind(
        self, name: str, kind: str, scope: _Scope, line: int, offset: int, end_line: int
    ) -> None:
        """Note a symbol at a line and an offset in characters."""
        owner = scope.foreign.get(name, scope) if scope.foreign else scope
        if owner is not None:
            self.found.append((name, kind, owner.name, line, offset + 1, end_line))

    def _bind_at(self, node: ast.expr | ast.arg, name: str, kind: str, scope: _Scope) -> None:
        """Note a symbol that is named where the node starts."""
        line, offset = node.lineno, node.col_offset
        if self._wide:
            offset = self._flat.column(line, offset)
        self._bind(name, kind, scope, line, offset, line)

    def _bind_target(self, target: ast.expr | None, scope: _Scope) -> None:
        """Note the names that an assignment to the target binds; attributes and items are none."""
        if isinstance(target, ast.Name):
            self._bind_at(target, target.id, "variable", scope)
            return
        pending = [target]
        while pending:
            node = pending.pop()
            if isinstance(node, ast.Name):
                self._bind_at(node, node.id, "variable", scope)
            elif isinstance(node, (ast.List, ast.Tuple)):
                pending += node.elts
            elif isinstance(node, ast.Starred):
                pending.append(node.value)

    def function(self, node: ast.FunctionDef, scope: _Scope) -> Opened:
        """A function and its parameters."""
        foreign = node.name in scope.foreign
        kind = "method" if scope.kind == "class" and not foreign else "function"
        line, offset = self._flat.names[node]
        self._bind(node.name, kind, scope, line, offset, node.end_lineno or node.lineno)
        owner = (scope.foreign[node.name] or scope) if foreign else scope
        inner = owner.inner(node.name, "function")
        known = node.args
        for parameters in (known.posonlyargs, known.args, known.kwonlyargs):
            for parameter in parameters:
                self._bind_at(parameter, parameter.arg, "parameter", inner)
        for rest in (known.vararg, known.kwarg):
            if rest is not None:
                self._bind_at(rest, rest.arg, "parameter", inner)
        return 0, len(node.body), inner

    def class_(self, node: ast.ClassDef, scope: _Scope) -> Opened:
        """A class."""
        line, offset = self._flat.names[node]
        self._bind(node.name, "class", scope, line, offset, node.end_lineno or node.lineno)
        owner = scope.foreign.get(node.name) or scope
        return 0, len(node.body), owner.inner(node.name, "class")

    def global_(self, node: ast.Global, scope: _Scope) -> None:
        """Names of the module."""
        if scope.kind != "module":
            scope.foreign.update(dict.fromkeys(node.names, self.module))

    def nonlocal_(self, node: ast.Nonlocal, scope: _Scope) -> None:
        """The function that owns the name binds it somewhere, and is the place of the symbol."""
        scope.foreign.update(dict.fromkeys(node.names))

    def walrus(self, node: ast.NamedExpr, scope: _Scope) -> None:
        """``name := value``."""
        if node not in self._hidden:
            self._bind_target(node.target, scope)

    def type_alias(self, node: Any, scope: _Scope) -> None:
        """``type name = value``."""
        self._bind_target(node.name, scope)

    def for_(self, node: ast.For, scope: _Scope) -> Opened:
        """A loop over a target."""
        self._bind_target(node.target, scope)
        return nested(node), 0, None

    def with_(self, node: ast.With, scope: _Scope) -> Opened:
        """A block with context managers."""
        for item in node.items:
            self._bind_target(item.optional_vars, scope)
        return len(node.body), 0, None

    def handler(self, node: ast.ExceptHandler, scope: _Scope) -> Opened:
        """An exception handler, which need not have a name."""
        self.capture(node, scope)
        return len(node.body), 0, None

    def capture(self, node: ast.ExceptHandler | ast.MatchAs | ast.MatchStar, scope: _Scope) -> None:
        """Note the name that an exception handler or a pattern binds; not every one does."""
        place = self._flat.names.get(node)
        if place is not None and node.name is not None:
            self._bind(node.name, "variable", scope, *place, place[0])

    def mapping(self, node: ast.MatchMapping, scope: _Scope) -> None:
        """The rest of a mapping."""
        if node.rest is not None:
            place = self._flat.names[node]
            self._bind(node.rest, "variable", scope, *place, place[0])

    def import_(self, node: ast.Import | ast.ImportFrom, scope: _Scope) -> None:
        """Imported names; an alias that repeats the name is an export as well."""
        for alias in node.names:
            end_line = alias.end_lineno or alias.lineno
            if alias.asname is not None:
                place = self._flat.names[alias]
                self._bind(alias.asname, "import", scope, *place, end_line)
                if alias.asname == alias.name and scope.kind == "module":
                    self._bind(alias.asname, "export", scope, *place, end_line)
            elif alias.name != "*":
                local = alias.name.partition(".")[0]
                offset = self._flat.column(alias.lineno, alias.col_offset)
                self._bind(local, "import", scope, alias.lineno, offset, end_line)

    def assign(self, node: ast.Assign, scope: _Scope) -> None:
        """An assignment to any number of targets."""
        for target in node.targets:
            self._bind_target(target, scope)
            if scope.kind == "module" and _is_all(target):
                self._export(node.value, scope)

    def assign_to_one(self, node: ast.AnnAssign | ast.AugAssign, scope: _Scope) -> None:
        """An assignment to one target, or its annotation."""
        self._bind_target(node.target, scope)
        if scope.kind == "module" and _is_all(node.target):
            self._export(node.value, scope)

    def expression(self, node: ast.Expr, scope: _Scope) -> None:
        """``__all__.append("x")`` and ``__all__.extend([...])``."""
        call = node.value
        if (
            scope.kind == "module"
            and isinstance(call, ast.Call)
            and isinstance(call.func, ast.Attribute)
            and call.func.attr in {"append", "extend"}
            and _is_all(call.func.value)
        ):
            for argument in call.args:
                self._export(argument, scope)

    def _export(self, value: ast.expr | None, scope: _Scope) -> None:
        for text in _literal_strings(value):
            name = str(text.value)
            if name.isidentifier():
                self._bind_at(text, name, "export", scope)


_HANDLERS: dict[type[ast.AST], Callable[[_Finder, Any, _Scope], Opened | None]] = {
    ast.AnnAssign: _Finder.assign_to_one,
    ast.Assign: _Finder.assign,
    ast.AsyncFor: _Finder.for_,
    ast.AsyncFunctionDef: _Finder.function,
    ast.AsyncWith: _Finder.with_,
    ast.AugAssign: _Finder.assign_to_one,
    ast.ClassDef: _Finder.class_,
    ast.ExceptHandler: _Finder.handler,
    ast.Expr: _Finder.expression,
    ast.For: _Finder.for_,
    ast.FunctionDef: _Finder.function,
    ast.Global: _Finder.global_,
    ast.Import: _Finder.import_,
    ast.ImportFrom: _Finder.import_,
    ast.MatchAs: _Finder.capture,
    ast.MatchMapping: _Finder.mapping,
    ast.MatchStar: _Finder.capture,
    ast.NamedExpr: _Finder.walrus,
    ast.Nonlocal: _Finder.nonlocal_,
    ast.With: _Finder.with_,
}
if sys.version_info >= (3, 12):
    _HANDLERS[ast.TypeAlias] = _Finder.type_alias

_STEPS = make_steps(_HANDLERS)


def _find_hidden(flat: FlatTree) -> frozenset[ast.AST]:
    """Assignments in lambdas and in targets of comprehensions, which make no symbols."""
    hidden: set[ast.AST] = set()
    for outer in flat.select({ast.Lambda, ast.comprehension}):
        if outer in hidden:
            continue
        pending = [outer.body if isinstance(outer, ast.Lambda) else outer.target]
        while pending:
            node = pending.pop()
            if isinstance(node, (ast.Lambda, ast.comprehension, ast.NamedExpr)):
                hidden.add(node)
            pending += ast.iter_child_nodes(node)
    return frozenset(hidden)


def _is_all(node: ast.expr) -> bool:
    return isinstance(node, ast.Name) and node.id == "__all__"


def _literal_strings(value: ast.expr | None) -> Iterator[ast.Constant]:
    """Strings in a literal, in lists and tuples, and in sums of these."""
    pending = [value]
    while pending:
        node = pending.pop()
        if isinstance(node, (ast.List, ast.Tuple)):
            pending += node.elts
        elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
            pending += (node.left, node.right)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node


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
