"""A tool as a task over a whole snapshot: it is run once, and sees all files."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Iterator, Mapping
from operator import itemgetter
from typing import Any

from codebatch.model.errors import TaskFailedError
from codebatch.model.records import Record, path_key
from codebatch.tasks.base import ToolCrashedError
from codebatch.tasks.findings import Finding
from codebatch.tasks.records import Diagnostic, Skip
from codebatch.tasks.tools.catalogue import described
from codebatch.tasks.tools.description import Description
from codebatch.tasks.tools.run import Answer, ToolCommand, ToolFailedError, chunks_of
from codebatch.tasks.tools.selection import is_misread, is_selected, reason_to_skip

Row = list[Any]  # the path as bytes, the object, the size, the language
Read = Callable[[str, int], bytes]


class ProjectTool:
    """The values are the files, ordered by path."""

    def map(self, records: Iterable[Record], _: Mapping[str, Any]) -> list[Row]:
        """Return some of the files."""
        rows = [[path_key(str(r["path"])), r["object"], r["size"], r["language"]] for r in records]
        return sorted(rows, key=itemgetter(0))

    def combine(self, a: list[Row], b: list[Row]) -> list[Row]:
        """Return the files of both."""
        return [*heapq.merge(a, b, key=itemgetter(0))]

    def reads(self, total: list[Row], config: Mapping[str, Any]) -> set[tuple[str, int]]:
        """Return the objects, with their sizes, that the tool sees."""
        tool = described(config)
        return {(row[1], row[2]) for row in total if _is_seen(tool, *row)}

    def finish(
        self, total: list[Row], config: Mapping[str, Any], read: Read
    ) -> Iterator[Diagnostic | Skip]:
        """Yield what the tool says of each file."""
        tool = described(config)
        files = tool.settings
        targets: list[str] = []
        for row in total:
            path = _path_of(row[0])
            if _is_seen(tool, *row):
                files[path] = read(row[1], row[2])
            if not is_selected(tool, row[3], path):
                continue
            reason = reason_to_skip(tool, row[3], row[2], path)
            if reason is not None:
                yield Skip(reason, path=path)
            else:
                targets.append(path)
        found: dict[str, Answer] = {}
        for chunk in chunks_of(tool, targets):
            for path, answer in _answers(tool, files, [targets[place] for place in chunk]).items():
                found.setdefault(path, []).extend(answer)
        known = {_path_of(row[0]) for row in total}
        for path in sorted(found.keys() & known):
            for one in sorted({one for one in found[path] if isinstance(one, Finding)}):
                yield Diagnostic(
                    one.code, one.severity, one.line, one.message, one.column, one.rule, path
                )


def _answers(
    tool: Description, files: Mapping[str, bytes], targets: list[str]
) -> dict[str, Answer]:
    try:
        return ToolCommand(tool, files, targets).answers()
    except (ToolFailedError, ToolCrashedError) as error:
        raise TaskFailedError(str(error)) from error


def _is_seen(tool: Description, path: bytes, _: str, size: int, language: str) -> bool:
    """Return whether a tool may see a file: no settings but those that its reader allows, and none
    whose findings would be taken for those of another.
    """
    whole = _path_of(path)
    name = whole.rpartition("/")[2]
    hidden = name in (*tool.direct_configs, *tool.code_configs) or is_misread(tool, whole)
    return language not in ("symlink", "binary") and size <= tool.max_bytes and not hidden


def _path_of(key: bytes) -> str:
    return key.decode("utf-8", "surrogateescape")
