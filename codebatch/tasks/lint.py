"""Task ``lint``: text rules for what people write, name rules for code.

====== ================================ ========== ==========================================
code   finding                          severity   found by
====== ================================ ========== ==========================================
L001   trailing whitespace              info       text rule
L002   spaces before tabs in indent     info       text rule
L003   line too long                    info       text rule
L004   no newline at end of file        info       text rule
L005   too many blank lines             info       text rule
L101   unused import                    warning    ruff F401; scopes of JavaScript, TypeScript
L102   unused variable                  warning    ruff F841; scopes of JavaScript, TypeScript
L103   shadowing                        info       ruff A001, A002, A004, F402; scopes
====== ================================ ========== ==========================================

``rule`` holds the tool's own code. A finding is left out where a ``noqa`` comment on its line
says so.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import cast

from codebatch.records import Record
from codebatch.tasks.base import (
    Config,
    FileContext,
    Task,
    reason_to_skip,
    skip_record,
)
from codebatch.tasks.findings import Finding, diagnostic_records
from codebatch.tasks.languages.python.ruff import RUFF, RuffFinding, RuffInput, RuffRun
from codebatch.tasks.languages.versions import parser_versions
from codebatch.tasks.noqa import is_suppressed
from codebatch.tasks.rules import RULES
from codebatch.tasks.source import SourceFile
from codebatch.tasks.text_rules import MINIFIED, reason_to_pass_by, text_findings

RUFF_RULES = {
    "F401": "L101",
    "F841": "L102",
    "A001": "L103",
    "A002": "L103",
    "A004": "L103",
    "F402": "L103",
}


def _toolchain() -> Mapping[str, str]:
    return {**parser_versions(), **RUFF.toolchain()}


class _RuffFindings:
    """Ruff's findings for the Python files of a shard, by one process."""

    def __init__(self, sources: Sequence[SourceFile], config: Config) -> None:
        select = sorted(rule for rule, code in RUFF_RULES.items() if code in config["rules"])
        self.places = [
            place
            for place, source in enumerate(sources)
            if select and source.language == "python" and reason_to_skip(source, config) is None
        ]
        chosen = [sources[place] for place in self.places]
        inputs = [RuffInput(source.content, source.facets["module_role"]) for source in chosen]
        self._run = RuffRun(inputs, select)

    def values(self) -> Sequence[object]:
        return self._run.findings()

    def cancel(self) -> None:
        self._run.cancel()


def _lint(source: SourceFile, context: FileContext) -> Iterator[Record]:
    reason = reason_to_skip(source, context.config)
    if reason is not None:
        yield skip_record(reason)
        return
    passed_by = reason_to_pass_by(source)
    if passed_by is not None:
        yield skip_record(passed_by)
    found = [*_text_findings(source, context.config)] if passed_by is None else []
    if passed_by != MINIFIED:
        found += _name_findings(source, context)
    rules = set(context.config["rules"])
    yield from diagnostic_records((f for f in found if f.code in rules), source.lines)


def _text_findings(source: SourceFile, config: Config) -> Iterable[Finding]:
    for code, line, column, message in text_findings(source, config):
        if not is_suppressed(source.lines, line, code):
            yield _finding(config, code, RULES[code].name, line, column, message)


def _name_findings(source: SourceFile, context: FileContext) -> Iterable[Finding]:
    for found in cast("Sequence[RuffFinding]", context.prepared or ()):
        code = RUFF_RULES[found.code]
        if not is_suppressed(source.lines, found.noqa_line, code):
            yield _finding(
                context.config, code, found.code, found.line, found.column, found.message
            )
    if source.language == "python" or source.parsed is None:
        return
    for code, message, line, column in source.parsed.name_findings():
        if not is_suppressed(source.lines, line, code):
            yield _finding(context.config, code, RULES[code].name, line, column, message)


def _finding(config: Config, code: str, rule: str, line: int, column: int, message: str) -> Finding:
    severity = config["severities"].get(code) or RULES[code].severity
    return Finding(line, column, code, rule, severity, message)


TASK = Task(
    name="lint",
    version=1,
    summary="text rules, unused imports and variables, shadowing",
    kinds=("diagnostic", "skip"),
    run=_lint,
    toolchain=_toolchain,
    facets=("module_role", "text_role"),
    prepare=_RuffFindings,
)
