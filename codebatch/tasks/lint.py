"""Task ``lint``: text rules for what people write, name rules for code, and rules of ruff.

``rules.RULES`` names our own. The name rules are for tools: ruff looks at Python, oxlint at
JavaScript and TypeScript, and ``rule`` holds the tool's own code. Other rules of ruff are run where
the settings select them, and keep its codes; of two findings of the same ours is reported.

A finding is suppressed where a comment says so (`suppressions`), as a ``noqa`` on its line, alone
or with codes (``# noqa: L003, E501``): beside our own, those that Python linters use for the same
rule are understood. Of its rules, ruff reads ``noqa`` itself. A comment that names a rule of ours
is reported where the rule was looked for and there is nothing that it suppresses.

Of a file that nobody in the project writes nothing is reported.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import cast

from codebatch.model.records import Record
from codebatch.tasks.base import Config, reason_to_skip, reason_unwritten, skip_record
from codebatch.tasks.decorator import task
from codebatch.tasks.file import File
from codebatch.tasks.findings import Finding, diagnostic_records
from codebatch.tasks.languages.base import NameFinding
from codebatch.tasks.languages.dialects import reason_not_to_parse
from codebatch.tasks.languages.ecmascript.findings import OxlintFindings
from codebatch.tasks.languages.ecmascript.oxlint import LANGUAGES
from codebatch.tasks.languages.python.ruff import RuffInput, RuffRun, may_nest_deeply
from codebatch.tasks.languages.python.ruff_rules import (
    SAME,
    arguments,
    asked_of_ruff,
    is_own,
    own_codes,
    selected_rules,
    selection_problems,
    severity_of,
)
from codebatch.tasks.parse import toolchain
from codebatch.tasks.rules import UNUSED_SUPPRESSION
from codebatch.tasks.source import SourceFile
from codebatch.tasks.suppressions import NOQA, Directive, suppressed
from codebatch.tasks.text_rules import reason_to_pass_by, text_findings

TOO_DEEP = "nested too deeply"
# What Python linters call rules of ours, by our codes.
_ALIASES: dict[str, list[str]] = {}
for _theirs, _ours in {**SAME, "F401": "L101", "F841": "L102"}.items():
    _ALIASES.setdefault(_ours, []).append(_theirs)
_TEXT_RULES = frozenset({"L001", "L002", "L003", "L004", "L005"})
_NAME_RULES = frozenset({"L101", "L102", "L103"})
# Languages in which names are declared that are defined elsewhere.
_DECLARING = frozenset(("typescript", "tsx"))


class _RuffFindings(RuffRun):
    """Ruff at work on some Python files."""

    def __init__(self, sources: Sequence[SourceFile], config: Config) -> None:
        asked = asked_of_ruff(config)
        inputs = [
            RuffInput(
                source.content,
                source.facets["module_role"],
                source.facets["visibility"] == "private",
            )
            for source in sources
        ]
        super().__init__(inputs, arguments(asked) if asked.select else ())


class _OxlintFindings(OxlintFindings):
    """oxlint at work on some files in JavaScript and TypeScript."""

    def __init__(self, sources: Sequence[SourceFile], config: Config) -> None:
        super().__init__(sources, own_codes(config))


_Tool = type[_RuffFindings] | type[_OxlintFindings]
_TOOLS: Mapping[str, _Tool] = {
    "python": _RuffFindings,
    **dict.fromkeys(LANGUAGES, _OxlintFindings),
}


class _NameFindings:
    """The findings of names in the files of a shard, by one process of each tool."""

    def __init__(self, sources: Sequence[SourceFile], config: Config) -> None:
        self.places: list[int] = []
        self._runs: list[_RuffFindings | _OxlintFindings] = []
        chosen: dict[_Tool, list[int]] = {}
        for place, source in enumerate(sources):
            tool = _TOOLS.get(source.language)
            if tool is not None and _has_names(source, config):
                chosen.setdefault(tool, []).append(place)
        try:
            for tool, places in chosen.items():
                self._runs.append(tool([sources[place] for place in places], config))
                self.places += places
        except BaseException:
            self.cancel()
            raise

    def values(self) -> Sequence[object]:
        return [found for run in self._runs for found in run.findings()]

    def cancel(self) -> None:
        for run in self._runs:
            run.cancel()


def _has_names(source: SourceFile, config: Config) -> bool:
    """Return whether a tool can be asked about a file. Ruff not about what is too deep, nor about
    what Python cannot parse and might take ruff minutes.
    """
    reason = reason_to_skip(source, config) or reason_not_to_parse(source)
    if reason is not None or reason_unwritten(source, config) is not None:
        return False
    if not _may_be_too_deep(source):
        return True
    parsed = source.parsed
    fit = parsed is not None and not parsed.faults and not parsed.nests_deeply
    source.drop_tree()
    return fit


def _may_be_too_deep(source: SourceFile) -> bool:
    return source.language == "python" and may_nest_deeply(source.content)


@task(
    version=5,
    summary="text rules, unused imports and variables, shadowing, rules of ruff",
    needs=["parse"],
    schema="config.lint",
    kinds=("diagnostic", "skip", "suppression"),
    toolchain=toolchain,
    facets=("module_role", "script_goal", "text_role", "visibility"),
    prepare=_NameFindings,
    selected_rules=selected_rules,
    selection_problems=selection_problems,
)
def lint(file: File, config: Config) -> Iterator[Record]:
    """Yield the findings in a file."""
    source = file.source
    reason = reason_to_skip(source, config) or reason_unwritten(source, config)
    if reason is not None:
        yield skip_record(reason)
        return
    passed_by = reason_to_pass_by(source)
    if passed_by is not None:
        yield skip_record(passed_by)
    if _may_be_too_deep(source) and source.parsed is not None and source.parsed.nests_deeply:
        yield skip_record(TOO_DEEP)
    found = [*text_findings(source, config)] if passed_by is None else []
    found += _name_findings(file)
    if found or source.suppressions:
        kept = _findings(config, found)
        yield from _records(source, kept, _judged(file, config, reads_text=passed_by is None))


def _findings(
    config: Config, found: Sequence[NameFinding]
) -> Iterator[tuple[Finding, NameFinding]]:
    """Yield the findings that are asked for, each with what it is made of."""
    own, severities = own_codes(config), config["severities"]
    ours = {(one.code, one.line) for one in found if one.code in own}
    for one in found:
        code = one.code
        if code in own if is_own(code) else (SAME.get(code), one.line) not in ours:
            severity = severity_of(code, severities)
            yield Finding(one.line, one.column, code, one.rule, severity, one.message), one


def _records(
    source: SourceFile, kept: Iterable[tuple[Finding, NameFinding]], judged: frozenset[str]
) -> list[Record]:
    """Return the records of findings, of which some are suppressed."""
    in_order = sorted(kept)
    records = [*diagnostic_records((finding for finding, _ in in_order), source.lines)]
    said = {
        place: by
        for place, (finding, found) in enumerate(in_order)
        if (by := _suppressed_by(source, finding, found)) is not None
    }
    return suppressed(records, source, judged, said=said)


def _suppressed_by(source: SourceFile, finding: Finding, found: NameFinding) -> Directive | None:
    known, code = source.suppressions, finding.code
    if found.is_silenced:
        return known.noqa_of(found.noqa_line) or Directive(finding.line, 1, NOQA, (), "", None)
    if not known:
        return None
    own = is_own(code)
    by = known.find(code, found.noqa_line, _ALIASES.get(code, ()), of_lint=own)
    return by or (known.find(code, finding.line) if found.noqa_line != finding.line else None)


def _judged(file: File, config: Config, *, reads_text: bool) -> frozenset[str]:
    """Return our codes that were looked for in a file: of these a comment may be unused."""
    own = own_codes(config)
    if not file.source.suppressions or UNUSED_SUPPRESSION not in own:
        return frozenset()
    said = (record for records in file.records.values() for record in records)
    wrong = any(record["kind"] == "diagnostic" for record in said)
    names = _NAME_RULES if file.prepared is not None and not wrong else frozenset[str]()
    texts = _TEXT_RULES if reads_text else frozenset[str]()
    return own & (names | texts | {UNUSED_SUPPRESSION})


def _name_findings(file: File) -> Iterable[NameFinding]:
    source, found = file.source, cast("Iterable[NameFinding]", file.prepared or ())
    if source.language in _DECLARING and any(finding.code == "L102" for finding in found):
        is_module = source.facets["script_goal"] != "any"
        found = [] if source.parsed is None else source.parsed.own_names(found, is_module=is_module)
    return found
