"""Task ``symbols``: the names a file defines, and its references to other modules."""

from __future__ import annotations

from collections.abc import Iterable

from codebatch.records import Record
from codebatch.tasks.base import FileContext, Task, reason_to_skip, skip_record
from codebatch.tasks.parse import NO_PARSER, parse_toolchain
from codebatch.tasks.source import SourceFile


def _symbols(source: SourceFile, context: FileContext) -> Iterable[Record]:
    reason = reason_to_skip(source, context.config)
    if reason is not None:
        yield skip_record(reason)
        return
    parsed = source.parsed
    if parsed is None:
        yield skip_record(NO_PARSER)
        return
    for symbol in parsed.symbols():
        yield {"kind": "symbol", **symbol._asdict()}
    for edge in parsed.edges():
        fields = {name: value for name, value in edge._asdict().items() if value is not None}
        yield {"kind": "edge", **fields}


TASK = Task(
    name="symbols",
    version=1,
    summary="definitions, parameters, imports and exports; references to other modules",
    kinds=("symbol", "edge", "skip"),
    run=_symbols,
    toolchain=parse_toolchain,
)
