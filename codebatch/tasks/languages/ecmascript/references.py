"""Blocks, uses of names, and assignments, which are uses that may not read."""

from __future__ import annotations

from codebatch.tasks.languages.ecmascript.grammars import NO_PARENT
from codebatch.tasks.languages.ecmascript.outline import FUNCTIONS, NAMESPACES
from codebatch.tasks.languages.ecmascript.patterns import pattern_names
from codebatch.tasks.languages.ecmascript.scopes import BOTH, TYPE
from codebatch.tasks.languages.ecmascript.walk import Walk

_LOGICAL_UPDATES = frozenset(('"&&="', '"||="', '"??="'))
_SHARE_A_SCOPE = FUNCTIONS | NAMESPACES


def block(walk: Walk, node: int) -> None:
    """A block; the body of a function or namespace is part of its scope."""
    if walk.tree.types[walk.tree.parents[node]] not in _SHARE_A_SCOPE:
        walk.open(node, "block")


def plain_block(walk: Walk, node: int) -> None:
    """The cases of a ``switch``."""
    walk.open(node, "block")


def loop(walk: Walk, node: int) -> None:
    """A loop, which holds what its head declares."""
    walk.open(node, "loop", loop=True)


def with_statement(walk: Walk, node: int) -> None:
    """``with``: any name inside may be a property."""
    walk.open(node, "block").dynamic = True


def identifier(walk: Walk, node: int) -> None:
    """A name nobody has spoken for."""
    if node not in walk.spoken_for:
        walk.refer(node)


def type_identifier(walk: Walk, node: int) -> None:
    """A name of a type nobody has spoken for."""
    if node not in walk.spoken_for:
        walk.refer(node, TYPE)


def nested_type(walk: Walk, node: int) -> None:
    """``A.B.C`` as a type: only the first name is looked up."""
    tree = walk.tree
    name = tree.child(node, "name")
    if name is not None:
        walk.spoken_for.add(name)
    first = node + 1
    while tree.types[first] == "nested_identifier":
        first += 1
    if tree.types[first] == "identifier" and first not in walk.spoken_for:
        walk.spoken_for.add(first)
        walk.refer(first, BOTH)


def call(walk: Walk, node: int) -> None:
    """A call, of interest where it is a direct ``eval``."""
    callee = node + 1
    if walk.tree.types[callee] == "identifier" and walk.tree.source(callee) == "eval":
        walk.scope.dynamic = True


def element(walk: Walk, node: int) -> None:
    """An element: one in lower case is a name of the markup."""
    walk.elements = True
    name = walk.tree.child(node, "name")
    if name is not None and walk.tree.types[name] == "identifier":
        initial = walk.tree.source(name)[:1]
        if initial != initial.upper():
            walk.spoken_for.add(name)


def no_names(walk: Walk, node: int) -> None:
    """No identifier below a node, or the node itself, is a name to look up."""
    types = walk.tree.types
    walk.spoken_for.update(
        inner for inner in range(node, walk.tree.stops[node]) if types[inner] == "identifier"
    )


def assignment(walk: Walk, node: int) -> None:
    """``target = value``."""
    tree = walk.tree
    left, right = tree.child(node, "left"), tree.child(node, "right")
    if left is None:
        return
    stored = None
    if right is not None and tree.types[left] == "identifier" and _is_statement(walk, node):
        stored = (right, tree.stops[right])
    assign_to(walk, left, stored)


def assign_to(
    walk: Walk, target: int, stored: tuple[int, int] | None, *, reads: bool = False
) -> None:
    """References to all names of a target, which is a name or a pattern."""
    for name in pattern_names(walk.tree, target):
        walk.spoken_for.add(name)
        read = reads or is_beside_rest(walk, name)
        walk.refer(name, reads=read, writes=True, stored=stored)


def augmented(walk: Walk, node: int) -> None:
    """``name += value`` reads, but as a statement only for itself."""
    tree = walk.tree
    left, right = tree.child(node, "left"), tree.child(node, "right")
    operator = tree.child(node, "operator")
    if left is None or tree.types[left] != "identifier":
        return
    walk.spoken_for.add(left)
    alone = _is_statement(walk, node)
    updates = operator is None or tree.types[operator] not in _LOGICAL_UPDATES
    stored = (right, tree.stops[right]) if alone and right is not None else None
    walk.refer(left, writes=True, idle=alone and updates, stored=stored)


def update(walk: Walk, node: int) -> None:
    """``name++``."""
    argument = walk.tree.child(node, "argument")
    if argument is not None and walk.tree.types[argument] == "identifier":
        walk.spoken_for.add(argument)
        walk.refer(argument, writes=True, idle=_is_statement(walk, node))


def _is_statement(walk: Walk, node: int) -> bool:
    """Whether the value of an expression goes nowhere."""
    types, parents, stops = walk.tree.types, walk.tree.parents, walk.tree.stops
    parent = parents[node]
    while types[parent] in ("sequence_expression", "parenthesized_expression"):
        if types[parent] == "sequence_expression" and stops[node] != stops[parent]:
            return True
        node, parent = parent, parents[parent]
    return parent != NO_PARENT and types[parent] == "expression_statement"


def is_beside_rest(walk: Walk, name: int) -> bool:
    """Whether a name is taken out of an object to leave it out of a ``...rest``."""
    tree = walk.tree
    holder = tree.parents[name]
    if tree.types[holder] == "pair_pattern":
        holder = tree.parents[holder]
    if tree.types[holder] != "object_pattern":
        return False
    if holder not in walk.with_rest:
        walk.with_rest[holder] = tree.has_token(holder, "rest_pattern")
    return walk.with_rest[holder]


HANDLERS = {
    "identifier": identifier,
    "shorthand_property_identifier": identifier,
    "shorthand_property_identifier_pattern": identifier,
    "type_identifier": type_identifier,
    "nested_type_identifier": nested_type,
    "statement_block": block,
    "switch_body": plain_block,
    "while_statement": loop,
    "do_statement": loop,
    "for_statement": loop,
    "with_statement": with_statement,
    "call_expression": call,
    "assignment_expression": assignment,
    "augmented_assignment_expression": augmented,
    "update_expression": update,
    "jsx_opening_element": element,
    "jsx_self_closing_element": element,
    "jsx_closing_element": no_names,
    "jsx_namespace_name": no_names,
}
