"""The one entry point that runs a node of a batch task, wherever the store is seen.

As with a shard (`shard.run`), a run of a node has two halves, so that its value may be computed
where the store cannot be seen: `open_node` finds out what is known and what the value follows
from, `finish_node` keeps what came of it, and of the last node of a task commits the records.
What goes wrong is a value: a task that fails has failed on all its shards, and says so in their
states. What is not there, or is damaged, is computed again; no node relies on a receipt.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache, partial
from itertools import starmap
from typing import TypeVar

from codebatch.model.clock import now, now_ns
from codebatch.model.digest import digest_bytes
from codebatch.model.errors import (
    CodeBatchError,
    MemoryExhaustedError,
    NotReusedError,
    ShardFailedError,
)
from codebatch.model.messages import ShardCall
from codebatch.model.records import CLAIMED, DONE, FAILED
from codebatch.reduction import values
from codebatch.reduction.compute import Answer, Part, ReductionError, Watch, Work, compute_node
from codebatch.reduction.messages import BLOCKED, NodeCall, NodeReceipt
from codebatch.reduction.recheck import differing, place_of_recheck
from codebatch.reduction.scatter import Scattered, is_packed
from codebatch.reduction.sources import NotReadyError, Sources
from codebatch.reduction.tree import COMBINE, FINISH, MAP, claim_of, finish_key
from codebatch.runtime.gc_paused import collector_held
from codebatch.shard.commit import commit_failure, commit_shard
from codebatch.shard.parcel import task_bytes
from codebatch.shard.run import check_listed, loaded_plan, opened_store, under_lease
from codebatch.store import StoredBytes, StoreDirectory
from codebatch.store.files import file_stamp
from codebatch.store.indexes.partials import Partial
from codebatch.store.leases.claims import Claims
from codebatch.store.leases.leases import hold_lease
from codebatch.tasks.registry import task_of

T = TypeVar("T")


@dataclass(frozen=True)
class OpenNode:
    """A node whose value may be computed anywhere, from ``work`` alone.

    ``known`` has values that were kept below its shard, by key: where it is computed elsewhere,
    some of them are made again, which does no harm.
    """

    call: NodeCall
    work: Work
    sources: Sources
    known: Mapping[str, Partial]

    def lookup(self, key: str) -> Partial | None:
        """Return a value that was combined before."""
        return self.sources.partials.find(key, self.known)


def run_node(call: NodeCall, *_: object, watch: Watch | None = None) -> NodeReceipt:
    """Run a node and say what came of it; what it needs, of which the receipts may be given too, is
    looked for in the store. With ``watch``, memory is limited.
    """
    if call.call.lease.left_to:
        return _answered(call, lambda: _run_left(call, watch))
    if not call.call.lease.lease_id and call.call.recheck is None:
        return _answered(call, lambda: _run_leased(call, watch))
    return _run_held(call, watch)


def _run_leased(call: NodeCall, watch: Watch | None) -> NodeReceipt:
    """Run a node that no run of ours has asked for, under a lease for it alone."""
    store = opened_store(call.call.store, call.call.store_id)
    with hold_lease(store.layout, "run", call.call.batch_id):
        return _run_held(call, watch)


def _run_left(call: NodeCall, watch: Watch | None) -> NodeReceipt:
    """Run a node of a run that was left to a cluster, whose lease is kept alive here."""
    with under_lease(call.call) as held:
        return _run_held(call._replace(call=held), watch)


def _run_held(call: NodeCall, watch: Watch | None) -> NodeReceipt:
    opened = open_node(call)
    if isinstance(opened, NodeReceipt):
        return opened

    def compute() -> Answer:
        if watch is None:
            return compute_node(opened.work, opened.lookup)
        return compute_node(opened.work, opened.lookup, watch, memory_is_limited=True)

    return finish_node(opened, compute)


def open_node(call: NodeCall) -> OpenNode | NodeReceipt:
    """Find out what a node follows from, or return a receipt where nothing is to be computed."""
    return _answered(call, lambda: _open(call))


def finish_node(opened: OpenNode, compute: Callable[[], Answer]) -> NodeReceipt:
    """Compute the value of a node, keep it, and say so."""
    return _answered(opened.call, lambda: _finish(opened, compute))


def fail_node(call: NodeCall, code: str, what: str) -> NodeReceipt:
    """Record that a node ended the process it ran in."""
    node = call.node
    error = ReductionError((node.task_id, node.step, node.prefix), what, code)

    def fail() -> NodeReceipt:
        raise error

    return _answered(call, fail)


def _answered(call: NodeCall, act: Callable[[], T]) -> T | NodeReceipt:
    """Return what ``act`` gives, else the receipt that says what went wrong."""
    try:
        with collector_held():
            return act()
    except NotReadyError:
        return NodeReceipt(call.node, call.call.attempt, BLOCKED)
    except ReductionError as error:
        return _failed(call, error)
    except CodeBatchError as error:
        return _refusal(call, error)
    except MemoryError:
        return _refusal(call, MemoryExhaustedError("the worker process is out of memory"))
    except Exception as error:  # noqa: BLE001 - a scheduler must never see an exception
        return _refusal(call, ShardFailedError(f"{type(error).__name__}: {error}"))


def _failed(call: NodeCall, error: ReductionError) -> NodeReceipt:
    """Record that the task has failed on all shards, and say so; a recheck changes no state."""
    if call.call.recheck is not None:
        return _refusal(call, error)
    try:
        store = opened_store(call.call.store, call.call.store_id)
        for shard in store.batches.load_plan(call.call.batch_id).shards:
            check_listed(store, call.call)
            place = [call.node.task_id], shard.shard_id
            commit_failure(store, call.call.batch_id, *place, error, call.call.attempt)
    except CodeBatchError as other:
        return _refusal(call, other)
    return _refusal(call, error)


def _refusal(call: NodeCall, error: CodeBatchError) -> NodeReceipt:
    return NodeReceipt(call.node, call.call.attempt, FAILED, error=error.in_short())


def _open(call: NodeCall) -> OpenNode | NodeReceipt:
    store = opened_store(call.call.store, call.call.store_id)
    check_listed(store, call.call)
    stamp = file_stamp(store.layout.door, store.layout.plan_document(call.call.batch_id))
    sources = _sources(store, call.call, stamp, call.node.task_id)
    if call.call.recheck is not None:
        return _OPENERS[call.node.step](sources, call)
    lease_id = call.call.lease.lease_id  # none where others may work on other nodes of the task
    claims = Claims(store.layout, call.call.batch_id, lease_id)
    if lease_id and claims.take(claim_of(call.node.task_id)) is not None:
        return NodeReceipt(call.node, call.call.attempt, CLAIMED)
    if _has_failed(sources, call.call.attempt):
        return NodeReceipt(call.node, call.call.attempt, BLOCKED)
    opened = _OPENERS[call.node.step](sources, call)
    if isinstance(opened, OpenNode) and call.call.reuse.required:
        raise NotReusedError(f"task {call.node.task_id} was never run on these records")
    return opened


def _sources(store: StoreDirectory, call: ShardCall, stamp: object, task_id: str) -> Sources:
    return _sources_at(store, call.batch_id, stamp, task_id, call.attempt, call.recheck is not None)


@lru_cache(maxsize=8)
def _sources_at(
    store: StoreDirectory,
    batch_id: str,
    stamp: object,
    task_id: str,
    attempt: str,
    is_recheck: bool,  # noqa: FBT001
) -> Sources:
    """The sources of a task, once for each attempt: a later one may find other states."""
    plan = loaded_plan(store, batch_id, stamp)
    apart = place_of_recheck(plan.task(task_id), attempt) if is_recheck else ""
    return Sources(store, batch_id, plan, plan.task(task_id), apart)


def _has_failed(sources: Sources, attempt: str) -> bool:
    """Return whether another node of this attempt has failed: then the task has."""
    first = sources.plan.shards[0].shard_id
    state = sources.store.shards.load_state(sources.batch_id, sources.task.id, first)
    return state is not None and state.status == FAILED and state.attempt == attempt


def _open_map(sources: Sources, call: NodeCall) -> OpenNode | NodeReceipt:
    prefix, partials = call.node.prefix, sources.partials
    key = sources.key(prefix)
    found = partials.load(key)
    if found is not None:
        partials.freshen([key], now_ns())
        return _there(call, found.nodes)
    parts, keys = sources.shard_parts(prefix)
    is_first = partials.is_empty()
    known = {} if is_first else partials.load_packs(prefix, now_ns())
    if not is_first:
        parts = [_looked_up(part, partials.find(part.key, known)) for part in parts]
    task = task_bytes(sources.task)
    return OpenNode(
        call, Work(task, MAP, prefix, tuple(parts), tuple(keys.items())), sources, known
    )


_ELSEWHERE = Partial(0, target="-")


def _looked_up(part: Part, found: Partial | None) -> Part:
    return part if found is None else part._replace(value=found.value, lines=b"")


def _open_combine(sources: Sources, call: NodeCall) -> OpenNode | NodeReceipt:
    prefix, partials = call.node.prefix, sources.partials
    key = sources.key(prefix)
    if partials.load(key) is not None:
        partials.freshen([key], now_ns())
        return _there(call, int(len(call.node.needs) > 1))
    children = [(child, *sources.value(child)) for child in call.node.needs]
    parts = tuple(Part(child, key, found.value, found.nodes) for child, key, found in children)
    work = Work(task_bytes(sources.task), COMBINE, prefix, parts, ((prefix, key),))
    known = partials.load_packs(prefix, below=False) if prefix else {}
    return OpenNode(call, work, sources, known)


def _open_finish(sources: Sources, call: NodeCall) -> OpenNode | NodeReceipt:
    key, total = sources.value("")
    known = finish_key(sources.task, digest_bytes(total.value))
    found = sources.partials.load(known)
    if found is not None and is_packed(found.value):
        sources.partials.freshen([known], now_ns())
        return _ended(sources, call, found.value, computed=0)
    parts = (Part("", key, total.value, total.nodes),)
    contents = _contents(sources, total.value)
    work = Work(task_bytes(sources.task), FINISH, "", parts, (), contents)
    return OpenNode(call, work, sources, {})


def _contents(sources: Sources, total: bytes) -> tuple[StoredBytes, ...]:
    """Return what a task reads of files; nothing where it is given records alone."""
    code = task_of(sources.task)
    if not code.inputs:
        return ()
    wanted = code.function().reads(values.unpack(total), dict(sources.task.config))
    return tuple(starmap(sources.store.objects.read_stored, sorted(wanted)))


_OPENERS = {MAP: _open_map, COMBINE: _open_combine, FINISH: _open_finish}


def _there(call: NodeCall, nodes: int) -> NodeReceipt:
    return NodeReceipt(call.node, call.call.attempt, DONE, 0, nodes)


def _finish(opened: OpenNode, compute: Callable[[], Answer]) -> NodeReceipt:
    call, sources, partials = opened.call, opened.sources, opened.sources.partials
    answer = compute()
    check_listed(sources.store, call.call)
    own = dict(opened.work.keys).get(call.node.prefix)
    passed_on = dict(answer.partials)
    if own is not None and call.node.step == MAP:
        mine = {own, answer.partials[own].target} if own in answer.partials else {own}
        passed_on = {key: found for key, found in answer.partials.items() if key in mine}
        below = {key: found for key, found in answer.partials.items() if key not in mine}
        partials.add_pack(call.node.prefix, below)
    if own is not None and passed_on.get(own, _ELSEWHERE).target not in {"", *passed_on}:
        passed_on[own] = answer.value  # what it is equal to stands in a pack, or is another value
    partials.save(passed_on)
    if call.node.step == FINISH:
        return _ended(sources, call, answer.value.value, computed=answer.computed)
    nodes = answer.value.nodes if call.node.step == MAP else int(len(opened.work.parts) > 1)
    return NodeReceipt(call.node, call.call.attempt, DONE, answer.computed, nodes)


def _ended(sources: Sources, call: NodeCall, packed: bytes, *, computed: int) -> NodeReceipt:
    """Commit the records of a task, shard by shard; a recheck compares them with what is there."""
    store, batch_id, task_id = sources.store, sources.batch_id, sources.task.id
    started, scattered, code = now(), Scattered(packed, sources.task.levels), task_of(sources.task)
    load_inputs = partial(store.batches.load_inputs, batch_id)
    strangers = scattered.strangers(sources.plan, load_inputs)
    if strangers:
        raise ReductionError(
            (task_id, FINISH, ""), f"a record names {strangers[0]!r}, no file of the snapshot"
        )
    differ: list[tuple[str, str]] = []
    for shard in sources.plan.shards:
        check_listed(store, call.call)
        inputs, shard_id = load_inputs(shard), shard.shard_id
        done = scattered.outputs(shard, inputs, code, store.objects.read, computed=computed > 0)
        if call.call.recheck is None:
            commit_shard(store, batch_id, shard_id, {task_id: done}, call.call.attempt, started)
        else:
            paths = differing(store, (batch_id, task_id, shard_id), inputs, done)
            differ += [(shard_id, path) for path in paths]
    receipt = NodeReceipt(call.node, call.call.attempt, DONE, computed, 1)
    checked = 0 if call.call.recheck is None else sources.plan.files
    return receipt._replace(checked=checked, differ=tuple(differ))
