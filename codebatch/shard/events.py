"""Events of a batch that say how the work on a shard ended; people and ``status`` read them."""

from __future__ import annotations

from codebatch.model.clock import now
from codebatch.model.messages import Receipt
from codebatch.store import StoreDirectory

_LONGEST_NAME = 100
_FACTS = ("shard_id", "attempt", "status", "error", "warning")


def log_end(store: StoreDirectory, batch_id: str, receipt: Receipt) -> None:
    """Log how an attempt at a shard ended."""
    facts: dict[str, object] = {name: getattr(receipt, name) for name in _FACTS}
    worker = receipt.worker
    facts["worker"] = None if worker is None else worker[:_LONGEST_NAME]
    event = {"event": f"shard-{receipt.status}", "time": now(), **facts}
    store.batches.add_event(batch_id, event)
