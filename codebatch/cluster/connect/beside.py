"""A synchronous client beside an asynchronous one, for a run in a thread beside its event loop.

A run waits for answers, so it cannot use an asynchronous client; what such a client is connected
to, another client can reach by the same address and with the same security.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any

import distributed

from codebatch.cluster.connect.connection import close_client
from codebatch.model.errors import UsageError

Opening = Callable[[], AbstractContextManager[Any]]


def beside(client: Any) -> Opening:
    """Return what opens, for a block in any thread, the client that a run there can use: this one,
    or where it is asynchronous one of its own for the same scheduler. None stays None.
    """
    if client is None or not client.asynchronous:
        return lambda: contextlib.nullcontext(client)
    if client.status != "running":
        raise UsageError("the client is not connected: give a run one that is")
    address, security = client.scheduler.address, client.security

    @contextlib.contextmanager
    def opened() -> Iterator[Any]:
        own: Any = distributed.Client(address, security=security, set_as_default=False)  # type: ignore[no-untyped-call]
        try:
            yield own
        finally:
            close_client(own)

    return opened
