"""Declarations of values: variables, parameters, functions, classes and their members."""

from __future__ import annotations

from codebatch.tasks.languages.ecmascript.outline import FUNCTIONS, key_text
from codebatch.tasks.languages.ecmascript.patterns import pattern_names
from codebatch.tasks.languages.ecmascript.references import assign_to, is_beside_rest
from codebatch.tasks.languages.ecmascript.scopes import BOTH
from codebatch.tasks.languages.ecmascript.walk import Declared, Walk

_FUNCTION_VALUES = frozenset("function_expression generator_function arrow_function".split())
_TYPED_PARAMETERS = frozenset(("required_parameter", "optional_parameter"))


def declarator(walk: Walk, node: int) -> None:
    """One ``name = value`` of ``var``, ``let`` or ``const``."""
    tree = walk.tree
    statement = tree.parents[node]
    target, value = tree.child(node, "name"), tree.child(node, "value")
    if target is None:
        return
    scope = walk.home()
    if tree.types[statement] == "variable_declaration":
        scope = scope.variable_scope
    symbol, own_range = "variable", None
    if value is not None and tree.types[target] == "identifier":
        if tree.types[value] in _FUNCTION_VALUES:
            symbol, own_range = "function", (value, tree.stops[value])
        elif tree.types[value] == "class":
            symbol = "class"
    exported = walk.is_exported(statement)
    for name in pattern_names(tree, target):
        binding = walk.declare(
            name, "variable", node, scope=scope, statement=statement, symbol=symbol
        )
        if own_range is not None:
            binding.self_ranges.append(own_range)
        binding.assigned |= value is not None
        binding.exempt |= exported or is_beside_rest(walk, name)


def for_in(walk: Walk, node: int) -> None:
    """``for (… in …)`` and ``for (… of …)``, which declare or assign what is on the left."""
    tree = walk.tree
    kind, left = tree.child(node, "kind"), tree.child(node, "left")
    outer = walk.home()
    scope = walk.open(node, "loop", loop=True)
    if left is None:
        return
    returns = tree.types[left] == "identifier" and _returns_at_once(walk, node)
    if kind is None:
        assign_to(walk, left, None, reads=returns)
        return
    home = outer.variable_scope if tree.types[kind] == '"var"' else scope
    for name in pattern_names(tree, left):
        binding = walk.declare(name, "variable", left, scope=home, statement=left)
        binding.assigned = True
        binding.used |= returns
        binding.exempt |= is_beside_rest(walk, name)


def _returns_at_once(walk: Walk, loop: int) -> bool:
    """``for (const key in object) return false;`` asks whether there is anything."""
    tree = walk.tree
    body = tree.child(loop, "body")
    if body is not None and tree.types[body] == "statement_block":
        body = next((c for c in tree.children(body) if tree.types[c] != "comment"), None)
    return body is not None and tree.types[body] == "return_statement"


def catch(walk: Walk, node: int) -> None:
    """``catch`` with its parameter."""
    walk.open(node, "catch")
    parameter = walk.tree.child(node, "parameter")
    if parameter is not None:
        for name in pattern_names(walk.tree, parameter):
            walk.declare(name, "catch", parameter, symbol="variable")


def function(walk: Walk, node: int) -> None:
    """A function of any form; the name of an expression is known inside it only."""
    tree = walk.tree
    kind, name = tree.types[node], tree.child(node, "name")
    if kind == "method_definition":
        _method(walk, node)
    elif name is not None and kind.endswith("_declaration"):
        binding = walk.declare(name, "function", node)
        binding.self_ranges.append((node, tree.stops[node]))
        binding.exempt |= walk.is_exported(node)
    elif name is not None:
        walk.open(node, "function-name")
        walk.declare(name, "function-name", node, symbol="")
    walk.open(node, "function", holds_var=True)
    parameters(walk, node, "parameter")


def _method(walk: Walk, node: int) -> None:
    name, definition = walk.tree.child(node, "name"), walk.definitions.get(node)
    if name is not None and definition is not None:
        scope = walk.scope.qualified
        walk.declared.append(Declared(definition.name, "method", scope, name, node))


def parameters(walk: Walk, node: int, kind: str) -> None:
    """The parameters of a function, or of a signature, where they are no symbols."""
    tree = walk.tree
    listed, single = tree.child(node, "parameters"), tree.child(node, "parameter")
    patterns = [] if single is None else [(single, single)]
    for parameter in () if listed is None else tree.children(listed):
        pattern: int | None = parameter
        if tree.types[parameter] in _TYPED_PARAMETERS:
            pattern = tree.child(parameter, "pattern")
        if pattern is not None:
            patterns.append((pattern, parameter))
    symbol = "parameter" if kind == "parameter" else ""
    for pattern, parameter in patterns:
        for name in pattern_names(tree, pattern):
            walk.declare(name, kind, parameter, symbol=symbol)


def class_like(walk: Walk, node: int) -> None:
    """A class; its name is bound once more inside, where uses do not count for the outer one."""
    name = walk.tree.child(node, "name")
    is_expression = walk.tree.types[node] == "class"
    if name is not None and not is_expression:
        binding = walk.declare(name, "class", node)
        binding.exempt |= walk.is_exported(node)
    walk.open(node, "class")
    if name is not None:
        kind = "class-name" if is_expression else "class-self"
        walk.declare(name, kind, node, symbol="").space = BOTH


def field(walk: Walk, node: int) -> None:
    """A class field, which is a symbol and binds nothing."""
    tree = walk.tree
    name, value = tree.child(node, "name"), tree.child(node, "value")
    if name is None:
        name = tree.child(node, "property")
    if name is None or tree.types[name] == "computed_property_name":
        return
    holds_function = value is not None and tree.types[value] in _FUNCTION_VALUES
    symbol = "method" if holds_function else "variable"
    walk.declared.append(Declared(key_text(tree, name), symbol, walk.scope.qualified, name, node))


HANDLERS = {
    "variable_declarator": declarator,
    "for_in_statement": for_in,
    "catch_clause": catch,
    "field_definition": field,
    "public_field_definition": field,
    "class_declaration": class_like,
    "abstract_class_declaration": class_like,
    "class": class_like,
    **dict.fromkeys(FUNCTIONS, function),
}
