"""What a cluster did for a run, in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from codebatch.cli.render import output
from codebatch.cli.render.output import counted, printable

if TYPE_CHECKING:
    from codebatch.cluster.usage import ClusterUsage, WorkerUsage

_MOST_NAMED = 10


def usage_words(cluster: ClusterUsage) -> str:
    """Return ``shipped, 2 workers: w1 (7 calls, 2.6 MiB sent, 2.4 MiB received), …``."""
    workers = [f"{printable(one.name)} ({_done_by(one)})" for one in cluster.workers[:_MOST_NAMED]]
    more = ", …" if len(cluster.workers) > _MOST_NAMED else ""
    count = counted(len(cluster.workers), "worker")
    return f"{cluster.transport}, {count}: {', '.join(workers)}{more}"


def _done_by(worker: WorkerUsage) -> str:
    peak = output.size(worker.peak_bytes)
    took = (
        f"{counted(worker.calls, 'call')}, {worker.cpu_seconds:.1f} s of processor, {peak} at peak"
    )
    if not worker.sent_bytes:
        return took
    sent, received = output.size(worker.sent_bytes), output.size(worker.received_bytes)
    return f"{took}, {sent} sent, {received} received"
