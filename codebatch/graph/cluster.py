"""Run a graph on a Dask cluster whose workers can open the store's directory."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from codebatch.errors import ClusterError
from codebatch.graph.compile import compile_graph
from codebatch.isolation import run_guarded
from codebatch.messages import Receipt, ShardCall
from codebatch.records import FAILED

CONNECT_TIMEOUT_SECONDS = 15

OnReceipt = Callable[[Receipt], None]


@contextlib.contextmanager
def connect(scheduler: str) -> Iterator[Any]:
    """A client for an address (``tcp://…``, ``tls://…``) or a scheduler file, for a block.

    TLS files come from Dask's own configuration.
    """
    target = {"scheduler_file": scheduler} if Path(scheduler).is_file() else {"address": scheduler}
    try:
        client = _client(target)
    except (OSError, TimeoutError, ValueError) as error:
        raise ClusterError(
            f"cannot reach a Dask scheduler at {scheduler}: {error}",
            hints=["is it running (dask scheduler), and is the address right?"],
        ) from error
    try:
        yield client
    finally:
        client.close()


def run_on_cluster(client: Any, calls: Sequence[ShardCall], on_receipt: OnReceipt) -> None:
    """Run the calls; receipts arrive as they come.

    A shard whose future erred (its workers died, say) gets a failed receipt that says so; the
    futures are released at the end, so that no result stays on the cluster.
    """
    graph = compile_graph(calls, run_guarded)
    by_key = dict(zip(graph, calls, strict=True))
    futures = client.get(graph, list(graph), sync=False)
    from distributed import as_completed  # noqa: PLC0415 - as below

    completed = as_completed(  # type: ignore[no-untyped-call]
        futures, with_results=True, raise_errors=False, loop=client.loop
    )
    try:
        for future, result in completed:
            on_receipt(
                result if isinstance(result, Receipt) else _erred(by_key[future.key], result)
            )
    finally:
        client.cancel(futures)


def _client(target: dict[str, str]) -> Any:
    import distributed  # noqa: PLC0415 - 0.3 s that local runs do not need

    timeout = CONNECT_TIMEOUT_SECONDS
    return distributed.Client(timeout=timeout, set_as_default=False, **target)  # type: ignore[no-untyped-call]


def _erred(call: ShardCall, result: object) -> Receipt:
    # distributed hands out (type, exception, traceback) for a future that erred.
    error = result[1] if isinstance(result, tuple) and len(result) == 3 else result
    message = f"{type(error).__name__}: {error}"
    return Receipt(call.shard_id, call.attempt, FAILED, {"code": "WORKER_DIED", "message": message})
