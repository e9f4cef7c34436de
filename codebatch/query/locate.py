"""Find one file of a batch by what a person calls it.

A path as the snapshot has it is found by searching the inputs for its line, without parsing
the others. Otherwise the file is looked for as a path on this machine, then as the end of a
path (a base name, say); what fits several files or none is an error that names candidates.
"""

from __future__ import annotations

import difflib
import os
import posixpath
from collections.abc import Sequence
from dataclasses import dataclass

from codebatch.model.digest import Document, canonical_json
from codebatch.model.errors import AmbiguousPathError, FileNotInBatchError
from codebatch.model.records import InputFile, Plan, PlannedShard, path_key
from codebatch.store import StoreDirectory

_SUGGESTIONS = 5
_CANDIDATES_SHOWN = 10
_WHOLE_PATHS_COMPARED = 20_000


@dataclass(frozen=True)
class LocatedFile:
    """A file of a batch and the shard it is in."""

    file: InputFile
    shard: PlannedShard


def locate_file(store: StoreDirectory, batch_id: str, plan: Plan, text: str) -> LocatedFile:
    """The file that ``text`` names; `FileNotInBatchError` or `AmbiguousPathError` if none or
    several.
    """
    inputs = store.read_inputs(batch_id)
    for path in dict.fromkeys((text, posixpath.normpath(text or "."))):
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
            for file in store.load_inputs(batch_id, shard):
                if file.path == path:
                    return LocatedFile(file, shard)
    return None


def _search(store: StoreDirectory, batch_id: str, plan: Plan, text: str) -> LocatedFile:
    files = {
        file.path: LocatedFile(file, shard)
        for shard in plan.shards
        for file in store.load_inputs(batch_id, shard)
    }
    paths = sorted(files, key=path_key)
    local = _local_path(store.load_snapshot(plan.snapshot_id), text)
    if local in files:
        return files[local]
    ending = "/" + posixpath.normpath(text or ".").lstrip("/")
    fitting = [path for path in paths if ("/" + path).endswith(ending)]
    if len(fitting) == 1:
        return files[fitting[0]]
    raise _ambiguous(text, fitting) if fitting else _not_found(text, paths, batch_id)


def _local_path(snapshot: Document, text: str) -> str:
    """The path below the snapshot's source, if it is a path on this machine."""
    source = str(snapshot["source"])
    return os.path.relpath(os.path.join(os.getcwd(), text), source)


def _ambiguous(text: str, paths: Sequence[str]) -> AmbiguousPathError:
    more = len(paths) - _CANDIDATES_SHOWN
    hints = [*paths[:_CANDIDATES_SHOWN], *([f"and {more:,} more"] if more > 0 else [])]
    return AmbiguousPathError(
        f"{text} is ambiguous: {len(paths):,} files of the batch end with it",
        hints=hints,
        details={"candidates": list(paths)},
    )


def _not_found(text: str, paths: Sequence[str], batch_id: str) -> FileNotInBatchError:
    folder = posixpath.normpath(text or ".") + "/"
    inside = sum(1 for path in paths if folder == "./" or path.startswith(folder))
    near = near_paths(text, paths)
    hints = [f"did you mean {path}?" for path in near]
    if inside:
        pattern = "*" if folder == "./" else f"{folder}*"
        hints = [f"it is a folder of {inside:,} files: codebatch files --path '{pattern}'"]
    return FileNotInBatchError(
        f"no file {text} in {batch_id}",
        hints=hints or ["list them: codebatch files"],
        details={"candidates": near},
    )


def near_paths(text: str, paths: Sequence[str]) -> list[str]:
    """Paths that are written like ``text``, the nearest first: by base name, then as a whole."""
    by_name: dict[str, list[str]] = {}
    for path in paths:
        by_name.setdefault(posixpath.basename(path), []).append(path)
    names = difflib.get_close_matches(posixpath.basename(text), by_name, _SUGGESTIONS)
    found = [path for name in names for path in by_name[name]]
    if len(paths) <= _WHOLE_PATHS_COMPARED:
        found += difflib.get_close_matches(text, paths, _SUGGESTIONS)
    ranked = sorted(
        dict.fromkeys(found), key=lambda path: -difflib.SequenceMatcher(None, path, text).ratio()
    )
    return ranked[:_SUGGESTIONS]
