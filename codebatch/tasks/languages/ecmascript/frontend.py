"""The ECMAScript front end: one parsed file, and how it is read.

The grammars are behind the languages, and reject some valid files. Their trees hold a node of type
``ERROR`` then, with what could be read around it, and are called partial; what the language
rejects is not decided here. Words of JavaScript are names in the lists of imports and exports, as
bundlers write them (``export {a as do}``): where its grammar rejects a file, it gets others there.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable
from functools import cached_property
from typing import TYPE_CHECKING

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
from codebatch.tasks.languages.dialects import TEMPLATE, is_template
from codebatch.tasks.languages.ecmascript import edges, encode, findings, metrics, shapes, symbols
from codebatch.tasks.languages.ecmascript.ascii import ascii_of
from codebatch.tasks.languages.ecmascript.grammars import flatten, parse
from codebatch.tasks.languages.ecmascript.outline import Definition, outline

if TYPE_CHECKING:
    import tree_sitter


class ParsedFile:
    """One file. Everything is derived on first use from the flat tree, and shared."""

    # What the language rejects is found by oxlint; see ``findings``.
    faults: tuple[SyntaxFault, ...] = ()
    nests_deeply = False  # no tool is given this tree

    def __init__(self, text: str, grammar: str) -> None:
        tree = _read(grammar, ascii_of(text))
        self._is_partial = tree.root_node.has_error
        self._tree = flatten(tree, grammar, text)
        self._grammar = grammar

    @property
    def dialect(self) -> str | None:
        """``template`` for a file that is one, where the grammar rejects it as well."""
        text = self._tree.text
        rejected = not self._accepts(text)
        return TEMPLATE if rejected and is_template(text, self._accepts) else None

    def _accepts(self, text: str) -> bool:
        return not parse(self._grammar, ascii_of(text)).root_node.has_error

    def encode(self) -> EncodedTree:
        """The tree, as recovered where the grammar rejects the file."""
        return encode.encode(self._tree, self._grammar)._replace(partial=self._is_partial)

    def metrics(self) -> CodeMetrics:
        """Complexity and counts; see ``metrics``."""
        return metrics.code_metrics(self._tree, self._definitions)

    def symbols(self) -> Iterable[Symbol]:
        """Return the names that the file defines; see ``symbols``."""
        return symbols.symbols(self._tree, self._definitions)

    def edges(self) -> Iterable[Edge]:
        """Return the references of the file to others; see ``edges``."""
        return edges.edges(self._tree)

    def shapes(self) -> list[Shape]:
        """Return the file and its functions; see ``shapes``."""
        return shapes.find_shapes(self._tree, self._definitions)

    def comments(self) -> Iterable[Comment]:
        """All comments, as the grammar finds them."""
        tree = self._tree
        for node in tree.nodes(metrics.COMMENTS):
            start = tree.starts[node]
            line = tree.line(start)
            yield Comment(line, tree.column(start), tree.source(node), line)

    def own_names(self, found: Iterable[NameFinding], *, is_module: bool) -> Iterable[NameFinding]:
        """The findings of names that are not there for other files; see ``findings``."""
        return findings.without_shared(found, self._tree, is_module=is_module)

    @cached_property
    def _definitions(self) -> list[Definition]:
        return outline(self._tree)


def parse_file(source: Source) -> ParsedFile:
    """Parse a file in JavaScript, JSX, TypeScript or TSX."""
    return ParsedFile(source.text, _grammar_of(source))


def read_tree(source: Source) -> object:
    """Return the root node of a tree of the text itself; its offsets are those of UTF-8."""
    return _read(_grammar_of(source), source.text).root_node


_LISTED = re.compile(
    r"(\b(?:import\s*(?:[\w$]+\s*,\s*)?|export\s*)\{)([^{}]*)(?=\})|(\*\s*as\s+)([\w$]+)(?=\s*from\b)"
)
_RESERVED = re.compile(
    r"(?<![\w$])(?:break|case|catch|class|const|continue|debugger|delete|do|else|enum|export|extends"
    r"|false|finally|for|function|if|import|in|instanceof|new|null|return|super|switch|this|throw"
    r"|true|try|typeof|var|void|while|with)(?![\w$])"
)
_SPECIFIERS = ("import_specifier", "export_specifier", "namespace_import", "namespace_export")
_MOST_ROUNDS = 3


def _read(grammar: str, text: str) -> tree_sitter.Tree:
    tree = parse(grammar, text)
    if grammar == "javascript" and tree.root_node.has_error:
        words = _listed_words(ascii_of(text))
        return parse(grammar, _renamed(text, words)) if words else tree
    return tree


def _listed_words(text: str) -> list[tuple[int, int]]:
    """Return where words of JavaScript are names in lists. What looks like a list may be the text
    of an element or a string: the grammar tells, once the words are names to it.
    """
    words = [
        word.span()
        for listed in _LISTED.finditer(text)
        for word in _RESERVED.finditer(text, *listed.span(2 if listed[1] is not None else 4))
    ]
    # What is no name after all may show only in what others are then.
    for _ in range(_MOST_ROUNDS if words else 0):
        tree = flatten(parse("javascript", _renamed(text, words)), "javascript", text)
        lists = tree.nodes(_SPECIFIERS)
        starts = [tree.starts[node] for node in lists]
        inside = [
            (start, end)
            for start, end in words
            if (i := bisect_right(starts, start)) and end <= tree.ends[lists[i - 1]]
        ]
        if len(inside) == len(words):
            return words
        words = inside
    return []


def _renamed(text: str, words: list[tuple[int, int]]) -> str:
    """Return a text in which names of the same length take the place of words."""
    parts, position = [], 0
    for start, end in words:
        parts += [text[position:start], "_" * (end - start)]
        position = end
    return "".join([*parts, text[position:]])


def _grammar_of(source: Source) -> str:
    return "javascript" if source.language == "jsx" else source.language
