"""One task on one shard: its state, its outputs against the state, and what they refer to."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from itertools import islice
from typing import NamedTuple

from codebatch.maintenance.verify.documents import find_bytes, find_document
from codebatch.maintenance.verify.findings import EMPTY, Findings, Shard
from codebatch.model.digest import check_digest, digest_bytes
from codebatch.model.errors import CodeBatchError, InvalidIdError
from codebatch.model.records import (
    COMPUTED,
    EQUAL,
    FAILED,
    REMEMBERED,
    Counts,
    InputFile,
    PlannedTask,
    Record,
    ShardState,
)
from codebatch.model.result_tree import shard_node
from codebatch.store.layout import CHUNK_BYTES, INDEX_BYTES
from codebatch.store.path_kinds import OUTPUTS, Place

_ORIGINS = {COMPUTED, EQUAL, REMEMBERED}
_PARSE_ERRORS = (KeyError, TypeError, ValueError, RecursionError, AttributeError, CodeBatchError)


class _WrongShardError(Exception):
    """Outputs are not what their state says of them."""


class _File(NamedTuple):
    """What one file of a shard has in its outputs."""

    lines: list[bytes]
    records: list[Record]


def check_shard(
    findings: Findings, place: Place, task: PlannedTask, files: Sequence[InputFile] | None
) -> ShardState | None:
    """The state that lies at the place, None where it or its outputs are damaged; ``files`` are
    those of the shard in path order, None where they are not known.
    """
    state = _state_at(findings, place)
    if state is None or state.status == FAILED:
        return state
    data = _outputs_of(findings, place, state)
    if data is None:
        return None
    try:
        records = _records_of(data)
        if files is not None:
            _compare(state, data, records, files, task, len(place.shard_id))
        _follow(findings, place, records)
    except _WrongShardError as error:
        _add_state(findings, place, f"it does not describe its outputs: {error}")
        return None
    return state


def _state_at(findings: Findings, place: Place) -> ShardState | None:
    path = findings.store.layout.state(place.owner, place.task_id, place.shard_id)
    found = find_document(findings.store, path)
    if found.document is None:
        code = "UNREADABLE" if found.is_unreadable else "STATE_DAMAGED"
        _add_state(findings, place, str(found.wrong), code)
        return None
    try:
        state = ShardState.from_document(found.document)
    except _PARSE_ERRORS as error:
        _add_state(findings, place, f"it is not what the format says: {error}")
        return None
    if state.status == FAILED and (state.digest, state.size, state.files) != (EMPTY, 0, 0):
        _add_state(findings, place, "it failed and has outputs")
        return None
    return state


def _add_state(findings: Findings, place: Place, wrong: str, code: str = "STATE_DAMAGED") -> None:
    findings.add(
        code,
        f"the state of shard {place.shard_id} of task {place.task_id} of {place.owner}: {wrong}",
        findings.store.layout.state(place.owner, place.task_id, place.shard_id),
        place,
        batches=(place.owner,),
    )


def _outputs_of(findings: Findings, place: Place, state: ShardState) -> bytes | None:
    path = findings.store.layout.outputs(place.owner, place.task_id, place.shard_id)
    found = find_bytes(findings.store, path, min(state.size, INDEX_BYTES))
    wrong = found.wrong
    if found.data is not None and len(found.data) != state.size:
        wrong = f"it has {len(found.data)} bytes, its state says {state.size}"
    elif found.data is not None and digest_bytes(found.data) != state.digest:
        wrong = "its bytes do not match the digest in its state"
    if wrong is None:
        return found.data
    what = f"shard {place.shard_id} of task {place.task_id} of {place.owner}"
    findings.add(
        "UNREADABLE" if found.is_unreadable else "OUTPUTS_DAMAGED",
        f"the outputs of {what}: {wrong}",
        path,
        place._replace(kind=OUTPUTS),
        batches=(place.owner,),
    )
    return None


def _records_of(data: bytes) -> list[Record]:
    try:
        records: list[Record] = [json.loads(line) for line in data.splitlines()]
        if all(isinstance(r["kind"], str) and isinstance(r["path"], str) for r in records):
            return records
    except _PARSE_ERRORS as error:
        raise _WrongShardError(f"a line is no record: {error}") from error
    raise _WrongShardError("a record has no kind or path")


def _compare(
    state: ShardState,
    data: bytes,
    records: list[Record],
    files: Sequence[InputFile],
    task: PlannedTask,
    width: int,
) -> None:
    """Everything that a state says follows from the outputs and the files of its shard."""
    if not state.files == len(state.per_file) == len(state.origins) == len(files):
        raise _WrongShardError("another number of files")
    if state.counts != Counts.of(records) or state.counts.records != sum(
        number for number, _ in state.per_file
    ):
        raise _WrongShardError("other counts")
    if not {record["kind"] for record in records} <= {*task.kinds, "diagnostic"}:
        raise _WrongShardError("a kind that the task does not yield")
    _compare_origins(state)
    digests = []
    lines, parsed = iter(data.splitlines(keepends=True)), iter(records)
    for file, (number, diagnostics) in zip(files, state.per_file, strict=True):
        own = _File(list(islice(lines, number)), list(islice(parsed, number)))
        if any(record["path"] != file.path for record in own.records):
            raise _WrongShardError(f"records of another file in the place of {file.path}")
        if sum(record["kind"] == "diagnostic" for record in own.records) != diagnostics:
            raise _WrongShardError(f"another number of diagnostics of {file.path}")
        digests.append((file.path, file.object, digest_bytes(b"".join(own.lines))))
    if shard_node(digests, width) != state.tree:
        raise _WrongShardError("another node of the result tree")


def _compare_origins(state: ShardState) -> None:
    computed = state.origins.count(COMPUTED) if state.linked is None else 0
    if (
        not _ORIGINS.issuperset(state.origins)
        or state.computed != computed
        or state.computed + state.reused != state.files
    ):
        raise _WrongShardError("the origins of its files are not what was counted")


def _follow(findings: Findings, place: Place, records: list[Record]) -> None:
    """Note the objects that the outputs refer to."""
    shard: Shard = (place.owner, place.task_id, place.shard_id)
    for record in records:
        if record["kind"] != "ast":
            continue
        try:
            digest = check_digest(record["object"])
        except (KeyError, InvalidIdError) as error:
            raise _WrongShardError("a tree without an object") from error
        is_whole = findings.refer_from_shard(digest, shard)
        if record.get("chunked") is True and is_whole:
            for chunk in _chunks_of(findings, digest, shard):
                findings.refer_from_shard(chunk, shard)


def _chunks_of(findings: Findings, digest: str, shard: Shard) -> list[str]:
    try:
        data = findings.store.objects.read(digest, CHUNK_BYTES)
    except CodeBatchError:
        place = findings.store.objects.location(digest) or ""
        path = os.path.relpath(
            os.path.join(findings.store.layout.objects, place), findings.store.root
        )
        findings.add_form(digest, "OBJECT_DAMAGED", "its bytes do not match its name", path)
        findings.refer_from_shard(digest, shard)
        return []
    try:
        return [check_digest(chunk) for chunk in json.loads(data)["chunks"]]
    except _PARSE_ERRORS as error:
        raise _WrongShardError("an object that should list chunks does not") from error
