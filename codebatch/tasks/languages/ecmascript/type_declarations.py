"""Declarations of TypeScript: types, enums, namespaces, signatures and the scopes they open."""

from __future__ import annotations

from codebatch.tasks.languages.ecmascript.declarations import parameters
from codebatch.tasks.languages.ecmascript.outline import NAMESPACES, key_text
from codebatch.tasks.languages.ecmascript.walk import Declared, Walk

# Their parameters are names that nothing can use or shadow.
_SIGNATURES = frozenset(
    "function_signature method_signature abstract_method_signature call_signature "
    "construct_signature function_type constructor_type".split()
)
_NAMED_TYPES = {"type_alias_declaration": "type", "interface_declaration": "interface"}


def signature(walk: Walk, node: int) -> None:
    """A function without a body: an overload, an ambient function, a member or a type."""
    tree = walk.tree
    name, kind = tree.child(node, "name"), tree.types[node]
    if name is not None and kind == "function_signature":
        binding = walk.declare(name, "function", node)
        binding.exempt |= walk.is_exported(node)
    elif name is not None and tree.types[tree.parents[node]] == "class_body":
        scope = walk.scope.qualified
        walk.declared.append(Declared(key_text(tree, name), "method", scope, name, node))
    walk.open(node, "signature", holds_var=True)
    parameters(walk, node, "signature")


def named_type(walk: Walk, node: int) -> None:
    """A type alias or an interface."""
    name = walk.tree.child(node, "name")
    if name is not None:
        _declare_named(walk, name, _NAMED_TYPES[walk.tree.types[node]], node)
    walk.open(node, "type")


def enum(walk: Walk, node: int) -> None:
    """An enum, whose members are names inside it."""
    tree = walk.tree
    name, body = tree.child(node, "name"), tree.child(node, "body")
    if name is not None:
        _declare_named(walk, name, "enum", node)
    walk.open(node, "enum")
    for member in () if body is None else tree.children(body):
        label = tree.child(member, "name")
        label = member if label is None else label
        if tree.types[label] == "property_identifier":
            walk.declare(label, "member", member, symbol="")


def namespace(walk: Walk, node: int) -> None:
    """A namespace or module; of a dotted name the first part is bound."""
    tree = walk.tree
    name = tree.child(node, "name")
    while name is not None and tree.types[name] == "nested_identifier":
        name += 1
    if name is not None and tree.types[name] == "identifier":
        _declare_named(walk, name, "namespace", node)
    walk.open(node, "namespace", holds_var=True)


def _declare_named(walk: Walk, name: int, kind: str, node: int) -> None:
    binding = walk.declare(name, kind, node)
    binding.self_ranges.append((node, walk.tree.stops[node]))
    binding.exempt |= walk.is_exported(node)


def scope_of_types(walk: Walk, node: int) -> None:
    """A conditional type or a mapped one, which may bind type parameters."""
    name = walk.tree.child(node, "name")
    if name is not None:
        walk.spoken_for.add(name)
    walk.open(node, "type")


def type_parameter(walk: Walk, node: int) -> None:
    """A type parameter of a declaration or of a mapped type."""
    name = walk.tree.child(node, "name")
    if name is not None:
        walk.declare(name, "type-parameter", node, symbol="")


def infer(walk: Walk, node: int) -> None:
    """``infer T``: bound in the conditional type around it."""
    name = walk.tree.child_of_type(node, "type_identifier")
    scope = walk.scope
    while scope.kind != "type" and scope.parent is not None:
        scope = scope.parent
    if name is not None:
        walk.declare(name, "type-parameter", node, scope=scope, symbol="")


def ambient(walk: Walk, node: int) -> None:
    """``declare``: a region whose declarations exist elsewhere."""
    walk.open(node, "ambient").ambient = True


HANDLERS = {
    "type_alias_declaration": named_type,
    "interface_declaration": named_type,
    "enum_declaration": enum,
    "conditional_type": scope_of_types,
    "index_signature": scope_of_types,
    "type_parameter": type_parameter,
    "mapped_type_clause": type_parameter,
    "infer_type": infer,
    "ambient_declaration": ambient,
    **dict.fromkeys(NAMESPACES, namespace),
    **dict.fromkeys(_SIGNATURES, signature),
}
