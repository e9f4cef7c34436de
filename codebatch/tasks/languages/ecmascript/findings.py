"""What oxlint finds: errors, unused imports (L101), unused variables (L102), shadowed names (L103).

``SPEC.md`` says what is a finding. A file whose name leaves open whether it is a module or a script
is accepted if it is either; a ``return`` outside of a function is accepted everywhere, as loaders
put files into functions. Errors are those of oxc's parser, those of scopes included.

L101 and L102 are oxlint's ``no-unused-vars`` without names that are there for other files, L103 is
``no-shadow``. A file is a script, whose top level others see, if it neither imports nor exports nor
uses ``require``, ``module`` or ``exports`` of its environment. Of a file that the language rejects
there are none.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from codebatch.runtime.lazy import lazily
from codebatch.tasks.base import Config, reason_to_skip
from codebatch.tasks.languages.base import NameFinding, Source, SyntaxFault
from codebatch.tasks.languages.dialects import reason_not_to_parse
from codebatch.tasks.languages.ecmascript.oxlint import LANGUAGES, OxlintRun, Remark, run_on
from codebatch.tasks.languages.ecmascript.places import places
from codebatch.tasks.source import SourceFile

if TYPE_CHECKING:
    from codebatch.tasks.languages.ecmascript.grammars import FlatTree

with lazily():
    from codebatch.tasks.languages.ecmascript import readings

_MOST_FAULTS = 20  # of a file
_ASSIGNED = "Cannot assign to this expression"
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


class SyntaxFaults:
    """oxlint at work on the files of a shard that it can judge: a preparation of ``parse``.

    Where it is at work on a file already, to find names, it is not asked once more: that would
    take a tenth of the time of all tasks.
    """

    def __init__(self, sources: Sequence[SourceFile], config: Config) -> None:
        self.places = [
            place
            for place, source in enumerate(sources)
            if source.language in LANGUAGES
            and (reason_to_skip(source, config) or reason_not_to_parse(source)) is None
        ]
        self._sources = [sources[place] for place in self.places]
        self._others = [run_on(source) for source in self._sources]
        alone = [s for s, other in zip(self._sources, self._others, strict=True) if other is None]
        self._run = OxlintRun(alone, {})

    def values(self) -> Sequence[tuple[SyntaxFault, ...]]:
        """Return where the language rejects each file, in source order."""
        own = iter(self._run.remarks())
        found = []
        for source, other in zip(self._sources, self._others, strict=True):
            remarks = next(own) if other is None else other[0].remarks()[other[1]]
            found.append(tuple(_faults(source, remarks)))
        return found

    def cancel(self) -> None:
        """End oxlint; no answer is needed any more."""
        self._run.cancel()


def _faults(source: Source, remarks: Sequence[Remark]) -> Iterator[SyntaxFault]:
    errors = [remark for remark in remarks if remark.is_error(source.language)]
    if any(error.message == _ASSIGNED for error in errors):
        errors = [error for error in errors if not _is_assigned_call(source, error)]
    errors = errors[:_MOST_FAULTS]
    where = places(source.text, (error.offset for error in errors)) if errors else ()
    for (line, column), error in zip(where, errors, strict=True):
        yield SyntaxFault(line, column, error.message)


def _is_assigned_call(source: Source, error: Remark) -> bool:
    if error.message != _ASSIGNED or source.language not in ("javascript", "jsx"):
        return False
    data = source.text.encode()
    before, target = (part.decode() for part in (data[: error.offset], data[: error.end]))
    return readings.assigns_to_call(source.text, len(before), len(target))


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
