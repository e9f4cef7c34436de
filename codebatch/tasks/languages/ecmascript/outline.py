"""What a file defines that can enclose other definitions: the one place that names functions.

Functions of every form, classes, interfaces, enums and namespaces. A function or class expression
takes the name of the variable, property, field or parameter it is the value of; where there is
none, or where it is all that a module exports, its own; an exported one without either is
``default`` or ``module.exports``, any other ``<anonymous>``. A class static block is a function
``<static>``.

Of ``a.b.c = function () {}`` the name is ``c`` and the owner ``a.b``, which stands in the
qualified name as a scope would; ``…`` is an owner, or a part of one, that has no dotted name.

A qualified name joins the names of what encloses a definition with dots. Where that would be
longer than ``LONGEST_QUALIFIER`` the qualifier is ``…``, so that names stay short and the work
linear however deep code nests.
"""

from __future__ import annotations

from typing import NamedTuple

from codebatch.tasks.languages.base import MODULE_SCOPE
from codebatch.tasks.languages.ecmascript.grammars import NO_PARENT, FlatTree

ANONYMOUS = "<anonymous>"
STATIC_BLOCK = "<static>"
LONGEST_QUALIFIER = 200
_LONGEST_NAME = 120
_LONGEST_COMPUTED = 80
_ELIDED = "…"
_DEFAULT = "default"

FUNCTIONS = frozenset(
    "function_declaration generator_function_declaration function_expression generator_function "
    "arrow_function method_definition class_static_block".split()
)
CLASSES = frozenset("class_declaration class abstract_class_declaration".split())
NAMESPACES = frozenset("internal_module module".split())
FIELDS = frozenset("field_definition public_field_definition".split())
_DEFINITIONS = FUNCTIONS | CLASSES | NAMESPACES | {"interface_declaration", "enum_declaration"}
_EXPRESSIONS = frozenset("function_expression generator_function arrow_function class".split())
_EXPORTS = frozenset(("exports", "module.exports"))
_ALL_A_MODULE_EXPORTS = _EXPORTS | {_DEFAULT}

# What may stand between a function and the place that names it.
_WRAPPERS = frozenset(
    "parenthesized_expression as_expression satisfies_expression non_null_expression".split()
)
# Where an expression may be the value of what is in the other field.
_PROPERTIES = {"pair": "key", "field_definition": "property", "public_field_definition": "name"}
_DEFAULTS = {
    "required_parameter": "pattern",
    "optional_parameter": "pattern",
    "assignment_pattern": "left",
    "object_assignment_pattern": "left",
}
_ASSIGNMENTS = frozenset(("assignment_expression", "augmented_assignment_expression"))
_MEMBERS = frozenset("member_expression subscript_expression nested_identifier".split())
_PLAIN = frozenset(
    "identifier shorthand_property_identifier_pattern property_identifier "
    "private_property_identifier string meta_property".split()
)


class _Naming(NamedTuple):
    """A name. ``place``: the node that gives it, None for a name that is another symbol's."""

    name: str
    place: int | None = None
    owner: str = ""
    is_member: bool = False


class Definition(NamedTuple):
    """A definition: its node, its own and its qualified name, and what it is in, be it a scope or
    the object that owns it. ``place`` is the node that names it, None where nothing does or where
    the name is that of a parameter; ``is_member``: it is a method or the value of a property.
    """

    node: int
    name: str
    qualified: str
    scope: str
    place: int | None
    is_member: bool


def outline(tree: FlatTree) -> list[Definition]:
    """Return all definitions in source order."""
    found: list[Definition] = []
    enclosing: list[tuple[int, str]] = []
    for node in tree.nodes(_DEFINITIONS):
        while enclosing and enclosing[-1][0] <= node:
            enclosing.pop()
        outer = enclosing[-1][1] if enclosing else MODULE_SCOPE
        name, place, owner, is_member = _naming(tree, node)
        scope = qualify(outer, owner) if owner else outer
        qualified = qualify(outer, f"{owner}.{_short(name)}" if owner else _short(name))
        found.append(Definition(node, name, qualified, scope, place, is_member))
        enclosing.append((tree.stops[node], qualified))
    return found


def qualify(scope: str, name: str) -> str:
    """Return the qualified name of something named ``name`` directly in ``scope``."""
    if scope == MODULE_SCOPE:
        return name
    return f"{scope}.{name}" if len(scope) <= LONGEST_QUALIFIER else f"{_ELIDED}.{name}"


def _short(name: str) -> str:
    return name if len(name) <= _LONGEST_NAME else _ELIDED


def _naming(tree: FlatTree, node: int) -> _Naming:
    kind = tree.types[node]
    if kind == "class_static_block":
        return _Naming(STATIC_BLOCK)
    own = tree.child(node, "name")
    bound = _bound(tree, node) if kind in _EXPRESSIONS or own is None else None
    if own is None:
        return bound or _Naming(ANONYMOUS)
    if bound is not None and (bound.name not in _ALL_A_MODULE_EXPORTS or bound.is_member):
        return bound
    dotted = tree.types[own] == "nested_identifier"
    name = ".".join(_parts(tree, own)) if dotted else key_text(tree, own)
    return _Naming(name, own, is_member=kind == "method_definition")


def _bound(tree: FlatTree, node: int) -> _Naming | None:
    """Return the name that an expression is given from outside, None where it is given none."""
    types, parents = tree.types, tree.parents
    parent = parents[node]
    while parent != NO_PARENT and types[parent] in _WRAPPERS:
        node, parent = parent, parents[parent]
    kind, field = types[parent], tree.fields[node]
    if kind == "export_statement":
        return _Naming(_DEFAULT)
    if kind == "variable_declarator" and field == "value":
        return _plain(tree, tree.child(parent, "name"))
    if kind in _DEFAULTS and field in ("value", "right"):
        named = _plain(tree, tree.child(parent, _DEFAULTS[kind]))
        return named and named._replace(place=None)
    if kind in _PROPERTIES and field == "value":
        key = tree.child(parent, _PROPERTIES[kind])
        return None if key is None else _Naming(key_text(tree, key), key, is_member=True)
    if kind in _ASSIGNMENTS and field == "right":
        return _assigned(tree, tree.child(parent, "left"))
    return None


def _plain(tree: FlatTree, target: int | None) -> _Naming | None:
    if target is None or tree.types[target] not in _PLAIN:
        return None
    return _Naming(tree.source(target), target)


def _assigned(tree: FlatTree, target: int | None) -> _Naming | None:
    """Return the name of what is assigned to: a variable, or a property of an owner."""
    if target is None or tree.types[target] not in _MEMBERS:
        return _plain(tree, target)
    key = _key(tree, target)
    if key is None:
        return None
    *owners, name = _parts(tree, target)
    owner = ".".join(owners)
    if f"{owner}.{name}" in _EXPORTS:
        return _Naming(f"{owner}.{name}", key)
    return _Naming(name, key, _short(owner), is_member=owner not in _EXPORTS)


def _parts(tree: FlatTree, node: int) -> list[str]:
    """Return the parts of a dotted name, the first ``…`` where something else precedes them."""
    types, parts = tree.types, list[str]()
    while types[node] in _MEMBERS or types[node] in _WRAPPERS:
        if types[node] in _MEMBERS:
            key = _key(tree, node)
            if key is None:
                break
            parts.append(key_text(tree, key))
        node += 1
    if types[node] in ("this", "super"):
        parts.append(types[node])
    else:
        parts.append(tree.source(node) if types[node] in _PLAIN else _ELIDED)
    return parts[::-1]


def _key(tree: FlatTree, member: int) -> int | None:
    """Return the node that names a member; an index does if it is a string."""
    key = tree.child(member, "property")
    if key is None:
        key = tree.child(member, "index")
    return key if key is not None and tree.types[key] in _PLAIN - {"identifier"} else None


def key_text(tree: FlatTree, node: int) -> str:
    """Return a name or property key as text: string keys without quotes."""
    text = tree.source(node)
    if tree.types[node] == "string":
        return text[1:-1]
    if tree.types[node] == "computed_property_name":
        return text if len(text) <= _LONGEST_COMPUTED and "\n" not in text else f"[{_ELIDED}]"
    return text
