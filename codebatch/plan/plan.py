"""Resolve a pipeline against a snapshot: fingerprints, inputs, shards. Pure but for one read.

A task's fingerprint covers everything about it that may change its output: name and version,
config with every default, toolchain, and what it reads. The batch id covers the snapshot, the
resolved pipeline, the fingerprints, and how languages and facets are detected; how the work is
sharded is not part of it.
"""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import groupby
from operator import attrgetter
from typing import TYPE_CHECKING, cast

from codebatch.model.digest import (
    DIGEST_PREFIX,
    Document,
    canonical_json,
    digest_bytes,
    digest_document,
    short_id,
)
from codebatch.model.errors import TaskInvalidError, ToolchainMismatchError, UsageError
from codebatch.model.keys import CODE, changed_code, fingerprint
from codebatch.model.kinds import check_kinds
from codebatch.model.records import (
    FILE_SCOPE,
    READS_CONTENT,
    READS_TREE,
    SYMLINK_MODE,
    FileRecord,
    InputFile,
    Plan,
    PlannedShard,
    PlannedTask,
)
from codebatch.plan.pipeline import Pipeline, pipeline_document
from codebatch.tasks.base import PARSE, Task
from codebatch.tasks.decorator import toolchain
from codebatch.tasks.languages.detect import DETECTION, detect_language, facet_readers
from codebatch.tasks.levels import FACET, FIXED, NO_LEVELS, Levels
from codebatch.tasks.registry import (
    carried,
    code_of,
    give_tool,
    is_built_in,
    register,
    source_of,
    task_of,
)
from codebatch.tasks.rules import RULES

if TYPE_CHECKING:
    from codebatch.tasks.code import Code

SHARD_COUNTS = {16: 1, 256: 2, 4096: 3}
_FILES_PER_SHARD = 512


@dataclass(frozen=True)
class BatchIdentity:
    """All that the id of a batch is derived from, before its files are looked at."""

    snapshot_id: str
    pipeline: str
    document: Document
    tasks: tuple[PlannedTask, ...]
    levels: Levels = NO_LEVELS

    @property
    def batch_id(self) -> str:
        """The id: a digest of the snapshot, the resolved pipeline and the fingerprints, and of
        how a file's language and facets are found.
        """
        fingerprints = [task.fingerprint for task in self.tasks]
        identity = [self.snapshot_id, self.document, fingerprints, DETECTION]
        return short_id("batch", digest_document("batch", identity))


@dataclass(frozen=True)
class ResolvedPlan:
    """A plan with what is stored beside it: its identity and the lines of its inputs."""

    identity: BatchIdentity
    plan: Plan
    inputs: bytes


def identify(snapshot_id: str, pipeline: Pipeline) -> BatchIdentity:
    """The batch of a pipeline over a snapshot, as this process would run it."""
    document, tasks = pipeline_document(pipeline), plan_tasks(pipeline)
    return BatchIdentity(snapshot_id, pipeline.name, document, tasks, pipeline.levels)


def make_plan(
    identity: BatchIdentity,
    files: Sequence[FileRecord],
    read_head: Callable[[str], bytes],
    shards: int | None = None,
) -> ResolvedPlan:
    """Plan a batch over the files of its snapshot, which are ordered by path.

    ``read_head`` gives the first bytes of an object, for files whose name does not tell their
    language. ``shards`` is 16, 256 or 4096; without it the number of files decides.
    """
    facets = sorted({facet for task in identity.tasks for facet in task.facets})
    by_object = sorted(files, key=attrgetter("object"))  # and by path, since sorting is stable
    known = {FACET: identity.levels.of_path}
    readers = facet_readers(facets, [file.path for file in files], known)
    width = _width(len(files), shards)
    languages: Counter[str] = Counter()
    lines = io.BytesIO()
    planned: list[PlannedShard] = []
    for shard_id, group in groupby(by_object, key=lambda file: shard_of(file.object, width)):
        # As input files and as lines, those of one shard alone are held at a time.
        inputs = [_input_file(file, readers, read_head) for file in group]
        languages.update(file.language for file in inputs)
        data = b"".join(map(_input_line, inputs))
        size = sum(file.size for file in inputs)
        planned.append(
            PlannedShard(shard_id, len(inputs), size, lines.tell(), len(data), digest_bytes(data))
        )
        lines.write(data)
    plan = Plan(
        snapshot_id=identity.snapshot_id,
        pipeline=identity.pipeline,
        tasks=identity.tasks,
        shards=tuple(planned),
        files=len(files),
        languages=dict(sorted(languages.items())),
    )
    return ResolvedPlan(identity, plan, lines.getvalue())


def plan_tasks(pipeline: Pipeline) -> tuple[PlannedTask, ...]:
    """The tasks with their fingerprints, as this process would run them."""
    parsers = {task.id for task in pipeline.tasks if task.task.name == PARSE}
    planned: list[PlannedTask] = []
    for id_, task, needs, config in pipeline.tasks:
        reads_tree = task.reads_tree and not parsers.isdisjoint(needs)
        code = None if is_built_in(task) else register(task)
        if task.definition:
            give_tool(config)
        levels = _levels_for(task, config, pipeline.levels)
        parts = _components(task, config, code, levels, reads_tree=reads_tree)
        planned.append(_planned(id_, task, needs, parts))
    try:
        check_kinds(planned)
    except ValueError as error:
        raise TaskInvalidError(str(error), hints=["set kind = … of one of the classes"]) from error
    return tuple(planned)


def _planned(id_: str, task: Task, needs: tuple[str, ...], components: Document) -> PlannedTask:
    rules = task.declared_rules(cast("Document", components["config"]))
    return PlannedTask(
        id_,
        task.registered,
        needs,
        cast("Document", components["config"]),
        task.kinds,
        fingerprint(components),
        components,
        task.scope,
        task.own,
        tuple(rule.as_document() for rule in rules if rule.code not in RULES),
        source_of(task),
    )


def components_here(task: PlannedTask) -> Document:
    """The components of a planned task as this process would run it."""
    if carried(task) is not None:  # with the very code that the plan names, or it were not known
        return carried_components(task)
    found = task_of(task)
    config = found.resolve_config(task.config)
    own = None if is_built_in(found) else code_of(found)
    reads_tree = found.reads_tree and task.reads_tree
    here = _components(found, config, own, None, reads_tree=reads_tree)
    return {**here, **_said_of_levels(task)}


def _said_of_levels(task: PlannedTask) -> Document:
    """Return the components of a plan that are about levels, which are the same everywhere."""
    if task.levels is None:
        return {}
    return {"levels": task.levels, "facets": list(task.facets)}


def _levels_for(task: Task, config: Mapping[str, object], levels: Levels) -> Levels | None:
    """Return what is said of the findings that a task may give; None where nothing is."""
    if "diagnostic" not in task.kinds or (task.name == PARSE and is_built_in(task)):
        return None
    codes = None
    if task.name == "lint" and is_built_in(task):
        codes = {*RULES, *(rule.code for rule in task.declared_rules(config))} - FIXED
    return levels.about(codes) or None


def _level_components(task: Task, levels: Levels | None) -> Document:
    if levels is None:
        return {}
    of_batch = task.scope != FILE_SCOPE
    facets = {*task.facets, *([FACET] if levels.per_path and not of_batch else [])}
    said = levels if of_batch else replace(levels, per_path=())
    return {"levels": said.as_document(), "facets": sorted(facets)}


def carried_components(task: PlannedTask) -> Document:
    """The components of a user's task as this process runs it with the code that it is sent."""
    from codebatch.tasks.code import Code  # noqa: PLC0415 - for users' tasks alone

    code = Code.from_document(cast("Document", task.components["code"])).here()
    return {**task.components, "toolchain": dict(toolchain()), "code": code.as_document()}


def check_toolchain(tasks: tuple[PlannedTask, ...]) -> None:
    """Raise `ToolchainMismatchError` unless the tasks here are those the plan was made with:
    their tools, and they themselves. Results are in the memo under the plan's fingerprints.
    """
    for planned in tasks:
        here = components_here(planned)
        for name, there in sorted(planned.components.items()):
            if here.get(name) != there:
                raise _mismatch(planned, name, here)


def _mismatch(planned: PlannedTask, name: str, here: Document) -> ToolchainMismatchError:
    there = planned.components[name]
    says = f"{_words(name, there)}, here is {_words(name, here.get(name))}"
    hints = ["make a new batch with these tools: codebatch batch init"]
    if name == CODE:
        parts = [one.removeprefix(f"{CODE} ") for one in changed_code(planned.components, here)]
        says = f"other code, it differs in {', '.join(parts)}"
        hints = ["make a new batch with the code of now: codebatch batch init"]
    return ToolchainMismatchError(
        f"task {planned.id} was planned with {says}",
        hints=hints,
        details={"component": name, "planned": there, "here": here.get(name)},
    )


def _words(name: str, component: object) -> str:
    if name != "toolchain" or not isinstance(component, dict):
        return f"{name} {component}"
    return ", ".join(f"{tool} {version}" for tool, version in sorted(component.items()))


def _components(
    task: Task,
    config: Mapping[str, object],
    code: Code | None,
    levels: Levels | None,
    *,
    reads_tree: bool,
) -> Document:
    return {
        **({} if code is None else {"code": code.as_document()}),
        "task": task.registered,
        "version": task.version,
        "config": dict(config),
        "toolchain": dict(sorted(task.toolchain().items())),
        "facets": sorted(task.facets),
        "reads": READS_TREE if reads_tree else READS_CONTENT,
        **_level_components(task, levels),
    }


def _input_file(
    file: FileRecord,
    readers: Mapping[str, Callable[[str], str]],
    read_head: Callable[[str], bytes],
) -> InputFile:
    if file.mode == SYMLINK_MODE:
        language = "symlink"
    else:
        language = detect_language(file.path, lambda: read_head(file.object))
    roles = {facet: read(file.path) for facet, read in readers.items()}
    return InputFile(file.path, file.object, file.size, language, roles)


def _input_line(file: InputFile) -> bytes:
    """Canonical JSON of a file: what few files have of their own is written by itself, the rest
    is the same for thousands.
    """
    facets = _facets_json(tuple(file.facets.items()))
    path = canonical_json(file.path)
    return b'{"facets":%b,"language":"%b","object":"%b","path":%b,"size":%d}\n' % (
        facets,
        file.language.encode(),
        file.object.encode(),
        path,
        file.size,
    )


@lru_cache(maxsize=256)
def _facets_json(facets: tuple[tuple[str, str], ...]) -> bytes:
    return canonical_json(dict(facets))


def _width(files: int, shards: int | None) -> int:
    """Return the number of hex digits that name a shard."""
    if shards is None:
        return 1 if files <= 16 * _FILES_PER_SHARD else 2 if files <= 256 * 4096 else 3
    return check_shards(shards)


def check_shards(shards: int) -> int:
    """Return the number of hex digits that name one of so many shards; `UsageError` for another
    number.
    """
    if shards not in SHARD_COUNTS:
        raise UsageError(f"cannot make {shards} shards: choose 16, 256 or 4096")
    return SHARD_COUNTS[shards]


def shard_of(digest: str, width: int) -> str:
    """The shard of an object: the first ``width`` hex digits of its digest."""
    return digest[len(DIGEST_PREFIX) :][:width]


def plan_document(resolved: ResolvedPlan) -> Document:
    """The document of ``plan.json``."""
    plan = resolved.plan
    return {
        "batch_id": resolved.identity.batch_id,
        "snapshot_id": plan.snapshot_id,
        "pipeline": plan.pipeline,
        "document": resolved.identity.document,
        "detection": DETECTION,
        "tasks": [task.as_document() for task in plan.tasks],
        "shards": [shard._asdict() for shard in plan.shards],
        "files": plan.files,
        "languages": dict(plan.languages),
    }
