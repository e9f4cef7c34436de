"""Everything a batch says about one file. Of outputs, only the file's own shard is read.

A file is named by its path in the snapshot, which is found by searching the inputs for its line
without parsing the others; else by a path on this machine, else by the end of a path (a base name,
say). What fits several files or none is an error that names candidates.
"""

from __future__ import annotations

import posixpath
import shlex
from collections.abc import Sequence
from dataclasses import dataclass

from codebatch.model.digest import Document, canonical_json
from codebatch.model.errors import AmbiguousPathError, FileNotInBatchError, FilterInvalidError
from codebatch.model.records import InputFile, Plan, PlannedShard, Record, path_key
from codebatch.query.outline import enclosing, outline
from codebatch.query.paths import near_paths, readings_of
from codebatch.query.rules import rules_of
from codebatch.status.batch_status import status_of
from codebatch.store import StoreDirectory
from codebatch.tasks.source import SourceFile

LINKS = "symlink"
BINARY = "binary"

_AROUND = 3
_MOST_BYTES = 64 * 2**20  # of a source whose lines are shown


def inspect(store: StoreDirectory, batch_id: str, name: str, at: int | None = None) -> Document:
    """``path, object, language, size, batch_id, shard_id, tasks, outline, records, rules``.

    ``records`` are all of the file, in task order, with ``task_id`` and ``shard_id``. ``tasks``
    says which of them have run, ``rules`` what the codes of the findings mean. ``at`` is a line,
    and adds what is there: ``line, enclosing, symbols, diagnostics, source``.
    """
    plan = store.batches.load_plan(batch_id)
    located = locate_file(store, batch_id, plan, name)
    shard_id = located.shard.shard_id
    tasks: list[Document] = []
    records: list[Record] = []
    for task in plan.tasks:
        state = store.shards.load_state(batch_id, task.id, shard_id)
        tasks.append({"task_id": task.id, "status": status_of(state)})
        if state is not None and state.error is not None:
            tasks[-1]["error"] = dict(state.error)
        added = {"task_id": task.id, "shard_id": shard_id}
        records += (
            {**record, **added}
            for record in store.shards.iter_outputs(batch_id, task, shard_id)
            if record["path"] == located.file.path
        )
    document: Document = {
        "path": located.file.path,
        "object": located.file.object,
        "language": located.file.language,
        "size": located.file.size,
        "batch_id": batch_id,
        "shard_id": shard_id,
        "tasks": tasks,
        "outline": outline(records),
        "records": records,
        "rules": _rules(plan, records),
    }
    if at is not None:
        document["at"] = _at_line(records, source_lines(store, located.file), located.file.path, at)
    return document


def _rules(plan: Plan, records: Sequence[Record]) -> list[Document]:
    """Return the rules that are known of the findings among the records, by code."""
    known = rules_of(plan)
    found = {str(record["code"]) for record in records if record["kind"] == "diagnostic"}
    return [known[code].as_document() for code in sorted(found & known.keys())]


def file_lines(store: StoreDirectory, batch_id: str, name: str) -> list[str]:
    """The lines of a file of the batch, as its language decodes them."""
    located = locate_file(store, batch_id, store.batches.load_plan(batch_id), name)
    return source_lines(store, located.file)


def source_lines(store: StoreDirectory, file: InputFile) -> list[str]:
    """The lines of a file; none of a binary or a very large one, of a link its target alone."""
    if file.language == BINARY or file.size > _MOST_BYTES:
        return []
    language = "" if file.language == LINKS else file.language
    return SourceFile(store.objects.read(file.object, file.size), language).lines


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


_CANDIDATES_SHOWN = 10


@dataclass(frozen=True)
class LocatedFile:
    """A file of a batch and the shard it is in."""

    file: InputFile
    shard: PlannedShard


def locate_file(store: StoreDirectory, batch_id: str, plan: Plan, text: str) -> LocatedFile:
    """The file that ``text`` names; `FileNotInBatchError` or `AmbiguousPathError` if none or
    several.
    """
    inputs = store.batches.read_inputs(batch_id)
    for path in readings_of(store, batch_id, text):
        found = _find_line(store, batch_id, plan, inputs, path)
        if found is not None:
            return found
    return _search(store, batch_id, plan, text)


def _find_line(
    store: StoreDirectory, batch_id: str, plan: Plan, inputs: bytes, path: str
) -> LocatedFile | None:
    """The shard is read as a range of its own, as only that is checked against its digest."""
    # A quote inside a JSON string is escaped, so this text is nowhere but at the key itself.
    position = inputs.find(b'"path":' + canonical_json(path) + b",")
    for shard in plan.shards:
        if shard.offset <= position < shard.offset + shard.length:
            for file in store.batches.load_inputs(batch_id, shard):
                if file.path == path:
                    return LocatedFile(file, shard)
    return None


def _search(store: StoreDirectory, batch_id: str, plan: Plan, text: str) -> LocatedFile:
    files = {
        file.path: LocatedFile(file, shard)
        for shard in plan.shards
        for file in store.batches.load_inputs(batch_id, shard)
    }
    paths = sorted(files, key=path_key)
    ending = "/" + posixpath.normpath(text or ".").lstrip("/")
    fitting = [path for path in paths if ("/" + path).endswith(ending)]
    if len(fitting) == 1:
        return files[fitting[0]]
    if not fitting:
        raise _not_found(text, paths, batch_id)
    more = len(fitting) - _CANDIDATES_SHOWN
    raise AmbiguousPathError(
        f"{text} is ambiguous: {len(fitting):,} files of the batch end with it",
        hints=[*fitting[:_CANDIDATES_SHOWN], *([f"and {more:,} more"] if more > 0 else [])],
        details={"candidates": fitting},
    )


def _not_found(text: str, paths: Sequence[str], batch_id: str) -> FileNotInBatchError:
    folder = posixpath.normpath(text or ".") + "/"
    inside = sum(1 for path in paths if folder == "./" or path.startswith(folder))
    names = {*paths}
    near = [path for path in near_paths(posixpath.normpath(text), paths) if path in names]
    hints = [f"did you mean {path}?" for path in near]
    if inside:
        named = shlex.quote(folder.rstrip("/"))
        hints = [f"it is a folder of {inside:,} files: codebatch files --path {named}"]
    return FileNotInBatchError(
        f"no file {text} in {batch_id}",
        hints=hints or ["list them: codebatch files"],
        details={"candidates": near},
    )
