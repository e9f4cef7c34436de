"""Task ``lint``: text rules for what people write, name rules for code.

====== ================================ ========== ==========================================
code   finding                          severity   found by
====== ================================ ========== ==========================================
L001   trailing whitespace              info       text rule
L002   spaces before tabs in indent     info       text rule
L003   line too long                    info       text rule
L004   no newline at end of file        info       text rule
L005   too many blank lines             info       text rule
L101   unused import                    warning    ruff F401; oxlint no-unused-vars
L102   unused variable                  warning    ruff F841; oxlint no-unused-vars
L103   shadowing                        info       ruff A001, A002, A004, F402; oxlint no-shadow
====== ================================ ========== ==========================================

``rule`` holds the tool's own code: ruff looks at Python, oxlint at JavaScript and TypeScript. A
finding is left out where a ``noqa`` comment on its line says so.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import cast

from codebatch.model.records import Record
from codebatch.tasks.base import (
    Config,
    FileContext,
    Task,
    reason_to_skip,
    skip_record,
)
from codebatch.tasks.findings import Finding, diagnostic_records
from codebatch.tasks.languages.base import NameFinding
from codebatch.tasks.languages.dialects import reason_not_to_parse
from codebatch.tasks.languages.ecmascript.findings import OxlintFindings
from codebatch.tasks.languages.ecmascript.oxlint import LANGUAGES, OXLINT
from codebatch.tasks.languages.python.ruff import RUFF, RuffInput, RuffRun, may_nest_deeply
from codebatch.tasks.languages.versions import parser_versions
from codebatch.tasks.noqa import is_suppressed
from codebatch.tasks.rules import RULES
from codebatch.tasks.source import SourceFile
from codebatch.tasks.text_rules import MINIFIED, reason_to_pass_by, text_findings

TOO_DEEP = "nested too deeply"
RUFF_RULES = {
    "F401": "L101",
    "F841": "L102",
    "A001": "L103",
    "A002": "L103",
    "A004": "L103",
    "F402": "L103",
}


# Languages in which names are declared that are defined elsewhere.
_DECLARING = frozenset(("typescript", "tsx"))


def _toolchain() -> Mapping[str, str]:
    return {**parser_versions(), **RUFF.toolchain(), **OXLINT.toolchain()}


class _RuffFindings:
    """Ruff at work on some Python files."""

    def __init__(self, sources: Sequence[SourceFile], codes: Collection[str]) -> None:
        select = sorted(rule for rule, code in RUFF_RULES.items() if code in codes)
        inputs = [RuffInput(source.content, source.facets["module_role"]) for source in sources]
        self._run = RuffRun(inputs, select)

    def findings(self) -> list[list[NameFinding]]:
        return [
            [NameFinding(RUFF_RULES[f.code], *f) for f in found] for found in self._run.findings()
        ]

    def cancel(self) -> None:
        self._run.cancel()


_TOOLS: Mapping[str, type[_RuffFindings] | type[OxlintFindings]] = {
    "python": _RuffFindings,
    **dict.fromkeys(LANGUAGES, OxlintFindings),
}


class _NameFindings:
    """The findings of names in the files of a shard, by one process of each tool."""

    def __init__(self, sources: Sequence[SourceFile], config: Config) -> None:
        self.places: list[int] = []
        self._runs: list[_RuffFindings | OxlintFindings] = []
        chosen: dict[type[_RuffFindings] | type[OxlintFindings], list[int]] = {}
        for place, source in enumerate(sources):
            tool = _TOOLS.get(source.language)
            if tool is not None and _has_names(source, config):
                chosen.setdefault(tool, []).append(place)
        try:
            for tool, places in chosen.items():
                self._runs.append(tool([sources[place] for place in places], config["rules"]))
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
    reason = reason_to_skip(source, config) or reason_not_to_parse(source)
    if reason is not None or reason_to_pass_by(source) == MINIFIED:
        return False
    return _is_fit_for_ruff(source)


def _is_fit_for_ruff(source: SourceFile) -> bool:
    """Return whether ruff can be asked, if it is for Python: not about what is too deep, nor about
    what Python cannot parse and might take ruff minutes.
    """
    if source.language != "python" or not may_nest_deeply(source.content):
        return True
    parsed = source.parsed
    fit = parsed is not None and not parsed.faults and not parsed.nests_deeply
    source.drop_tree()
    return fit


def _is_too_deep(source: SourceFile) -> bool:
    suspect = source.language == "python" and may_nest_deeply(source.content)
    return suspect and source.parsed is not None and source.parsed.nests_deeply


def _lint(source: SourceFile, context: FileContext) -> Iterator[Record]:
    reason = reason_to_skip(source, context.config)
    if reason is not None:
        yield skip_record(reason)
        return
    passed_by = reason_to_pass_by(source)
    if passed_by is not None:
        yield skip_record(passed_by)
    if _is_too_deep(source):
        yield skip_record(TOO_DEEP)
    found = [*_text_findings(source, context.config)] if passed_by is None else []
    if passed_by != MINIFIED:
        found += _name_findings(source, context)
    rules = set(context.config["rules"])
    if found:
        yield from diagnostic_records((f for f in found if f.code in rules), source.lines)


def _text_findings(source: SourceFile, config: Config) -> Iterable[Finding]:
    for code, line, column, message in text_findings(source, config):
        if not is_suppressed(source.lines, line, code):
            yield _finding(config, code, RULES[code].name, line, column, message)


def _name_findings(source: SourceFile, context: FileContext) -> Iterable[Finding]:
    found = cast("Iterable[NameFinding]", context.prepared or ())
    if source.language in _DECLARING and any(finding.code == "L102" for finding in found):
        is_module = source.facets["script_goal"] != "any"
        found = [] if source.parsed is None else source.parsed.own_names(found, is_module=is_module)
    for code, rule, message, line, column, noqa_line in found:
        if not is_suppressed(source.lines, noqa_line, code):
            yield _finding(context.config, code, rule, line, column, message)


def _finding(config: Config, code: str, rule: str, line: int, column: int, message: str) -> Finding:
    severity = config["severities"].get(code) or RULES[code].severity
    return Finding(line, column, code, rule, severity, message)


TASK = Task(
    name="lint",
    version=3,
    summary="text rules, unused imports and variables, shadowing",
    kinds=("diagnostic", "skip"),
    run=_lint,
    toolchain=_toolchain,
    facets=("module_role", "script_goal", "text_role"),
    prepare=_NameFindings,
)
