"""One task on one shard: its state, its outputs against the state, and what they refer to."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice

from codebatch.maintenance.verify.findings import Findings, find_bytes, path_of
from codebatch.model.checks import check_state, record_check
from codebatch.model.digest import EMPTY, Document, digest_bytes
from codebatch.model.errors import CodeBatchError, StoreDamagedError
from codebatch.model.records import (
    COMPUTED,
    FAILED,
    Counts,
    InputFile,
    PlannedTask,
    Record,
    ShardState,
)
from codebatch.model.result_tree import shard_node
from codebatch.store import parse_chunks, parse_lines
from codebatch.store.layout import CHUNK_BYTES, INDEX_BYTES
from codebatch.store.path_kinds import OUTPUTS, Place


def check_shard(
    findings: Findings, place: Place, task: PlannedTask, files: Sequence[InputFile] | None
) -> ShardState | None:
    """The state that lies at the place, None where it or its outputs are damaged; ``files`` are
    those of the shard in path order, None where they are not known.
    """
    state = findings.judge(place, findings.find(place), _checked_state)
    if state is None or state.status == FAILED:
        return state
    data = _outputs_of(findings, place._replace(kind=OUTPUTS), state)
    if data is None:
        return None
    try:
        lines = data.splitlines(keepends=True)
        records = parse_lines(data, record_check(task.fields))
        if len(records) != len(lines):
            raise StoreDamagedError("a line of other than one record")
        if files is not None:
            _compare(state, lines, records, files, task, len(place.shard_id))
        _follow(findings, place, records)
    except StoreDamagedError as error:
        findings.blame(place, f"it does not describe its outputs: {error.message}")
        return None
    return state


def _checked_state(document: Document) -> ShardState:
    state = check_state(ShardState.from_document(document))
    if state.status == FAILED and (state.digest, state.size, state.files) != (EMPTY, 0, 0):
        raise ValueError("it failed and has outputs")
    if state.computed != (state.origins.count(COMPUTED) if state.linked is None else 0):
        raise ValueError("the origins of its files are not what was counted")
    return state


def _outputs_of(findings: Findings, place: Place, state: ShardState) -> bytes | None:
    path = path_of(findings.store.layout, place)
    found = find_bytes(findings.store, path, min(state.size, INDEX_BYTES))
    wrong = found.wrong
    if found.data is not None and len(found.data) != state.size:
        wrong = f"it has {len(found.data)} bytes, its state says {state.size}"
    elif found.data is not None and digest_bytes(found.data) != state.digest:
        wrong = "its bytes do not match the digest in its state"
    if wrong is None:
        return found.data
    findings.blame(place, wrong, found)
    return None


def _compare(
    state: ShardState,
    lines: list[bytes],
    records: list[Record],
    files: Sequence[InputFile],
    task: PlannedTask,
    width: int,
) -> None:
    """Everything that a state says follows from the outputs and the files of its shard."""
    if state.files != len(files):
        raise StoreDamagedError("another number of files")
    if state.counts != Counts.of(records):
        raise StoreDamagedError("other counts")
    if not {record["kind"] for record in records} <= {*task.kinds, "diagnostic"}:
        raise StoreDamagedError("a kind that the task does not yield")
    digests = []
    remaining, parsed = iter(lines), iter(records)
    for file, (number, diagnostics) in zip(files, state.per_file, strict=True):
        own_lines, own = b"".join(islice(remaining, number)), list(islice(parsed, number))
        if any(record["path"] != file.path for record in own):
            raise StoreDamagedError(f"records of another file in the place of {file.path}")
        if sum(record["kind"] == "diagnostic" for record in own) != diagnostics:
            raise StoreDamagedError(f"another number of diagnostics of {file.path}")
        digests.append((file.path, file.object, digest_bytes(own_lines)))
    if shard_node(digests, width) != state.tree:
        raise StoreDamagedError("another node of the result tree")


def _follow(findings: Findings, place: Place, records: list[Record]) -> None:
    """Note the objects that the outputs refer to."""
    shard = (place.owner, place.task_id, place.shard_id)
    for record in records:
        if record["kind"] != "ast":
            continue
        digest = str(record["object"])
        is_whole = findings.refer_from_shard(digest, shard)
        if record.get("chunked") is True and is_whole:
            for chunk in _chunks_of(findings, digest):
                findings.refer_from_shard(chunk, shard)
            findings.refer_from_shard(digest, shard)  # which may be damaged, as is known by now


def _chunks_of(findings: Findings, digest: str) -> list[str]:
    try:
        data = findings.store.objects.read(digest, CHUNK_BYTES)
    except CodeBatchError:
        location = findings.store.objects.location(digest) or ""
        objects = findings.store.layout.door.place(findings.store.layout.objects)
        message = "its bytes do not match its name"
        findings.add_form(digest, "OBJECT_DAMAGED", message, f"{objects}/{location}")
        return []
    return parse_chunks(data)
