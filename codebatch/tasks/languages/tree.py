"""A syntax tree as it is looked at: nodes in preorder, whatever format they are stored in.

The columns of a stored tree stay columns, and a `SyntaxNode` is a view of one row: a tree of a
million nodes has no million objects. Nothing recurses: the depth of real code has no limit. Lines
and columns are 1-based and count characters; where a node ends is the place behind its last
character.
"""

from __future__ import annotations

import json
import math
from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice

from codebatch.display.displayed import Displayed, card
from codebatch.display.words import printable

Values = dict[str, object]
Document = dict[str, object]

_DEEPEST_INDENT = 60
_LONGEST_VALUE = 120
_MOST_DIGITS = 2**64


@dataclass(frozen=True)
class Columns:
    """The nodes of a tree in preorder, an entry for each in every column.

    ``kinds`` and ``fields`` are indexes into ``type_names`` and ``field_names``; ``places`` are
    lines, columns, last lines and columns behind the end, 0 for a node that has no place in the
    text. ``values`` gives what a node holds beside its children.
    """

    type_names: Sequence[str]
    kinds: Sequence[int]
    field_names: Sequence[str]
    fields: Sequence[int]
    depths: Sequence[int]
    places: tuple[Sequence[int], Sequence[int], Sequence[int], Sequence[int]]
    values: Callable[[int], Values]


class SyntaxTree(Displayed):
    """A syntax tree. It is iterated over in preorder, and printed with a node on each line."""

    def __init__(self, path: str, language: str, stored_format: str, columns: Columns) -> None:
        self.path = path
        self.language = language
        self.format = stored_format
        self.columns = columns

    def __len__(self) -> int:
        return len(self.columns.kinds)

    def __iter__(self) -> Iterator[SyntaxNode]:
        return (SyntaxNode(self, index) for index in range(len(self)))

    def _card(self) -> card.Card:
        lines = list(islice(self.lines(), card.MOST_ROWS))
        facts = {"language": self.language, "nodes": len(self)}
        more = len(self) - len(lines)
        notes = [f"and {more:,} more: print shows all"] if more else []
        return card.Card("Syntax tree of", self.path, facts=facts, lines=lines, notes=notes)

    def __str__(self) -> str:
        return "\n".join(self.lines())

    @property
    def root(self) -> SyntaxNode:
        """The node that all others are below."""
        return SyntaxNode(self, 0)

    def at_line(self, line: int) -> list[SyntaxNode]:
        """Return the nodes that begin on a line, but for those below them and the root; where none
        does, the innermost node that reaches over it.
        """
        lines, _, last_lines, _ = self.columns.places
        found: list[SyntaxNode] = []
        around = index = 0
        while (index := index + 1) < len(self):
            if lines[index] == line:
                found.append(SyntaxNode(self, index))
                index = self.ends[index] - 1
            elif lines[index] < line <= last_lines[index]:
                around = index
        return found or [SyntaxNode(self, around)]

    def lines(self, most_deep: int | None = None) -> Iterator[str]:
        """Yield a line for each node, down to so many levels below the root."""
        return self.root.lines(most_deep) if len(self) else iter(())

    def as_documents(self) -> Iterator[Document]:
        """Yield each node as plain data, as `SyntaxNode.as_document` does."""
        return (node.as_document() for node in self)

    @cached_property
    def ends(self) -> Sequence[int]:
        """For each node the index behind the last one below it."""
        depths = self.columns.depths
        ends = array("q", bytes(8 * len(depths)))
        open_nodes: list[int] = []
        for index, depth in enumerate(depths):
            while open_nodes and depths[open_nodes[-1]] >= depth:
                ends[open_nodes.pop()] = index
            open_nodes.append(index)
        for index in open_nodes:
            ends[index] = len(depths)
        return ends


@dataclass(frozen=True, eq=True, repr=False)
class SyntaxNode:
    """A node of a syntax tree."""

    tree: SyntaxTree
    index: int

    @property
    def type(self) -> str:
        """The class of Python's `ast`, or the type of tree-sitter's grammar."""
        return self.tree.columns.type_names[self.tree.columns.kinds[self.index]]

    @property
    def field(self) -> str:
        """The field that it fills in its parent; empty where that has no name."""
        return self.tree.columns.field_names[self.tree.columns.fields[self.index]]

    @property
    def values(self) -> Values:
        """What it holds beside its children: scalar fields, or the ``text`` of a leaf."""
        return self.tree.columns.values(self.index)

    @property
    def depth(self) -> int:
        """How many nodes it is below."""
        return self.tree.columns.depths[self.index]

    @property
    def line(self) -> int | None:
        """Its first line, None where it has no place in the text."""
        return self._place(0)

    @property
    def column(self) -> int | None:
        """The column that it begins in."""
        return self._place(1)

    @property
    def end_line(self) -> int | None:
        """Its last line."""
        return self._place(2)

    @property
    def end_column(self) -> int | None:
        """The column behind its end."""
        return self._place(3)

    @property
    def children(self) -> list[SyntaxNode]:
        """The nodes directly below it."""
        found, index, end = [], self.index + 1, self.tree.ends[self.index]
        while index < end:
            found.append(SyntaxNode(self.tree, index))
            index = self.tree.ends[index]
        return found

    def __iter__(self) -> Iterator[SyntaxNode]:
        """The node and all below it, in preorder."""
        return (SyntaxNode(self.tree, i) for i in range(self.index, self.tree.ends[self.index]))

    def __repr__(self) -> str:
        where = f" at {self.line}:{self.column}" if self.line is not None else ""
        return f"<codebatch.SyntaxNode {printable(self.type)}{where}>"

    def __str__(self) -> str:
        return "\n".join(self.lines())

    def lines(self, most_deep: int | None = None) -> Iterator[str]:
        """Yield a line for this node and each below it, down to so many levels."""
        for node in self:
            below = node.depth - self.depth
            if most_deep is None or below <= most_deep:
                yield node.in_words(below)

    def in_words(self, indent: int = 0) -> str:
        """Return its place, field, type and values on one line; long values are cut."""
        place = "" if self.line is None else f"{self.line}:{self.column}"
        step = "  " * min(indent, _DEEPEST_INDENT)
        deeper = f"({indent}) " if indent > _DEEPEST_INDENT else ""
        field = f"{self.field}: " if self.field else ""
        words = (_in_words(name, value) for name, value in self.values.items())
        return f"{place:>8}  {step}{deeper}{field}{' '.join([self.type, *filter(None, words)])}"

    def as_document(self) -> Document:
        """Return it as plain data. A value that JSON has no form for is its literal in Python."""
        values = {name: _plain(value) for name, value in self.values.items()}
        return {
            "depth": self.depth,
            "field": self.field,
            "type": self.type,
            "line": self.line,
            "column": self.column,
            "end_line": self.end_line,
            "end_column": self.end_column,
            "values": values,
        }

    def _place(self, number: int) -> int | None:
        # A column may be 0 behind a place, a line is not.
        places = self.tree.columns.places
        return places[number][self.index] if places[0][self.index] else None


def _in_words(name: str, value: object) -> str:
    if (value is None and name != "value") or (name, value) == ("ctx", "Load"):
        return ""
    plain = _plain(value)
    literal = plain.get("literal") if isinstance(plain, Mapping) else None
    text = str(literal) if literal is not None else json.dumps(plain, ensure_ascii=False)
    short = text if len(text) <= _LONGEST_VALUE else text[: _LONGEST_VALUE - 1] + "…"
    return short if name == "text" else f"{name}={short}"


def _plain(value: object) -> object:
    """Return a value as JSON has it."""
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, bool) or value is None or isinstance(value, str):
        return value
    if isinstance(value, int):
        # Python refuses to write many digits.
        return value if -_MOST_DIGITS < value < _MOST_DIGITS else {"literal": hex(value)}
    if isinstance(value, float) and math.isfinite(value):
        return value
    return {"literal": "..." if value is ... else repr(value)}
