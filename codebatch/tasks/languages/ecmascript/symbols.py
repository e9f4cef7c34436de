"""The names a file defines.

Every function and class that has a name is a symbol under it (see ``outline``), whether it is
declared, the value of a variable, of a property, of a field of a class, or an expression that
names itself; where an expression has another name inside than outside, it is a symbol under both.
Functions are methods where they are members of a class or properties, those of ``exports``
excepted. A namespace of several parts is one symbol. Signatures without a body (overloads,
``declare function``, abstract methods) define as much as those with one, and have parameters. All
that is bound otherwise is a variable, also a class field that is no function; names of parameters
in types, type parameters, enum members and other properties are no symbols.

An ``export`` of a declaration gives both the declaration and, right after it, the export.
``export =`` exports the name ``export=``. Exports of everything (``export * from``) have no name
and are an edge only; ``module.exports`` is an expression, no export.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import NamedTuple

from codebatch.tasks.languages.base import MODULE_SCOPE, Symbol
from codebatch.tasks.languages.ecmascript.edges import names_of
from codebatch.tasks.languages.ecmascript.grammars import FlatTree
from codebatch.tasks.languages.ecmascript.outline import (
    CLASSES,
    FIELDS,
    FUNCTIONS,
    NAMESPACES,
    Definition,
    key_text,
    qualify,
)

_EXPORT_ASSIGNED = "export="
_EXPORT_ASSIGNMENT = re.compile(r"export\s*=")
_PATTERNS = frozenset(
    "object_pattern array_pattern pair_pattern rest_pattern assignment_pattern "
    "object_assignment_pattern".split()
)
_TYPED_PARAMETERS = frozenset(("required_parameter", "optional_parameter"))
_TYPES = {
    "interface_declaration": "interface",
    "enum_declaration": "enum",
    **dict.fromkeys(CLASSES, "class"),
    **dict.fromkeys(NAMESPACES, "namespace"),
}
_METHODS = frozenset(("method_signature", "abstract_method_signature"))  # without a body
_SIGNATURES = _METHODS | {"function_signature"}
_OWN_TYPES = {
    **dict.fromkeys(FIELDS, "variable"),
    **dict.fromkeys(_METHODS, "method"),
    "function_signature": "function",
    "import_alias": "import",
    "type_alias_declaration": "type",
}
_DECLARATIONS = frozenset(
    "function_declaration generator_function_declaration class_declaration "
    "abstract_class_declaration interface_declaration type_alias_declaration enum_declaration "
    "internal_module module function_signature import_alias".split()
)


class _Named(NamedTuple):
    """A name at ``place``, defined by what ends where ``definition`` does.

    ``owner`` is what it is in, where that is a signature in the scope.
    """

    place: int
    symbol_type: str
    definition: int
    name: str | None = None
    owner: str = ""


def symbols(tree: FlatTree, definitions: list[Definition]) -> list[Symbol]:
    """Return all symbols in source order."""
    places = {definition.place for definition in definitions}
    found = [
        (qualify(scope, named.owner) if named.owner else scope, named)
        for scope, node in _with_scopes(tree, definitions)
        for named in _NAMES[tree.types[node]](tree, node)
        if named.place not in places or named.symbol_type == "export"
    ]
    for definition in definitions:
        found += _defined(tree, definition)
    found.sort(key=lambda one: (tree.starts[one[1].place], one[1].symbol_type == "export"))
    return [_symbol(tree, scope, named) for scope, named in found]


def _symbol(tree: FlatTree, scope: str, named: _Named) -> Symbol:
    place, symbol_type, definition, name, _ = named
    start = tree.starts[place]
    return Symbol(
        key_text(tree, place) if name is None else name,
        symbol_type,
        scope,
        tree.line(start),
        tree.column(start),
        tree.line(max(tree.ends[definition] - 1, 0)),
    )


def _with_scopes(tree: FlatTree, definitions: list[Definition]) -> Iterator[tuple[str, int]]:
    """Yield each node that may name something, with the qualified name of what encloses it."""
    enclosing: list[tuple[int, str]] = [(len(tree), MODULE_SCOPE)]
    upcoming = iter([*definitions, None])
    definition = next(upcoming)
    for node in tree.nodes(_NAMES):
        while definition is not None and definition.node <= node:
            while enclosing[-1][0] <= definition.node:
                enclosing.pop()
            enclosing.append((tree.stops[definition.node], definition.qualified))
            definition = next(upcoming)
        while enclosing[-1][0] <= node:
            enclosing.pop()
        yield enclosing[-1][1], node


def _defined(tree: FlatTree, definition: Definition) -> Iterator[tuple[str, _Named]]:
    """Yield the name of a definition, and the other one that is known inside it only."""
    node, place = definition.node, definition.place
    symbol_type = _TYPES.get(tree.types[node], "function")
    if place is not None:
        is_method = definition.is_member and symbol_type == "function"
        outside = "method" if is_method else symbol_type
        yield definition.scope, _Named(place, outside, node, definition.name)
    own = tree.child(node, "name")
    if own is not None and own != place and key_text(tree, own) != definition.name:
        yield definition.qualified, _Named(own, symbol_type, node)


def _variables(tree: FlatTree, node: int) -> Iterator[_Named]:
    """Names that are declared: ``for (x of …)`` without a keyword assigns to what is declared."""
    kind = tree.types[node]
    if kind == "variable_declarator":
        yield from _pattern(tree, tree.child(node, "name"), "variable", node)
    elif kind == "catch_clause" or tree.child(node, "kind") is not None:
        bound = tree.child(node, "parameter" if kind == "catch_clause" else "left")
        if bound is not None:
            yield from _pattern(tree, bound, "variable", bound)


def _parameters(tree: FlatTree, node: int) -> Iterator[_Named]:
    single, listed = tree.child(node, "parameter"), tree.child(node, "parameters")
    if single is not None:
        yield from _pattern(tree, single, "parameter", single)
    for parameter in () if listed is None else tree.children(listed):
        typed = tree.types[parameter] in _TYPED_PARAMETERS
        pattern = tree.child(parameter, "pattern") if typed else parameter
        yield from _pattern(tree, pattern, "parameter", parameter)


def _pattern(
    tree: FlatTree, pattern: int | None, symbol_type: str, definition: int
) -> Iterator[_Named]:
    """Yield the identifiers that a binding pattern binds; defaults and keys left out."""
    if pattern is None:
        return
    types, fields, stops = tree.types, tree.fields, tree.stops
    node, stop = pattern, stops[pattern]
    while node < stop:
        kind = types[node]
        if node != pattern and fields[node] in ("key", "right"):
            node = stops[node]
        elif kind in ("identifier", "shorthand_property_identifier_pattern"):
            yield _Named(node, symbol_type, definition)
            node += 1
        elif kind in _PATTERNS:
            node += 1
        else:
            node = stops[node]


def _import(tree: FlatTree, node: int) -> Iterator[_Named]:
    for clause in tree.children(node):
        if tree.types[clause] == "import_require_clause":
            name = tree.child_of_type(clause, "identifier")
            if name is not None:
                yield _Named(name, "import", clause)
        elif tree.types[clause] == "import_clause":
            for part in tree.children(clause):
                for _, local, place in names_of(tree, part):
                    if local is not None:
                        yield _Named(local, "import", place)


def _own(tree: FlatTree, node: int) -> Iterator[_Named]:
    """The name of what has one itself; members of interfaces and object types are no symbols."""
    kind = tree.types[node]
    name = tree.child(node, "name")
    if kind in FIELDS and name is None:
        name = tree.child(node, "property")
    elif kind == "import_alias":
        name = tree.child_of_type(node, "identifier")
    if name is None or (kind in FIELDS and tree.types[name] == "computed_property_name"):
        return
    if kind not in _METHODS or tree.types[tree.parents[node]] == "class_body":
        yield _Named(name, _OWN_TYPES[kind], node)
        if kind in _SIGNATURES:
            owner = key_text(tree, name)
            yield from (one._replace(owner=owner) for one in _parameters(tree, node))


def _exports(tree: FlatTree, node: int) -> Iterator[_Named]:
    default = tree.child_of_type(node, '"default"')
    if default is not None:
        yield _Named(default, "export", node, "default")
        return
    if _EXPORT_ASSIGNMENT.match(tree.text, tree.starts[node]):
        yield _Named(node, "export", node, _EXPORT_ASSIGNED)
        return
    declaration = tree.child(node, "declaration")
    if declaration is not None:
        yield from _declared(tree, declaration)
        return
    for child in tree.children(node):
        kind = tree.types[child]
        if kind == "export_clause":
            for _, local, specifier in names_of(tree, child):
                if local is not None:
                    yield _Named(local, "export", specifier)
        elif kind == "namespace_export":
            name = tree.child_of_type(child, "identifier", "string")
            if name is not None:
                yield _Named(name, "export", child)


def _declared(tree: FlatTree, declaration: int) -> Iterator[_Named]:
    """Yield the names that an exported declaration exports."""
    if tree.types[declaration] == "ambient_declaration":
        inner = next(
            (c for c in tree.children(declaration) if not tree.types[c].startswith('"')), None
        )
        if inner is not None:
            yield from _declared(tree, inner)
        return
    if tree.types[declaration] in _DECLARATIONS:
        name = tree.child(declaration, "name")
        if name is None:
            name = tree.child_of_type(declaration, "identifier")
        while name is not None and tree.types[name] in ("nested_identifier", "member_expression"):
            name += 1  # of ``A.B.C`` the first
        if name is not None:
            yield _Named(name, "export", declaration)
        return
    for declarator in tree.children(declaration):
        yield from _pattern(tree, tree.child(declarator, "name"), "export", declarator)


_NAMES: dict[str, Callable[[FlatTree, int], Iterator[_Named]]] = {
    **dict.fromkeys(("variable_declarator", "for_in_statement", "catch_clause"), _variables),
    **dict.fromkeys(FUNCTIONS, _parameters),
    **dict.fromkeys(_OWN_TYPES, _own),
    "import_statement": _import,
    "export_statement": _exports,
}


def written(tree: FlatTree) -> Iterator[tuple[int, str]]:
    """Yield the nodes that give symbols a name but are no leaves, with this name."""
    for node in tree.nodes(("computed_property_name",)):
        yield node, key_text(tree, node)
    for node in tree.nodes(("export_statement",)):
        if _EXPORT_ASSIGNMENT.match(tree.text, tree.starts[node]):
            yield node, _EXPORT_ASSIGNED
