"""``codebatch diagnose``."""

from __future__ import annotations

import collections
import sys
from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from codebatch import api
from codebatch.cli.command import Call, command, libraries_silenced
from codebatch.cli.render.output import counted, printable, severity, size, write_lines
from codebatch.model.digest import Document
from codebatch.model.errors import EXIT_CLUSTER, EXIT_GATE, EXIT_OK, StoreNotFoundError

if TYPE_CHECKING:
    from codebatch.cluster.preflight.environment import Facts
    from codebatch.maintenance.diagnose import Diagnosis, Health
    from codebatch.maintenance.self_test import Trial

_SILENT = "no answer"


@command(
    click.option(
        "--scheduler",
        metavar="ADDRESS",
        help="Look at a Dask cluster as well: tcp://host:port, or a scheduler file.",
    ),
    click.option(
        "--self-test",
        is_flag=True,
        help="Also try hostile trees and stores, in a temporary folder of this machine.",
    ),
)
def diagnose(call: Call, scheduler: str | None, self_test: bool) -> None:
    """Say what there is to work with, and what stands in the way.

    Versions, the file system of the store, what is in it and who works in it; nothing is
    verified. With --scheduler, exit 6 unless the cluster can run batches of this store. With
    --self-test, exit 1 unless everything hostile was held off.
    """
    with libraries_silenced():
        found = api.diagnose(_store(call), scheduler)
    if not call.as_json:
        write_lines(_lines(found))
    trials: list[Trial] = []
    tried = _tried(trials) if self_test else iter(())
    if call.as_json:
        collections.deque(tried, maxlen=0)
    documents = [_trial_document(one) for one in trials] if self_test else None
    call.write({**_document(found), "self_test": documents}, tried)
    if not all(trial.ok for trial in trials):
        sys.exit(EXIT_GATE)
    sys.exit(EXIT_OK if found.cluster_can_work else EXIT_CLUSTER)


def _tried(trials: list[Trial]) -> Iterator[str]:
    """Yield the lines on each trial of the self-test as it comes; it is added to the list."""
    for trial in api.try_vectors():
        trials.append(trial)
        yield f"{'held off' if trial.ok else severity('error')}: {trial.vector}"
        yield from (f"  {printable(problem)}" for problem in trial.problems)
    held = sum(trial.ok for trial in trials)
    yield f"{held} of {counted(len(trials), 'hostile input')} held off"


def _trial_document(trial: Trial) -> Document:
    return {
        "kind": trial.vector.kind,
        "name": trial.vector.name,
        "ok": trial.ok,
        "problems": list(trial.problems),
        "seconds": round(sum(result.seconds for result in trial.results), 3),
        "megabytes": round(max((r.megabytes for r in trial.results), default=0), 1),
    }


def _store(call: Call) -> api.Store | None:
    """The store that is meant; where none is named, there need not be one."""
    try:
        return call.open()
    except StoreNotFoundError:
        if call.given_store is not None:
            raise
        return None


def _document(found: Diagnosis) -> Document:
    cluster = None
    if found.cluster is not None:
        workers = found.cluster.workers.items()
        cluster = {
            "scheduler": dict(found.cluster.scheduler.packages),
            "workers": {address: _worker_document(facts) for address, facts in workers},
        }
    facts = found.facts._asdict()
    for name in ("store", "tasks", "name"):  # of workers
        facts.pop(name)
    return {
        "ok": found.can_work,
        "environment": {**facts, "git": found.git},
        "store": found.store,
        "file_system": found.file_system and asdict(found.file_system),
        "health": found.health and asdict(found.health),
        "scheduler": found.scheduler,
        "cluster": cluster,
        "problems": [asdict(problem) for problem in found.problems],
    }


def _worker_document(facts: Facts | str | None) -> Document:
    if facts is None or isinstance(facts, str):
        return {"error": facts or _SILENT}
    document = facts._asdict()
    document.pop("tasks")
    return document


def _lines(found: Diagnosis) -> Iterator[str]:
    facts = found.facts
    yield f"codebatch {facts.codebatch}, Python {facts.python}, git {found.git or 'missing'}"
    yield "  " + ", ".join(f"{name} {version}" for name, version in facts.packages.items())
    if found.store is None:
        yield "no store here"
    if found.file_system is not None:
        yield f"store {printable(found.store)}"
        system = asdict(found.file_system)
        free = size(system.pop("free_bytes"))
        words = (f"{name.replace('_', ' ')} {_word(value)}" for name, value in system.items())
        yield f"  file system: {free} free, {', '.join(words)}"
    if found.health is not None:
        yield from _health_lines(found.health)
    if found.cluster is not None:
        yield f"cluster {printable(found.scheduler)}"
        for address, worker in found.cluster.workers.items():
            yield f"  {address}: {printable(_said(worker))}"
    for problem in found.problems:
        yield f"{severity(problem.severity)}: {printable(problem.message)}"
        yield f"  {printable(problem.remedy)}"
    if not found.problems:
        yield "no problems found"


def _said(worker: Facts | str | None) -> str:
    if worker is None or isinstance(worker, str):
        return worker or _SILENT
    seen = "" if worker.store is None else f", store {worker.store}"
    return f"{worker.host}, Python {worker.python}{seen}"


def _health_lines(health: Health) -> Iterator[str]:
    statuses = ", ".join(f"{number:,} {name}" for name, number in health.batches_by_status.items())
    snapshots = counted(health.snapshots, "snapshot")
    batches = counted(health.batches, "batch", "batches")
    yield f"  {snapshots}, {batches}: {statuses or '-'}"
    yield (
        f"  left over: {counted(health.temporaries, 'temporary file')}, "
        f"{health.unfinished:,} unfinished, "
        f"{health.removed:,} removed"
    )
    for lease in health.leases:
        state = "at work" if lease["live"] else "expired"
        what = f"{lease['purpose']} {lease['batch_id'] or ''}".strip()
        yield f"  {state}: {printable(what)} ({printable(lease['process'])})"
    if health.locked_by is not None:
        yield f"  locked by {printable(health.locked_by)}"


def _word(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "unknown" if value is None else str(value)
