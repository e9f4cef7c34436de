"""Unused imports (L101), unused variables (L102) and shadowed names (L103).

**L101**: an import no reference reads. **L102**: a variable, function, class, type, interface,
enum or namespace that nothing reads: assigning is not reading, nor are ``x++`` and ``x = x + 1``
as statements, nor a use inside the function, class or type itself. Never reported: exports,
parameters, ``catch`` parameters, type parameters, names that start with ``_``, ambient
declarations (``declare``), properties named only to leave them out of a ``...rest``, the variable
of a loop whose body only returns, and the top level of a plain script, whose names are global: a
file is a module if it imports, exports, or uses ``require``, ``module`` or ``exports`` as
CommonJS does. A file with elements uses ``React``, or what its ``@jsx`` and ``@jsxFrag`` comments
name. In declaration files, recognised by a top level of nothing but imports, exports, types and
at least one ``declare``, nothing but imports is reported.

**L103**: a variable, parameter, function, class, enum, namespace or import named like a value of
an enclosing scope. Not reported: a variable of an inner scope that ends before the outer
``let``, ``const``, ``var`` or class is declared; the name of a function or class expression in
the variable it initialises; types; and values that share a name with a type only. Parameters in
types and in signatures without a body name nothing.

Scopes with a direct ``eval`` or a ``with`` report nothing: any name may be used there.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from codebatch.tasks.languages.base import NameFinding
from codebatch.tasks.languages.ecmascript.binding import Bindings
from codebatch.tasks.languages.ecmascript.grammars import FlatTree
from codebatch.tasks.languages.ecmascript.scopes import VALUE, Binding, Scope

_UNUSED = frozenset("variable function class interface type enum namespace".split())
_NOT_SHADOWING = frozenset("signature class-self member type-parameter".split())
_COMMONJS = frozenset(("require", "module", "exports"))
_PRAGMA = re.compile(r"@jsx(?:Frag)?\s+([\w$]+)")
_DECLARATION_STATEMENTS = frozenset(
    "import_statement export_statement ambient_declaration interface_declaration "
    "type_alias_declaration comment import_alias function_signature empty_statement".split()
)


def name_findings(tree: FlatTree, bindings: Bindings) -> list[NameFinding]:
    """All findings in source order."""
    scopes = bindings.scopes
    scopes.resolve()
    if bindings.elements:
        _use_pragmas(tree, scopes.module)
    found = [(b.node, *_unused(b)) for b in _reportable(tree, bindings)]
    found += [
        (inner.node, "L103", f"`{inner.name}` shadows a name of an enclosing scope")
        for inner, outer in scopes.shadows
        if _shadows(tree, inner, outer)
    ]
    found.sort(key=lambda item: (item[0], item[1]))
    return [
        NameFinding(code, message, tree.line(tree.starts[node]), tree.column(tree.starts[node]))
        for node, code, message in found
    ]


def _use_pragmas(tree: FlatTree, module: Scope) -> None:
    names = {"React"}
    for node in tree.nodes(("comment",)):
        if "@jsx" in tree.source(node):
            names.update(_PRAGMA.findall(tree.source(node)))
    for name in names & module.bindings.keys():
        module.bindings[name].used = True


def _reportable(tree: FlatTree, bindings: Bindings) -> Iterator[Binding]:
    scopes = bindings.scopes
    is_module = bindings.has_modules or not _COMMONJS.isdisjoint(scopes.unresolved)
    ambient = _is_declaration_file(tree)
    for scope in scopes.all_scopes:
        if scope.dynamic:
            continue
        for binding in scope.bindings.values():
            if binding.used or binding.exempt or binding.name.startswith("_"):
                continue
            if binding.kind == "import" or (
                binding.kind in _UNUSED
                and not ambient
                and (scope is not scopes.module or is_module)
            ):
                yield binding


def _is_declaration_file(tree: FlatTree) -> bool:
    """Whether nothing at the top level runs and something is declared to exist elsewhere."""
    declares = False
    for node in tree.children(0) if len(tree) else ():
        if tree.types[node] not in _DECLARATION_STATEMENTS:
            return False
        declaration: int | None = node
        if tree.types[node] == "export_statement":
            declaration = tree.child(node, "declaration")
            if tree.child(node, "value") is not None:
                return False
        if declaration is not None:
            kind = tree.types[declaration]
            if kind not in _DECLARATION_STATEMENTS:
                return False
            declares = declares or kind == "ambient_declaration"
    return declares


def _unused(binding: Binding) -> tuple[str, str]:
    if binding.kind == "import":
        return "L101", f"`{binding.name}` imported but unused"
    verb = "assigned" if binding.assigned else "defined"
    return "L102", f"`{binding.name}` is {verb} but never used"


def _shadows(tree: FlatTree, inner: Binding, outer: Binding) -> bool:
    if inner.kind in _NOT_SHADOWING or inner.scope.ambient or not inner.space & VALUE:
        return False
    if inner.scope.dynamic or outer.kind in ("signature", "member"):
        return False
    if not outer.space & VALUE or outer.type_only:
        return False
    if _names_its_value(inner, outer):
        return False
    before = tree.ends[inner.node] < tree.starts[outer.node]
    return not before or outer.kind == "function"


def _names_its_value(inner: Binding, outer: Binding) -> bool:
    """``const f = function f() {}``, ``const C = class C {}``, also as arguments of a call."""
    start, stop = outer.statement
    around = inner.scope.parent
    return (
        inner.kind in ("function-name", "class-name")
        and start < inner.node < stop
        and around is not None
        and around.variable_scope is outer.scope.variable_scope
    )
