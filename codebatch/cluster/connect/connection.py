"""Connect to a Dask scheduler, by its address or a scheduler file; every failure is one line.

Certificates, the time limit of an answer and whether encryption is required come from Dask's
configuration. A scheduler that is not there yet is waited for, that long or as long as asked; what
waiting does not mend is said at once.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import queue
import socket
import ssl
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import dask.config
import distributed
from distributed.comm.addressing import get_address_host_port
from distributed.versions import VersionMismatchWarning

from codebatch.cluster.connect.configuration import connect_seconds
from codebatch.model.errors import ClusterError
from codebatch.runtime.interrupts import check

OnNotice = Callable[[str], None]

_FILE_SECONDS = 1.0  # a scheduler may be about to write its file
_CONNECTION_SECONDS = 5.0
_RETRY_SECONDS = 0.25
_FIRST_NOTICE_SECONDS = 1.0
_NOTICE_SECONDS = 30.0
_GRACE_SECONDS = 5.0
_FILE_HINT = "dask scheduler --scheduler-file FILE writes it when it starts"
_HINTS = (
    "is it running, and is this its port? dask scheduler prints it, by default 8786",
    (
        "tls://… is for a scheduler with TLS, and tcp://… for one without; set certificates by"
        " DASK_DISTRIBUTED__COMM__TLS__CA_FILE, …__CLIENT__CERT and …__CLIENT__KEY"
    ),
)


def ignore(_notice: str) -> None:
    """Drop a notice."""


@contextlib.contextmanager
def connect(scheduler: str, on_notice: OnNotice = ignore) -> Iterator[Any]:
    """Yield a client for an address (``tcp://…``, ``tls://…``) or a scheduler file.

    `ClusterError` where no scheduler can be reached; ``on_notice`` is told what is waited for.
    """
    client = open_client(scheduler, on_notice)
    try:
        yield client
    finally:
        close_client(client)


def open_client(scheduler: str, on_notice: OnNotice = ignore, patience: float | None = None) -> Any:
    """Return a client, to be closed with `close_client`. A scheduler that is not there yet is
    waited for ``patience`` seconds, else as long as one may take to answer.
    """
    seconds = connect_seconds()
    until = time.monotonic() + (seconds if patience is None else patience)
    told = time.monotonic() - _NOTICE_SECONDS + _FIRST_NOTICE_SECONDS
    while True:
        check()
        shown = scheduler
        try:
            address = scheduler if "://" in scheduler else _address_in(scheduler)
            if address != scheduler:
                shown = f"{address} (from {scheduler})"
            return _made(address, seconds, until - time.monotonic())
        except ClusterError:
            raise
        except Exception as error:  # whatever Dask makes of one who listens
            what = _words(error)
            if not _may_pass(error) or time.monotonic() >= until:
                message = f"cannot reach a Dask scheduler at {shown}: {what}"
                hints = [_FILE_HINT] if "://" not in shown else list(_HINTS)
                raise ClusterError(message, hints=hints) from error
        if time.monotonic() - told >= _NOTICE_SECONDS:
            told = time.monotonic()
            on_notice(f"waiting for a Dask scheduler at {shown}: {what}")
        time.sleep(_RETRY_SECONDS)


def close_client(client: Any) -> None:
    """Close a client; a scheduler that has gone, or hangs, is not waited for."""
    with contextlib.suppress(OSError, distributed.TimeoutError):
        client.close(timeout=_GRACE_SECONDS)


def _address_in(path: str) -> str:
    """Return the address in a scheduler file; one that is being written is waited for a moment.

    FileNotFoundError where there is no file yet.
    """
    deadline = time.monotonic() + _FILE_SECONDS
    while True:
        try:
            document = json.loads(Path(path).read_bytes())
        except FileNotFoundError:
            raise
        except (OSError, ValueError, RecursionError) as error:
            why = error.strerror if isinstance(error, OSError) else "it is not a JSON document"
        else:
            address = document.get("address") if isinstance(document, dict) else None
            if isinstance(address, str) and "://" in address:
                return address
            why = "it names no address"
        if time.monotonic() > deadline:
            raise ClusterError(f"{path} is no scheduler file: {why}", hints=[_FILE_HINT])
        time.sleep(0.05)


def _made(address: str, seconds: float, left: float) -> Any:
    """Return a client that the scheduler has answered within so many seconds; a connection is tried
    for no more than is left.

    It is made in a thread of its own, which is left behind when the time is over: parts of the
    making have no time limit.
    """
    made: queue.SimpleQueue[Any] = queue.SimpleQueue()

    def make() -> None:
        try:
            if address.startswith(("tcp://", "tls://")):  # Dask tries on, and does not say why
                socket.create_connection(get_address_host_port(address), seconds).close()
            # A security loader of Dask's configuration is for a client alone.
            if not dask.config.get("distributed.client.security-loader", None):
                asyncio.run(asyncio.wait_for(_check_kind(address, left), seconds))
            with warnings.catch_warnings():  # which versions differ is said by the preflight
                warnings.simplefilter("ignore", VersionMismatchWarning)
                made.put(distributed.Client(address, timeout=seconds, set_as_default=False))  # type: ignore[no-untyped-call]
        except Exception as error:  # noqa: BLE001 - raised again where it is waited for
            made.put(error)

    threading.Thread(target=make, name="codebatch-connect", daemon=True).start()
    try:
        client = made.get(timeout=seconds + _GRACE_SECONDS)
    except queue.Empty:
        raise asyncio.TimeoutError from None
    if isinstance(client, Exception):
        raise client
    return client


async def _check_kind(address: str, left: float) -> None:
    """Raise ValueError where a worker or a nanny listens instead of a scheduler."""
    arguments = distributed.Security().get_connection_args("client")  # type: ignore[no-untyped-call]
    timeout = min(max(left, 0.5), _CONNECTION_SECONDS, connect_seconds() / 2)
    async with distributed.rpc(address, timeout=timeout, connection_args=arguments) as process:  # type: ignore[no-untyped-call]
        try:
            identity = await process.identity(n_workers=0)
        except TypeError:  # a worker, or a scheduler of a version that says more
            identity = await process.identity()
    if identity["type"] != "Scheduler":
        raise ValueError(f"it is a {str(identity['type']).lower()} that listens there")


def _may_pass(error: BaseException) -> bool:
    """Return true if waiting may mend it: a connection that is refused, cut, or not answered."""
    is_of_system = isinstance(error, OSError | asyncio.TimeoutError)  # which is one since 3.11
    return is_of_system and not isinstance(_root(error), ssl.SSLError)


def _words(error: BaseException) -> str:
    """Return the reason of an error in one line."""
    if isinstance(error, asyncio.TimeoutError):
        return f"it does not answer within {connect_seconds():g} s"
    if isinstance(error, MemoryError):  # Dask takes any first eight bytes for a length
        return "what answers there is not a Dask scheduler"
    root = _root(error)
    said = getattr(root, "strerror", None) or str(root) or type(root).__name__
    return str(said).partition("\n")[0]


def _root(error: BaseException) -> BaseException:
    while error.__cause__ is not None and not isinstance(error, asyncio.TimeoutError):
        error = error.__cause__
    return error
