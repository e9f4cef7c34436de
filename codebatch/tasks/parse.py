"""Task ``parse``: the syntax tree of a file as a value, and its syntax errors.

The tree itself is an object, referenced by digest; the shard stores the bytes that the record
carries under ``data`` and replaces them by the reference.
"""

from __future__ import annotations

from collections.abc import Iterable

from codebatch.records import Record
from codebatch.tasks.base import PARSE, Config, FileContext, Task, reason_to_skip, skip_record
from codebatch.tasks.findings import Finding, diagnostic_records
from codebatch.tasks.languages.base import Parsed
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
    yield from diagnostic_records(_faults(parsed), source.lines)


def _faults(parsed: Parsed) -> Iterable[Finding]:
    rule = RULES[SYNTAX_ERROR]
    for line, column, message in parsed.faults:
        yield Finding(line, column, SYNTAX_ERROR, rule.name, rule.severity, message)


TASK = Task(
    name=PARSE,
    version=3,
    summary="syntax trees and syntax errors",
    kinds=("ast", "diagnostic", "skip"),
    run=_parse,
    toolchain=parser_versions,
)
