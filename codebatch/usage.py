"""What a run used of a cluster: which workers did how much, and what was sent to them."""

from __future__ import annotations

from dataclasses import dataclass, field

from codebatch.digest import Document


@dataclass
class WorkerUsage:
    """One worker: how many calls it answered, how many bytes it was sent and sent back.

    Where workers open the store, what is sent is next to nothing, and not counted.
    """

    address: str
    calls: int = 0
    sent_bytes: int = 0
    received_bytes: int = 0


@dataclass
class ClusterUsage:
    """The workers of a run by name; ``transport`` is None until a cluster was used."""

    transport: str | None = None
    workers: dict[str, WorkerUsage] = field(default_factory=dict)

    def count(self, name: str, address: str, sent: int = 0, received: int = 0) -> None:
        """Add a call that a worker has answered."""
        worker = self.workers.setdefault(name, WorkerUsage(address))
        worker.address = address
        worker.calls += 1
        worker.sent_bytes += sent
        worker.received_bytes += received

    def as_document(self) -> Document | None:
        """The ``cluster`` of a report; None where none was used."""
        if self.transport is None:
            return None
        workers = [{"name": name, **vars(self.workers[name])} for name in sorted(self.workers)]
        return {"transport": self.transport, "workers": workers}
