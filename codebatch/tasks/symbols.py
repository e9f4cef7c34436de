"""Task ``symbols``: the names a file defines, and its references to other modules."""

from __future__ import annotations

from collections.abc import Iterable

from codebatch.records import Record
from codebatch.tasks.base import FileContext, Task
from codebatch.tasks.parse import parse_toolchain, parsed_or_skip
from codebatch.tasks.source import SourceFile


def _symbols(source: SourceFile, context: FileContext) -> Iterable[Record]:
    parsed = parsed_or_skip(source, context.config)
    if isinstance(parsed, dict):
        yield parsed
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
