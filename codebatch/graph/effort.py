"""What child processes of the worker of a cluster took: said to the scheduler, and in answers.

Dask sees the process of a worker alone; the work is done by its children. So each task logs what
its child took as an event of the topic `TOPIC`, and the worker's heartbeats carry the sums, which
the table of workers on the dashboard shows.

State: ``_totals`` has the sums of each worker of this process, by its address.
"""

from __future__ import annotations

import sys
import threading
from typing import Any

from codebatch.model.messages import Effort, Used

TOPIC = "codebatch"

_totals: dict[str, Used] = {}
_lock = threading.Lock()


def current_worker() -> Any:
    """Return the worker of a cluster that this thread works for; None where there is none."""
    try:
        return sys.modules["distributed"].get_worker()
    except (KeyError, ValueError):  # not loaded, or no worker
        return None


def noted(worker: Any, used: Used, task: str) -> Effort:
    """Note what a child took for a task on a worker, and return it with the worker."""
    name, address = str(worker.name), str(worker.address)
    event = {"task": task, "cpu_seconds": used.cpu_seconds, "peak_bytes": used.peak_bytes}
    worker.log_event(TOPIC, {"name": name, **event})  # Dask adds the address as "worker"
    with _lock:
        _totals[address] = _totals.get(address, Used()).plus(used)
    worker.metrics.setdefault("children_cpu_seconds", _cpu_seconds)
    worker.metrics.setdefault("children_peak_bytes", _peak_bytes)
    return Effort(name, address, used)


def _cpu_seconds(worker: Any) -> float:
    return round(_totals.get(str(worker.address), Used()).cpu_seconds, 3)


def _peak_bytes(worker: Any) -> int:
    return _totals.get(str(worker.address), Used()).peak_bytes
