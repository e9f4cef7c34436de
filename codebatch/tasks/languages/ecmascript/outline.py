"""What a file defines that can enclose other definitions, with qualified names.

Functions of every form, classes, interfaces, enums and namespaces. A function without a name of
its own takes that of the variable, property, field or parameter it is the value of, an exported
one ``default``, any other is ``<anonymous>``; a class static block is a function ``<static>``.
A qualified name joins the names of what encloses a definition with dots. Where that would be
longer than ``LONGEST_QUALIFIER`` the qualifier is ``…``, so that names stay short and the work
linear however deep code nests.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from codebatch.tasks.languages.base import MODULE_SCOPE
from codebatch.tasks.languages.ecmascript.grammars import NO_PARENT, FlatTree

ANONYMOUS = "<anonymous>"
STATIC_BLOCK = "<static>"
LONGEST_QUALIFIER = 200

FUNCTIONS = frozenset(
    "function_declaration generator_function_declaration function_expression generator_function "
    "arrow_function method_definition class_static_block".split()
)
CLASSES = frozenset("class_declaration class abstract_class_declaration".split())
NAMESPACES = frozenset("internal_module module".split())
FIELDS = frozenset("field_definition public_field_definition".split())
_NAMED = CLASSES | NAMESPACES | {"interface_declaration", "enum_declaration"}
_DEFINITIONS = FUNCTIONS | _NAMED
# What may stand between a function and the place that names it.
_WRAPPERS = frozenset(
    "parenthesized_expression as_expression satisfies_expression non_null_expression".split()
)
_DOTTED = re.compile(r"[\w$#]+(?:\.[\w$#]+)*")


class Definition(NamedTuple):
    """A definition: its node, its own and its qualified name, what encloses it."""

    node: int
    name: str
    qualified: str
    scope: str


def outline(tree: FlatTree) -> list[Definition]:
    """All definitions in source order."""
    found: list[Definition] = []
    enclosing: list[tuple[int, str]] = []
    for node in tree.nodes(_DEFINITIONS):
        while enclosing and enclosing[-1][0] <= node:
            enclosing.pop()
        name = _name(tree, node)
        scope = enclosing[-1][1] if enclosing else MODULE_SCOPE
        qualified = qualify(scope, name)
        found.append(Definition(node, name, qualified, scope))
        enclosing.append((tree.stops[node], qualified))
    return found


def qualify(scope: str, name: str) -> str:
    """The qualified name of something named ``name`` directly in ``scope``."""
    if scope == MODULE_SCOPE:
        return name
    return f"{scope}.{name}" if len(scope) <= LONGEST_QUALIFIER else f"….{name}"


def _name(tree: FlatTree, node: int) -> str:
    if tree.types[node] == "class_static_block":
        return STATIC_BLOCK
    own = tree.child(node, "name")
    return key_text(tree, own) if own is not None else _bound_name(tree, node)


def _bound_name(tree: FlatTree, node: int) -> str:
    """The name a function or class expression is bound to."""
    types, parents = tree.types, tree.parents
    parent = parents[node]
    while parent != NO_PARENT and types[parent] in _WRAPPERS:
        node, parent = parent, parents[parent]
    kind, field = types[parent], tree.fields[node]
    target: int | None = None
    if kind == "export_statement":
        return "default"
    if kind in ("variable_declarator", "required_parameter", "optional_parameter"):
        target = tree.child(parent, "name") or tree.child(parent, "pattern")
    elif kind == "pair":
        target = tree.child(parent, "key")
    elif kind in FIELDS:
        target = tree.child(parent, "name") or tree.child(parent, "property")
    elif field == "right" and kind in ("assignment_expression", "assignment_pattern"):
        target = tree.child(parent, "left")
    return key_text(tree, target) if target is not None and target != node else ANONYMOUS


def key_text(tree: FlatTree, node: int) -> str:
    """A name or property key as text: dotted names as they are, string keys without quotes."""
    text = tree.source(node)
    if tree.types[node] == "string":
        return text[1:-1]
    if tree.types[node] == "computed_property_name":
        return text if len(text) <= 80 and "\n" not in text else "[…]"
    return text if len(text) <= 120 and _DOTTED.fullmatch(text) else ANONYMOUS
