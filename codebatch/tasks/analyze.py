"""Task ``analyze``: counts of size and complexity.

Every record is one measure: ``metric`` and ``value``; those of one function carry the
function's qualified ``name`` and ``line`` as well. What counts as a decision is documented
with each language's front end. A file that does not parse gets the counts that need no tree; one
that is none for the parser is a skip as well.

``vocabulary`` names the metrics.
"""

from __future__ import annotations

from collections.abc import Iterable

from codebatch.model.records import Record
from codebatch.tasks.base import Config, reason_to_skip, skip_record
from codebatch.tasks.decorator import task
from codebatch.tasks.file import File
from codebatch.tasks.languages.base import CodeMetrics
from codebatch.tasks.languages.versions import parser_versions
from codebatch.tasks.parse import NO_PARSER, parsed_or_skip

_OF_FUNCTIONS = ("function_complexity", "function_cognitive", "function_nesting")


@task(
    version=3,
    summary="size, complexity and counts, of files and of functions",
    needs=["parse"],
    schema="config.analyze",
    kinds=("metric", "skip"),
    toolchain=parser_versions,
)
def analyze(file: File, config: Config) -> Iterable[Record]:
    """Yield the measures of a file and of its functions."""
    source = file.source
    reason = reason_to_skip(source, config)
    if reason is not None:
        yield skip_record(reason)
        return
    lines = source.lines
    yield _metric("bytes", source.size)
    yield _metric("language", source.language)
    yield _metric("lines", len(lines))
    yield _metric("loc", len(lines) - source.blank_lines)
    parsed = parsed_or_skip(file, config)
    if isinstance(parsed, dict):
        if parsed["reason"] != NO_PARSER:
            yield parsed
    elif (metrics := parsed.metrics()) is not None:
        yield from _code_metrics(metrics)


def _code_metrics(metrics: CodeMetrics) -> Iterable[Record]:
    parts = (*metrics.functions, metrics.module)
    yield _metric("sloc", metrics.code_lines)
    yield _metric("comment_lines", metrics.comment_lines)
    yield _metric("functions", len(metrics.functions))
    yield _metric("classes", metrics.classes)
    yield _metric("imports", metrics.imports)
    yield _metric("complexity", sum(part.cyclomatic for part in parts))
    yield _metric("max_complexity", max((f.cyclomatic for f in metrics.functions), default=0))
    yield _metric("cognitive_complexity", sum(part.cognitive for part in parts))
    yield _metric("max_nesting", max(part.nesting for part in parts))
    for name, line, *values in metrics.functions:
        for metric, value in zip(_OF_FUNCTIONS, values, strict=True):
            yield {"kind": "metric", "metric": metric, "value": value, "name": name, "line": line}


def _metric(name: str, value: int | str) -> Record:
    return {"kind": "metric", "metric": name, "value": value}
