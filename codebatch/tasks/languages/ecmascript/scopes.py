"""Scopes, bindings and references of a file, and their resolution.

The model is that of ECMAScript and TypeScript: ``var`` and parameters belong to the nearest
function, ``let``, ``const``, classes and functions to the nearest block; declarations are known
in the whole scope that holds them, wherever they stand. A name may be a value, a type or both;
declarations of one name in one scope are one binding (overloads, merging).

``Scopes.resolve`` replays the walk's events (a scope opens, a name is used, a scope closes)
against one table of visible bindings per name, so its cost does not depend on how deep scopes
nest.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

VALUE = 1
TYPE = 2
BOTH = VALUE | TYPE

SPACES = {
    "import": BOTH,
    "class": BOTH,
    "class-name": BOTH,
    "enum": BOTH,
    "namespace": BOTH,
    "interface": TYPE,
    "type": TYPE,
    "type-parameter": TYPE,
}


@dataclass(eq=False)
class Binding:
    """A name of one scope. ``node`` is the first identifier that declares it, ``statement`` the
    range of the declaration around it; ``self_ranges`` are the ranges of the functions, classes
    and types it names, inside which a reference does not make it used.
    """

    name: str
    kind: str
    node: int
    scope: Scope
    space: int
    statement: tuple[int, int]
    self_ranges: list[tuple[int, int]] = field(default_factory=list)
    exempt: bool = False
    assigned: bool = False
    used: bool = False
    type_only: bool = False
    pending_value: tuple[int, int] | None = None


@dataclass(eq=False)
class Scope:
    """A region of the file. ``holds_var``: ``var`` declarations stop here. ``variable_scope`` is
    the nearest such scope, itself included.
    """

    kind: str
    stop: int
    parent: Scope | None
    qualified: str
    holds_var: bool = False
    in_loop: bool = False
    ambient: bool = False
    dynamic: bool = False
    bindings: dict[str, Binding] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.variable_scope: Scope = (
            self if self.holds_var or self.parent is None else self.parent.variable_scope
        )


class Reference(NamedTuple):
    """A use of a name. ``idle``: the value read goes only into the name itself (``x++;``).
    ``stored``: for a plain assignment as a statement, the range of the value stored.
    """

    name: str
    node: int
    scope: Scope
    space: int = VALUE
    reads: bool = True
    writes: bool = False
    idle: bool = False
    stored: tuple[int, int] | None = None


@dataclass(eq=False)
class Scopes:
    """Everything the walk found. ``events`` holds scopes as they open, references, and None
    where the innermost open scope closes. ``shadows`` pairs a binding with the one it hides.
    """

    module: Scope
    events: list[Scope | Reference | None] = field(default_factory=list)
    all_scopes: list[Scope] = field(default_factory=list)
    shadows: list[tuple[Binding, Binding]] = field(default_factory=list)
    unresolved: set[str] = field(default_factory=set)

    def resolve(self) -> None:
        """Mark what is used, pair what shadows, name what is not declared in the file."""
        self._spread_dynamic()
        visible: dict[str, list[Binding]] = {}
        open_scopes: list[Scope] = []
        for event in self.events:
            if isinstance(event, Reference):
                self._use(event, visible.get(event.name))
            elif event is not None:
                open_scopes.append(event)
                self._enter(event, visible)
            else:
                for name in open_scopes.pop().bindings:
                    visible[name].pop()

    def _spread_dynamic(self) -> None:
        for scope in reversed(self.all_scopes):
            if scope.dynamic and scope.parent is not None:
                scope.parent.dynamic = True

    def _enter(self, scope: Scope, visible: dict[str, list[Binding]]) -> None:
        for name, binding in scope.bindings.items():
            hidden = visible.setdefault(name, [])
            if hidden:
                self.shadows.append((binding, hidden[-1]))
            hidden.append(binding)

    def _use(self, reference: Reference, visible: list[Binding] | None) -> None:
        if not visible:
            self.unresolved.add(reference.name)
            return
        binding = visible[-1]
        if not binding.space & reference.space:
            binding = next((b for b in reversed(visible) if b.space & reference.space), binding)
        _apply(reference, binding)


def _apply(reference: Reference, binding: Binding) -> None:
    """What a reference says about the binding it names."""
    if reference.writes:
        binding.assigned = True
    node, pending = reference.node, binding.pending_value
    inside_own_value = pending is not None and pending[0] <= node < pending[1]
    same_function = reference.scope.variable_scope is binding.scope.variable_scope
    if not inside_own_value:
        binding.pending_value = None
        if reference.stored and same_function and not reference.scope.in_loop:
            binding.pending_value = reference.stored
    if not reference.reads or reference.idle:
        return
    if inside_own_value and same_function:
        return
    if any(start <= node < stop for start, stop in binding.self_ranges):
        return
    binding.used = True
