"""The modules a file refers to, and what its classes and interfaces are made from.

Import edges: one per imported name; one without a name for an import of the module alone
(``import 'x'``), for ``require('x')`` and ``import('x')`` with a literal, where ``alias`` is the
variable the call (or an ``await`` of it) initialises. Inherits edges name what follows
``extends`` and ``implements``: a dotted name without its type arguments, else the expression as
written, if it is one line of at most 80 characters, else its first 80 followed by ``…``.
"""

from __future__ import annotations

from collections.abc import Iterator

from codebatch.tasks.languages.base import Edge
from codebatch.tasks.languages.ecmascript.grammars import FlatTree
from codebatch.tasks.languages.ecmascript.outline import key_text

_LONGEST_TARGET = 80
_HERITAGE = frozenset(("class_heritage", "extends_type_clause"))
_REFERRING = _HERITAGE | {
    "import_statement",
    "export_statement",
    "call_expression",
}


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
        else:
            for part in _bases(tree, node):
                yield Edge("inherits", _target(tree, part), tree.line(tree.starts[part]))


def written_bases(tree: FlatTree) -> Iterator[tuple[int, str]]:
    """Yield the bases of classes and interfaces: the nodes, and their names in edges."""
    for node in tree.nodes(_HERITAGE):
        for part in _bases(tree, node):
            yield part, _target(tree, part)


def _imports(tree: FlatTree, node: int) -> Iterator[Edge]:
    source, line = tree.child(node, "source"), tree.line(tree.starts[node])
    clause = tree.child_of_type(node, "import_clause", "import_require_clause")
    if clause is not None and tree.types[clause] == "import_require_clause":
        source = tree.child(clause, "source")
    if source is None:
        return
    target = tree.source(source)[1:-1]
    if clause is None:
        yield Edge("imports", target, line)
    elif tree.types[clause] == "import_require_clause":
        local = tree.child_of_type(clause, "identifier")
        alias = tree.source(local) if local is not None else None
        yield Edge("imports", target, line, None, alias)
    else:
        for part in tree.children(clause):
            for name, local, place in names_of(tree, part):
                yield Edge(
                    "imports",
                    target,
                    tree.line(tree.starts[place]),
                    name,
                    _alias(tree, name, local),
                )


def names_of(tree: FlatTree, part: int) -> Iterator[tuple[str, int | None, int]]:
    """Yield the names that a part of a clause imports or exports: each as the other module has it,
    the node that names it here, and the node of both.
    """
    kind = tree.types[part]
    if kind == "identifier":
        yield "default", part, part
    elif kind == "namespace_import":
        yield "*", tree.child_of_type(part, "identifier"), part
    elif kind in ("named_imports", "export_clause"):
        for specifier in tree.children(part):
            name, alias = tree.child(specifier, "name"), tree.child(specifier, "alias")
            if name is not None:
                yield key_text(tree, name), name if alias is None else alias, specifier


def _alias(tree: FlatTree, name: str, local: int | None) -> str | None:
    written = None if local is None else key_text(tree, local)
    return None if written == name else written


def _re_exports(tree: FlatTree, node: int) -> Iterator[Edge]:
    source = tree.child(node, "source")
    if source is None:
        return
    target, line = tree.source(source)[1:-1], tree.line(tree.starts[node])
    clause = tree.child_of_type(node, "export_clause")
    if clause is not None:
        for name, local, place in names_of(tree, clause):
            yield Edge(
                "exports", target, tree.line(tree.starts[place]), name, _alias(tree, name, local)
            )
        return
    namespace = tree.child_of_type(node, "namespace_export")
    local = tree.child_of_type(namespace, "identifier", "string") if namespace else None
    yield Edge("exports", target, line, "*", key_text(tree, local) if local is not None else None)


def _module_calls(tree: FlatTree, node: int) -> Iterator[Edge]:
    callee, arguments = tree.child(node, "function"), tree.child(node, "arguments")
    if callee is None or arguments is None or tree.types[arguments] != "arguments":
        return
    if tree.types[callee] != "import" and tree.source(callee) != "require":
        return
    literal = next(tree.children(arguments), None)
    if literal is not None and tree.types[literal] == "string":
        target = tree.source(literal)[1:-1]
        yield Edge("imports", target, tree.line(tree.starts[node]), None, _call_alias(tree, node))


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
