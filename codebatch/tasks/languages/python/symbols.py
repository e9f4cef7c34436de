"""Names a Python file defines: one loop over the rows of its tree.

Functions, methods (a function directly in a class) and classes: one symbol per definition. For
variables, parameters, imports and exports the first in a scope counts: one symbol per scope, name
and type. A variable is any other name that is bound: by an assignment or annotation, by ``for``,
``with``, ``except``, ``:=`` or a match capture, in targets of any shape. ``global`` names belong
to the module; ``nonlocal`` ones to the function that binds them. Not symbols:
variables of comprehensions, parameters and variables of lambdas, type parameters, attributes.

Exports are the strings in ``__all__`` at module level (assigned, added, extended or appended as
literals) and redundant aliases (``import a as a``, ``from a import b as b``).

All symbols follow from the flat tree alone, places of names and offsets in characters included,
and so from its encoding.
"""

from __future__ import annotations

import ast
from operator import itemgetter
from typing import TYPE_CHECKING, Any, ClassVar

from codebatch.tasks.languages.base import MODULE_SCOPE, Symbol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from codebatch.tasks.languages.python.nodes import FlatTree

_FIRST_ONLY = frozenset({"variable", "parameter", "import", "export"})

# A symbol's fields. Most names that are bound are bound before and make no symbol.
_Found = tuple[str, str, str, int, int, int]


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


def find_symbols(flat: FlatTree) -> list[Symbol]:
    """All symbols in source order."""
    finder = _Finder(flat)
    inside: list[Any] = [finder.module]
    handlers = map(_Finder.handlers.get, map(type, flat.nodes))
    name = _Finder.handlers[ast.Name]
    rows = zip(flat.nodes, handlers, flat.parents, flat.fields, strict=True)
    next(rows)
    node: Any
    for node, handler, parent, field in rows:
        scope = inside[parent]
        if type(scope) is dict:
            scope = scope.get(field) or scope[""]
        if handler is None or (handler is name and type(node.ctx) is not ast.Store):
            inside.append(scope)
        else:
            inside.append(handler(finder, node, scope))
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
        kept.append(Symbol._make(one))
    return kept


class _Finder:
    """A handler per node class: notes what the node binds, returns the scope inside."""

    def __init__(self, flat: FlatTree) -> None:
        self._flat = flat
        self._wide = bool(flat.wide)
        self.module = _Scope(MODULE_SCOPE, "module", None)
        self.found: list[_Found] = []

    def _bind(
        self, name: str, kind: str, scope: _Scope, line: int, offset: int, end_line: int
    ) -> None:
        """Note a symbol at a line and an offset in characters."""
        if scope.kind == "hidden":
            return
        owner = scope.foreign.get(name, scope) if scope.foreign else scope
        if owner is not None:
            self.found.append((name, kind, owner.name, line, offset + 1, end_line))

    def _bind_at(self, node: ast.expr | ast.arg, name: str, kind: str, scope: _Scope) -> None:
        """Note a symbol that is named where the node starts."""
        line, offset = node.lineno, node.col_offset
        if self._wide:
            offset = self._flat.column(line, offset)
        self._bind(name, kind, scope, line, offset, line)

    def _function(self, node: ast.FunctionDef, scope: _Scope) -> _Inside:
        foreign = node.name in scope.foreign
        kind = "method" if scope.kind == "class" and not foreign else "function"
        line, offset = self._flat.names[node]
        self._bind(node.name, kind, scope, line, offset, node.end_lineno or node.lineno)
        owner = (scope.foreign[node.name] or scope) if foreign else scope
        inner = owner.inner(node.name, "function")
        inner.outer = scope
        return {"body": inner, "args": inner, "": scope}

    def _class(self, node: ast.ClassDef, scope: _Scope) -> _Inside:
        line, offset = self._flat.names[node]
        self._bind(node.name, "class", scope, line, offset, node.end_lineno or node.lineno)
        owner = scope.foreign.get(node.name) or scope
        return {"body": owner.inner(node.name, "class"), "": scope}

    def _lambda(self, _: ast.Lambda, scope: _Scope) -> _Inside:
        hidden = scope.hidden()
        return {"body": hidden, "args": hidden, "": scope}

    def _arguments(self, node: ast.arguments, scope: _Scope) -> _Inside:
        if not node.defaults and not node.kw_defaults:
            return scope
        return {"defaults": scope.outer, "kw_defaults": scope.outer, "": scope}

    def _parameter(self, node: ast.arg, scope: _Scope) -> _Inside:
        self._bind_at(node, node.arg, "parameter", scope)
        return scope.outer

    def _comprehension(self, _: ast.comprehension, scope: _Scope) -> _Inside:
        return {"target": scope.hidden(), "": scope}

    def _global(self, node: ast.Global, scope: _Scope) -> _Inside:
        if scope.kind != "module":
            scope.foreign.update(dict.fromkeys(node.names, self.module))
        return scope

    def _nonlocal(self, node: ast.Nonlocal, scope: _Scope) -> _Inside:
        """The function that owns the name binds it somewhere, and is the place of the symbol."""
        scope.foreign.update(dict.fromkeys(node.names))
        return scope

    def _name(self, node: ast.Name, scope: _Scope) -> _Inside:
        if type(node.ctx) is ast.Store:
            self._bind_at(node, node.id, "variable", scope)
        return scope

    def _named(
        self, node: ast.ExceptHandler | ast.MatchAs | ast.MatchStar, scope: _Scope
    ) -> _Inside:
        """What an exception handler or a pattern binds; not every one does."""
        place = self._flat.names.get(node)
        if place is not None and node.name is not None:
            self._bind(node.name, "variable", scope, *place, place[0])
        return scope

    def _mapping(self, node: ast.MatchMapping, scope: _Scope) -> _Inside:
        if node.rest is not None:
            place = self._flat.names[node]
            self._bind(node.rest, "variable", scope, *place, place[0])
        return scope

    def _import(self, node: ast.Import | ast.ImportFrom, scope: _Scope) -> _Inside:
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
                self._bind_at(text, name, "export", scope)

    handlers: ClassVar[Mapping[type[ast.AST], Callable[[_Finder, Any, _Scope], _Inside]]] = {
        ast.AnnAssign: _assign,
        ast.Assign: _assign,
        ast.AsyncFunctionDef: _function,
        ast.AugAssign: _assign,
        ast.ClassDef: _class,
        ast.ExceptHandler: _named,
        ast.Expr: _expression,
        ast.FunctionDef: _function,
        ast.Global: _global,
        ast.Import: _import,
        ast.ImportFrom: _import,
        ast.Lambda: _lambda,
        ast.MatchAs: _named,
        ast.MatchMapping: _mapping,
        ast.MatchStar: _named,
        ast.Name: _name,
        ast.Nonlocal: _nonlocal,
        ast.arg: _parameter,
        ast.arguments: _arguments,
        ast.comprehension: _comprehension,
    }


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
