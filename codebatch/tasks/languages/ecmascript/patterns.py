"""Names inside binding patterns and import statements."""

from __future__ import annotations

from collections.abc import Iterator

from codebatch.tasks.languages.ecmascript.grammars import FlatTree

_PATTERNS = frozenset(
    "object_pattern array_pattern pair_pattern rest_pattern assignment_pattern "
    "object_assignment_pattern".split()
)


def pattern_names(tree: FlatTree, pattern: int) -> Iterator[int]:
    """Identifiers that a binding pattern binds; defaults and keys left out."""
    types, fields, stops = tree.types, tree.fields, tree.stops
    node, stop = pattern, stops[pattern]
    while node < stop:
        kind = types[node]
        if node != pattern and fields[node] in ("key", "right"):
            node = stops[node]
        elif kind in ("identifier", "shorthand_property_identifier_pattern"):
            yield node
            node += 1
        elif kind in _PATTERNS:
            node += 1
        else:
            node = stops[node]


def imported_names(tree: FlatTree, statement: int) -> Iterator[tuple[int, int]]:
    """Local names of an import statement with the node that introduces each."""
    for part in tree.children(statement):
        kind = tree.types[part]
        if kind == "import_require_clause":
            name = tree.child_of_type(part, "identifier")
            if name is not None:
                yield name, part
        elif kind == "import_clause":
            yield from _clause_names(tree, part)


def _clause_names(tree: FlatTree, clause: int) -> Iterator[tuple[int, int]]:
    for part in tree.children(clause):
        kind = tree.types[part]
        if kind == "identifier":
            yield part, part
        elif kind == "namespace_import":
            name = tree.child_of_type(part, "identifier")
            if name is not None:
                yield name, part
        elif kind == "named_imports":
            for specifier in tree.children(part):
                local = tree.child(specifier, "alias")
                if local is None:
                    local = tree.child(specifier, "name")
                if local is not None and tree.types[specifier] == "import_specifier":
                    yield local, specifier
