"""The ECMAScript front end: one parsed file, and the object the registry hands out."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property, partial
from typing import TYPE_CHECKING

from codebatch.tasks.languages.base import (
    CodeMetrics,
    Edge,
    EncodedTree,
    NameFinding,
    Symbol,
    SyntaxFault,
)
from codebatch.tasks.languages.dialects import TEMPLATE, is_template
from codebatch.tasks.languages.ecmascript import edges, encode, findings, metrics, symbols
from codebatch.tasks.languages.ecmascript.grammars import GRAMMARS
from codebatch.tasks.languages.ecmascript.outline import Definition, outline
from codebatch.tasks.languages.ecmascript.syntax import is_accepted, read

if TYPE_CHECKING:
    from codebatch.tasks.source import SourceFile


class ParsedFile:
    """One file. Everything is derived on first use from the flat tree, and shared."""

    # What the language rejects is found by oxlint; see ``verdicts``.
    faults: tuple[SyntaxFault, ...] = ()
    nests_deeply = False  # no tool is given this tree

    def __init__(self, text: str, grammar: str) -> None:
        self._tree = read(text, grammar)
        self._grammar = grammar

    @property
    def dialect(self) -> str | None:
        """``template`` for a file that is one, where the grammar rejects it as well."""
        accepts = partial(is_accepted, grammar=self._grammar)
        text = self._tree.text
        return TEMPLATE if not accepts(text) and is_template(text, accepts) else None

    def encode(self) -> EncodedTree:
        """The tree, as recovered where the grammar rejects the file."""
        return encode.encode(self._tree, self._grammar)

    def metrics(self) -> CodeMetrics:
        """Complexity and counts; see ``metrics``."""
        return metrics.code_metrics(self._tree, self._definitions)

    def symbols(self) -> Iterable[Symbol]:
        """What the file defines; see ``symbols``."""
        return symbols.symbols(self._tree, self._definitions)

    def edges(self) -> Iterable[Edge]:
        """What the file refers to; see ``edges``."""
        return edges.edges(self._tree)

    def own_names(self, found: Iterable[NameFinding], *, is_module: bool) -> Iterable[NameFinding]:
        """The findings of names that are not there for other files; see ``findings``."""
        return findings.without_shared(found, self._tree, is_module=is_module)

    @cached_property
    def _definitions(self) -> list[Definition]:
        return outline(self._tree)


class EcmascriptFrontend:
    """JavaScript, JSX, TypeScript and TSX through tree-sitter."""

    languages = frozenset(GRAMMARS)

    def parse(self, source: SourceFile) -> ParsedFile:
        """Parse one file."""
        grammar = "javascript" if source.language == "jsx" else source.language
        return ParsedFile(source.text, grammar)


FRONTEND = EcmascriptFrontend()
