"""Errors the grammars let pass, where the check is cheap and exact.

- a closing tag that does not name its element;
- an expression in braces among the attributes of an element that is not a spread, and a value
  in braces that is empty;
- a comma without anything before it in arguments, parameters, objects and object patterns;
- an expression statement that begins with ``function`` or ``class``: a declaration without a name.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from codebatch.tasks.languages.base import SyntaxFault
from codebatch.tasks.languages.ecmascript.grammars import FlatTree

_LONELY_COMMA = re.compile(r"[({,]\s*,")
_NO_HOLES = frozenset("arguments formal_parameters object object_pattern".split())
_NAMELESS = re.compile(r"(?:async[ \t]+)?(?:function|class)(?![\w$])")
_TAGS = frozenset(("jsx_opening_element", "jsx_self_closing_element"))


def early_errors(tree: FlatTree) -> list[SyntaxFault]:
    """All such errors in source order."""
    found = [*_tags(tree), *_attributes(tree), *_commas(tree), *_nameless(tree)]
    return [
        SyntaxFault(tree.line(offset), tree.column(offset), message)
        for offset, message in sorted(found)
    ]


def _tags(tree: FlatTree) -> Iterator[tuple[int, str]]:
    open_names: dict[int, str] = {}
    for node in tree.nodes(("jsx_opening_element", "jsx_closing_element")):
        name = tree.child(node, "name")
        text = "" if name is None else "".join(tree.source(name).split())
        if tree.types[node] == "jsx_opening_element":
            open_names[tree.parents[node]] = text
        elif open_names.get(tree.parents[node], text) != text:
            yield tree.starts[node], f"expected </{open_names[tree.parents[node]]}>"


def _attributes(tree: FlatTree) -> Iterator[tuple[int, str]]:
    for node in tree.nodes(("jsx_expression",)):
        parent = tree.types[tree.parents[node]]
        if parent in _TAGS and not tree.has_token(node, "spread_element"):
            yield tree.starts[node], "unexpected {"
        elif parent == "jsx_attribute" and all(
            tree.types[child] == "comment" for child in tree.children(node)
        ):
            yield tree.starts[node], "an attribute needs a value"


def _commas(tree: FlatTree) -> Iterator[tuple[int, str]]:
    for match in _LONELY_COMMA.finditer(tree.text):
        offset = match.end() - 1
        if tree.types[tree.covering(offset)] in _NO_HOLES:
            yield offset, "unexpected ,"


def _nameless(tree: FlatTree) -> Iterator[tuple[int, str]]:
    for node in tree.nodes(("expression_statement",)):
        if _NAMELESS.match(tree.text, tree.starts[node]):
            yield tree.starts[node], "a declaration needs a name"
