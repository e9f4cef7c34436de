"""Complexity of each function and counts over a file; ``docs/metrics.md`` has the tables.

Cognitive complexity follows SonarSource's definition: like ``&&``, ``||`` and ``??`` are runs in
the order they are written, parentheses looked through. A nested function is an entry of its own
that starts at nesting 0, and adds nothing to what encloses it. Calls of ``require`` or
``import()`` are expressions, no imports. A hashbang is a comment. A blank line inside a template
literal is a code line, since it is part of a token.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from codebatch.tasks.languages.base import MODULE_SCOPE, CodeMetrics, FunctionCount
from codebatch.tasks.languages.ecmascript.grammars import FlatTree
from codebatch.tasks.languages.ecmascript.outline import CLASSES, FUNCTIONS, Definition
from codebatch.tasks.languages.ecmascript.places import LINE_END

_LOOPS = frozenset("for_statement for_in_statement while_statement do_statement".split())
COMMENTS = frozenset("comment html_comment hash_bang_line".split())
_LOGICAL = frozenset(('"&&"', '"||"', '"??"'))
_JUMPS = frozenset("break_statement continue_statement".split())
_DECISIONS = frozenset('"&&=" "||=" "??=" if_statement switch_case catch_clause'.split()) | {
    *_LOOPS,
    "ternary_expression",
}
_NESTING = _LOOPS | {"if_statement", "switch_statement", "try_statement"}
# What costs one more the deeper it stands, and which parts of it are deeper, the first one last.
_PARTS = {
    **dict.fromkeys((*_LOOPS, "switch_statement", "catch_clause"), ("body",)),
    "if_statement": ("consequence",),
    "ternary_expression": ("alternative", "consequence"),
}
_RELEVANT = _DECISIONS | _LOGICAL | _NESTING | _JUMPS | FUNCTIONS | {"else_clause"}


class _Frame(NamedTuple):
    """Nodes from ``begin`` up to ``stop`` belong to a function at these nestings."""

    begin: int
    stop: int
    counter: FunctionCount
    cognitive: int
    depth: int


class _Complexity:
    """One pass over the relevant nodes; frames say to which function and nesting a node belongs.

    A frame may begin after the node that opened it (a condition is outside of its branch), so
    the frame of a node is the topmost that has begun.
    """

    def __init__(self, tree: FlatTree, names: Mapping[int, str]) -> None:
        self.tree = tree
        self.names = names
        self.counts = [FunctionCount(MODULE_SCOPE, 1)]
        self.frames = [_Frame(0, len(tree), self.counts[0], 0, 0)]
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
        tree, count = self.tree, frame.counter
        if kind in FUNCTIONS:
            count = FunctionCount(self.names[node], tree.line(tree.starts[node]))
            self.counts.append(count)
            self.frames.append(_Frame(node + 1, tree.stops[node], count, 0, 0))
            return
        count.cyclomatic += kind in _DECISIONS
        if kind in _NESTING:
            count.nesting = max(count.nesting, frame.depth + 1)
        if kind in _LOGICAL:
            self._logical(node, kind, count)
        elif kind in _JUMPS:
            count.cognitive += tree.child(node, "label") is not None
        elif kind == "try_statement":
            self._nest(node + 1, tree.stops[node], frame, 0, 1)
        elif kind == "else_clause":
            if tree.child_of_type(node, "if_statement") is None:
                count.cognitive += 1
                self._nest(node + 1, tree.stops[node], frame, 1, 1)
        elif kind in _PARTS:
            is_else_if = kind == "if_statement" and tree.types[tree.parents[node]] == "else_clause"
            count.cognitive += 1 if is_else_if else 1 + frame.cognitive
            for field in _PARTS[kind]:
                part = tree.child(node, field)
                if part is not None:
                    self._nest(part, tree.stops[part], frame, 1, kind in _NESTING)

    def _nest(self, begin: int, stop: int, frame: _Frame, cognitive: int, depth: int) -> None:
        """A frame inside of another, by so much deeper."""
        nesting = (frame.cognitive + cognitive, frame.depth + depth)
        self.frames.append(_Frame(begin, stop, frame.counter, *nesting))

    def _logical(self, operator: int, kind: str, count: FunctionCount) -> None:
        """Operators come in the order they are written; a chain is one unbroken expression."""
        root = self._root(self.tree.parents[operator])
        count.cyclomatic += 1
        if self.last_operator.get(root) != kind:
            count.cognitive += 1
            self.last_operator[root] = kind

    def _root(self, expression: int) -> int:
        """The outermost logical expression of a chain; kept for everything on the way."""
        tree, chains = self.tree, self.chains
        way, here = [], expression
        while here not in chains:
            way.append(here)
            outer = tree.parents[here]
            while tree.types[outer] == "parenthesized_expression":
                outer = tree.parents[outer]
            if not _is_logical(tree, outer):
                chains[here] = here
                break
            here = outer
        root = chains[here]
        chains.update((part, root) for part in way)
        return root


def _is_logical(tree: FlatTree, node: int) -> bool:
    """Return true if a node is a binary expression with a logical operator."""
    if tree.types[node] != "binary_expression":
        return False
    operator = tree.child(node, "operator")
    return operator is not None and tree.types[operator] in _LOGICAL


def code_metrics(tree: FlatTree, definitions: list[Definition]) -> CodeMetrics:
    """All metrics of a file."""
    names = {definition.node: definition.qualified for definition in definitions}
    complexity = _Complexity(tree, names)
    complexity.run()
    module, *functions = [count.metrics() for count in complexity.counts]
    classes, imports = len(tree.nodes(CLASSES)), _imports(tree)
    return CodeMetrics(tuple(functions), module, classes, imports, *_line_counts(tree))


def _imports(tree: FlatTree) -> int:
    exports = tree.nodes(("export_statement",))
    return len(tree.nodes(("import_statement",))) + sum(
        tree.child(node, "source") is not None for node in exports
    )


def _line_counts(tree: FlatTree) -> tuple[int, int]:
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
