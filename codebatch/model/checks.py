"""Checks of the documents of a store beyond their form, made where they are read.

A digest proves that a document is as its writer left it, not that the writer meant well: a process
that can write to a store can seal anything. So paths must stay inside their tree, ids must be
ids, ranges and counts must add up, and records must have the fields of their kind. The functions
raise ValueError, TypeError or an id error, as parsing does.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import pairwise
from typing import cast

from codebatch.model.clock import is_time
from codebatch.model.digest import Document, check_digest
from codebatch.model.json_types import to_count, to_list, to_mapping, to_text, to_texts
from codebatch.model.keys import CODE as CODE_COMPONENT
from codebatch.model.keys import CODE_PARTS
from codebatch.model.records import (
    BATCH_SCOPE,
    CODE,
    DONE,
    FAILED,
    FILE_SCOPE,
    LEVELS,
    OBJECT_KINDS,
    READS_CONTENT,
    READS_TREE,
    SEVERITIES,
    SUPPRESSED_BY,
    FileRecord,
    InputFile,
    Plan,
    PlannedShard,
    PlannedTask,
    Record,
    ShardState,
    path_key,
)
from codebatch.runtime.lazy import lazily

with lazily():
    from codebatch.model import field_types, kinds

# An empty component, `.` or `..`, or a NUL byte; so also a leading or a trailing slash. A lone
# surrogate other than those that stand for a byte is no part of any name.
_BAD_PATH = re.compile(r"(?:\A|/)\.{0,2}(?:/|\Z)|[\0\ud800-\udc7f\udd00-\udfff]")
_SHARD_ID = re.compile(r"[0-9a-f]{1,3}\Z")
_LARGEST = 2**63 - 1

_FINDING: tuple[tuple[str, type], ...] = (
    *(("code", str), ("rule", str), ("severity", str), ("message", str)),
    *(("line", int), ("column", int), ("fingerprint", str)),
)
# For each kind the fields that a record must have, and those it may have, with their types.
REQUIRED: Mapping[str, tuple[tuple[str, type], ...]] = {
    "artifact": (("name", str), ("media_type", str), ("size", int), ("object", str)),
    "ast": (("language", str), ("format", str), ("nodes", int), ("object", str)),
    "diagnostic": _FINDING,
    "edge": (("edge_type", str), ("target", str), ("line", int)),
    "metric": (("metric", str),),
    "patch": (("added", int), ("removed", int), ("result", str), ("object", str)),
    "skip": (("reason", str),),
    "suppression": (*_FINDING, ("how", str), ("reason", str)),
    "symbol": (
        *(("name", str), ("symbol_type", str), ("scope", str)),
        *(("line", int), ("column", int), ("end_line", int)),
    ),
}
# What versions of ``symbols`` before 4 called an edge, and what it is called now.
EARLIER_EDGE_TYPES = {"import": "imports", "export": "exports"}
OPTIONAL: Mapping[str, tuple[tuple[str, type], ...]] = {
    "artifact": (("chunked", bool),),
    "ast": (("chunked", bool), ("partial", bool)),
    "edge": (("name", str), ("alias", str)),
    "metric": (("name", str), ("line", int)),
    "patch": (("chunked", bool),),
}
_COUNTS = ("line", "column", "end_line", "nodes", "size", "added", "removed")


def check_path(path: str) -> str:
    """The path itself, if it names something inside a tree."""
    if _BAD_PATH.search(path):
        raise ValueError(f"not a path inside a tree: {path!r}")
    return path


def record_check(own: kinds.Kinds) -> Callable[[Document], Record]:
    """Return the check of the records of a task with these kinds of its own."""
    if not own:
        return check_record
    fits = field_types.fits
    forms = {kind: [(n, fits(words)) for n, words in types.items()] for kind, types in own.items()}

    def check(record: Document) -> Record:
        form = forms.get(cast("str", record["kind"]))
        if form is None:
            return check_record(record)
        path = record["path"]
        if not isinstance(path, str):
            raise TypeError("a record has a kind and a path")
        check_path(path)
        for name, is_fitting in form:
            if not is_fitting(record[name]):
                raise ValueError(f"{name} of a record is not as its kind says")
        if len(record) != len(form) + 2:
            raise ValueError("a record has more fields than its kind")
        return record

    return check


def check_record(record: Document) -> Record:
    """Return the record, if it has what a record of its kind has, in the words of today. New kinds
    may come.
    """
    kind, path = record["kind"], record["path"]
    if not isinstance(kind, str) or not isinstance(path, str):
        raise TypeError("a record has a kind and a path")
    check_path(path)
    for name, of_type in REQUIRED.get(kind, ()):
        if type(record[name]) is not of_type:
            raise TypeError(f"{name} of a record is of another type")
    for name, of_type in OPTIONAL.get(kind, ()):
        if name in record and type(record[name]) is not of_type:
            raise TypeError(f"{name} of a record is of another type")
    _check_values(record, kind)
    if kind == "edge":
        edge_type = str(record["edge_type"])
        record["edge_type"] = EARLIER_EDGE_TYPES.get(edge_type, edge_type)
    return record


def _check_values(record: Record, kind: str) -> None:
    if kind in ("diagnostic", "suppression"):
        if kind == "suppression" and record["how"] not in SUPPRESSED_BY:
            raise ValueError("a finding is suppressed by something unknown")
        if record["severity"] not in SEVERITIES or not CODE.match(str(record["code"])):
            raise ValueError("a diagnostic has another code or severity")
    elif kind in OBJECT_KINDS:
        check_digest(record["object"])
        if kind == "patch":
            check_digest(record["result"])
        elif kind == "artifact":
            check_path(str(record["name"]))
    elif kind == "metric":
        value = record["value"]
        if type(value) not in (int, float, str):
            raise TypeError("value of a metric is of another type")
        if isinstance(value, int) and not -_LARGEST <= value <= _LARGEST:
            raise ValueError("value of a record is out of range")
        if isinstance(value, float) and not math.isfinite(value):
            raise ValueError("value of a record is no number")
    for name in _COUNTS if kind in REQUIRED else ():
        number = record.get(name, 0)
        if isinstance(number, int) and not 0 <= number <= _LARGEST:
            raise ValueError(f"{name} of a record is out of range")


def check_count(name: str, value: int | None) -> None:
    """Raise as `check_record` does where the value of a field of integers is out of range."""
    least = 0 if name in _COUNTS else -_LARGEST
    if value is not None and not least <= value <= _LARGEST:
        raise ValueError(f"{name} of a record is out of range")


def text_check(kind: str, name: str) -> Callable[[str], object] | None:
    """Return what raises as `check_record` does where the text of a field cannot be one; None where
    any text can. What records of earlier versions have is refused.
    """
    if name == "path" or (kind, name) == ("artifact", "name"):
        return check_path
    if name == "object" or (kind, name) == ("patch", "result"):
        return check_digest
    if (kind, name) == ("edge", "edge_type"):
        return lambda value: _refuse(name, is_bad=value in EARLIER_EDGE_TYPES)
    of_finding: dict[str, Callable[[str], object]] = {
        "severity": SEVERITIES.__contains__,
        "how": SUPPRESSED_BY.__contains__,
        "code": CODE.match,
    }
    if kind not in ("diagnostic", "suppression") or name not in of_finding:
        return None
    return lambda value: _refuse(name, is_bad=not of_finding[name](value))


def _refuse(name: str, *, is_bad: bool) -> None:
    if is_bad:
        raise ValueError(f"{name} of a record is unknown")


def check_manifest(files: Sequence[FileRecord]) -> Sequence[FileRecord]:
    """The files themselves, if their paths are inside the tree, in order, and each there once."""
    for file in files:
        check_path(file.path)
        if file.mode not in ("100644", "100755", "120000"):
            raise ValueError(f"unknown mode {file.mode!r}")
    _check_ascending((path_key(file.path) for file in files), "the files of a manifest")
    return files


def check_inputs(shard: PlannedShard, files: list[InputFile]) -> list[InputFile]:
    """The files themselves, if they are those of a shard, in order, and each there once."""
    start = len("sha256:")
    for file in files:
        check_path(file.path)
        if not file.object.startswith(shard.shard_id, start):
            raise ValueError(f"{file.path!r} is in the wrong shard")
    if (len(files), sum(file.size for file in files)) != (shard.files, shard.bytes):
        raise ValueError("a shard has other files than its plan says")
    _check_ascending(((file.object, path_key(file.path)) for file in files), "inputs")
    return files


def check_plan(plan: Plan) -> Plan:
    """The plan itself, if its tasks can run in their order and its shards add up."""
    known: set[str] = set()
    for task in plan.tasks:
        if task.id in known or not known.issuperset(task.needs):
            raise ValueError(f"task {task.id!r} is there twice, or before what it needs")
        _check_components(task)
        known.add(task.id)
    if not known:
        raise ValueError("a plan has tasks")
    whole = {task.id for task in plan.batch_tasks}
    if any(not whole.isdisjoint(task.needs) for task in plan.tasks):
        raise ValueError("a task needs one that looks at all files")
    if any(task.fields or task.rules for task in plan.tasks):
        kinds.check_kinds(plan.tasks)
    _check_shards(plan)
    return plan


def _check_components(task: PlannedTask) -> None:
    """Raise unless the components of a task are its own, and each has the form that it has to have:
    most are not looked at before the task runs, or its results are shown.
    """
    components = task.components
    if task.scope not in (FILE_SCOPE, BATCH_SCOPE):
        raise ValueError(f"unknown scope of task {task.id!r}")
    if components["task"] != task.task or components["config"] != task.config:
        raise ValueError(f"the components of task {task.id!r} are of another")
    if components["reads"] not in (READS_CONTENT, READS_TREE):
        raise ValueError(f"task {task.id!r} reads something unknown")
    to_count(components["version"])
    to_texts(components["facets"])
    _to_words(components["toolchain"])
    if task.levels is not None:
        _check_levels(task.levels)
    if CODE_COMPONENT in components:
        code = to_mapping(components[CODE_COMPONENT])
        check_digest(code["digest"])
        for part in CODE_PARTS:
            _to_words(code[part])
        if len(code) != len(CODE_PARTS) + 1:
            raise ValueError(f"the code of task {task.id!r} has unknown parts")


def _check_levels(value: object) -> None:
    """Raise unless a component has levels by code, everywhere and by pattern."""
    said = to_mapping(value)
    tables = [said["severities"]]
    for pair in to_list(said["per_path"]):
        pattern, levels = to_list(pair)
        to_text(pattern)
        tables.append(levels)
    if len(said) != 2 or not LEVELS.issuperset(
        level for table in tables for level in _to_words(table).values()
    ):
        raise ValueError("levels of another form")


def _to_words(value: object) -> dict[str, str]:
    return {name: to_text(word) for name, word in to_mapping(value).items()}


def _check_shards(plan: Plan) -> None:
    end = 0
    for shard in plan.shards:
        if not _SHARD_ID.match(shard.shard_id) or shard.offset != end or not shard.files:
            raise ValueError(f"shard {shard.shard_id!r} is out of place")
        end += shard.length
    _check_ascending([shard.shard_id for shard in plan.shards], "shards")
    if len({len(shard.shard_id) for shard in plan.shards}) > 1:
        raise ValueError("ids of shards have one length")
    if not plan.files == sum(s.files for s in plan.shards) == sum(plan.languages.values()):
        raise ValueError("the files of the shards are not those of the plan")


def check_state(state: ShardState) -> ShardState:
    """The state itself, if its counts add up."""
    if state.status not in (DONE, FAILED):
        raise ValueError(f"unknown shard status {state.status!r}")
    if state.status == FAILED:
        error = state.error
        if error is None or not all(isinstance(error.get(k), str) for k in ("code", "message")):
            raise ValueError("a failed state says why")
        return state
    counts = state.counts
    if not len(state.per_file) == len(state.origins) == state.files:
        raise ValueError("a state counts other files than it has")
    if state.computed + state.reused != state.files or not set(state.origins) <= set("cem"):
        raise ValueError("a state says of other files where they come from")
    records = sum(found for found, _ in state.per_file)
    diagnostics = sum(found for _, found in state.per_file)
    if records != counts.records or diagnostics != counts.diagnostics:
        raise ValueError("a state counts other records than its files have")
    if state.error is not None:
        raise ValueError("a finished state has no error")
    return state


def check_batch(document: Document, batch_id: str) -> Document:
    """``batch.json`` itself, if it is that of the batch."""
    if document["batch_id"] != batch_id:
        raise ValueError("it is of another batch")
    if document["result"] is not None:
        check_digest(document["result"])
    check_time(document["created"])
    _check_types(document, (("pipeline", str), ("snapshot_id", str)))
    return document


def check_snapshot(document: Document, snapshot_id: str) -> Document:
    """``snapshot.json`` itself, if it is that of the snapshot."""
    if document["snapshot_id"] != snapshot_id:
        raise ValueError("it is of another snapshot")
    check_time(document["taken"])
    counts = (("file_count", int), ("total_bytes", int))
    _check_types(document, (("source", str), ("skipped", list), *counts))
    if not all(0 <= cast("int", document[name]) <= _LARGEST for name, _ in counts):
        raise ValueError("its files are not to be counted")
    for entry in cast("list[Document]", document["skipped"]):
        _check_types(entry, (("path", str), ("reason", str)))
    return document


def _check_types(document: Document, fields: Iterable[tuple[str, type]]) -> None:
    """Raise unless the fields are there, and of just these types."""
    for name, of_type in fields:
        if type(document[name]) is not of_type:
            raise TypeError(f"{name} is of another type")


def check_time(value: object) -> None:
    """Raise unless the value is a time with its distance from UTC, as documents have it."""
    if not isinstance(value, str) or not is_time(value):
        raise ValueError(f"not a time: {value!r}")


def _check_ascending(keys: Iterable[object], what: str) -> None:
    if any(not a < b for a, b in pairwise(keys)):  # type: ignore[operator]
        raise ValueError(f"{what} are out of order, or there twice")
