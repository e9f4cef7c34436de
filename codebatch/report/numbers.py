"""Numbers of files and functions, from the metrics that ``analyze`` has recorded of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from codebatch.model.records import Record, path_key
from codebatch.query.filters import RecordFilter
from codebatch.query.records import iter_records
from codebatch.query.views import file_rows
from codebatch.report.tables import NUMBER, PATH, TEXT, Column
from codebatch.status.batch_status import BatchStatus
from codebatch.store import StoreDirectory

FILE_COLUMNS = (
    Column("path", PATH),
    Column("language", TEXT),
    Column("lines", NUMBER),
    Column("complexity", NUMBER),
    Column("highest", NUMBER),
    Column("findings", NUMBER),
)
FUNCTION_COLUMNS = (
    Column("complexity", NUMBER),
    Column("cognitive", NUMBER),
    Column("nesting", NUMBER),
    Column("name", TEXT),
    Column("path", PATH),
    Column("line", NUMBER),
)
MOST_FUNCTIONS = 2_000
_OF_FILE = {"lines": "lines", "complexity": "complexity", "max_complexity": "highest"}
_OF_FUNCTION = {
    "function_complexity": "complexity",
    "function_cognitive": "cognitive",
    "function_nesting": "nesting",
}

Row = dict[str, Any]


@dataclass(frozen=True)
class Numbers:
    """``files`` are rows by size, the largest first: by lines if ``is_by_lines``, else by bytes.
    ``functions`` are the most complex of all, of which there are ``function_count``.
    """

    files: list[Row]
    functions: list[Row]
    function_count: int
    is_by_lines: bool

    def by_language(self) -> list[Row]:
        """Return the languages with their files and their lines or bytes, the largest first."""
        found: dict[str, Row] = {}
        for file in self.files:
            name = file["language"]
            row = found.setdefault(name, {"language": name, "files": 0, "lines": 0, "findings": 0})
            row["files"] += 1
            for field in ("lines", "findings"):
                row[field] += file[field] or 0
        return sorted(
            found.values(), key=lambda row: (-row["lines"], -row["files"], row["language"])
        )


def load_numbers(store: StoreDirectory, batch_status: BatchStatus) -> Numbers:
    """Return the numbers of a batch as far as it is done."""
    of_files: dict[str, Row] = {}
    functions = _Largest()
    task = next((task.id for task in batch_status.plan.tasks if task.task == "analyze"), None)
    if task is not None:
        wanted = RecordFilter(kind="metric", metric=",".join((*_OF_FILE, *_OF_FUNCTION)))
        records = iter_records(store, batch_status, wanted, task)
        for path, of_file in groupby(records, key=lambda record: str(record["path"])):
            of_files[path] = {}
            for row in _numbers_of(path, of_file, of_files[path]):
                functions.add(row)
    size = "lines" if of_files else "size"
    files = [
        {
            "path": row["path"],
            "language": row["language"],
            "findings": row["diagnostics"],
            **of_files.get(str(row["path"]), {}),
            "lines": row["size"]
            if size == "size"
            else of_files.get(str(row["path"]), {}).get("lines"),
        }
        for row in file_rows(store, batch_status)
    ]
    files.sort(key=lambda row: (-(row["lines"] or 0), path_key(row["path"])))
    return Numbers(files, functions.rows(), functions.count, size == "lines")


def _numbers_of(path: str, records: Iterator[Record], of_file: Row) -> Iterator[Row]:
    """Yield the functions of a file; its own numbers are put into ``of_file``."""
    functions: dict[tuple[object, object], Row] = {}
    for record in records:
        metric = str(record["metric"])
        if metric in _OF_FILE:
            of_file[_OF_FILE[metric]] = record["value"]
        else:
            place = (record.get("line"), record.get("name"))
            row = functions.setdefault(
                place, {"path": path, "line": place[0], "name": place[1], "complexity": 0}
            )
            row[_OF_FUNCTION[metric]] = record["value"]
    yield from functions.values()


class _Largest:
    """Keeps the most complex functions; at most twice as many as are wanted are held."""

    def __init__(self) -> None:
        self.count = 0
        self._kept: list[Row] = []

    def add(self, row: Row) -> None:
        self.count += 1
        self._kept.append(row)
        if len(self._kept) > 2 * MOST_FUNCTIONS:
            self._kept = self.rows()

    def rows(self) -> list[Row]:
        return sorted(self._kept, key=_by_complexity)[:MOST_FUNCTIONS]


def _by_complexity(row: Mapping[str, Any]) -> tuple[Any, ...]:
    numbers = (-row["complexity"], -(row.get("cognitive") or 0))
    return (*numbers, path_key(row["path"]), row["line"] or 0, str(row["name"]))
