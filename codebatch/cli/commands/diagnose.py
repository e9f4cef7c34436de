"""``codebatch diagnose``."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from codebatch import api
from codebatch.cli.group import OnceCommand
from codebatch.cli.options import json_option, store_option
from codebatch.cli.render.logs import libraries_silenced
from codebatch.cli.render.output import counted, printable, size, write_document, write_line
from codebatch.model.digest import Document
from codebatch.model.errors import EXIT_CLUSTER, EXIT_GATE, EXIT_OK, StoreNotFoundError

if TYPE_CHECKING:
    from codebatch.cluster.preflight.environment import Facts
    from codebatch.maintenance.diagnose import Diagnosis, Health
    from codebatch.maintenance.self_test import Verdict

_SILENT = "no answer"


@click.command("diagnose", cls=OnceCommand)
@click.option(
    "--scheduler",
    metavar="ADDRESS",
    help="Look at a Dask cluster as well: tcp://host:port, or a scheduler file.",
)
@click.option(
    "--self-test",
    is_flag=True,
    help="Also try hostile trees and stores, in a temporary folder of this machine.",
)
@store_option
@json_option
def diagnose(scheduler: str | None, self_test: bool, store: str | None, as_json: bool) -> None:
    """Say what there is to work with, and what stands in the way.

    Versions, the file system of the store, what is in it and who works in it; nothing is
    verified. With --scheduler, exit 6 unless the cluster can run batches of this store. With
    --self-test, exit 1 unless everything hostile was held off.
    """
    with libraries_silenced():
        found = api.diagnose(_store(store), scheduler)
    if not as_json:
        _write(found)
    verdicts = list(_tried(as_json=as_json)) if self_test else []
    if as_json:
        tried = [_verdict_document(one) for one in verdicts] if self_test else None
        write_document({**_document(found), "self_test": tried})
    if not all(verdict.ok for verdict in verdicts):
        sys.exit(EXIT_GATE)
    sys.exit(EXIT_OK if found.cluster_can_work else EXIT_CLUSTER)


def _tried(*, as_json: bool) -> Iterator[Verdict]:
    """Yield the verdicts of the self-test; unless for JSON, write each as it comes."""
    count = failed = 0
    for verdict in api.try_vectors():
        count, failed = count + 1, failed + (not verdict.ok)
        if not as_json:
            write_line(f"{'held off' if verdict.ok else _colored('error')}: {verdict.vector}")
            for problem in verdict.problems:
                write_line(f"  {printable(problem)}")
        yield verdict
    if not as_json:
        write_line(f"{count - failed} of {counted(count, 'hostile input')} held off")


def _verdict_document(verdict: Verdict) -> Document:
    return {
        "kind": verdict.vector.kind,
        "name": verdict.vector.name,
        "ok": verdict.ok,
        "problems": list(verdict.problems),
        "seconds": round(sum(result.seconds for result in verdict.results), 3),
        "megabytes": round(max((r.megabytes for r in verdict.results), default=0), 1),
    }


def _store(store: str | None) -> api.Store | None:
    """The store that is meant; where none is named, there need not be one."""
    try:
        return api.open_store(store)
    except StoreNotFoundError:
        if store is not None:
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


def _write(found: Diagnosis) -> None:
    facts = found.facts
    write_line(f"codebatch {facts.codebatch}, Python {facts.python}, git {found.git or 'missing'}")
    write_line("  " + ", ".join(f"{name} {version}" for name, version in facts.packages.items()))
    if found.store is None:
        write_line("no store here")
    if found.file_system is not None:
        write_line(f"store {printable(found.store)}")
        system = asdict(found.file_system)
        free = size(system.pop("free_bytes"))
        words = (f"{name.replace('_', ' ')} {_word(value)}" for name, value in system.items())
        write_line(f"  file system: {free} free, {', '.join(words)}")
    if found.health is not None:
        _write_health(found.health)
    if found.cluster is not None:
        write_line(f"cluster {printable(found.scheduler)}")
        for address, worker in found.cluster.workers.items():
            write_line(f"  {address}: {printable(_said(worker))}")
    for problem in found.problems:
        severity = problem.severity
        write_line(f"{_colored(severity)}: {printable(problem.message)}")
        write_line(f"  {printable(problem.remedy)}")
    if not found.problems:
        write_line("no problems found")


def _said(worker: Facts | str | None) -> str:
    if worker is None or isinstance(worker, str):
        return worker or _SILENT
    seen = "" if worker.store is None else f", store {worker.store}"
    return f"{worker.host}, Python {worker.python}{seen}"


def _write_health(health: Health) -> None:
    statuses = ", ".join(f"{number:,} {name}" for name, number in health.batches_by_status.items())
    snapshots = counted(health.snapshots, "snapshot")
    batches = counted(health.batches, "batch", "batches")
    write_line(f"  {snapshots}, {batches}: {statuses or '-'}")
    write_line(
        f"  left over: {counted(health.temporaries, 'temporary file')}, "
        f"{health.unfinished:,} unfinished, "
        f"{health.removed:,} removed"
    )
    for lease in health.leases:
        state = "at work" if lease["live"] else "expired"
        what = f"{lease['purpose']} {lease['batch_id'] or ''}".strip()
        write_line(f"  {state}: {printable(what)} ({printable(lease['process'])})")
    if health.locked_by is not None:
        write_line(f"  locked by {printable(health.locked_by)}")


def _word(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "unknown" if value is None else str(value)


def _colored(severity: str) -> str:
    return click.style(severity, fg={"error": "red", "warning": "yellow"}.get(severity))
