"""The Python front end: one parsed file, and what can be asked of it."""

from __future__ import annotations

import ast
from collections.abc import Iterable
from functools import cached_property

from codebatch.tasks.languages.base import (
    CodeMetrics,
    Comment,
    Edge,
    EncodedTree,
    NameFinding,
    Shape,
    Source,
    Symbol,
    SyntaxFault,
)
from codebatch.tasks.languages.dialects import (
    MOST_CHARACTERS,
    NEEDS,
    PYTHON_2,
    TEMPLATE,
    is_template,
)
from codebatch.tasks.languages.python.encode import encode_tree
from codebatch.tasks.languages.python.lines import find_comments
from codebatch.tasks.languages.python.metrics import count_metrics
from codebatch.tasks.languages.python.nodes import FlatTree, flatten_tree
from codebatch.tasks.languages.python.parse import IN_ANY_PYTHON, parse_source, parse_text
from codebatch.tasks.languages.python.python2 import is_python2
from codebatch.tasks.languages.python.ruff import DEEPEST, needed_python
from codebatch.tasks.languages.python.shapes import find_shapes
from codebatch.tasks.languages.python.symbols import find_edges, find_symbols


class PythonFile:
    """A parsed Python file; nothing can be recovered from one that has a fault."""

    def __init__(self, source: Source) -> None:
        tree = parse_source(source)
        self._source = source
        self._tree = tree if not isinstance(tree, SyntaxFault) else None
        self.faults: tuple[SyntaxFault, ...] = (tree,) if isinstance(tree, SyntaxFault) else ()

    @cached_property
    def nests_deeply(self) -> bool:
        """True if the tree is deeper than what is given to tools that recurse over it."""
        level: list[ast.AST] = [] if self._tree is None else [self._tree]
        for _ in range(DEEPEST):
            level = [child for node in level for child in ast.iter_child_nodes(node)]
            if not level:
                return False
        return True

    @cached_property
    def _flat(self) -> FlatTree | None:
        return flatten_tree(self._tree, self._source.lines) if self._tree is not None else None

    def encode(self) -> EncodedTree | None:
        """All nodes in the format that `encode` describes."""
        return encode_tree(self._flat) if self._flat is not None else None

    def metrics(self) -> CodeMetrics | None:
        """Counts; see `metrics`."""
        if self._flat is None:
            return None
        return count_metrics(self._flat, self._source.lines, self._source.blank_lines)

    def symbols(self) -> list[Symbol]:
        """Names the file defines, in source order."""
        return find_symbols(self._flat) if self._flat is not None else []

    def edges(self) -> list[Edge]:
        """Imports and base classes, in source order."""
        return find_edges(self._flat) if self._flat is not None else []

    def shapes(self) -> list[Shape]:
        """The file and its functions; see `shapes`."""
        return find_shapes(self._flat, len(self._source.lines)) if self._flat is not None else []

    def comments(self) -> list[Comment] | None:
        """All comments, as Python's tokenizer finds them."""
        return None if self._tree is None else find_comments(self._source.text)

    def own_names(self, found: Iterable[NameFinding], *, is_module: bool) -> Iterable[NameFinding]:
        """All: ruff knows what is there for others."""
        return found

    @cached_property
    def dialect(self) -> str | None:
        """The form of a file that this Python rejects, as a reason to skip it."""
        text = self._source.text
        if not self.faults or self.faults[0].message in IN_ANY_PYTHON:
            return None
        if len(text) > MOST_CHARACTERS or parse_text(text) is not None:
            return None  # what is wrong with a text that parses is its encoding
        if is_template(text, lambda filled: parse_text(filled) is not None):
            return TEMPLATE
        if is_python2(text, parse_text):
            return PYTHON_2
        needed = needed_python(self._source.content)
        return f"{NEEDS}{needed}" if needed else None


def parse_file(source: Source) -> PythonFile:
    """Parse a file as the running interpreter does; a syntax error is a fault of the result."""
    return PythonFile(source)


def read_tree(source: Source) -> ast.Module | None:
    """Return a tree of a file that nothing else has; None where Python rejects it."""
    tree = parse_source(source)
    return None if isinstance(tree, SyntaxFault) else tree
