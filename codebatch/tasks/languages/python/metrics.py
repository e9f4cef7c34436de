"""Counts over a Python file: one loop over its statements.

``docs/metrics.md`` has the table of what counts. Every function, method and nested function is its
own entry and starts afresh; a lambda, a class body, a decorator, a default value and an annotation
belong to the code that executes them (the enclosing function, else ``module``).

**Cyclomatic** complexity is radon's but for six differences: decisions inside an ``assert`` count
(radon stops there), those in defaults, decorators and annotations count where they are executed
(radon drops them), a class body inside a function counts in that function (radon drops it),
``except*`` counts like ``except``, a guarded ``case _`` counts, and each unguarded capture is
free, not just one. The guard of a ``case`` counts only through its operators.

**Cognitive** complexity is after SonarSource's definition (G. A. Campbell, 2018): like boolean
operators are runs in the order of the text, and recursion is not counted.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from codebatch.tasks.languages.base import MODULE_SCOPE, CodeMetrics, FunctionCount
from codebatch.tasks.languages.python.lines import count_lines
from codebatch.tasks.languages.python.nodes import FlatTree, Opened, make_steps, nested, walk_blocks
from codebatch.tasks.languages.python.places import line_at


class _Place(NamedTuple):
    """The place of a node: the counter it adds to, and its depth."""

    counter: FunctionCount
    nesting: int
    blocks: int
    prefix: str

    def nested(self, *, block: bool) -> _Place:
        """One level of cognitive nesting further in; with ``block``, one of blocks as well."""
        return _Place(self.counter, self.nesting + 1, self.blocks + block, self.prefix)

    def block(self) -> _Place:
        """In a block that does not nest in the cognitive sense."""
        return _Place(self.counter, self.nesting, self.blocks + 1, self.prefix)


def count_metrics(flat: FlatTree, lines: Sequence[str], blank: int) -> CodeMetrics:
    """Return the metrics of a file that parsed; functions are in source order.

    ``lines`` is the text, which alone tells ``elif`` from an ``if`` inside ``else``; ``blank`` of
    them are blank.
    """
    tally = _Tally(lines, _find_depths(flat))
    module = FunctionCount(MODULE_SCOPE, 1)
    walk_blocks(flat, _STEPS, tally, _Place(module, 0, 0, ""))
    functions = tuple([counter.metrics() for counter in tally.functions])
    counts = count_lines(lines, blank, flat)
    return CodeMetrics(functions, module.metrics(), tally.classes, tally.imports, *counts)


class _Tally:
    """A handler per node class: adds to the place's counter, says where its blocks stand."""

    def __init__(self, lines: Sequence[str], depths: Mapping[ast.AST, int]) -> None:
        self._lines = lines
        self._depths = depths
        self._chained: set[int] = set()
        self.functions: list[FunctionCount] = []
        self.classes = 0
        self.imports = 0

    def function(self, node: ast.FunctionDef, place: _Place) -> Opened:
        name = place.prefix + node.name
        counter = FunctionCount(name, node.lineno)
        self.functions.append(counter)
        return 0, len(node.body), _Place(counter, 0, 0, name + ".")

    def class_(self, node: ast.ClassDef, place: _Place) -> Opened:
        self.classes += 1
        return 0, len(node.body), place._replace(prefix=f"{place.prefix}{node.name}.")

    def import_(self, _: ast.stmt, __: _Place) -> None:
        self.imports += 1

    def if_(self, node: ast.If, place: _Place) -> Opened:
        """Count an ``if``; an ``elif`` stands in the same place as the statement itself."""
        counter, inner = place.counter, place.nested(block=True)
        counter.cyclomatic += 1
        counter.cognitive += 1 if self._is_elif(node) else 1 + place.nesting
        _deepen(inner)
        if len(node.orelse) == 1 and self._is_elif(node.orelse[0]):
            return 1, len(node.body), inner
        counter.cognitive += bool(node.orelse)
        return 0, len(node.body) + len(node.orelse), inner

    def _is_elif(self, node: ast.stmt) -> bool:
        """The text tells: only blanks, each one byte, stand before a statement's keyword."""
        line = line_at(self._lines, node.lineno)
        return isinstance(node, ast.If) and line.startswith("elif", node.col_offset)

    def loop(self, node: ast.For | ast.While, place: _Place) -> Opened:
        has_else = bool(node.orelse)
        place.counter.cyclomatic += 1 + has_else
        place.counter.cognitive += 1 + place.nesting + has_else
        return 0, nested(node), _deepen(place.nested(block=True))

    def try_(self, node: ast.Try, place: _Place) -> Opened:
        has_else = bool(node.orelse)
        place.counter.cyclomatic += len(node.handlers) + has_else
        place.counter.cognitive += has_else
        return 0, nested(node), _deepen(place.block())

    def handler(self, node: ast.ExceptHandler, place: _Place) -> Opened:
        place.counter.cognitive += 1 + place.nesting
        return 0, len(node.body), place.nested(block=False)

    def with_(self, node: ast.With, place: _Place) -> Opened:
        return 0, len(node.body), _deepen(place.block())

    def match(self, node: ast.Match, place: _Place) -> Opened:
        place.counter.cognitive += 1 + place.nesting
        return 0, len(node.cases), _deepen(place.nested(block=True))

    def case(self, node: ast.match_case, place: _Place) -> Opened:
        pattern = node.pattern
        free = isinstance(pattern, ast.MatchAs) and pattern.pattern is None and node.guard is None
        place.counter.cyclomatic += not free
        return len(node.body), 0, None

    def ternary(self, node: ast.IfExp, place: _Place) -> None:
        place.counter.cyclomatic += 1
        place.counter.cognitive += 1 + place.nesting + self._depths.get(node, 0)

    def comprehension(self, node: ast.comprehension, place: _Place) -> None:
        place.counter.cyclomatic += 1 + len(node.ifs)

    def assert_(self, _: ast.Assert, place: _Place) -> None:
        place.counter.cyclomatic += 1

    def boolean(self, node: ast.BoolOp, place: _Place) -> None:
        """A chain directly inside another belongs to the runs of the outermost one."""
        place.counter.cyclomatic += len(node.values) - 1
        if id(node) in self._chained:
            self._chained.discard(id(node))
        else:
            place.counter.cognitive += self._operator_runs(node)

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


_HANDLERS: dict[type[ast.AST], Callable[[_Tally, Any, _Place], Opened | None]] = {
    ast.Assert: _Tally.assert_,
    ast.AsyncFor: _Tally.loop,
    ast.AsyncFunctionDef: _Tally.function,
    ast.AsyncWith: _Tally.with_,
    ast.BoolOp: _Tally.boolean,
    ast.ClassDef: _Tally.class_,
    ast.ExceptHandler: _Tally.handler,
    ast.For: _Tally.loop,
    ast.FunctionDef: _Tally.function,
    ast.If: _Tally.if_,
    ast.IfExp: _Tally.ternary,
    ast.Import: _Tally.import_,
    ast.ImportFrom: _Tally.import_,
    ast.Match: _Tally.match,
    ast.Try: _Tally.try_,
    ast.While: _Tally.loop,
    ast.With: _Tally.with_,
    ast.comprehension: _Tally.comprehension,
    ast.match_case: _Tally.case,
}
if sys.version_info >= (3, 11):
    _HANDLERS[ast.TryStar] = _Tally.try_

_STEPS = make_steps(_HANDLERS)


def _find_depths(flat: FlatTree) -> dict[ast.AST, int]:
    """In how many branches of ternaries and bodies of lambdas a ternary stands."""
    depths: dict[ast.AST, int] = {}
    ternaries = flat.members.get(ast.IfExp, ())
    if not ternaries or len(ternaries) + len(flat.members.get(ast.Lambda, ())) < 2:
        return depths
    for outer in flat.select({ast.IfExp, ast.Lambda}):
        pending: list[tuple[ast.AST, int]] = [] if outer in depths else [(outer, 0)]
        while pending:
            node, depth = pending.pop()
            if isinstance(node, ast.IfExp):
                depths[node] = depth
                pending += ((node.test, depth), (node.body, depth + 1), (node.orelse, depth + 1))
            elif isinstance(node, ast.Lambda):
                depths[node] = depth
                pending += ((node.args, depth), (node.body, depth + 1))
            else:
                pending += [(child, depth) for child in ast.iter_child_nodes(node)]
    return depths


def _deepen(place: _Place) -> _Place:
    place.counter.nesting = max(place.counter.nesting, place.blocks)
    return place
