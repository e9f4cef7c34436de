"""The walk over a tree that finds scopes, declarations and references: one handler per type."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from codebatch.tasks.languages.ecmascript import (
    declarations,
    modules,
    references,
    type_declarations,
)
from codebatch.tasks.languages.ecmascript.grammars import FlatTree
from codebatch.tasks.languages.ecmascript.outline import Definition
from codebatch.tasks.languages.ecmascript.scopes import Scopes
from codebatch.tasks.languages.ecmascript.walk import Declared, Walk

_HANDLERS: dict[str, Callable[[Walk, int], None]] = {
    **references.HANDLERS,
    **declarations.HANDLERS,
    **type_declarations.HANDLERS,
    **modules.HANDLERS,
}


class Bindings(NamedTuple):
    """What the walk found. ``elements``: the file has JSX; ``export_scopes``: the qualified scope
    of each export statement.
    """

    scopes: Scopes
    declared: list[Declared]
    has_modules: bool
    elements: bool
    export_scopes: dict[int, str]


def bind(tree: FlatTree, definitions: list[Definition]) -> Bindings:
    """Walk a tree; the scopes are not resolved yet."""
    walk = Walk(tree, definitions)
    types = tree.types
    for node in tree.nodes(_HANDLERS):
        while node >= walk.scope.stop:
            walk.close()
        _HANDLERS[types[node]](walk, node)
    while walk.scope.parent is not None:
        walk.close()
    return Bindings(walk.scopes, walk.declared, walk.has_modules, walk.elements, walk.export_scopes)
