"""Connect to a Dask scheduler, by its address or a scheduler file; every failure is one line.

TLS files, the time limit of an answer and whether encryption is required come from Dask's
configuration. A scheduler that is not there yet is waited for, that long or as long as asked; what
waiting does not mend is said at once.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import queue
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from codebatch.cluster.connect.configuration import connect_seconds
from codebatch.cluster.connect.endpoint import find_endpoint
from codebatch.cluster.connect.probe import Endpoint, NoAnswerError, probe
from codebatch.model.errors import ClusterError
from codebatch.runtime.lazy import lazy

if TYPE_CHECKING:
    import distributed
    from distributed import versions
else:
    distributed = lazy("distributed")  # a tenth of a second that local runs do not need
    versions = lazy("distributed.versions")

OnNotice = Callable[[str], None]

_FILE_SECONDS = 1.0  # a scheduler may be about to write its file
_RETRY_SECONDS = 0.25
_FIRST_NOTICE_SECONDS = 1.0
_NOTICE_SECONDS = 30.0
_GRACE_SECONDS = 5.0


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
    place = _await_answer(scheduler, seconds, until, on_notice)
    left = max(min(until - time.monotonic(), seconds), _GRACE_SECONDS)
    make = _made if place.endpoint is None else _made_of_scheduler
    return _in_time(lambda: make(place.address, left), place.shown, left + _GRACE_SECONDS)


def close_client(client: Any) -> None:
    """Close a client; a scheduler that has gone, or hangs, is not waited for."""
    with contextlib.suppress(OSError, distributed.TimeoutError):
        client.close(timeout=_GRACE_SECONDS)


def current_client() -> Any:
    """Return the client that the program at hand works with (`distributed.default_client`), if any.

    One made for asynchronous use does not count: a run waits for its results.
    """
    if "distributed" not in sys.modules:
        return None
    try:
        client = distributed.default_client()  # type: ignore[no-untyped-call]
    except ValueError:
        return None
    return None if client.asynchronous or client.status != "running" else client


def _address_in(path: str) -> str:
    """Return the address in a scheduler file; one that is being written is waited for a moment.

    `NoAnswerError` where there is no file yet.
    """
    deadline = time.monotonic() + _FILE_SECONDS
    while True:
        try:
            document = json.loads(Path(path).read_bytes())
        except FileNotFoundError as error:
            hint = "dask scheduler --scheduler-file FILE writes it when it starts"
            raise NoAnswerError("there is no such file", hint, may_pass=True) from error
        except (OSError, ValueError, RecursionError) as error:
            why = error.strerror if isinstance(error, OSError) else "it is not a JSON document"
        else:
            address = document.get("address") if isinstance(document, dict) else None
            if isinstance(address, str) and "://" in address:
                return address
            why = "it names no address"
        if time.monotonic() > deadline:
            raise ClusterError(
                f"{path} is no scheduler file: {why}",
                hints=["dask scheduler --scheduler-file FILE writes one when it starts"],
            )
        time.sleep(0.05)


class _Place(NamedTuple):
    """The address of a scheduler, also for messages; its endpoint, if that is known."""

    address: str
    shown: str
    endpoint: Endpoint | None


def _await_answer(scheduler: str, seconds: float, until: float, on_notice: OnNotice) -> _Place:
    """Probe until a scheduler answers; `ClusterError` when none will, or the time is over.

    A scheduler file is read each time: another scheduler may have written it anew.
    """
    told = time.monotonic() - _NOTICE_SECONDS + _FIRST_NOTICE_SECONDS
    while True:
        shown = scheduler
        try:
            address = scheduler if "://" in scheduler else _address_in(scheduler)
            if address != scheduler:
                shown = f"{address} (from {scheduler})"
            endpoint = find_endpoint(address)
            if endpoint is not None:
                probe(endpoint, seconds)
        except NoAnswerError as error:
            left = until - time.monotonic()
            if not error.may_pass or left <= 0:
                raise _unreachable(shown, error.message, error.hint) from error
            if time.monotonic() - told > _NOTICE_SECONDS:
                told = time.monotonic()
                on_notice(f"waiting for a Dask scheduler at {shown}: {error.message}")
            time.sleep(min(_RETRY_SECONDS, left))
        else:
            return _Place(address, shown, endpoint)


def _in_time(make: Callable[[], Any], shown: str, seconds: float) -> Any:
    """Return a client, made in a thread of its own: parts of the making have no time limit."""
    made: queue.SimpleQueue[Any] = queue.SimpleQueue()

    def run() -> None:
        try:
            made.put(make())
        except Exception as error:  # noqa: BLE001 - raised again where it is waited for
            made.put(error)

    threading.Thread(target=run, name="codebatch-connect", daemon=True).start()
    try:
        client = made.get(timeout=seconds)
    except queue.Empty:
        what = f"it does not let us in within {seconds:.0f} s"
        raise _unreachable(shown, what, "is it stopped or very busy?") from None
    if isinstance(client, Exception):
        what = str(client).partition("\n")[0] or type(client).__name__
        raise _unreachable(shown, what, "is it the scheduler, and its Dask like ours?") from client
    return client


def _made_of_scheduler(address: str, seconds: float) -> Any:
    """Return a client; ValueError where another process of Dask listens there."""
    kind = asyncio.run(asyncio.wait_for(_kind(address), seconds))
    if kind != "Scheduler":
        raise ValueError(f"it is a {kind.lower()} that listens there, and no scheduler")
    return _made(address, seconds)


def _made(address: str, seconds: float) -> Any:
    with warnings.catch_warnings():  # which versions differ is said by the preflight
        warnings.simplefilter("ignore", versions.VersionMismatchWarning)
        return distributed.Client(address, timeout=seconds, set_as_default=False)  # type: ignore[no-untyped-call]


async def _kind(address: str) -> str:
    """Return the kind of process of Dask that listens: a scheduler, a worker, a nanny."""
    arguments = distributed.Security().get_connection_args("client")  # type: ignore[no-untyped-call]
    async with distributed.rpc(address, connection_args=arguments) as process:  # type: ignore[no-untyped-call]
        try:
            identity = await process.identity(n_workers=0)
        except TypeError:  # a worker, or a scheduler of a version that says more
            identity = await process.identity()
    return str(identity["type"])


def _unreachable(shown: str, what: str, hint: str) -> ClusterError:
    return ClusterError(f"cannot reach a Dask scheduler at {shown}: {what}", hints=[hint])
