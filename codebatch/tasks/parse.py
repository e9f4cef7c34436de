"""Task ``parse``: the syntax tree of a file as a value, and its syntax errors.

The tree itself is an object, referenced by digest; the shard stores the bytes that the record
carries under ``data`` and replaces them by the reference. Whether JavaScript and TypeScript are
accepted is oxlint's to say, not the parser's of the tree.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import cast

from codebatch.records import Record
from codebatch.tasks.base import PARSE, Config, FileContext, Task, reason_to_skip, skip_record
from codebatch.tasks.findings import Finding, diagnostic_records
from codebatch.tasks.languages.base import Parsed, SyntaxFault
from codebatch.tasks.languages.ecmascript.oxlint import OXLINT
from codebatch.tasks.languages.ecmascript.verdicts import Verdicts
from codebatch.tasks.languages.versions import parser_versions
from codebatch.tasks.rules import RULES, SYNTAX_ERROR
from codebatch.tasks.source import SourceFile

NO_PARSER = "no parser"


def parsed_or_skip(source: SourceFile, config: Config) -> Parsed | Record:
    """The parsed file, or the skip record of one that is not parsed."""
    reason = reason_to_skip(source, config)
    if reason is not None:
        return skip_record(reason)
    return skip_record(NO_PARSER) if source.parsed is None else source.parsed


def _parse(source: SourceFile, context: FileContext) -> Iterable[Record]:
    parsed = parsed_or_skip(source, context.config)
    if isinstance(parsed, dict):
        yield parsed
        return
    tree = parsed.encode()
    if tree is not None:
        yield {
            "kind": "ast",
            "language": source.language,
            "format": tree.format,
            "nodes": tree.nodes,
            "data": tree.data,
        }
    faults = cast("Sequence[SyntaxFault] | None", context.prepared)
    found = _findings(parsed.faults if faults is None else faults)
    yield from diagnostic_records(found, source.lines)


def _toolchain() -> Mapping[str, str]:
    return {**parser_versions(), **OXLINT.toolchain()}


def _findings(faults: Iterable[SyntaxFault]) -> Iterable[Finding]:
    rule = RULES[SYNTAX_ERROR]
    for line, column, message in faults:
        yield Finding(line, column, SYNTAX_ERROR, rule.name, rule.severity, message)


TASK = Task(
    name=PARSE,
    version=4,
    summary="syntax trees and syntax errors",
    kinds=("ast", "diagnostic", "skip"),
    run=_parse,
    toolchain=_toolchain,
    facets=("module_role", "script_goal"),
    prepare=Verdicts,
)
