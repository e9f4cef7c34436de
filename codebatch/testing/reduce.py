"""A task over a whole batch on some files, by the nodes that a run has: one map, one finish."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import msgpack

from codebatch.model.digest import DIGEST_PREFIX, canonical_json, digest_bytes
from codebatch.model.errors import TaskInvalidError
from codebatch.model.records import Record, path_key
from codebatch.plan.pipeline import Pipeline, PipelineTask
from codebatch.plan.plan import plan_tasks
from codebatch.reduction.compute import Part, Work, compute_node
from codebatch.reduction.tree import FINISH, MAP
from codebatch.shard.parcel import task_bytes
from codebatch.tasks.records import with_fingerprints
from codebatch.tasks.source import SourceFile

if TYPE_CHECKING:
    from codebatch.testing.run import TriedFile

_DIGITS = 3  # of the prefixes of leaves

Found = Iterable[tuple["TriedFile", Mapping[str, list[Record]]]]


def reduce_files(tasks: Sequence[PipelineTask], found: Found) -> list[Record]:
    """Return the records of the last of some tasks; ``found`` has those of the others by file."""
    one = tasks[-1]
    planned = next(p for p in plan_tasks(Pipeline(one.id, "", tuple(tasks))) if p.id == one.id)
    files: dict[str, TriedFile] = {}
    leaves: dict[str, list[tuple[bytes, bytes]]] = {}
    for file, records in found:
        files[file.path] = file
        prefix = digest_bytes(file.content)[len(DIGEST_PREFIX) :][:_DIGITS]
        lines = (
            canonical_json({**record, "path": file.path}) + b"\n"
            for need in one.needs
            for record in records[need]
        )
        leaves.setdefault(prefix, []).append((path_key(file.path), b"".join(lines)))
    if not leaves:
        return []
    parts = tuple(
        Part(prefix, prefix, None, lines=b"".join(lines for _, lines in sorted(leaf)))
        for prefix, leaf in sorted(leaves.items())
    )
    above = sorted({prefix[:width] for prefix in leaves for width in range(_DIGITS)})
    keys = tuple((prefix, prefix) for prefix in above)
    total = compute_node(Work(task_bytes(planned), MAP, "", parts, keys)).value
    whole = (Part("", "", total.value, total.nodes),)
    packed = compute_node(Work(task_bytes(planned), FINISH, "", whole, ())).value.value
    return list(_records(one.id, packed, files))


def _records(task_id: str, packed: bytes, files: Mapping[str, TriedFile]) -> Iterator[Record]:
    for path, some in _unpacked(packed):
        if path not in files:
            raise TaskInvalidError(f"task {task_id} has a record for {path!r}, which is no file")
        source = SourceFile(files[path].content, files[path].language)
        records = [_unpacked(one) for one in _unpacked(some)]
        for record in with_fingerprints(records, partial(getattr, source, "lines")):
            yield {"kind": record["kind"], "path": path, **record}


def _unpacked(data: bytes) -> Any:
    return msgpack.unpackb(data, unicode_errors="surrogatepass", strict_map_key=False)
