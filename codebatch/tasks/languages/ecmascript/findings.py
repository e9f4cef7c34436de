"""Unused imports (L101), unused variables (L102) and shadowed names (L103), found by oxlint.

**L101, L102** are oxlint's ``no-unused-vars``: names that nothing reads, imports and others.
Assigning is not reading, nor is a use inside of the function or class itself. Never reported are
exports, parameters, ``catch`` parameters, names that start with ``_``, properties named to leave
them out of a ``...rest``, and anything in declaration files (``.d.ts``). A name that is there for
other files is none either:

- one at the top level of a script. A file is a script if it neither imports nor exports nor uses
  ``require``, ``module`` or ``exports`` of its surroundings; ``.mjs``, ``.cjs``, ``.mts`` and
  ``.cts`` files are none;
- one inside of ``declare namespace``, ``declare module`` and ``declare global``.

**L103** is ``no-shadow``: a name like one of an enclosing scope, as ESLint and typescript-eslint
understand it by default.

Comments that speak to ESLint or oxlint are honoured (``eslint-disable``, ``global``, ``exported``,
``@jsx``), as ``noqa`` is by the task. Of a file that the language rejects there are none.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from codebatch.tasks.languages.base import NameFinding, Source
from codebatch.tasks.languages.ecmascript.oxlint import OxlintRun, Remark
from codebatch.tasks.languages.ecmascript.places import places

if TYPE_CHECKING:
    from codebatch.tasks.languages.ecmascript.grammars import FlatTree

UNUSED, SHADOW = "no-unused-vars", "no-shadow"
# What is found by them is not reported: the global names of a script, and what makes it none.
_GLOBAL, _COMMONJS = "no-implicit-globals", "no-restricted-globals"

_UNUSED_RULES: Mapping[str, object] = {
    UNUSED: [
        "warn",
        {
            "vars": "all",
            "args": "none",
            "caughtErrors": "none",
            "ignoreRestSiblings": True,
            "varsIgnorePattern": "^_",
        },
    ],
    _GLOBAL: ["warn", {"lexicalBindings": True}],
    _COMMONJS: ["warn", "require", "module", "exports"],
}
_SHADOW_RULES: Mapping[str, object] = {SHADOW: "warn"}

_RULE = re.compile(r"eslint\((.+)\)")
_MODULE_STATEMENTS = ("import_statement", "export_statement", "import_alias")
_INNER = frozenset(("statement_block", "class_body", "switch_body"))
_TYPES = frozenset(
    "type_alias_declaration interface_declaration enum_declaration internal_module module".split()
)
_IMPORTED = re.compile(r"(?:Identifier|Type) '")


class OxlintFindings:
    """oxlint at work on the names of some files, for the codes that are asked for."""

    def __init__(self, sources: Sequence[Source], codes: Collection[str]) -> None:
        rules: dict[str, object] = {}
        if not {"L101", "L102"}.isdisjoint(codes):
            rules.update(_UNUSED_RULES)
        if "L103" in codes:
            rules.update(_SHADOW_RULES)
        self._sources = sources
        self._run = OxlintRun(sources if rules else (), rules)

    def findings(self) -> list[list[NameFinding]]:
        """Return the findings of each file, in source order."""
        remarks = self._run.remarks() or [[]] * len(self._sources)
        return [[*_findings(*one)] for one in zip(self._sources, remarks, strict=True)]

    def cancel(self) -> None:
        """End oxlint; no answer is needed any more."""
        self._run.cancel()


def without_shared(
    findings: Iterable[NameFinding], tree: FlatTree, *, is_module: bool
) -> Iterator[NameFinding]:
    """Yield those of names that do not exist for other files, as far as TypeScript decides.

    Of a script oxlint tells which values are global; what else stands at its top level are types.
    """
    is_module = is_module or any(tree.parents[node] == 0 for node in tree.nodes(_MODULE_STATEMENTS))
    for finding in findings:
        if finding.code != "L102" or not _is_shared(tree, finding, is_module=is_module):
            yield finding


def _is_shared(tree: FlatTree, finding: NameFinding, *, is_module: bool) -> bool:
    node = tree.covering(tree.line_starts[finding.line - 1] + finding.column - 1)
    around: set[str] = set()
    while node > 0:
        kind = tree.types[node]
        if kind == "ambient_declaration" and "statement_block" in around:
            return True
        around.add(kind)
        node = tree.parents[node]
    return not is_module and around.isdisjoint(_INNER) and not around.isdisjoint(_TYPES)


def _findings(source: Source, remarks: Sequence[Remark]) -> Iterator[NameFinding]:
    by_rule: dict[str, set[int]] = {}
    found: list[tuple[Remark, str]] = []
    for remark in remarks:
        named = _RULE.fullmatch(remark.code)
        if named is not None:
            by_rule.setdefault(named[1], set()).add(remark.offset)
            found.append((remark, named[1]))
    is_script = _COMMONJS not in by_rule
    shared = by_rule.get(_GLOBAL, set()) if is_script else set()
    found = [
        (remark, rule)
        for remark, rule in found
        if rule == SHADOW or (rule == UNUSED and remark.offset not in shared)
    ]
    where = places(source.text, (remark.offset for remark, _ in found)) if found else ()
    for (line, column), (remark, rule) in zip(where, found, strict=True):
        yield NameFinding(_code(remark, rule), rule, remark.message, line, column, line)


def _code(remark: Remark, rule: str) -> str:
    if rule == SHADOW:
        return "L103"
    return "L101" if _IMPORTED.match(remark.message) else "L102"
