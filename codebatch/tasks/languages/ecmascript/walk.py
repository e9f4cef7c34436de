"""The state of the walk that finds scopes, declarations and references.

The walk visits the flat table in order. Its handlers (``declarations``, ``type_declarations``,
``modules``, ``references``) open scopes, declare names and record references here. A handler
that knows what an identifier below it is (a declaration, a target of assignment, or no name at
all) puts it into ``spoken_for`` before the walk gets there; any other identifier is a reference.
"""

from __future__ import annotations

from typing import NamedTuple

from codebatch.tasks.languages.base import MODULE_SCOPE
from codebatch.tasks.languages.ecmascript.grammars import FlatTree
from codebatch.tasks.languages.ecmascript.outline import Definition
from codebatch.tasks.languages.ecmascript.scopes import (
    SPACES,
    VALUE,
    Binding,
    Reference,
    Scope,
    Scopes,
)


class Declared(NamedTuple):
    """A declared name as it stands in the source: symbol type, qualified scope, the identifier
    and the node whose last line ends the definition.
    """

    name: str
    symbol_type: str
    scope: str
    node: int
    definition: int


class Walk:
    """The innermost scope, and what is already known of nodes to come.

    ``spoken_for``: identifiers that are no references. ``with_rest``: whether an object pattern
    has a rest. ``export_scopes``: the qualified scope of each export statement. ``elements``:
    the file has JSX.
    """

    def __init__(self, tree: FlatTree, definitions: list[Definition]) -> None:
        self.tree = tree
        self.definitions = {definition.node: definition for definition in definitions}
        module = Scope("module", len(tree), None, MODULE_SCOPE, holds_var=True)
        self.scope = module
        self.scopes = Scopes(module)
        self.scopes.events.append(module)
        self.scopes.all_scopes.append(module)
        self.declared: list[Declared] = []
        self.spoken_for: set[int] = set()
        self.has_modules = False
        self.export_scopes: dict[int, str] = {}
        self.with_rest: dict[int, bool] = {}
        self.elements = False

    def open(self, node: int, kind: str, *, holds_var: bool = False, loop: bool = False) -> Scope:
        """Open a scope that ends with ``node``."""
        outer = self.scope
        definition = self.definitions.get(node)
        in_loop = not holds_var and (loop or outer.in_loop)
        scope = Scope(
            kind,
            self.tree.stops[node],
            outer,
            definition.qualified if definition else outer.qualified,
            holds_var,
            in_loop,
            outer.ambient,
        )
        self.scope = scope
        self.scopes.events.append(scope)
        self.scopes.all_scopes.append(scope)
        return scope

    def close(self) -> None:
        """Close the innermost scope."""
        self.scopes.events.append(None)
        if self.scope.parent is not None:
            self.scope = self.scope.parent

    def declare(
        self,
        node: int,
        kind: str,
        definition: int,
        *,
        scope: Scope | None = None,
        statement: int | None = None,
        symbol: str | None = None,
    ) -> Binding:
        """Bind the name at ``node``; ``symbol`` is its symbol type where it differs from the
        kind, and an empty one leaves it out of the symbols.
        """
        self.spoken_for.add(node)
        tree = self.tree
        name = tree.source(node)
        home = scope or self.home()
        symbol_type = kind if symbol is None else symbol
        if symbol_type:
            self.declared.append(Declared(name, symbol_type, self._owner(home), node, definition))
        space = SPACES.get(kind, VALUE)
        known = home.bindings.get(name)
        if known is None:
            around = definition if statement is None else statement
            known = Binding(name, kind, node, home, space, (around, tree.stops[around]))
            known.exempt = self.scope.ambient
            home.bindings[name] = known
        known.space |= space
        return known

    def home(self) -> Scope:
        """Where a declaration here belongs: ``declare`` opens a region, not a scope."""
        scope = self.scope
        while scope.kind == "ambient" and scope.parent is not None:
            scope = scope.parent
        return scope

    def _owner(self, home: Scope) -> str:
        return self.scope.qualified if home.holds_var else home.qualified

    def is_exported(self, node: int) -> bool:
        """Whether a declaration statement is exported where it stands."""
        tree = self.tree
        parent = tree.parents[node]
        if tree.types[parent] == "ambient_declaration":
            parent = tree.parents[parent]
        return tree.types[parent] == "export_statement"

    def refer(
        self,
        node: int,
        space: int = VALUE,
        *,
        reads: bool = True,
        writes: bool = False,
        idle: bool = False,
        stored: tuple[int, int] | None = None,
    ) -> None:
        """Record a use of the name at ``node``."""
        name = self.tree.source(node)
        self.scopes.events.append(
            Reference(name, node, self.scope, space, reads, writes, idle, stored)
        )
