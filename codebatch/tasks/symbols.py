"""Task ``symbols``: the names a file defines, and its references to other modules.

Where the ``parse`` task records a tree, symbols and edges follow from this tree's bytes and the
language: a front end makes them from nothing that its encoding leaves out (see `Parsed`), and its
encoding writes no two trees alike. A Python file without a tree has a fault and no symbols. What
follows from the size is only whether the file is passed by, which is `reason_to_skip`; the number
of tokens counts only where there is no tree.
"""

from __future__ import annotations

from collections.abc import Iterable

from codebatch.model.records import Record
from codebatch.tasks.base import Config
from codebatch.tasks.decorator import task
from codebatch.tasks.file import File
from codebatch.tasks.languages.versions import parser_versions
from codebatch.tasks.parse import parsed_or_skip


@task(
    version=5,
    summary="definitions, parameters, imports and exports; references to other modules",
    needs=["parse"],
    schema="config.symbols",
    kinds=("symbol", "edge", "skip"),
    toolchain=parser_versions,
    reads_tree=True,
)
def symbols(file: File, config: Config) -> Iterable[Record]:
    """Yield the names that a file defines, and its references."""
    parsed = parsed_or_skip(file, config)
    if isinstance(parsed, dict):
        yield parsed
        return
    for name, symbol_type, scope, line, column, end_line in parsed.symbols():
        yield {
            "kind": "symbol",
            "name": name,
            "symbol_type": symbol_type,
            "scope": scope,
            "line": line,
            "column": column,
            "end_line": end_line,
        }
    for edge_type, target, line, imported, alias in parsed.edges():
        edge = {"kind": "edge", "edge_type": edge_type, "target": target, "line": line}
        if imported is not None:
            edge["name"] = imported
        if alias is not None:
            edge["alias"] = alias
        yield edge
