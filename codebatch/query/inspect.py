"""Everything a batch says about one file. Of outputs, only the file's own shard is read."""

from __future__ import annotations

from collections.abc import Iterator

from codebatch.model.digest import Document
from codebatch.model.errors import FilterInvalidError
from codebatch.model.records import InputFile, Plan, Record
from codebatch.query.locate import LocatedFile, locate_file
from codebatch.query.outline import enclosing, outline
from codebatch.status.batch_status import status_of
from codebatch.store import StoreDirectory
from codebatch.tasks.source import SourceFile

LINKS = "symlink"
BINARY = "binary"

_AROUND = 3
_MOST_BYTES = 64 * 2**20  # of a source whose lines are shown


def inspect(store: StoreDirectory, batch_id: str, name: str, at: int | None = None) -> Document:
    """``path, object, language, size, batch_id, shard_id, tasks, outline, records``.

    ``records`` are all of the file, in task order, with ``task_id`` and ``shard_id``. ``tasks``
    says which of them have run. ``at`` is a line, and adds what is there: ``line, enclosing,
    symbols, diagnostics, source``.
    """
    plan = store.load_plan(batch_id)
    located = locate_file(store, batch_id, plan, name)
    tasks = list(_task_rows(store, batch_id, plan, located))
    records = list(_records(store, batch_id, plan, located))
    document: Document = {
        "path": located.file.path,
        "object": located.file.object,
        "language": located.file.language,
        "size": located.file.size,
        "batch_id": batch_id,
        "shard_id": located.shard.shard_id,
        "tasks": tasks,
        "outline": outline(records),
        "records": records,
    }
    if at is not None:
        document["at"] = _at_line(records, source_lines(store, located.file), located.file.path, at)
    return document


def file_lines(store: StoreDirectory, batch_id: str, name: str) -> list[str]:
    """The lines of a file of the batch, as its language decodes them."""
    located = locate_file(store, batch_id, store.load_plan(batch_id), name)
    return source_lines(store, located.file)


def source_lines(store: StoreDirectory, file: InputFile) -> list[str]:
    """The lines of a file; none of a binary or a very large one, of a link its target alone."""
    if file.language == BINARY or file.size > _MOST_BYTES:
        return []
    language = "" if file.language == LINKS else file.language
    return SourceFile(store.objects.read(file.object, file.size), language).lines


def _task_rows(
    store: StoreDirectory, batch_id: str, plan: Plan, located: LocatedFile
) -> Iterator[Document]:
    for task in plan.tasks:
        state = store.load_state(batch_id, task.id, located.shard.shard_id)
        row: Document = {"task_id": task.id, "status": status_of(state)}
        if state is not None and state.error is not None:
            row["error"] = dict(state.error)
        yield row


def _records(
    store: StoreDirectory, batch_id: str, plan: Plan, located: LocatedFile
) -> Iterator[Record]:
    shard_id = located.shard.shard_id
    for task in plan.tasks:
        for record in store.iter_outputs(batch_id, task.id, shard_id):
            if record["path"] == located.file.path:
                yield {**record, "task_id": task.id, "shard_id": shard_id}


def _at_line(records: list[Record], lines: list[str], path: str, at: int) -> Document:
    if not 1 <= at <= len(lines):
        holds = f"{len(lines):,} lines" if lines else "no lines to show"
        raise FilterInvalidError(f"there is no line {at} in {path}: it has {holds}")
    on_line = [record for record in records if record.get("line") == at]
    first, last = max(1, at - _AROUND), min(len(lines), at + _AROUND)
    return {
        "line": at,
        "enclosing": enclosing(records, at),
        "symbols": [record for record in on_line if record["kind"] == "symbol"],
        "diagnostics": [record for record in on_line if record["kind"] == "diagnostic"],
        "source": [{"line": n, "text": lines[n - 1]} for n in range(first, last + 1)],
    }
