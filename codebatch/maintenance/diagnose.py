"""Look at the environment of a store and name what stands in the way of work.

The store is looked at, not verified: no object is hashed. With a scheduler, the cluster is asked
what it runs with, and whether its workers see the store.
"""

from __future__ import annotations

import contextlib
import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from codebatch.batch.scheduler import check_address
from codebatch.cluster.preflight.compatibility import (
    ERROR,
    WARNING,
    ClusterFacts,
    Needs,
    Problem,
    check_cluster,
)
from codebatch.cluster.preflight.environment import Facts, facts_here, git_version, store_probe
from codebatch.cluster.settings import AUTO, ClusterSettings
from codebatch.display.displayed import Displayed, card
from codebatch.model.clock import now_ns
from codebatch.model.errors import ClusterError, StoreError
from codebatch.plan.pipeline import load_pipeline
from codebatch.plan.plan import plan_tasks
from codebatch.status.batch_status import load_batch_status
from codebatch.store import StoreDirectory
from codebatch.store.inventory import (
    batch_folders,
    files_below,
    is_temporary,
    removed_folders,
    snapshot_folders,
)
from codebatch.store.leases.leases import read_leases
from codebatch.store.leases.lock import lock_holder
from codebatch.store.probe import FileSystem, probe_file_system

_STALE_NS = 24 * 3600 * 10**9
_LOW_BYTES = 2**30
_EVERYTHING = "full"  # the pipeline with every built-in task


@dataclass(frozen=True)
class Health:
    """What is in a store at a glance. ``temporaries`` are files outside of the objects that were
    left unfinished for more than a day; ``unfinished`` are folders of snapshots and batches without
    their document.
    """

    snapshots: int
    batches: int
    batches_by_status: dict[str, int]
    temporaries: int
    unfinished: int
    removed: int
    leases: tuple[dict[str, object], ...]
    locked_by: str | None


@dataclass(frozen=True, repr=False)
class Diagnosis(Displayed):
    """Everything found. ``cluster`` is None where none was asked for, or it was not reached."""

    facts: Facts
    git: str | None
    store: str | None = None
    file_system: FileSystem | None = None
    health: Health | None = None
    scheduler: str | None = None
    cluster: ClusterFacts | None = None
    problems: tuple[Problem, ...] = field(default=())

    @property
    def can_work(self) -> bool:
        """Return True if nothing found keeps work from being done."""
        return all(problem.severity != ERROR for problem in self.problems)

    @property
    def cluster_can_work(self) -> bool:
        """The same for the cluster alone."""
        found = (problem for problem in self.problems if problem.code.startswith("CLUSTER_"))
        return all(problem.severity != ERROR for problem in found)

    def _card(self) -> card.Card:
        health = self.health
        facts = {
            "codebatch": self.facts.codebatch,
            "python": self.facts.python,
            "git": self.git,
            "store": self.store,
            "batches": health and card.Counts(health.batches_by_status, with_total=True),
            "snapshots": health and health.snapshots,
            "scheduler": self.scheduler,
        }
        rows = [card.row_of(problem) for problem in self.problems]
        columns = ("severity", "code", "message", "remedy")
        tables = [card.table_of(rows, title="problems", columns=columns)] if rows else []
        status = "ok" if self.can_work else "cannot work"
        return card.Card("Diagnosis", "", status, facts, tables)


def diagnose(store: StoreDirectory | None, scheduler: str | None = None) -> Diagnosis:
    """Look at this machine, at a store, and at a cluster, as far as they are given."""
    if scheduler is not None:
        check_address(scheduler)
    facts, git = facts_here(), git_version()
    system = health = cluster = None
    problems: list[Problem] = []
    if store is not None:
        system, health = probe_file_system(store.layout), _health(store)
        problems += _problems(system, health, store)
    if scheduler is not None:
        try:
            cluster, found = _look_at_cluster(scheduler, store, facts)
            problems += found
        except ClusterError as error:
            problems.append(
                Problem("CLUSTER_UNREACHABLE", ERROR, error.message, " ".join(error.hints))
            )
    root = None if store is None else str(store.root)
    return Diagnosis(facts, git, root, system, health, scheduler, cluster, tuple(problems))


def _look_at_cluster(
    scheduler: str, store: StoreDirectory | None, here: Facts
) -> tuple[ClusterFacts, list[Problem]]:
    """The facts of a cluster, and what keeps it from running what would be planned here."""
    # Most of the time that a diagnosis takes, where no cluster is asked.
    from codebatch.cluster.connect import configuration, connection  # noqa: PLC0415
    from codebatch.cluster.preflight import preflight  # noqa: PLC0415

    tasks = plan_tasks(load_pipeline(_EVERYTHING))
    transport = configuration.completed(ClusterSettings()).transport or AUTO
    root = None if store is None else os.path.realpath(store.root)
    with contextlib.ExitStack() as stack:
        client = stack.enter_context(connection.connect(scheduler))
        probe = None
        if store is not None and root is not None:
            probe = stack.enter_context(store_probe(root, store.store_id))
        cluster = ClusterFacts(
            preflight.ask_scheduler(client),
            preflight.ask_workers(client, None, tasks, probe),
        )
    return cluster, check_cluster(cluster, Needs(here, tasks, root, transport))


def _health(store: StoreDirectory) -> Health:
    moment, layout = now_ns(), store.layout
    snapshots, batches = store.snapshots.ids(), store.batches.ids()
    folders = len(snapshot_folders(layout)) + len(batch_folders(layout))
    stale = (
        is_temporary(file.path) and moment - file.modified_ns > _STALE_NS
        # Not of the objects: there are very many.
        for file in files_below(layout.door, layout.root, skip=layout.objects)
    )
    holder = lock_holder(layout)
    return Health(
        snapshots=len(snapshots),
        batches=len(batches),
        batches_by_status=dict(sorted(Counter(_status(store, one) for one in batches).items())),
        temporaries=sum(stale),
        unfinished=folders - len(snapshots) - len(batches),
        removed=len(removed_folders(layout)),
        leases=tuple(
            {
                "purpose": lease.purpose,
                "batch_id": lease.batch_id,
                "process": str(lease.process or "unknown"),
                "live": lease.is_live(moment),
            }
            for lease in read_leases(layout)
        ),
        locked_by=None if holder is None else str(holder),
    )


def _status(store: StoreDirectory, batch_id: str) -> str:
    try:
        return load_batch_status(store, batch_id).status
    except StoreError:
        return "damaged"


def _problems(system: FileSystem, health: Health, store: StoreDirectory) -> Iterator[Problem]:
    if not system.writable:
        remedy = "give this user the right to write there; queries work all the same"
        yield Problem("NOT_WRITABLE", ERROR, f"nothing can be written in {store.root}", remedy)
    if system.free_bytes < _LOW_BYTES:
        message = f"{system.free_bytes:,} bytes are free where the store is"
        remedy = "free space, or remove batches and run codebatch gc"
        yield Problem("LITTLE_SPACE", WARNING, message, remedy)
    if False in (system.replaces_by_rename, system.creates_exclusively):
        message = "the file system does not replace or create files atomically"
        yield Problem("NOT_ATOMIC", ERROR, message, "move the store to another file system")
    if damaged := health.batches_by_status.get("damaged", 0):
        remedy = "repair them: codebatch verify --repair; or remove them: codebatch batch rm"
        yield Problem("DAMAGED", ERROR, f"{damaged} batches cannot be read", remedy)
    if left := health.temporaries + health.unfinished:
        message = f"{left} files and folders were left behind by commands that were killed"
        yield Problem("LEFT_OVERS", WARNING, message, "remove them: codebatch gc")
