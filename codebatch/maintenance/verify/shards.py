"""One task on one shard: its state, its outputs against the state, and what they refer to."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache, partial
from itertools import islice

from codebatch.maintenance.verify.findings import Findings, found_by
from codebatch.maintenance.verify.problems import Problem
from codebatch.model.checks import check_state, record_check
from codebatch.model.digest import EMPTY, Document, canonical_json, digest_bytes
from codebatch.model.errors import CodeBatchError, StoreDamagedError
from codebatch.model.line_patterns import lines_pattern
from codebatch.model.records import (
    COMPUTED,
    FAILED,
    OBJECT_KINDS,
    Counts,
    InputFile,
    PlannedTask,
    Record,
    ShardState,
)
from codebatch.model.result_tree import shard_node
from codebatch.store import parse_chunks, parse_lines
from codebatch.store.layout import CHUNK_BYTES
from codebatch.store.outputs import read_records
from codebatch.store.path_kinds import OBJECT, OUTPUTS, Place

_FEW = 6
_CHUNKED = b'"chunked":true'
_DIAGNOSTIC = b'"kind":"diagnostic"'
# What many batches have is looked at once: the objects in outputs, by all that they follow from.
_KNOWN: dict[bytes, list[str]] = {}
_MOST_KNOWN = 1024
_OBJECT = re.compile(rb'"object":"(sha256:[0-9a-f]{64})"')


def check_shard(
    findings: Findings, place: Place, task: PlannedTask, files: Sequence[InputFile] | None
) -> ShardState | None:
    """The state that lies at the place, None where it or its outputs are damaged; ``files`` are
    those of the shard in path order, None where they are not known.
    """
    state, data, objects = look_at_shard(findings, place, task, files)
    if state is None or state.status == FAILED:
        return state
    if data is None:
        return None
    if objects is not None:
        refer_to(findings, place, objects)
        return state
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


def look_at_shard(
    findings: Findings, place: Place, task: PlannedTask, files: Sequence[InputFile] | None
) -> tuple[ShardState | None, bytes | None, list[str] | None]:
    """Return the state that lies at a place, and its outputs, None where they are damaged; and the
    objects that these refer to, None where that takes a closer look.
    """
    state = findings.judge(place, findings.find(place), _checked_state)
    if state is None or state.status == FAILED:
        return state, None, None
    data = _outputs_of(findings, place._replace(kind=OUTPUTS), state)
    if data is None:
        return state, None, None
    if files is None or state.files != len(files):
        return state, data, None
    return state, data, _known_objects_in(state, data, files, task, len(place.shard_id))


def refer_to(findings: Findings, place: Place, objects: Iterable[str]) -> None:
    """Note that the outputs of a shard refer to objects."""
    for digest in objects:
        findings.refer_from_shard(digest, (place.owner, place.task_id, place.shard_id))


def _checked_state(document: Document) -> ShardState:
    state = check_state(ShardState.from_document(document))
    if state.status == FAILED and (state.digest, state.size, state.files) != (EMPTY, 0, 0):
        raise ValueError("it failed and has outputs")
    if state.computed != (state.origins.count(COMPUTED) if state.linked is None else 0):
        raise ValueError("the origins of its files are not what was counted")
    return state


def _outputs_of(findings: Findings, place: Place, state: ShardState) -> bytes | None:
    layout = findings.store.layout
    shard = layout.shard(place.owner, place.task_id, place.shard_id)
    found = found_by(partial(read_records, layout, shard, state.size))
    if found.is_missing and not state.size:
        return b""
    wrong = found.wrong
    if found.data is not None and len(found.data) != state.size:
        wrong = f"it has {len(found.data)} bytes, its state says {state.size}"
    elif found.data is not None and digest_bytes(found.data) != state.digest:
        wrong = "its bytes do not match the digest in its state"
    if wrong is None:
        return found.data
    findings.blame(place, wrong, found)
    return None


def _known_objects_in(
    state: ShardState, data: bytes, files: Sequence[InputFile], task: PlannedTask, width: int
) -> list[str] | None:
    """Return what `_objects_in` does, sooner where it was asked for the same before."""
    inputs = [(file.path, file.object) for file in files]
    said = (state.digest, state.tree, state.counts, state.per_file, task.kinds, task.fields)
    key = hashlib.sha256(repr((said, inputs, width)).encode("utf-8", "surrogatepass")).digest()
    objects = _KNOWN.get(key)
    if objects is None:
        objects = _objects_in(state, data, files, task, width)
        if objects is not None:
            if len(_KNOWN) >= _MOST_KNOWN:
                _KNOWN.clear()
            _KNOWN[key] = objects
    return objects


def _objects_in(
    state: ShardState, data: bytes, files: Sequence[InputFile], task: PlannedTask, width: int
) -> list[str] | None:
    """Return the objects that outputs refer to; None where it cannot be told without parsing all
    lines that they are what the state says, or which objects these are.
    """
    pattern = _pattern_of(state, data, task)
    if pattern is None:
        return None
    has_others = state.counts.diagnostics not in (0, state.counts.records)
    digests, start = [], 0
    for file, (number, diagnostics) in zip(files, state.per_file, strict=True):
        end = _end_of_lines(pattern, data, start, number, file.path)
        found = number if state.counts.diagnostics else 0
        if has_others:
            found = data.count(_DIAGNOSTIC, start, end)
        if end < 0 or found != diagnostics:
            return None
        lines = digest_bytes(data[start:end]) if number else EMPTY
        digests.append((file.path, file.object, lines))
        start = end
    if start != len(data) or shard_node(digests, width) != state.tree:
        return None
    if OBJECT_KINDS.isdisjoint(state.counts.by_kind):
        return []
    return [digest.decode() for digest in _OBJECT.findall(data)]


def _pattern_of(state: ShardState, data: bytes, task: PlannedTask) -> re.Pattern[bytes] | None:
    """Return the pattern of lines with which the counts of a state are right; None where they are
    wrong, or where other lines are possible.
    """
    counts = state.counts
    by_kind = counts.by_kind
    if task.fields or not {*task.kinds, "diagnostic"} >= by_kind.keys() or 0 in by_kind.values():
        return None
    # Values with an escape are not counted below: sums tell where there are any.
    sums = (
        (by_kind, counts.records),
        (counts.by_severity, by_kind.get("diagnostic", 0)),
        (counts.by_code, by_kind.get("diagnostic", 0)),
        (counts.by_skip_reason, by_kind.get("skip", 0)),
    )
    if any(sum(tally.values()) != number for tally, number in sums):
        return None
    is_plain = _is_text(data) and (OBJECT_KINDS.isdisjoint(by_kind) or _CHUNKED not in data)
    if not is_plain or _counts_of(data, counts) != counts:
        return None
    return lines_pattern(by_kind)


def _end_of_lines(
    pattern: re.Pattern[bytes], data: bytes, start: int, number: int, path: str
) -> int:
    """Return where so many lines of that path end; -1 where there are others."""
    end, left = start, number
    text = _text_of(path)
    while left > 0:
        match = pattern.match(data, end)
        if match is None or match[1] != text:
            return -1
        left -= data.count(b"\n", end, match.end())
        end = match.end()
    return end if left == 0 else -1


@lru_cache(maxsize=4096)
def _text_of(path: str) -> bytes:
    """Return a path as it is written: once for all tasks of a shard, that is."""
    return canonical_json(path)


def _is_text(data: bytes) -> bool:
    try:
        return data.isascii() or bool(data.decode())
    except UnicodeDecodeError:
        return False


def _counts_of(data: bytes, said: Counts) -> Counts:
    """Return the counts of as many lines as are said, of kinds that are said, each of which matches
    the pattern. Values that are written with an escape are not counted.
    """
    *kinds, last = said.by_kind or ("",)
    by_kind = {kind: data.count(b'"kind":%s' % canonical_json(kind)) for kind in kinds}
    by_kind[last] = said.records - sum(by_kind.values())
    tally = partial(_tally, data, is_shared="suppression" in by_kind)
    is_found, is_skipped = "diagnostic" in by_kind, "skip" in by_kind
    return Counts(
        records=said.records,
        by_kind=by_kind if last else {},
        by_severity=tally(b"severity", said.by_severity) if is_found else {},
        by_code=tally(b"code", said.by_code) if is_found else {},
        by_skip_reason=tally(b"reason", said.by_skip_reason) if is_skipped else {},
    )


def _tally(
    data: bytes, field: bytes, said: Mapping[str, int], *, is_shared: bool
) -> dict[str, int]:
    """Return how often a field has each value; of a field that kinds do not share, how often it
    has each of a few that are said, which is sooner: their sum tells whether there are others.
    """
    if not is_shared and len(said) <= _FEW:
        numbers = {v: data.count(b'"%s":%s' % (field, canonical_json(v))) for v in said}
        return {value: number for value, number in numbers.items() if number}
    values = re.findall(rb'"%s":"([^"\\]*)"' % field, data)
    return {value.decode(): number for value, number in Counter(values).items()}


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
        if record["kind"] not in OBJECT_KINDS:
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
        layout, places = findings.store.layout, findings.store.objects.places(digest)
        paths = (layout.door.place(found.path) for found in places)
        path = next(paths, layout.door.place(layout.objects))
        message = "its bytes do not match its name"
        problem = Problem("OBJECT_DAMAGED", message, path, Place(OBJECT, digest=digest))
        findings.lose(digest, problem)
        return []
    return parse_chunks(data)
