"""Resolve a pipeline against a snapshot: fingerprints, inputs, shards. Pure but for one read.

A task's fingerprint covers everything that may change its output: its name and version, its
config with every default, its toolchain, how languages and facets are detected, and the
fingerprints of the tasks it needs. The batch id covers the snapshot, the resolved pipeline and
the fingerprints; how the work is sharded is not part of it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from itertools import groupby

from codebatch.digest import (
    DIGEST_PREFIX,
    Document,
    canonical_json,
    digest_bytes,
    digest_document,
    short_id,
)
from codebatch.errors import UsageError
from codebatch.pipeline import Pipeline, PipelineTask, pipeline_document
from codebatch.records import (
    SYMLINK_MODE,
    FileRecord,
    InputFile,
    Plan,
    PlannedShard,
    PlannedTask,
    path_key,
)
from codebatch.tasks.languages.detect import DETECTION, FACETS, detect_language

SHARD_COUNTS = {16: 1, 256: 2, 4096: 3}
_FILES_PER_SHARD = 512


@dataclass(frozen=True)
class ResolvedPlan:
    """A plan with what is stored beside it: its id and the lines of its inputs."""

    batch_id: str
    plan: Plan
    pipeline: Document
    inputs: bytes


def make_plan(
    snapshot_id: str,
    files: Sequence[FileRecord],
    pipeline: Pipeline,
    read_head: Callable[[str], bytes],
    shards: int | None = None,
) -> ResolvedPlan:
    """Plan a pipeline over the files of a snapshot.

    ``read_head`` gives the first bytes of an object, for files whose name does not tell their
    language. ``shards`` is 16, 256 or 4096; without it the number of files decides.
    """
    tasks = plan_tasks(pipeline)
    facets = sorted({facet for task in pipeline.tasks for facet in task.task.facets})
    inputs = sorted(
        (_input_file(file, facets, read_head) for file in files),
        key=lambda file: (file.object, path_key(file.path)),
    )
    lines = [canonical_json(asdict(file)) + b"\n" for file in inputs]
    document = pipeline_document(pipeline)
    identity = [snapshot_id, document, [task.fingerprint for task in tasks]]
    plan = Plan(
        snapshot_id=snapshot_id,
        pipeline=pipeline.name,
        tasks=tasks,
        shards=tuple(_shards(inputs, lines, _width(len(files), shards))),
        files=len(files),
        languages=dict(sorted(Counter(file.language for file in inputs).items())),
    )
    batch_id = short_id("batch", digest_document("batch", identity))
    return ResolvedPlan(batch_id, plan, document, b"".join(lines))


def plan_tasks(pipeline: Pipeline) -> tuple[PlannedTask, ...]:
    """The tasks with their fingerprints, as this process would run them."""
    planned: dict[str, PlannedTask] = {}
    for task in pipeline.tasks:
        components = _components(task, planned)
        planned[task.id] = PlannedTask(
            id=task.id,
            task=task.task.name,
            needs=task.needs,
            config=task.config,
            kinds=task.task.kinds,
            fingerprint=digest_document("fingerprint", components),
            components=components,
        )
    return tuple(planned.values())


def _components(task: PipelineTask, planned: dict[str, PlannedTask]) -> Document:
    return {
        "task": task.task.name,
        "version": task.task.version,
        "config": dict(task.config),
        "toolchain": dict(sorted(task.task.toolchain().items())),
        "detection": DETECTION,
        "facets": sorted(task.task.facets),
        "upstream": {need: planned[need].fingerprint for need in sorted(task.needs)},
    }


def _input_file(
    file: FileRecord, facets: Iterable[str], read_head: Callable[[str], bytes]
) -> InputFile:
    if file.mode == SYMLINK_MODE:
        language = "symlink"
    else:
        language = detect_language(file.path, lambda: read_head(file.object))
    roles = {facet: FACETS[facet](file.path) for facet in facets}
    return InputFile(file.path, file.object, file.size, language, roles)


def _width(files: int, shards: int | None) -> int:
    """How many hex digits name a shard."""
    if shards is None:
        return 1 if files <= 16 * _FILES_PER_SHARD else 2 if files <= 256 * 4096 else 3
    return check_shards(shards)


def check_shards(shards: int) -> int:
    """How many hex digits name one of so many shards; `UsageError` for another number."""
    if shards not in SHARD_COUNTS:
        raise UsageError(f"cannot make {shards} shards: choose 16, 256 or 4096")
    return SHARD_COUNTS[shards]


def _shards(
    inputs: Sequence[InputFile], lines: Sequence[bytes], width: int
) -> Iterable[PlannedShard]:
    """The non-empty shards; the inputs are ordered by object, so each is one range of lines."""
    offset = 0
    pairs = zip(inputs, lines, strict=True)
    for shard_id, group in groupby(pairs, key=lambda pair: shard_of(pair[0].object, width)):
        members = list(group)
        data = b"".join(line for _, line in members)
        size = sum(file.size for file, _ in members)
        yield PlannedShard(shard_id, len(members), size, offset, len(data), digest_bytes(data))
        offset += len(data)


def shard_of(digest: str, width: int) -> str:
    """The shard of an object: the first ``width`` hex digits of its digest."""
    return digest[len(DIGEST_PREFIX) :][:width]


def plan_document(resolved: ResolvedPlan) -> Document:
    """The document of ``plan.json``."""
    plan = resolved.plan
    return {
        "batch_id": resolved.batch_id,
        "snapshot_id": plan.snapshot_id,
        "pipeline": plan.pipeline,
        "document": resolved.pipeline,
        "tasks": [asdict(task) for task in plan.tasks],
        "shards": [asdict(shard) for shard in plan.shards],
        "files": plan.files,
        "languages": dict(plan.languages),
    }
