"""The tree-sitter grammars, what of their trees is kept, and the one flat walk over a tree.

A ``FlatTree`` is the preorder table of the nodes that carry meaning; every analysis of this
package works on it, so that a tree-sitter node is touched once. Named nodes are kept, and of the
anonymous tokens those that say something their parent does not (operators, ``async``,
``static``, ``const`` …); punctuation and keywords that the type of the parent implies are
dropped. Type names of anonymous tokens are written in quotes (``'"async"'``), as tree-sitter
queries write them, because ``string`` or ``number`` is also the name of a named node.

Languages and parsers live as long as the process or the thread: releasing objects of tree-sitter
while others are in use has crashed in past versions, and a parser belongs to one thread.
"""

from __future__ import annotations

import threading
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from itertools import chain

import tree_sitter
import tree_sitter_javascript
import tree_sitter_typescript

from codebatch.tasks.languages.ecmascript.places import line_starts

GRAMMARS = {
    "javascript": tree_sitter_javascript.language,
    "jsx": tree_sitter_javascript.language,
    "typescript": tree_sitter_typescript.language_typescript,
    "tsx": tree_sitter_typescript.language_tsx,
}

# Nodes whose inner structure, if any, is only spelling (names like ``get`` or ``type`` hold the
# keyword once more); the text says it all.
ATOMS = frozenset(
    "string regex number comment html_comment hash_bang_line predefined_type "
    "accessibility_modifier override_modifier meta_property identifier property_identifier "
    "private_property_identifier shorthand_property_identifier type_identifier "
    "shorthand_property_identifier_pattern statement_identifier".split()
)

_PUNCTUATION = frozenset(
    "( ) { } [ ] , ; : . ' \" ` ${ => </ /> // {| |} ... @ # "
    "if else for while do switch case try catch finally return throw break continue with new "
    "class function import export from interface enum debugger".split()
)
# Brackets of types and elements, but also operators: kept where the grammar names them a field.
_ONLY_AS_FIELD = frozenset("< > = /".split())

NO_PARENT = -1
ERROR_KIND = 65535


@dataclass(frozen=True)
class Grammar:
    """One grammar with the tables of its type and field names by numeric id."""

    language: tree_sitter.Language
    types: dict[int, str]
    fields: dict[int | None, str]
    only_as_field: frozenset[int]
    atoms: frozenset[int]


@dataclass(frozen=True)
class FlatTree:
    """The kept nodes of one tree in preorder, as columns of equal length.

    ``starts`` and ``ends`` are offsets in code points of ``text``; ``stops[i]`` is the index
    after the last descendant of node ``i``; the field of a node is ``""`` where it has none.
    """

    text: str
    types: list[str]
    fields: list[str]
    parents: list[int]
    starts: list[int]
    ends: list[int]
    stops: list[int]

    def __len__(self) -> int:
        return len(self.types)

    def children(self, node: int) -> Iterator[int]:
        """Kept children of a node in source order."""
        stops = self.stops
        child, stop = node + 1, stops[node]
        while child < stop:
            yield child
            child = stops[child]

    def child(self, node: int, field: str) -> int | None:
        """The first child in a field."""
        fields, stops = self.fields, self.stops
        child, stop = node + 1, stops[node]
        while child < stop:
            if fields[child] == field:
                return child
            child = stops[child]
        return None

    def child_of_type(self, node: int, *types: str) -> int | None:
        """The first child of one of the given types."""
        for child in self.children(node):
            if self.types[child] in types:
                return child
        return None

    def source(self, node: int) -> str:
        """The text of a node as written."""
        return self.text[self.starts[node] : self.ends[node]]

    def line(self, offset: int) -> int:
        """1-based line of an offset."""
        return bisect_right(self.line_starts, offset)

    def column(self, offset: int) -> int:
        """1-based column of an offset in code points."""
        return offset - self.line_starts[self.line(offset) - 1] + 1

    def covering(self, offset: int) -> int:
        """The innermost kept node around an offset, at least the root."""
        node = bisect_right(self.starts, offset) - 1
        while node > 0 and self.ends[node] <= offset:
            node = self.parents[node]
        return max(node, 0)

    def nodes(self, kinds: Iterable[str]) -> list[int]:
        """All nodes of some types in source order."""
        by_type = self._by_type
        found = [by_type[kind] for kind in kinds if kind in by_type]
        return sorted(chain.from_iterable(found))

    @cached_property
    def _by_type(self) -> dict[str, list[int]]:
        by_type: dict[str, list[int]] = {kind: [] for kind in set(self.types)}
        for node, kind in enumerate(self.types):
            by_type[kind].append(node)
        return by_type

    @cached_property
    def line_starts(self) -> list[int]:
        """Offsets at which lines start."""
        return line_starts(self.text)


@cache
def grammar(language: str) -> Grammar:
    """The grammar of a language; kept for ever."""
    core = tree_sitter.Language(GRAMMARS[language]())
    types = {ERROR_KIND: "ERROR"}
    only_as_field, atoms = set(), set()
    for kind in range(core.node_kind_count):
        name = core.node_kind_for_id(kind)
        if name is None or not core.node_kind_is_visible(kind):
            continue
        if core.node_kind_is_named(kind):
            types[kind] = name
            if name in ATOMS:
                atoms.add(kind)
        elif name not in _PUNCTUATION:
            types[kind] = f'"{name}"'
            atoms.add(kind)
            if name in _ONLY_AS_FIELD:
                only_as_field.add(kind)
    fields: dict[int | None, str] = {
        number: core.field_name_for_id(number) or "" for number in range(1, core.field_count + 1)
    }
    fields[None] = ""
    return Grammar(core, types, fields, frozenset(only_as_field), frozenset(atoms))


_PARSERS = threading.local()


def parse(language: str, text: str) -> tree_sitter.Tree:
    """Parse text; where it is ASCII, byte offsets are code point offsets."""
    parsers: dict[str, tree_sitter.Parser] = _PARSERS.__dict__
    if language not in parsers:
        parsers[language] = tree_sitter.Parser(grammar(language).language)
    return parsers[language].parse(text.encode())


def flatten(tree: tree_sitter.Tree, language: str, text: str) -> FlatTree:
    """The flat table of a tree over ``text``, which is as long as the text that was parsed."""
    known = grammar(language)
    type_of, only_as_field, atoms = known.types.get, known.only_as_field, known.atoms
    types: list[str] = []
    fields: list[int | None] = []
    parents: list[int] = []
    starts: list[int] = []
    ends: list[int] = []
    stops: list[int] = []
    cursor = tree.walk()
    descend, advance, ascend = (
        cursor.goto_first_child,
        cursor.goto_next_sibling,
        cursor.goto_parent,
    )
    parent = NO_PARENT
    while (node := cursor.node) is not None:
        kind = node.kind_id
        name = type_of(kind)
        if name is not None:
            field = cursor.field_id
            if field is not None or kind not in only_as_field:
                index = len(types)
                types.append(name)
                fields.append(field)
                parents.append(parent)
                starts.append(node.start_byte)
                ends.append(node.end_byte)
                stops.append(index + 1)
                if kind not in atoms and descend():
                    parent = index
                    continue
        while not advance():
            if not ascend():
                names = list(map(known.fields.__getitem__, fields))
                return FlatTree(text, types, names, parents, starts, ends, stops)
            stops[parent] = len(types)
            parent = parents[parent]
    raise RuntimeError("a cursor always stands on a node")
