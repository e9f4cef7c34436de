"""Create a batch: plan a pipeline over a snapshot and store the plan."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from codebatch.display.displayed import Displayed
from codebatch.model.clock import now
from codebatch.model.digest import Document
from codebatch.model.errors import SnapshotNotFoundError
from codebatch.plan.pipeline import Pipeline
from codebatch.plan.plan import BatchIdentity, check_shards, identify, make_plan, plan_document
from codebatch.plan.tool_configs import reads_configs, with_config_files
from codebatch.runtime.interrupts import deferred
from codebatch.store import Asking, Checkout, StoreDirectory, expecting
from codebatch.store.leases.leases import hold_lease
from codebatch.tasks.languages.detect import HEAD_BYTES


@dataclass(frozen=True, repr=False)
class BatchResult(Displayed):
    """A batch as `init_batch` made or found it."""

    batch_id: str
    snapshot_id: str
    pipeline: str
    tasks: tuple[str, ...]
    shards: int
    created: bool

    @property
    def id(self) -> str:
        """The id, as of the batch itself."""
        return self.batch_id


def init_batch(
    store: StoreDirectory,
    snapshot_id: str,
    pipeline: Pipeline,
    shards: int | None = None,
    checkout: Checkout | None = None,
) -> BatchResult:
    """Plan a pipeline over a snapshot and store the plan; a batch that exists stays as it is.

    It is asked for over ``checkout``; without one, over the tree that the snapshot was last taken
    of.
    """
    if shards is not None:
        check_shards(shards)
    identity = identity_of(store, snapshot_id, pipeline)
    batch_id = identity.batch_id
    created = not store.batches.is_whole(batch_id)
    if created:
        lease = hold_lease(store.layout, "batch init")
        with deferred(), lease, expecting(store.layout, snapshot_id):
            _save_plan(store, identity, shards)
    plan = store.batches.load_plan(batch_id)
    checkout = checkout or store.asking_of(snapshot_id).checkout
    store.batches.ask(batch_id, Asking(now(), checkout))
    ids = tuple(task.id for task in plan.tasks)
    return BatchResult(batch_id, snapshot_id, plan.pipeline, ids, len(plan.shards), created)


def identity_of(store: StoreDirectory, snapshot_id: str, pipeline: Pipeline) -> BatchIdentity:
    """Return the batch of a pipeline over a snapshot, of which tools may read configuration."""
    if reads_configs(pipeline):
        files = store.snapshots.load_manifest(snapshot_id)
        pipeline = with_config_files(pipeline, files, store.objects.read)
    return identify(snapshot_id, pipeline)


def ask_again(store: StoreDirectory, batch_id: str) -> None:
    """Note that a batch is asked for again, over the same tree."""
    store.batches.ask(batch_id, Asking(now(), store.asking_of(batch_id).checkout))


def _save_plan(store: StoreDirectory, identity: BatchIdentity, shards: int | None) -> None:
    files = store.snapshots.load_manifest(identity.snapshot_id)
    resolved = make_plan(identity, files, store_head(store), shards)
    document: Document = {
        "batch_id": identity.batch_id,
        "snapshot_id": identity.snapshot_id,
        "pipeline": identity.pipeline,
        "created": now(),
        "result": None,
    }
    tasks = [(task.id, task.as_document()) for task in identity.tasks]
    plan = plan_document(resolved)
    store.batches.save(identity.batch_id, resolved.inputs, plan, tasks, document)
    if not store.snapshots.lists(identity.snapshot_id):
        # Whoever removes a snapshot looks for batches after that, so one of the two gives way.
        store.batches.discard(identity.batch_id)
        raise SnapshotNotFoundError(f"snapshot {identity.snapshot_id} was removed meanwhile")


def store_head(store: StoreDirectory) -> Callable[[str], bytes]:
    """A function that gives the first bytes of an object."""
    return lambda digest: store.objects.read_head(digest, HEAD_BYTES)
