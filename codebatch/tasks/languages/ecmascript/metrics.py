"""Complexity of each function and counts over a file.

**Cyclomatic complexity** is 1 plus the decisions of a function: ``if``, ``for``, ``for-in``,
``for-of``, ``while``, ``do``, each ``case`` (not ``default``), ``catch``, ``?:``, ``&&``, ``||``,
``??``, ``&&=``, ``||=``, ``??=``. Optional chaining, default values, ``else``, ``finally``,
``try`` and ``switch`` themselves do not count, nor do conditional types.

**Cognitive complexity** follows SonarSource's definition. One for ``if``, ``?:``, ``switch``,
each loop and ``catch``, plus the nesting it stands at; one for ``else`` and ``else if``, whatever
the nesting; one for each run of like ``&&``, ``||``, ``??`` in the order they are written,
parentheses looked through; one for ``break`` and ``continue`` with a label. The branches of an
``if`` or ``?:``, the body of a loop, a ``switch`` or a ``catch`` nest one deeper. Recursion does
not count.

**Nesting** is the greatest depth of ``if`` (an ``else if`` is as deep as its ``if``), loops,
``switch`` and ``try`` inside each other.

A function is every function declaration, expression and arrow, generator, method, accessor,
constructor and class static block (named ``<static>``). A nested function is an entry of its
own that starts at nesting 0, and adds nothing to what encloses it. Code outside functions,
class field initialisers included, belongs to ``module``.

Classes are class declarations and expressions. Imports are ``import`` statements,
``import x = require()`` among them, and ``export … from``; calls of ``require`` or ``import()``
are expressions and do not count. A hashbang is a comment. A blank line inside a template literal
is a code line, since it is part of a token.
"""

from __future__ import annotations

from typing import NamedTuple

from codebatch.tasks.languages.base import MODULE_SCOPE, CodeMetrics, FunctionMetrics
from codebatch.tasks.languages.ecmascript.grammars import FlatTree
from codebatch.tasks.languages.ecmascript.outline import CLASSES, FUNCTIONS, Definition
from codebatch.tasks.languages.ecmascript.places import LINE_END

LOOPS = frozenset("for_statement for_in_statement while_statement do_statement".split())
COMMENTS = frozenset("comment html_comment hash_bang_line".split())
LOGICAL = frozenset(('"&&"', '"||"', '"??"'))
_LOGICAL_ASSIGNMENT = frozenset(('"&&="', '"||="', '"??="'))
_JUMPS = frozenset("break_statement continue_statement".split())
_DECISIONS = (
    LOOPS
    | LOGICAL
    | _LOGICAL_ASSIGNMENT
    | {
        "if_statement",
        "switch_case",
        "catch_clause",
        "ternary_expression",
    }
)
_NESTING = LOOPS | {"if_statement", "switch_statement", "try_statement"}
_RELEVANT = _DECISIONS | _NESTING | _JUMPS | FUNCTIONS | {"else_clause"}


class _Frame(NamedTuple):
    """Nodes from ``begin`` up to ``stop`` belong to a function at these nestings."""

    begin: int
    stop: int
    function: int
    cognitive: int
    depth: int


class _Count:
    """Mutable counts of one function."""

    __slots__ = ("cognitive", "cyclomatic", "nesting")

    def __init__(self) -> None:
        self.cyclomatic = 1
        self.cognitive = 0
        self.nesting = 0


class _Complexity:
    """One pass over the relevant nodes; frames say to which function and nesting a node belongs.

    A frame may begin after the node that opened it (a condition is outside of its branch), so
    the frame of a node is the topmost that has begun.
    """

    def __init__(self, tree: FlatTree) -> None:
        self.tree = tree
        self.counts = [_Count()]
        self.functions: list[int] = []
        self.frames = [_Frame(0, len(tree), 0, 0, 0)]
        self.chains: dict[int, int] = {}
        self.last_operator: dict[int, str] = {}

    def run(self) -> None:
        types, frames = self.tree.types, self.frames
        for node in self.tree.nodes(_RELEVANT):
            while frames[-1].stop <= node:
                frames.pop()
            top = len(frames) - 1
            while frames[top].begin > node:
                top -= 1
            self._visit(node, types[node], frames[top])

    def _visit(self, node: int, kind: str, frame: _Frame) -> None:
        if kind in FUNCTIONS:
            self.functions.append(node)
            self.counts.append(_Count())
            function = len(self.counts) - 1
            self.frames.append(_Frame(node + 1, self.tree.stops[node], function, 0, 0))
            return
        count = self.counts[frame.function]
        if kind in LOGICAL:
            self._logical(node, kind, count)
            return
        if kind in _DECISIONS:
            count.cyclomatic += 1
        if kind in _JUMPS:
            count.cognitive += self.tree.child(node, "label") is not None
        elif kind == "else_clause":
            self._else(node, frame, count)
        elif kind == "if_statement":
            self._if(node, frame, count)
        elif kind == "ternary_expression":
            count.cognitive += 1 + frame.cognitive
            self._nest(node, frame, 0, "consequence", "alternative")
        elif kind == "catch_clause":
            count.cognitive += 1 + frame.cognitive
            self._nest(node, frame, 0, "body")
        elif kind in LOOPS or kind == "switch_statement":
            count.cognitive += 1 + frame.cognitive
            count.nesting = max(count.nesting, frame.depth + 1)
            self._nest(node, frame, 1, "body")
        elif kind == "try_statement":
            count.nesting = max(count.nesting, frame.depth + 1)
            self.frames.append(
                frame._replace(begin=node + 1, stop=self.tree.stops[node], depth=frame.depth + 1)
            )

    def _if(self, node: int, frame: _Frame, count: _Count) -> None:
        is_else_if = self.tree.types[self.tree.parents[node]] == "else_clause"
        count.cognitive += 1 if is_else_if else 1 + frame.cognitive
        count.nesting = max(count.nesting, frame.depth + 1)
        self._nest(node, frame, 1, "consequence")

    def _else(self, node: int, frame: _Frame, count: _Count) -> None:
        if self.tree.child_of_type(node, "if_statement") is not None:
            return
        count.cognitive += 1
        self.frames.append(
            _Frame(
                node + 1,
                self.tree.stops[node],
                frame.function,
                frame.cognitive + 1,
                frame.depth + 1,
            )
        )

    def _nest(self, node: int, frame: _Frame, deeper: int, *fields: str) -> None:
        """Frames for the parts of a node that nest; pushed so that the first ends up on top."""
        tree = self.tree
        for field in reversed(fields):
            part = tree.child(node, field)
            if part is not None:
                self.frames.append(
                    _Frame(
                        part,
                        tree.stops[part],
                        frame.function,
                        frame.cognitive + 1,
                        frame.depth + deeper,
                    )
                )

    def _logical(self, operator: int, kind: str, count: _Count) -> None:
        """Operators come in the order they are written; a chain is one unbroken expression."""
        root = self._root(self.tree.parents[operator])
        count.cyclomatic += 1
        if self.last_operator.get(root) != kind:
            count.cognitive += 1
            self.last_operator[root] = kind

    def _root(self, expression: int) -> int:
        """The outermost logical expression of a chain; remembered for everything on the way."""
        tree, chains = self.tree, self.chains
        way, here = [], expression
        while here not in chains:
            way.append(here)
            outer = tree.parents[here]
            while tree.types[outer] == "parenthesized_expression":
                outer = tree.parents[outer]
            if not is_logical(tree, outer):
                chains[here] = here
                break
            here = outer
        root = chains[here]
        chains.update((part, root) for part in way)
        return root


def is_logical(tree: FlatTree, node: int) -> bool:
    """Return true if a node is a binary expression with a logical operator."""
    if tree.types[node] != "binary_expression":
        return False
    operator = tree.child(node, "operator")
    return operator is not None and tree.types[operator] in LOGICAL


def code_metrics(tree: FlatTree, definitions: list[Definition]) -> CodeMetrics:
    """All metrics of a file."""
    complexity = _Complexity(tree)
    complexity.run()
    names = {definition.node: definition.qualified for definition in definitions}
    functions = tuple(
        _entry(names[node], tree.line(tree.starts[node]), count)
        for node, count in zip(complexity.functions, complexity.counts[1:], strict=True)
    )
    code, comments = line_counts(tree)
    return CodeMetrics(
        functions,
        _entry(MODULE_SCOPE, 1, complexity.counts[0]),
        len(tree.nodes(CLASSES)),
        _imports(tree),
        code,
        comments,
    )


def _entry(name: str, line: int, count: _Count) -> FunctionMetrics:
    return FunctionMetrics(name, line, count.cyclomatic, count.cognitive, count.nesting)


def _imports(tree: FlatTree) -> int:
    exports = tree.nodes(("export_statement",))
    return len(tree.nodes(("import_statement",))) + sum(
        tree.child(node, "source") is not None for node in exports
    )


def line_counts(tree: FlatTree) -> tuple[int, int]:
    """Lines with code, and lines with a comment but no code."""
    commented: set[int] = set()
    code: set[int] = set()
    position = 0
    for node in tree.nodes(COMMENTS):
        _add_code(tree, position, tree.starts[node], code)
        position = tree.ends[node]
        commented.update(_lines(tree, node))
    _add_code(tree, position, len(tree.text), code)
    for node in tree.nodes(("template_string",)):
        code.update(_lines(tree, node))
    return len(code), len(commented - code)


def _lines(tree: FlatTree, node: int) -> range:
    return range(tree.line(tree.starts[node]), tree.line(tree.ends[node] - 1) + 1)


def _add_code(tree: FlatTree, begin: int, end: int, code: set[int]) -> None:
    """Add the lines between two offsets, which hold no comment, that are not blank."""
    if begin == end or (stretch := tree.text[begin:end]).isspace():
        return
    first = tree.line(begin)
    for line, text in enumerate(LINE_END.split(stretch), first):
        if text and not text.isspace():
            code.add(line)
