"""The ECMAScript front end: one parsed file, and the object the registry hands out."""

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
from codebatch.tasks.languages.ecmascript import edges, encode, findings, metrics, symbols
from codebatch.tasks.languages.ecmascript.binding import Bindings, bind
from codebatch.tasks.languages.ecmascript.grammars import GRAMMARS
from codebatch.tasks.languages.ecmascript.outline import Definition, outline
from codebatch.tasks.languages.ecmascript.syntax import Syntax, read

if TYPE_CHECKING:
    from codebatch.tasks.source import SourceFile


class ParsedFile:
    """One file. Everything is derived on first use from the flat tree, and shared."""

    def __init__(self, syntax: Syntax) -> None:
        self._syntax = syntax
        self._tree = syntax.tree

    @property
    def faults(self) -> tuple[SyntaxFault, ...]:
        """Where the language rejects the file, in source order."""
        return self._syntax.faults

    def encode(self) -> EncodedTree:
        """The tree, as recovered where the file has faults."""
        return encode.encode(self._tree, self._syntax.grammar)

    def metrics(self) -> CodeMetrics:
        """Complexity and counts; see ``metrics``."""
        return metrics.code_metrics(self._tree, self._definitions)

    def symbols(self) -> Iterable[Symbol]:
        """What the file defines; see ``symbols``."""
        return symbols.symbols(self._tree, self._definitions)

    def edges(self) -> Iterable[Edge]:
        """What the file refers to; see ``edges``."""
        return edges.edges(self._tree)

    def name_findings(self) -> Iterable[NameFinding]:
        """None where the file has faults: a tree put together again misses uses of names."""
        return () if self.faults else self._findings

    @cached_property
    def _findings(self) -> list[NameFinding]:
        return findings.name_findings(self._tree, self._bindings)

    @cached_property
    def _definitions(self) -> list[Definition]:
        return outline(self._tree)

    @cached_property
    def _bindings(self) -> Bindings:
        return bind(self._tree, self._definitions)


class EcmascriptFrontend:
    """JavaScript, JSX, TypeScript and TSX through tree-sitter."""

    languages = frozenset(GRAMMARS)

    def parse(self, source: SourceFile) -> ParsedFile:
        """Parse one file."""
        return ParsedFile(read(source.text, source.language))


FRONTEND = EcmascriptFrontend()
