"""A syntax tree as bytes: format ``tree-sitter-flat/2+msgpack``.

``SPEC.md`` describes the document. The nodes are those a ``FlatTree`` keeps. Text is kept for
leaves that are names or literals; a node that gives a symbol or an edge its name without being one
has this name as its text (``symbols.written``, ``edges.written_bases``). Equal text and language
give equal bytes.

Symbols and edges follow from these bytes: they look at types, fields, parents, positions, line
starts and the texts kept here, never at the space, the comments or the tokens in between.
"""

from __future__ import annotations

from itertools import chain, count
from operator import sub

import msgpack

from codebatch.tasks.languages.base import EncodedTree, Numbers
from codebatch.tasks.languages.ecmascript.edges import written_bases
from codebatch.tasks.languages.ecmascript.grammars import FlatTree
from codebatch.tasks.languages.ecmascript.symbols import written

FORMAT = "tree-sitter-flat/2+msgpack"

WITH_TEXT = frozenset(
    "identifier property_identifier private_property_identifier shorthand_property_identifier "
    "shorthand_property_identifier_pattern type_identifier statement_identifier predefined_type "
    "string number regex string_fragment escape_sequence jsx_text html_character_reference "
    "accessibility_modifier meta_property".split()
)


def encode(tree: FlatTree, grammar: str) -> EncodedTree:
    """The tree in the format this module describes."""
    types, fields, strings = Numbers[str](), Numbers[str](), Numbers[str]()
    fields[""] = strings[""] = 0
    text, starts, ends, lines = tree.text, tree.starts, tree.ends, tree.line_starts
    texts = [
        strings[text[start:end]] if kind in WITH_TEXT else 0
        for kind, start, end in zip(tree.types, starts, ends, strict=True)
    ]
    for node, name in chain(written(tree), written_bases(tree)):
        texts[node] = texts[node] or strings[name]
    columns = {
        "ends": list(map(sub, ends, starts)),
        "fields": list(map(fields.__getitem__, tree.fields)),
        "grammar": grammar,
        "lines": list(map(sub, lines, [0, *lines])),
        "parents": [0, *map(sub, count(1), tree.parents[1:])],
        "starts": list(map(sub, starts, [0, *starts])),
        "texts": texts,
        "types": list(map(types.__getitem__, tree.types)),
    }
    columns["field_names"] = list(fields)
    columns["strings"] = list(strings)
    columns["type_names"] = list(types)
    data = msgpack.packb(dict(sorted(columns.items())), unicode_errors="surrogatepass")
    return EncodedTree(FORMAT, data, len(tree))
