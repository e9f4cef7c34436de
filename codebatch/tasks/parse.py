"""Task ``parse``: the syntax tree of a file as a value, and its syntax errors.

The tree itself is an object, referenced by digest; the shard stores the bytes that the record
carries under ``data`` and replaces them by the reference. Whether JavaScript and TypeScript are
accepted is oxlint's to say, not the parser's of the tree. Of a file that nobody in the project
writes, a skip says that it is not accepted.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import cast

from codebatch.model.records import Record
from codebatch.tasks.base import (
    TOO_MANY_TOKENS,
    Config,
    reason_to_skip,
    reason_unwritten,
    skip_record,
)
from codebatch.tasks.decorator import task
from codebatch.tasks.file import File
from codebatch.tasks.findings import Finding, diagnostic_records
from codebatch.tasks.languages.base import Parsed, SyntaxFault
from codebatch.tasks.languages.dialects import is_dialect, reason_not_to_parse
from codebatch.tasks.languages.ecmascript.findings import SyntaxFaults
from codebatch.tasks.languages.ecmascript.oxlint import OXLINT
from codebatch.tasks.languages.python.ruff import RUFF
from codebatch.tasks.languages.versions import parser_versions
from codebatch.tasks.rules import RULES, SYNTAX_ERROR

NO_PARSER = "no parser"
REJECTED = ", with syntax errors"  # after the reason why nobody in the project writes a file


def parsed_or_skip(file: File, config: Config) -> Parsed | Record:
    """The parsed file, or the skip record of one that is not parsed, which holds as well where a
    needed ``parse`` has found out that the file is in a dialect. What has a tree already was not
    too much.
    """
    source = file.source
    said = [record for found in file.records.values() for record in found]
    reason = reason_to_skip(source, config)
    if reason == TOO_MANY_TOKENS and any(record["kind"] == "ast" for record in said):
        reason = None
    reason = reason or reason_not_to_parse(source)
    if reason is None and source.parsed is not None:
        words = (record.get("reason") for record in said)
        reason = next((str(word) for word in words if is_dialect(word)), None)
        return source.parsed if reason is None else skip_record(reason)
    return skip_record(reason or NO_PARSER)


def toolchain() -> Mapping[str, str]:
    """Return what the parsers and the tools of `parse` and `lint` depend on."""
    return {**parser_versions(), **OXLINT.toolchain(), **RUFF.toolchain()}


@task(
    version=6,
    summary="syntax trees and syntax errors",
    schema="config.parse",
    kinds=("ast", "diagnostic", "skip"),
    toolchain=toolchain,
    facets=("script_goal", "text_role"),
    prepare=SyntaxFaults,
)
def parse(file: File, config: Config) -> Iterable[Record]:
    """Yield the tree of a file and what is wrong with it."""
    source, parsed = file.source, parsed_or_skip(file, config)
    if isinstance(parsed, dict):
        yield parsed
        return
    judged = cast("Sequence[SyntaxFault] | None", file.prepared)
    faults = parsed.faults if judged is None else judged
    dialect = parsed.dialect if faults else None
    if dialect is not None:
        yield skip_record(dialect)
        return
    tree = parsed.encode()
    if tree is not None:
        yield {
            "kind": "ast",
            "language": source.language,
            "format": tree.format,
            "nodes": tree.nodes,
            "data": tree.data,
            **({"partial": True} if tree.partial else {}),
        }
    unwritten = reason_unwritten(source, config) if faults else None
    if unwritten is not None:
        yield skip_record(f"{unwritten}{REJECTED}")
        return
    yield from diagnostic_records(_findings(faults), source.lines)


def _findings(faults: Iterable[SyntaxFault]) -> Iterable[Finding]:
    rule = RULES[SYNTAX_ERROR]
    for line, column, message in faults:
        yield Finding(line, column, SYNTAX_ERROR, rule.name, rule.severity, message)
