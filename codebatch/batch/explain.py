"""Why a result is what it is: everything that one task's lines about one file depend on.

Nothing is computed: the key is made again from the plan and from the committed records.
"""

from __future__ import annotations

from codebatch.model.digest import Document, digest_bytes
from codebatch.model.errors import FileNotInBatchError, StoreDamagedError, TaskNotFoundError
from codebatch.model.keys import file_key_preimage
from codebatch.model.record_lines import FileLines, decode_lines, open_path
from codebatch.model.records import (
    BATCH_SCOPE,
    COMPUTED,
    DONE,
    EQUAL,
    MEMO_HIT,
    PENDING,
    Counts,
    InputFile,
    Plan,
    PlannedTask,
    ShardState,
    path_key,
)
from codebatch.plan.plan import shard_of
from codebatch.reduction.sources import NotReadyError, Sources
from codebatch.reduction.tree import value_preimage
from codebatch.shard.files import groups_of_equals
from codebatch.shard.outputs import lines_by_file
from codebatch.store import StoreDirectory
from codebatch.store.indexes.memo import MemoStore

LINKED = "linked"
ORIGINS = {COMPUTED: "computed", EQUAL: "equal", MEMO_HIT: "remembered"}


def explain_result(store: StoreDirectory, batch_id: str, task_id: str, path: str) -> Document:
    """Return what the result of a task on a file depends on, and where it came from.

    ``origin`` is ``computed``, ``equal`` (taken from ``source.path``, whose content is equal),
    ``remembered`` or ``linked`` (from ``source.batch_id``), or null while it is pending. What a
    batch task gives follows from all files: its ``upstream`` are roots of result trees, its ``key``
    is that of the value at the root.
    """
    plan = store.batches.load_plan(batch_id)
    tasks = {task.id: task for task in plan.tasks}
    if task_id not in tasks:
        hints = [f"tasks here: {', '.join(sorted(tasks))}"]
        raise TaskNotFoundError(f"unknown task: {task_id}", hints=hints)
    task = tasks[task_id]
    shard_id, inputs = _shard_of_path(store, batch_id, plan, path)
    file = next(one for one in inputs if one.path == path)
    state = store.shards.load_state(batch_id, task_id, shard_id)
    if task.scope == BATCH_SCOPE:
        upstream, preimage = _of_all_files(store, batch_id, plan, task)
    else:
        lines = {need: _lines(store, batch_id, need, shard_id, inputs, path) for need in task.needs}
        upstream = {need: found.digest if found else None for need, found in lines.items()}
        known = {need: found for need, found in lines.items() if found is not None}
        preimage = file_key_preimage(task, file, known) if len(known) == len(lines) else None
    key = None if preimage is None else digest_bytes(preimage)
    origin, source = _origin(store, state, inputs, file, shard_id, key)
    return {
        "batch_id": batch_id,
        "task_id": task_id,
        "shard_id": shard_id,
        "status": PENDING if state is None else state.status,
        "path": path,
        "object": file.object,
        "language": file.language,
        "facets": {name: file.facets[name] for name in task.facets},
        "fingerprint": task.fingerprint,
        "components": dict(task.components),
        "upstream": upstream,
        "key": key,
        "preimage": None if preimage is None else preimage.decode(),
        "origin": origin,
        "source": source,
    }


def _of_all_files(
    store: StoreDirectory, batch_id: str, plan: Plan, task: PlannedTask
) -> tuple[dict[str, str | None], bytes | None]:
    """The roots of the result trees of what a batch task needs, and the text of the key of its
    value there; None where records are pending.
    """
    try:
        trees = Sources(store, batch_id, plan, task).trees("")
    except NotReadyError:
        return dict.fromkeys(task.needs), None
    return {**trees}, value_preimage(task, "", trees)


def _shard_of_path(
    store: StoreDirectory, batch_id: str, plan: Plan, path: str
) -> tuple[str, list[InputFile]]:
    for file in store.snapshots.load_manifest(plan.snapshot_id):
        if file.path == path and plan.shards:
            shard_id = shard_of(file.object, len(plan.shards[0].shard_id))
            return shard_id, store.batches.load_inputs(batch_id, plan.shard(shard_id))
    raise FileNotInBatchError(
        f"no file {path} in {batch_id}", hints=[f"list them: codebatch files --batch {batch_id}"]
    )


def _lines(
    store: StoreDirectory,
    batch_id: str,
    task_id: str,
    shard_id: str,
    inputs: list[InputFile],
    path: str,
) -> FileLines | None:
    """The lines that a task has committed for a file, their path open; None if pending."""
    state = store.shards.load_state(batch_id, task_id, shard_id)
    if state is None or state.status != DONE:
        return None
    outputs = store.shards.read_outputs(batch_id, task_id, shard_id, state)
    own = next(own for at, own, _ in lines_by_file(outputs, state, inputs) if at == path)
    try:
        lines = open_path(own)
        return FileLines(lines, Counts.of(decode_lines(lines)))
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise StoreDamagedError(f"a record about {path} is none: {error}") from error


def _origin(
    store: StoreDirectory,
    state: ShardState | None,
    inputs: list[InputFile],
    file: InputFile,
    shard_id: str,
    key: str | None,
) -> tuple[str | None, Document | None]:
    if state is None or state.status != DONE:
        return None, None
    if state.linked is not None:
        return LINKED, {"batch_id": state.linked}
    paths = sorted((one.path for one in inputs), key=path_key)
    if len(state.origins) != len(paths):
        raise StoreDamagedError("a state does not tell where the results of its files come from")
    origin = ORIGINS.get(state.origins[paths.index(file.path)])
    if origin == "equal":
        return origin, {"path": _first_equal(inputs, file)}
    if origin == "remembered" and key is not None:
        found = MemoStore(store.layout).open(shard_id).lookup(key)
        return origin, None if found is None else {"batch_id": found.batch_id}
    return origin, None


def _first_equal(inputs: list[InputFile], file: InputFile) -> str:
    group = next(files for files in groups_of_equals(inputs) if file in files)
    return group[0].path
