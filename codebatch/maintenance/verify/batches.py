"""The batches of a store: document, plan, inputs, tasks; then every shard.

Whatever of a batch is whole is used to check the rest. Nothing is read of a batch whose plan is
damaged but the documents themselves: the plan says what everything else should be.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from typing import cast

from codebatch.maintenance.verify.findings import Findings, Found, path_of
from codebatch.maintenance.verify.helpers import Answer, Helpers
from codebatch.maintenance.verify.manifests import number_of
from codebatch.maintenance.verify.objects import digests_in
from codebatch.maintenance.verify.problems import Step
from codebatch.maintenance.verify.shards import check_shard, refer_to
from codebatch.model.checks import check_batch
from codebatch.model.digest import Document, digest_document, short_id
from codebatch.model.errors import CodeBatchError, StoreError
from codebatch.model.keys import fingerprint
from codebatch.model.records import DONE, InputFile, Plan, PlannedShard, path_key
from codebatch.model.result_tree import result_digest
from codebatch.runtime.lazy import lazily
from codebatch.store import BATCH_PREFIX, parse_plan
from codebatch.store import path_kinds as kinds
from codebatch.store.layout import is_name
from codebatch.store.path_kinds import Place, folders_in, walk_store

with lazily():
    from codebatch.tasks import sarif  # which a helper needs not


def check_batches(findings: Findings, helpers: Helpers) -> None:
    """Check every batch, and note which objects their results refer to."""
    door = findings.store.layout.door
    for entry in walk_store(door, kinds.BATCHES, depth=1):
        findings.add_stray(entry)
    for batch_id in folders_in(door, kinds.BATCHES):
        # Before the states: a result that stands there was written after all of them.
        found = findings.find(Place(kinds.BATCH, batch_id))
        entries = walk_store(door, f"{kinds.BATCHES}/{batch_id}")
        places = {entry.place for entry in entries if not findings.add_stray(entry)}
        before = len(findings.problems)
        findings.check_asked(places)
        _check_batch(findings, helpers, batch_id, {place for place in places if place}, found)
        if found.document is not None:
            findings.forget_since(before, Place(kinds.BATCH, batch_id))
    _check_snapshots(findings)


def _check_batch(
    findings: Findings, helpers: Helpers, batch_id: str, present: set[Place], found: Found
) -> None:
    place, plan_place = Place(kinds.BATCH, batch_id), Place(kinds.PLAN, batch_id)
    # A batch has a document before it has states. One that is there by now has come meanwhile.
    is_made = not found.is_missing or (
        not findings.is_there(place) and any(one.kind == kinds.STATE for one in present)
    )
    if not is_made:
        findings.notes.unfinished_batches += 1  # given up, or still being made
        if plan_place not in present:
            return
    findings.checked.batches += 1
    plan_found = findings.find(plan_place)
    plan = findings.judge(plan_place, plan_found, partial(_checked_plan, batch_id))
    document: Document | None = None
    if is_made:
        document = findings.judge(place, found, partial(_checked_batch, batch_id, plan))
    said = (found.document or {}).get("snapshot_id") if plan is None else plan.snapshot_id
    if isinstance(said, str):
        findings.batches_of.setdefault(said, set()).add(batch_id)
    if plan is None or plan_found.document is None:
        findings.is_complete = False
        return
    _check_places(findings, plan, batch_id, present)
    for digest in filter(None, map(sarif.object_of, plan.tasks)):
        findings.refer_from_plan(digest, batch_id)
    for task in cast("list[Document]", plan_found.document["tasks"]):
        task_place = Place(kinds.TASK, batch_id, str(task["id"]))
        findings.judge(task_place, findings.find(task_place), partial(_checked_task, task))
    result = (document or {}).get("result")
    _check_shards(findings, helpers, plan, batch_id, present, result)


def _checked_plan(batch_id: str, document: Document) -> Plan:
    """The plan, if all of it follows from what the id of its batch covers."""
    plan = parse_plan(batch_id, document)
    tasks = cast("list[Document]", document["tasks"])
    described = [{key: task[key] for key in ("id", "task", "needs", "config")} for task in tasks]
    fingerprints = [task.fingerprint for task in plan.tasks]
    identity = [plan.snapshot_id, document["document"], fingerprints, document["detection"]]
    if short_id(BATCH_PREFIX, digest_document("batch", identity)) != batch_id:
        raise ValueError("it gives another batch id")
    if described != cast("Document", document["document"])["tasks"]:
        raise ValueError("its tasks are not those of its pipeline")
    if any(task.fingerprint != fingerprint(dict(task.components)) for task in plan.tasks):
        raise ValueError("a fingerprint does not follow from its components")
    return plan


def _checked_batch(batch_id: str, plan: Plan | None, document: Document) -> Document:
    check_batch(document, batch_id)
    said = (document["snapshot_id"], document["pipeline"])
    if plan is not None and said != (plan.snapshot_id, plan.pipeline):
        raise ValueError("it names another snapshot or pipeline than the plan")
    return document


def _checked_task(expected: Document, document: Document) -> None:
    if document != {**expected, "digest": document["digest"]}:
        raise ValueError("the plan says something else of the task")


def _check_snapshots(findings: Findings) -> None:
    """Note the snapshots that batches need and that are not there."""
    door = findings.store.layout.door
    for snapshot_id, batches in findings.batches_of.items():
        place = Place(kinds.SNAPSHOT, snapshot_id)
        if not is_name(snapshot_id) or findings.is_there(place):
            continue
        # Whoever removes a snapshot has removed its batches before.
        if any(door.is_folder(findings.store.layout.batches / batch_id) for batch_id in batches):
            message = f"the document of {snapshot_id} is missing, and a batch needs it"
            path = door.place(path_of(findings.store.layout, place))
            findings.add("SNAPSHOT_MISSING", message, path, place)


def _check_places(findings: Findings, plan: Plan, batch_id: str, present: set[Place]) -> None:
    """Note folders of tasks and shards that the plan does not have."""
    layout = findings.store.layout
    tasks = {task.id for task in plan.tasks}
    shards = {shard.shard_id for shard in plan.shards}
    for place in sorted(present):
        if place.kind not in (kinds.TASK, kinds.STATE, kinds.OUTPUTS):
            continue
        if place.task_id not in tasks or (place.shard_id and place.shard_id not in shards):
            what = f"task {place.task_id}" if place.task_id not in tasks else place.shard_id
            message = f"the plan of {batch_id} has no {what}"
            findings.add("FOREIGN_FILE", message, layout.door.place(path_of(layout, place)))


def _check_shards(
    findings: Findings,
    helpers: Helpers,
    plan: Plan,
    batch_id: str,
    present: set[Place],
    result: object,
) -> None:
    """Check all shards, and that the result, if there is one, follows from their states."""
    nodes: dict[str, dict[str, str]] = {task.id: {} for task in plan.tasks}
    all_done = True
    jobs = ({"batch": batch_id, "shard": shard.shard_id} for shard in plan.shards)
    answers = helpers.ask(jobs, sum(shard.bytes for shard in plan.shards))
    shards = _inputs_of(findings, plan, batch_id, answers)
    for number, (shard, files, whole) in enumerate(shards):
        findings.tell(Step("shard", number, len(plan.shards)))
        for task in plan.tasks:
            place = Place(kinds.STATE, batch_id, task.id, shard.shard_id)
            state = None
            if place in present and files is not None and task.id in whole:
                findings.checked.shards += 1
                nodes[task.id][shard.shard_id], objects = whole[task.id]
                if not findings.are_there(objects):
                    refer_to(findings, place, digests_in(objects))
                continue
            if place in present:
                findings.checked.shards += 1
                state = check_shard(findings, place, task, files)
            elif result is None:
                findings.notes.pending_shards += 1
            else:
                wrong = "it is missing, and the batch is finished; resume computes it"
                findings.blame(place, wrong, code="STATE_MISSING")
            if state is None or state.status != DONE:
                all_done = False
            else:
                nodes[task.id][shard.shard_id] = state.tree
    if result is not None and all_done and result != result_digest(nodes):
        wrong = "the result does not follow from the states"
        findings.blame(Place(kinds.BATCH, batch_id), wrong, code="RESULT_WRONG")


def _inputs_of(
    findings: Findings, plan: Plan, batch_id: str, answers: Iterable[Answer]
) -> Iterator[tuple[PlannedShard, Sequence[InputFile] | None, Answer]]:
    """Yield each shard with its files in path order, None where they are damaged, none where the
    results of all tasks are known to be whole; and these results. Then note what is wrong with the
    inputs. One shard is held at a time.
    """
    store, place = findings.store, Place(kinds.INPUTS, batch_id)
    languages: Counter[str] = Counter()
    total, wrong = 0, []
    for shard, answer in zip(plan.shards, answers, strict=True):
        whole = answer.get("results", {})
        if len(whole) == len(plan.tasks):
            total += int(answer["number"], 16)
            languages.update(answer["languages"])
            yield shard, (), whole
            continue
        files = None
        try:
            files = store.batches.load_inputs(batch_id, shard)
            total += number_of(files)
            languages.update(file.language for file in files)
            files.sort(key=lambda file: path_key(file.path))
        except StoreError as error:
            wrong.append(error.message)
        yield shard, files, whole
    status = store.layout.door.status(path_of(store.layout, place))
    end = sum(shard.length for shard in plan.shards)
    if status is None:
        wrong.append("it is missing")
    elif status.st_size != end:
        wrong.append(f"{abs(status.st_size - end)} bytes belong to no shard")
    elif dict(languages) != dict(plan.languages):
        wrong.append("their languages are not those of the plan")
    elif not wrong and not _are_of_snapshot(findings, plan.snapshot_id, total):
        wrong.append("they are not the files of the snapshot")
    if wrong:
        findings.blame(place, wrong[0])


def _are_of_snapshot(findings: Findings, snapshot_id: str, total: int) -> bool:
    """Return True if the files of a snapshot give this sum, in whatever order, or are damaged."""
    known = findings.numbers_of.get(snapshot_id)
    if known is not None:
        return known == total
    try:
        return number_of(findings.store.snapshots.load_manifest(snapshot_id)) == total
    except CodeBatchError:
        return True  # which is said of the snapshot
