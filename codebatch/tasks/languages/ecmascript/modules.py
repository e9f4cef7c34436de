"""What imports declare, and what exports refer to."""

from __future__ import annotations

from codebatch.tasks.languages.ecmascript.patterns import imported_names
from codebatch.tasks.languages.ecmascript.references import no_names
from codebatch.tasks.languages.ecmascript.scopes import BOTH
from codebatch.tasks.languages.ecmascript.walk import Walk


def import_statement(walk: Walk, node: int) -> None:
    """An import; its other identifiers are names of the other module."""
    tree = walk.tree
    walk.has_modules = True
    type_only = tree.has_token(node, '"type"')
    for name, specifier in imported_names(tree, node):
        binding = walk.declare(name, "import", specifier, statement=node)
        binding.type_only = type_only or tree.has_token(specifier, '"type"')
    no_names(walk, node)


def import_alias(walk: Walk, node: int) -> None:
    """``import Name = Namespace.member``."""
    name = walk.tree.child_of_type(node, "identifier")
    if name is not None:
        binding = walk.declare(name, "import", node)
        binding.exempt |= walk.is_exported(node)


def export_statement(walk: Walk, node: int) -> None:
    """An export: what it names here is used, what it names elsewhere is not a name here."""
    tree = walk.tree
    walk.has_modules = True
    walk.export_scopes[node] = walk.scope.qualified
    elsewhere = tree.child(node, "source") is not None
    as_namespace = tree.has_token(node, '"namespace"')
    for child in tree.children(node):
        kind = tree.types[child]
        if kind == "namespace_export" or (as_namespace and kind == "identifier"):
            no_names(walk, child)
        elif kind == "export_clause":
            for specifier in tree.children(child):
                name = tree.child(specifier, "name")
                no_names(walk, specifier)
                if name is not None and not elsewhere and tree.types[name] == "identifier":
                    walk.refer(name, BOTH)


HANDLERS = {
    "import_statement": import_statement,
    "import_alias": import_alias,
    "export_statement": export_statement,
}
