"""What the language has and oxc rejects, as the grammar tells it."""

from __future__ import annotations

import re

from codebatch.tasks.languages.ecmascript.ascii import ascii_of
from codebatch.tasks.languages.ecmascript.grammars import flatten, parse

# Always a name, and subject to all rules for one. In code that is not strict ``let`` is a name in
# more places than oxc knows, which takes it for the start of a declaration.
_ESCAPED_LET = r"l\u0065t"
_NAMES = (
    *("identifier", "statement_identifier"),
    *("shorthand_property_identifier", "shorthand_property_identifier_pattern"),
)
# What follows a ``let`` that declares something, or else is rejected: no word of the language.
_DECLARED = re.compile(
    r"\s*(?:[\[{\\]|(?!(?:break|case|catch|class|const|continue|debugger|default|delete|do|else|enum"
    r"|export|extends|false|finally|for|function|if|import|in|instanceof|new|null|return|super"
    r"|switch|this|throw|true|try|typeof|var|void|while|with)\b)[\w$])"
)
_NEAR = 80
_ASSIGNED_BEFORE = re.compile(r"(?:\+\+|--)\s*\Z")
_ASSIGNED_AFTER = re.compile(r"\s*(?:(?:[-+*/%&|^]|\*\*|<<|>>>?)?=(?!=)|\+\+|--|(?:of|in)\b)")


def with_let_as_name(text: str) -> str:
    """Return JavaScript with each ``let`` escaped that is a name."""
    tree = flatten(parse("javascript", ascii_of(text)), "javascript", text)
    parts, position = [], 0
    for node in tree.nodes(_NAMES):
        if tree.source(node) == "let" and not _DECLARED.match(text, tree.ends[node]):
            parts += [text[position : tree.starts[node]], _ESCAPED_LET]
            position = tree.ends[node]
    return "".join([*parts, text[position:]])


def assigns_to_call(text: str, start: int, end: int) -> bool:
    """Return true where what is assigned to is a call: engines reject that when it is done."""
    assigned = _ASSIGNED_BEFORE.search(
        text[max(0, start - _NEAR) : start]
    ) or _ASSIGNED_AFTER.match(text, end)
    return assigned is not None and _is_call(text[start:end])


def _is_call(text: str) -> bool:
    tree = flatten(parse("javascript", ascii_of(text)), "javascript", text)
    outer = [tree.types[node] for node in range(min(3, len(tree)))]
    is_one = outer == ["program", "expression_statement", "call_expression"]
    function = tree.child(2, "function") if is_one else None
    return (
        function is not None
        and tree.stops[2] == len(tree)
        and tree.types[function] not in ("import", "super")
        and "optional_chain" not in tree.types
        and "ERROR" not in tree.types
    )
