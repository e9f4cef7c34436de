"""The Python front end: one parsed file, and what can be asked of it."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property
from typing import TYPE_CHECKING

from codebatch.tasks.languages.base import (
    CodeMetrics,
    Edge,
    EncodedTree,
    NameFinding,
    Symbol,
    SyntaxFault,
)
from codebatch.tasks.languages.python.edges import find_edges
from codebatch.tasks.languages.python.encode import encode_tree
from codebatch.tasks.languages.python.lines import count_lines
from codebatch.tasks.languages.python.metrics import count_complexity
from codebatch.tasks.languages.python.nodes import FlatTree, flatten_tree
from codebatch.tasks.languages.python.parse import parse_source
from codebatch.tasks.languages.python.symbols import find_symbols

if TYPE_CHECKING:
    from codebatch.tasks.source import SourceFile


class PythonFile:
    """A parsed Python file; nothing can be recovered from one that has a fault."""

    def __init__(self, source: SourceFile) -> None:
        tree = parse_source(source)
        self._source = source
        self._tree = tree if not isinstance(tree, SyntaxFault) else None
        self.faults: tuple[SyntaxFault, ...] = (tree,) if isinstance(tree, SyntaxFault) else ()

    @cached_property
    def _flat(self) -> FlatTree | None:
        return flatten_tree(self._tree, self._source.lines) if self._tree is not None else None

    def encode(self) -> EncodedTree | None:
        """All nodes in the format that `encode` describes."""
        return encode_tree(self._flat) if self._flat is not None else None

    def metrics(self) -> CodeMetrics | None:
        """Complexity by the table in `metrics`, and counts."""
        if self._flat is None:
            return None
        lines = self._source.lines
        found = count_complexity(self._flat, lines)
        counts = count_lines(lines, self._source.blank_lines, self._flat)
        return CodeMetrics(*found, code_lines=counts.code, comment_lines=counts.comment)

    def symbols(self) -> list[Symbol]:
        """Names the file defines, in source order."""
        return find_symbols(self._flat) if self._flat is not None else []

    def edges(self) -> list[Edge]:
        """Imports and base classes, in source order."""
        return find_edges(self._flat) if self._flat is not None else []

    def own_names(
        self,
        found: Iterable[NameFinding],
        *,
        is_module: bool,
    ) -> Iterable[NameFinding]:
        """All: ruff knows what is there for others."""
        return found


class PythonFrontend:
    """Python as the running interpreter parses it."""

    languages = frozenset({"python"})

    def parse(self, source: SourceFile) -> PythonFile:
        """Parse a file; a syntax error is a fault of the result."""
        return PythonFile(source)
