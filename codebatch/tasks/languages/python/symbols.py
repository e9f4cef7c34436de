"""Names a Python file defines: one loop over the rows of its tree.

Functions, methods (a function directly in a class) and classes: one symbol per definition. For
variables, parameters, imports and exports the first in a scope counts: one symbol per scope, name
and type. A variable is any other name that is bound: by an assignment or annotation, by ``for``,
``with``, ``except``, ``:=`` or a match capture, in targets of any shape. ``global`` names belong
to the module; ``nonlocal`` ones to the function that binds them. Not symbols:
variables of comprehensions, parameters and variables of lambdas, type parameters, attributes.

Exports are the strings in ``__all__`` at module level (assigned, added, extended or appended as
literals) and redundant aliases (``import a as a``, ``from a import b as b``).
"""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING, Any

from codebatch.tasks.languages.base import MODULE_SCOPE, Symbol
from codebatch.tasks.languages.python.places import (
    character_offset,
    line_at,
    word_after,
    word_before,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from codebatch.tasks.languages.python.nodes import FlatTree

_FIRST_ONLY = frozenset({"variable", "parameter", "import", "export"})


class _Scope:
    """What encloses a name; ``kind`` is module, class, function or hidden (binds no symbol)."""

    __slots__ = ("foreign", "kind", "name", "outer")

    def __init__(self, name: str, kind: str, outer: _Scope | None) -> None:
        self.name = name
        self.kind = kind
        self.outer = outer or self
        # Names that global and nonlocal statements give to another scope; None for "not ours".
        self.foreign: dict[str, _Scope | None] = {}

    def inner(self, name: str, kind: str) -> _Scope:
        qualified = name if self.kind == "module" else f"{self.name}.{name}"
        return _Scope(qualified, kind, self)

    def hidden(self) -> _Scope:
        return _Scope(self.name, "hidden", self)


# The scope of a node's children: one for all, or by field, "" standing for all other fields.
_Inside = _Scope | dict[str, _Scope]


def find_symbols(flat: FlatTree, lines: Sequence[str]) -> list[Symbol]:
    """All symbols in source order."""
    finder = _Finder(lines)
    handlers = finder.handlers()
    inside: list[_Inside] = [finder.module]
    put, find = inside.append, handlers.get
    rows = zip(flat.nodes, flat.parents, flat.fields, strict=True)
    next(rows)
    for node, parent, field in rows:
        scope = inside[parent]
        if isinstance(scope, dict):
            scope = scope.get(field) or scope[""]
        handler = find(type(node))
        put(scope if handler is None else handler(node, scope))
    return _first_of_each(sorted(finder.symbols, key=lambda one: (one.line, one.column)))


def _first_of_each(symbols: list[Symbol]) -> list[Symbol]:
    seen: set[tuple[str, str, str]] = set()
    kept = []
    for symbol in symbols:
        if symbol.symbol_type in _FIRST_ONLY:
            key = symbol[:3]
            if key in seen:
                continue
            seen.add(key)
        kept.append(symbol)
    return kept


class _Finder:
    """A handler per node class: notes what the node binds, returns the scope inside."""

    def __init__(self, lines: Sequence[str]) -> None:
        self._lines = lines
        self.module = _Scope(MODULE_SCOPE, "module", None)
        self.symbols: list[Symbol] = []

    def handlers(self) -> Mapping[type, Callable[[Any, _Scope], _Inside]]:
        """By node class."""
        return {
            ast.AnnAssign: self._assign,
            ast.Assign: self._assign,
            ast.AsyncFunctionDef: self._function,
            ast.AugAssign: self._assign,
            ast.ClassDef: self._class,
            ast.ExceptHandler: self._handler,
            ast.Expr: self._expression,
            ast.FunctionDef: self._function,
            ast.Global: self._global,
            ast.Import: self._import,
            ast.ImportFrom: self._import,
            ast.Lambda: self._lambda,
            ast.MatchAs: self._capture,
            ast.MatchMapping: self._mapping,
            ast.MatchStar: self._capture,
            ast.Name: self._name,
            ast.Nonlocal: self._nonlocal,
            ast.arg: self._parameter,
            ast.arguments: self._arguments,
            ast.comprehension: self._comprehension,
        }

    def _bind(
        self, name: str, kind: str, scope: _Scope, place: tuple[int, int], end_line: int
    ) -> None:
        """Note a symbol at a line and an offset in characters."""
        if scope.kind == "hidden":
            return
        owner = scope.foreign.get(name, scope) if scope.foreign else scope
        if owner is not None:
            line, offset = place
            self.symbols.append(Symbol(name, kind, owner.name, line, offset + 1, end_line))

    def _start(self, node: ast.expr | ast.arg | ast.alias) -> tuple[int, int]:
        offset = node.col_offset
        if offset:
            offset = character_offset(line_at(self._lines, node.lineno), offset)
        return node.lineno, offset

    def _definition(self, node: ast.stmt, keyword: str) -> tuple[int, int]:
        found = word_after(self._lines, node.lineno, node.col_offset, keyword)
        return found or (node.lineno, node.col_offset)

    def _function(self, node: ast.FunctionDef, scope: _Scope) -> _Inside:
        foreign = node.name in scope.foreign
        kind = "method" if scope.kind == "class" and not foreign else "function"
        place = self._definition(node, "def")
        self._bind(node.name, kind, scope, place, node.end_lineno or node.lineno)
        owner = (scope.foreign[node.name] or scope) if foreign else scope
        inner = owner.inner(node.name, "function")
        inner.outer = scope
        return {"body": inner, "args": inner, "": scope}

    def _class(self, node: ast.ClassDef, scope: _Scope) -> _Inside:
        place = self._definition(node, "class")
        self._bind(node.name, "class", scope, place, node.end_lineno or node.lineno)
        owner = scope.foreign.get(node.name) or scope
        return {"body": owner.inner(node.name, "class"), "": scope}

    @staticmethod
    def _lambda(_: ast.Lambda, scope: _Scope) -> _Inside:
        hidden = scope.hidden()
        return {"body": hidden, "args": hidden, "": scope}

    @staticmethod
    def _arguments(_: ast.arguments, scope: _Scope) -> _Inside:
        return {"defaults": scope.outer, "kw_defaults": scope.outer, "": scope}

    def _parameter(self, node: ast.arg, scope: _Scope) -> _Inside:
        self._bind(node.arg, "parameter", scope, self._start(node), node.lineno)
        return scope.outer

    @staticmethod
    def _comprehension(_: ast.comprehension, scope: _Scope) -> _Inside:
        return {"target": scope.hidden(), "": scope}

    def _global(self, node: ast.Global, scope: _Scope) -> _Inside:
        if scope.kind != "module":
            scope.foreign.update(dict.fromkeys(node.names, self.module))
        return scope

    @staticmethod
    def _nonlocal(node: ast.Nonlocal, scope: _Scope) -> _Inside:
        """The function that owns the name binds it somewhere, and is the place of the symbol."""
        scope.foreign.update(dict.fromkeys(node.names))
        return scope

    def _name(self, node: ast.Name, scope: _Scope) -> _Inside:
        if type(node.ctx) is ast.Store:
            self._bind(node.id, "variable", scope, self._start(node), node.lineno)
        return scope

    def _handler(self, node: ast.ExceptHandler, scope: _Scope) -> _Inside:
        if node.name is not None and node.type is not None:
            end_line, end = node.type.end_lineno or node.lineno, node.type.end_col_offset or 0
            found = word_after(self._lines, end_line, end, "as")
            place = found or (node.lineno, node.col_offset)
            self._bind(node.name, "variable", scope, place, place[0])
        return scope

    def _capture(self, node: ast.MatchAs | ast.MatchStar, scope: _Scope) -> _Inside:
        if node.name is not None:
            place = word_before(self._lines, node.end_lineno, node.end_col_offset)
            self._bind(node.name, "variable", scope, place, place[0])
        return scope

    def _mapping(self, node: ast.MatchMapping, scope: _Scope) -> _Inside:
        if node.rest is not None:
            line, offset = node.lineno, node.col_offset
            if node.patterns:
                last = node.patterns[-1]
                line, offset = last.end_lineno, last.end_col_offset
            place = word_after(self._lines, line, offset, None) or (node.lineno, node.col_offset)
            self._bind(node.rest, "variable", scope, place, place[0])
        return scope

    def _import(self, node: ast.Import | ast.ImportFrom, scope: _Scope) -> _Inside:
        for alias in node.names:
            end_line = alias.end_lineno or alias.lineno
            if alias.asname is not None:
                place = word_before(self._lines, end_line, alias.end_col_offset or 0)
                self._bind(alias.asname, "import", scope, place, end_line)
                if alias.asname == alias.name and scope.kind == "module":
                    self._bind(alias.asname, "export", scope, place, end_line)
            elif alias.name != "*":
                local = alias.name.partition(".")[0]
                self._bind(local, "import", scope, self._start(alias), end_line)
        return scope

    def _assign(self, node: ast.Assign | ast.AnnAssign | ast.AugAssign, scope: _Scope) -> _Inside:
        if scope.kind == "module":
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            if any(_is_all(target) for target in targets):
                self._export(node.value, scope)
        return scope

    def _expression(self, node: ast.Expr, scope: _Scope) -> _Inside:
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
        return scope

    def _export(self, value: ast.expr | None, scope: _Scope) -> None:
        for text in _literal_strings(value):
            name = str(text.value)
            if name.isidentifier():
                self._bind(name, "export", scope, self._start(text), text.lineno)


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
