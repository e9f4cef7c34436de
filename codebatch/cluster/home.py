"""Runs that a worker asks the client for: of a batch whose store the worker does not see.

`dask.compute` finishes a collection on a worker. Where that has no store, it asks, as an event of
Dask, for the run that ships what workers need; the client that the graph came from does it in a
thread, and the report goes back through a queue. Meanwhile the task has no thread of the worker.
"""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable
from typing import Any

import distributed

from codebatch.model.errors import ClusterError, CodeBatchError

_ANSWER_SECONDS = 10
_SIGN_SECONDS = 15
_LOST_SECONDS = 120


def serve_run(client: Any, topic: str, run: Callable[[], object]) -> None:
    """Have a client do this run whenever a worker asks for it under that topic."""

    def answer(name: str) -> None:
        queue = _queue(name, client)
        ended = threading.Event()

        def work() -> None:
            try:
                queue.put(client.scatter(run(), hash=False))
            except CodeBatchError as error:
                queue.put({"error": error.message, "hints": list(error.hints)})
            except Exception as error:  # noqa: BLE001 - the worker waits for it
                queue.put({"error": f"{type(error).__name__}: {error}", "hints": []})
            finally:
                ended.set()

        queue.put({})
        threading.Thread(target=work, daemon=True).start()
        while not ended.wait(_SIGN_SECONDS):
            queue.put({})

    def handle(event: tuple[float, Any]) -> None:
        threading.Thread(target=answer, args=(event[1]["queue"],), daemon=True).start()

    client.subscribe_topic(topic, handle)


def ask_for_run(topic: str, why: str) -> Any:
    """Return what the run of that topic gives; `ClusterError` where no client does it, or it fails.
    ``why`` says what this worker lacks.
    """
    with distributed.worker_client() as client:
        name = f"{topic}-{uuid.uuid4().hex}"
        queue = _queue(name, client)
        distributed.get_worker().log_event(topic, {"queue": name})
        seconds = _ANSWER_SECONDS
        while True:
            try:
                found = queue.get(timeout=seconds)
            except (TimeoutError, distributed.TimeoutError):
                raise ClusterError(
                    f"{why}, and no client ships what they need",
                    hints=["run it with batch.run(client=client)"],
                ) from None
            if isinstance(found, distributed.Future):
                return found.result()
            if "error" in found:
                raise ClusterError(found["error"], hints=found["hints"])
            seconds = _LOST_SECONDS


def _queue(name: str, client: Any) -> Any:
    make: Any = distributed.Queue
    return make(name, client=client)
