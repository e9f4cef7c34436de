"""``codebatch diagnose``."""

from __future__ import annotations

import sys
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from codebatch import api
from codebatch.cli.access import reads
from codebatch.cli.group import OnceCommand
from codebatch.cli.logs import libraries_silenced
from codebatch.cli.options import json_option, store_option
from codebatch.cli.output import counted, printable, size, write_document, write_line
from codebatch.digest import Document
from codebatch.errors import EXIT_CLUSTER, EXIT_OK, StoreNotFoundError
from codebatch.surroundings import Facts

if TYPE_CHECKING:
    from codebatch.diagnose import Diagnosis, Health

_SILENT = "no answer"


@click.command("diagnose", cls=OnceCommand)
@reads("store", "snapshots", "batches", "states", "leases", "indexes")
@click.option(
    "--scheduler",
    metavar="ADDRESS",
    help="Look at a Dask cluster as well: tcp://host:port, or a scheduler file.",
)
@store_option
@json_option
def diagnose(scheduler: str | None, store: str | None, as_json: bool) -> None:
    """Say what there is to work with, and what stands in the way.

    Versions, the file system of the store, what is in it and who works in it; nothing is
    verified. With --scheduler, exit 6 unless the cluster can run batches of this store.
    """
    with libraries_silenced():
        found = api.diagnose(_store(store), scheduler)
    if as_json:
        write_document(_document(found))
    else:
        _write(found)
    sys.exit(EXIT_OK if found.cluster_can_work else EXIT_CLUSTER)


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
    if not isinstance(facts, Facts):
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
    if not isinstance(worker, Facts):
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
