"""The use that a run made of a cluster: calls and bytes of each worker."""

from __future__ import annotations

from dataclasses import dataclass

from codebatch.model.messages import Effort


@dataclass(frozen=True)
class WorkerUsage:
    """One worker: how many calls it answered, how many bytes it was sent and sent back, and what
    its child processes took: seconds of processor time, and memory of one at its peak.

    Where workers open the store, what is sent is next to nothing, and not counted.
    """

    name: str
    address: str
    calls: int = 0
    sent_bytes: int = 0
    received_bytes: int = 0
    cpu_seconds: float = 0.0
    peak_bytes: int = 0


@dataclass(frozen=True)
class ClusterUsage:
    """The transport, and the workers that answered, by name."""

    transport: str
    workers: tuple[WorkerUsage, ...]


class UsageTally:
    """Adds up. State: ``transport`` is None until a cluster is used, ``_workers`` is by name."""

    def __init__(self) -> None:
        self.transport: str | None = None
        self._workers: dict[str, WorkerUsage] = {}

    def count(self, effort: Effort, sent: int = 0, received: int = 0) -> None:
        """Add a call that a worker has answered."""
        name, address, used = effort
        one = self._workers.get(name, WorkerUsage(name, address))
        self._workers[name] = WorkerUsage(
            name,
            address,
            one.calls + 1,
            one.sent_bytes + sent,
            one.received_bytes + received,
            round(one.cpu_seconds + used.cpu_seconds, 3),
            max(one.peak_bytes, used.peak_bytes),
        )

    def usage(self) -> ClusterUsage | None:
        """Return the use so far; None where there was no cluster."""
        if self.transport is None:
            return None
        return ClusterUsage(self.transport, tuple(self._workers[n] for n in sorted(self._workers)))
