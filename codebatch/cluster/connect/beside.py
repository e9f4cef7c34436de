"""A run beside an event loop: in a thread, with a synchronous client of its own.

A run waits for answers, so it cannot use an asynchronous client; what such a client is connected
to, another client can reach by the same address and with the same security.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any, TypeVar

import distributed

from codebatch.cluster.connect.connection import close_client
from codebatch.model.errors import UsageError

T = TypeVar("T")


async def run_beside(client: Any, run: Callable[[Any], T]) -> T:
    """Return what ``run`` gives, in a thread, for a synchronous client of the scheduler of another.

    Where this is cancelled, that client is closed: the run ends, and what it has done is stored.
    """
    if client.status != "running":
        raise UsageError("the client is not connected: give a run one that is")
    address, security = client.scheduler.address, client.security
    cancelled = threading.Event()
    opened: list[Any] = []

    def work() -> T:
        own: Any = distributed.Client(address, security=security, set_as_default=False)  # type: ignore[no-untyped-call]
        opened.append(own)
        try:
            if cancelled.is_set():
                raise UsageError("the run was cancelled")
            return run(own)
        finally:
            close_client(own)

    try:
        return await asyncio.to_thread(work)
    except asyncio.CancelledError:
        cancelled.set()
        for own in opened:
            threading.Thread(target=close_client, args=(own,), daemon=True).start()
        raise
