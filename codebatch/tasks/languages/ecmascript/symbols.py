"""The names a file defines, and the modules and bases it refers to.

Variables that hold a function or class expression directly are functions and classes; class
fields are variables of the class, or methods where they hold a function. Signatures without a
body (overloads, ``declare function``, abstract methods) define as much as those with one; names
of parameters in types and signatures, type parameters and enum members are no symbols.

An ``export`` of a declaration gives both the declaration and, right after it, the export.
``export =`` exports the name ``export=``. Exports of everything (``export * from``) have no name
and are an edge only; ``module.exports`` is an expression, no export.

Import edges: one per imported name; one without a name for an import of the module alone
(``import 'x'``), for ``require('x')`` and ``import('x')`` with a literal, where ``alias`` is the
variable the call (or an ``await`` of it) initialises. Inherits edges name what follows
``extends`` and ``implements``: a dotted name without its type arguments, else the expression as
written, if it is one line of at most 80 characters, else its first 80 followed by ``…``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from codebatch.tasks.languages.base import Edge, Symbol
from codebatch.tasks.languages.ecmascript.binding import Bindings
from codebatch.tasks.languages.ecmascript.grammars import FlatTree
from codebatch.tasks.languages.ecmascript.outline import key_text
from codebatch.tasks.languages.ecmascript.patterns import pattern_names
from codebatch.tasks.languages.ecmascript.walk import Declared

_LONGEST_TARGET = 80
_EXPORT_ASSIGNED = "export="
_EXPORT_ASSIGNMENT = re.compile(r"export\s*=")
_HERITAGE = frozenset(("class_heritage", "extends_type_clause"))
_REFERRING = _HERITAGE | {
    "import_statement",
    "export_statement",
    "call_expression",
    "import_type",
}
_DECLARATIONS = frozenset(
    "function_declaration generator_function_declaration class_declaration "
    "abstract_class_declaration interface_declaration type_alias_declaration enum_declaration "
    "internal_module module function_signature import_alias".split()
)


def symbols(tree: FlatTree, bindings: Bindings) -> list[Symbol]:
    """All symbols in source order."""
    found = [*bindings.declared, *_exports(tree, bindings.export_scopes)]
    found.sort(key=lambda item: tree.starts[item.node])
    return [
        Symbol(
            item.name,
            item.symbol_type,
            item.scope,
            tree.line(tree.starts[item.node]),
            tree.column(tree.starts[item.node]),
            tree.line(max(tree.ends[item.definition] - 1, 0)),
        )
        for item in found
    ]


def _exports(tree: FlatTree, export_scopes: dict[int, str]) -> Iterator[Declared]:
    for node in tree.nodes(("export_statement",)):
        for name, place, definition in _exported_names(tree, node):
            yield Declared(name, "export", export_scopes[node], place, definition)


def _exported_names(tree: FlatTree, node: int) -> Iterator[tuple[str, int, int]]:
    default = tree.child_of_type(node, '"default"')
    if default is not None:
        yield "default", default, node
        return
    if _EXPORT_ASSIGNMENT.match(tree.text, tree.starts[node]):
        yield _EXPORT_ASSIGNED, node, node
        return
    declaration = tree.child(node, "declaration")
    if declaration is not None:
        yield from _declared_names(tree, declaration)
        return
    for child in tree.children(node):
        kind = tree.types[child]
        if kind == "export_clause":
            for specifier in tree.children(child):
                name = tree.child(specifier, "alias") or tree.child(specifier, "name")
                if name is not None:
                    yield key_text(tree, name), name, specifier
        elif kind == "namespace_export":
            name = tree.child_of_type(child, "identifier", "string")
            if name is not None:
                yield key_text(tree, name), name, child


def _declared_names(tree: FlatTree, declaration: int) -> Iterator[tuple[str, int, int]]:
    if tree.types[declaration] == "ambient_declaration":
        inner = next(
            (c for c in tree.children(declaration) if not tree.types[c].startswith('"')), None
        )
        if inner is not None:
            yield from _declared_names(tree, inner)
        return
    if tree.types[declaration] in _DECLARATIONS:
        name = tree.child(declaration, "name")
        if name is None:
            name = tree.child_of_type(declaration, "identifier")
        if name is not None:
            yield tree.source(name), name, declaration
        return
    for declarator in tree.children(declaration):
        target = tree.child(declarator, "name")
        for name in pattern_names(tree, target) if target is not None else ():
            yield tree.source(name), name, declarator


def written(tree: FlatTree) -> Iterator[tuple[int, str]]:
    """Nodes that give symbols and edges a name but need not be leaves, with this name."""
    for node in tree.nodes(("computed_property_name",)):
        yield node, key_text(tree, node)
    for node in tree.nodes(("assignment_expression", "assignment_pattern")):
        target = tree.child(node, "left")
        if target is not None and tree.types[target] == "member_expression":
            yield target, key_text(tree, target)
    for node in tree.nodes(("nested_identifier",)):
        yield node, tree.source(node)
    for node in tree.nodes(_HERITAGE):
        for part in _bases(tree, node):
            yield part, _target(tree, part)
    for node in tree.nodes(("export_statement",)):
        if _EXPORT_ASSIGNMENT.match(tree.text, tree.starts[node]):
            yield node, _EXPORT_ASSIGNED


def edges(tree: FlatTree) -> Iterator[Edge]:
    """All edges in source order."""
    for node in tree.nodes(_REFERRING):
        kind = tree.types[node]
        if kind == "import_statement":
            yield from _imports(tree, node)
        elif kind == "export_statement":
            yield from _re_exports(tree, node)
        elif kind == "call_expression":
            yield from _module_calls(tree, node)
        elif kind == "import_type":
            yield Edge("import", _first_string(tree.source(node)), tree.line(tree.starts[node]))
        else:
            for part in _bases(tree, node):
                yield Edge("inherits", _target(tree, part), tree.line(tree.starts[part]))


def _first_string(text: str) -> str:
    quote = min((text.find(q) for q in "\"'" if q in text), default=0)
    return text[quote + 1 : text.index(text[quote], quote + 1)]


def _imports(tree: FlatTree, node: int) -> Iterator[Edge]:
    source, line = tree.child(node, "source"), tree.line(tree.starts[node])
    clause = tree.child_of_type(node, "import_clause", "import_require_clause")
    if clause is not None and tree.types[clause] == "import_require_clause":
        source = tree.child(clause, "source")
    if source is None:
        return
    target = tree.source(source)[1:-1]
    if clause is None:
        yield Edge("import", target, line)
    elif tree.types[clause] == "import_require_clause":
        local = tree.child_of_type(clause, "identifier")
        alias = tree.source(local) if local is not None else None
        yield Edge("import", target, line, None, alias)
    else:
        for name, renamed, place in _clause(tree, clause):
            yield Edge("import", target, tree.line(tree.starts[place]), name, renamed)


def _clause(tree: FlatTree, clause: int) -> Iterator[tuple[str, str | None, int]]:
    for part in tree.children(clause):
        kind = tree.types[part]
        if kind == "identifier":
            yield "default", tree.source(part), part
        elif kind == "namespace_import":
            local = tree.child_of_type(part, "identifier")
            yield "*", tree.source(local) if local is not None else None, part
        elif kind == "named_imports":
            yield from _specifiers(tree, part)


def _specifiers(tree: FlatTree, clause: int) -> Iterator[tuple[str, str | None, int]]:
    for specifier in tree.children(clause):
        name, alias = tree.child(specifier, "name"), tree.child(specifier, "alias")
        if name is None:
            continue
        written = key_text(tree, name)
        local = key_text(tree, alias) if alias is not None else written
        yield written, local if local != written else None, specifier


def _re_exports(tree: FlatTree, node: int) -> Iterator[Edge]:
    source = tree.child(node, "source")
    if source is None:
        return
    target, line = tree.source(source)[1:-1], tree.line(tree.starts[node])
    clause = tree.child_of_type(node, "export_clause")
    if clause is not None:
        for name, alias, place in _specifiers(tree, clause):
            yield Edge("export", target, tree.line(tree.starts[place]), name, alias)
        return
    namespace = tree.child_of_type(node, "namespace_export")
    local = tree.child_of_type(namespace, "identifier", "string") if namespace else None
    yield Edge("export", target, line, "*", key_text(tree, local) if local is not None else None)


def _module_calls(tree: FlatTree, node: int) -> Iterator[Edge]:
    callee, arguments = tree.child(node, "function"), tree.child(node, "arguments")
    if callee is None or arguments is None or tree.types[arguments] != "arguments":
        return
    if tree.types[callee] != "import" and tree.source(callee) != "require":
        return
    literal = next(tree.children(arguments), None)
    if literal is not None and tree.types[literal] == "string":
        target = tree.source(literal)[1:-1]
        yield Edge("import", target, tree.line(tree.starts[node]), None, _call_alias(tree, node))


def _call_alias(tree: FlatTree, call: int) -> str | None:
    holder = tree.parents[call]
    if tree.types[holder] == "await_expression":
        holder = tree.parents[holder]
    if tree.types[holder] != "variable_declarator":
        return None
    name = tree.child(holder, "name")
    if name is None or tree.types[name] != "identifier":
        return None
    return tree.source(name)


def _bases(tree: FlatTree, node: int) -> Iterator[int]:
    """Bases: in JavaScript the heritage is the expression, in TypeScript it holds clauses."""
    for part in tree.children(node):
        kind = tree.types[part]
        if kind.startswith('"') or kind == "comment":
            continue
        if kind in ("extends_clause", "implements_clause"):
            yield from _bases(tree, part)
        elif kind not in ("type_arguments", "arguments"):
            yield part


def _target(tree: FlatTree, node: int) -> str:
    if tree.types[node] == "generic_type":
        node += 1
    text = tree.source(node)
    first = text.splitlines()[0] if text else text
    short = first[:_LONGEST_TARGET]
    return text if short == text else f"{short}…"
