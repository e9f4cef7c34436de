"""Complexity of Python functions: the counting table, and one loop over the rows of a tree.

Every function, method and nested function is its own entry and starts afresh; a lambda, a class
body, a decorator, a default value and an annotation belong to the code that executes them (the
enclosing function, else ``module``).

**Cyclomatic**: 1, plus

==================================  =====================================================
``if``, ``elif``, ``x if y else z`` +1 each
``for``, ``async for``, ``while``   +1, and +1 for their ``else``
``try``                             +1 per handler (``except*`` too), and +1 for its ``else``
``and``, ``or``                     +1 per operand after the first
comprehension                       +1 per ``for``, and +1 per ``if``
``match``                           +1 per ``case``, but 0 for ``case _`` and ``case name`` without
                                    a guard; the guard itself only through its operators
``assert``                          +1
``with``, ``finally``, ``else``     0 (the ``else`` of an ``if``), as are ``lambda``, ``return``,
                                    ``raise``, ``break``, ``continue``
==================================  =====================================================

This is radon's table but for six differences: decisions inside an ``assert`` count (radon stops
there), those in defaults, decorators and annotations count where they are executed (radon drops
them), a class body inside a function counts in that function (radon drops it), ``except*`` counts
like ``except``, a guarded ``case _`` counts, and each unguarded capture is free, not just one.

**Cognitive**, after SonarSource's definition (G. A. Campbell, 2018): ``if``, ternary, ``match``,
``for``, ``while`` and each ``except`` cost 1 plus the nesting they stand in; ``elif`` and ``else``
(of ``if``, loops and ``try``) cost 1; each run of like boolean operators costs 1, in the order of
the text. Bodies of these, of handlers and of lambdas nest; ``try``, ``with``, ``finally`` and
classes do not. Comprehensions are free, recursion is not counted, and a nested function starts
at nesting 0 because it is an entry of its own.

**nesting** is the deepest pile of blocks in the function: ``if`` (its ``elif`` and ``else`` on the
same level), ``for``, ``while``, ``try``, ``with``, ``match``.
"""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from codebatch.tasks.languages.base import MODULE_SCOPE, FunctionMetrics
from codebatch.tasks.languages.python.places import line_at

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from codebatch.tasks.languages.python.nodes import FlatTree


class Complexity(NamedTuple):
    """What one loop over the tree counts."""

    functions: tuple[FunctionMetrics, ...]
    module: FunctionMetrics
    classes: int
    imports: int


class _Counter:
    """The running numbers of one function, or of the module."""

    __slots__ = ("cognitive", "cyclomatic", "line", "name", "nesting")

    def __init__(self, name: str, line: int) -> None:
        self.name = name
        self.line = line
        self.cyclomatic = 1
        self.cognitive = 0
        self.nesting = 0

    def metrics(self) -> FunctionMetrics:
        return FunctionMetrics(self.name, self.line, self.cyclomatic, self.cognitive, self.nesting)


class _Place(NamedTuple):
    """Where a node stands: whose numbers it adds to, and how deep."""

    counter: _Counter
    nesting: int
    blocks: int
    prefix: str

    def nested(self, *, block: bool) -> _Place:
        """One level of cognitive nesting further in; with ``block``, one of blocks as well."""
        return _Place(self.counter, self.nesting + 1, self.blocks + block, self.prefix)

    def block(self) -> _Place:
        """In a block that does not nest in the cognitive sense."""
        return _Place(self.counter, self.nesting, self.blocks + 1, self.prefix)


# The place of a node's children: one for all, or by field, "" standing for all other fields.
_Inside = _Place | dict[str, _Place]


def count_complexity(flat: FlatTree, lines: Sequence[str]) -> Complexity:
    """Complexity of each function in source order, and of the code outside them.

    ``lines`` is the text, which alone tells ``elif`` from an ``if`` inside ``else``.
    """
    tally = _Tally(lines)
    module = _Counter(MODULE_SCOPE, 1)
    inside: list[Any] = [_Place(module, 0, 0, "")]
    handlers = map(_Tally.handlers.get, map(type, flat.nodes))
    rows = zip(flat.nodes, handlers, flat.parents, flat.fields, strict=True)
    next(rows)
    for node, handler, parent, field in rows:
        place = inside[parent]
        if type(place) is dict:
            place = place.get(field) or place[""]
        inside.append(place if handler is None else handler(tally, node, place))
    functions = tuple(counter.metrics() for counter in tally.functions)
    return Complexity(functions, module.metrics(), tally.classes, tally.imports)


class _Tally:
    """A handler per node class: adds to the place's counter, returns the place inside."""

    def __init__(self, lines: Sequence[str]) -> None:
        self._lines = lines
        self._chained: set[int] = set()
        self.functions: list[_Counter] = []
        self.classes = 0
        self.imports = 0

    def _function(self, node: ast.FunctionDef, place: _Place) -> _Inside:
        name = place.prefix + node.name
        counter = _Counter(name, node.lineno)
        self.functions.append(counter)
        return {"body": _Place(counter, 0, 0, name + "."), "": place}

    def _class(self, node: ast.ClassDef, place: _Place) -> _Inside:
        self.classes += 1
        return {"body": place._replace(prefix=f"{place.prefix}{node.name}."), "": place}

    def _import(self, _: ast.stmt, place: _Place) -> _Inside:
        self.imports += 1
        return place

    def _if(self, node: ast.If, place: _Place) -> _Inside:
        counter, inner = place.counter, place.nested(block=True)
        counter.cyclomatic += 1
        counter.cognitive += 1 if self._is_elif(node) else 1 + place.nesting
        _deepen(inner)
        if len(node.orelse) == 1 and self._is_elif(node.orelse[0]):
            return {"body": inner, "": place}
        counter.cognitive += bool(node.orelse)
        return {"test": place, "": inner}

    def _is_elif(self, node: ast.stmt) -> bool:
        """The text tells: only blanks, each one byte, stand before a statement's keyword."""
        line = line_at(self._lines, node.lineno)
        return isinstance(node, ast.If) and line.startswith("elif", node.col_offset)

    def _loop(self, node: ast.For | ast.While, place: _Place) -> _Inside:
        has_else = bool(node.orelse)
        place.counter.cyclomatic += 1 + has_else
        place.counter.cognitive += 1 + place.nesting + has_else
        inner = _deepen(place.nested(block=True))
        return {"body": inner, "orelse": inner, "": place}

    def _try(self, node: ast.Try, place: _Place) -> _Inside:
        has_else = bool(node.orelse)
        place.counter.cyclomatic += len(node.handlers) + has_else
        place.counter.cognitive += has_else
        return _deepen(place.block())

    def _handler(self, _: ast.ExceptHandler, place: _Place) -> _Inside:
        place.counter.cognitive += 1 + place.nesting
        return {"body": place.nested(block=False), "": place}

    def _with(self, _: ast.With, place: _Place) -> _Inside:
        return {"body": _deepen(place.block()), "": place}

    def _match(self, _: ast.Match, place: _Place) -> _Inside:
        place.counter.cognitive += 1 + place.nesting
        return {"cases": _deepen(place.nested(block=True)), "": place}

    def _case(self, node: ast.match_case, place: _Place) -> _Inside:
        pattern = node.pattern
        free = isinstance(pattern, ast.MatchAs) and pattern.pattern is None and node.guard is None
        place.counter.cyclomatic += not free
        return place

    def _ternary(self, _: ast.IfExp, place: _Place) -> _Inside:
        place.counter.cyclomatic += 1
        place.counter.cognitive += 1 + place.nesting
        return {"test": place, "": place.nested(block=False)}

    def _lambda(self, _: ast.Lambda, place: _Place) -> _Inside:
        return {"body": place.nested(block=False), "": place}

    def _comprehension(self, node: ast.comprehension, place: _Place) -> _Inside:
        place.counter.cyclomatic += 1 + len(node.ifs)
        return place

    def _assert(self, _: ast.Assert, place: _Place) -> _Inside:
        place.counter.cyclomatic += 1
        return place

    def _boolean(self, node: ast.BoolOp, place: _Place) -> _Inside:
        """A chain directly inside another belongs to the runs of the outermost one."""
        place.counter.cyclomatic += len(node.values) - 1
        if id(node) in self._chained:
            self._chained.discard(id(node))
        else:
            place.counter.cognitive += self._operator_runs(node)
        return place

    def _operator_runs(self, chain: ast.BoolOp) -> int:
        """Runs of like operators in the order of the text: ``a or b and c or d`` has three."""
        runs, last = 0, None
        pending: list[ast.expr | type[ast.boolop]] = [chain]
        while pending:
            item = pending.pop()
            if isinstance(item, ast.BoolOp):
                operator = type(item.op)
                for value in reversed(item.values):
                    pending += (value, operator)
                pending.pop()  # no operator stands before the first operand
                self._chained.update(id(v) for v in item.values if isinstance(v, ast.BoolOp))
            elif isinstance(item, type) and item is not last:
                runs, last = runs + 1, item
        return runs

    handlers: ClassVar[dict[type[ast.AST], Callable[[_Tally, Any, _Place], _Inside]]] = {
        ast.Assert: _assert,
        ast.AsyncFor: _loop,
        ast.AsyncFunctionDef: _function,
        ast.AsyncWith: _with,
        ast.BoolOp: _boolean,
        ast.ClassDef: _class,
        ast.ExceptHandler: _handler,
        ast.For: _loop,
        ast.FunctionDef: _function,
        ast.If: _if,
        ast.IfExp: _ternary,
        ast.Import: _import,
        ast.ImportFrom: _import,
        ast.Lambda: _lambda,
        ast.Match: _match,
        ast.Try: _try,
        ast.While: _loop,
        ast.With: _with,
        ast.comprehension: _comprehension,
        ast.match_case: _case,
    }
    if hasattr(ast, "TryStar"):  # from Python 3.11 on
        handlers[ast.TryStar] = _try


def _deepen(place: _Place) -> _Place:
    place.counter.nesting = max(place.counter.nesting, place.blocks)
    return place
