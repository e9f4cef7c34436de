"""Digests of a JavaScript or TypeScript file and of its functions that positions do not enter.

Equal are those whose nodes, as a flat tree keeps them, are of equal types and fields in equal
order, with equal names and literals: white space, comments, semicolons and trailing commas do not
count. Where the grammar gives up on a place, its text counts.
"""

from __future__ import annotations

from codebatch.tasks.languages.base import Shape
from codebatch.tasks.languages.ecmascript.encode import WITH_TEXT
from codebatch.tasks.languages.ecmascript.grammars import FlatTree
from codebatch.tasks.languages.ecmascript.metrics import COMMENTS
from codebatch.tasks.languages.ecmascript.outline import FUNCTIONS, Definition
from codebatch.tasks.languages.spans import span_digests

_LAYOUT = "jsx_text"  # where it is white space alone
_FOLDED = frozenset((_LAYOUT, "ERROR"))
_WITH_TEXT = WITH_TEXT | _FOLDED


def find_shapes(tree: FlatTree, definitions: list[Definition]) -> list[Shape]:
    """Return the shape of a file, and of each function in source order."""
    functions = [d for d in definitions if tree.types[d.node] in FUNCTIONS]
    spans = [(0, len(tree)), *((d.node, tree.stops[d.node]) for d in functions)]
    whole, *digests = span_digests(_texts(tree), spans)
    return [
        Shape(None, 1, tree.line(max(len(tree.text) - 1, 0)), whole),
        *(
            _shape(tree, definition, digest)
            for definition, digest in zip(functions, digests, strict=True)
        ),
    ]


def _shape(tree: FlatTree, definition: Definition, digest: str) -> Shape:
    start, end = tree.starts[definition.node], tree.ends[definition.node]
    return Shape(definition.qualified, tree.line(start), tree.line(max(end - 1, 0)), digest)


def _texts(tree: FlatTree) -> list[str]:
    """Return the text of each node, which is empty for those that do not count."""
    counts = [
        kind not in COMMENTS and not (kind == _LAYOUT and tree.source(node).isspace())
        for node, kind in enumerate(tree.types)
    ]
    children = [0] * len(tree)
    for node in range(1, len(tree)):
        children[tree.parents[node]] += counts[node]
    return [
        f"{kind} {tree.fields[node]} {children[node]} {_written(tree, node)!r}" * counts[node]
        for node, kind in enumerate(tree.types)
    ]


def _written(tree: FlatTree, node: int) -> str:
    kind = tree.types[node]
    if kind not in _WITH_TEXT:
        return ""
    text = tree.source(node)
    return " ".join(text.split()) if kind in _FOLDED else text
