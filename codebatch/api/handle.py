"""A run that goes on in a thread of this process, and the handle by which it is followed.

Nothing of it outlives the process: when the interpreter ends, runs are interrupted, and what is in
flight is committed.
"""

from __future__ import annotations

import asyncio
import atexit
import concurrent.futures.thread  # whose own end of the interpreter has to come after ours
import contextvars
import threading
import time
from collections.abc import Callable, Generator
from types import TracebackType
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

from codebatch.display.displayed import Displayed
from codebatch.runtime.interrupts import Interruption
from codebatch.runtime.lazy import lazily

if TYPE_CHECKING:
    from codebatch.batch import Progress, RunReport
    from codebatch.status.progress import RunProgress

with lazily():
    from codebatch.display import card as cards

_FIRST_POLL_SECONDS = 0.001
_LAST_POLL_SECONDS = 0.05
_END_SECONDS = 10.0

Work = Callable[["Progress"], "RunReport"]


class RunHandle(Displayed):
    """A run of a batch that was begun with ``wait=False``: ``await`` it, or ask for its `result`.

    ``batch_id`` is that of the batch, ``progress`` how far the run is, a `RunProgress`: None before
    it has looked, and where nothing was to be done. State: ``_report`` or ``_error`` is what it
    came to, the latter with the ``_traceback`` of the run; ``_future`` wakes those who await it.
    """

    def __init__(self, batch_id: str, work: Work) -> None:
        self.batch_id = batch_id
        self.progress: RunProgress | None = None
        self._work = work
        self._interruption = Interruption()
        self._report: RunReport | None = None
        self._error: BaseException | None = None
        self._traceback: TracebackType | None = None
        self._future: concurrent.futures.Future[None] = concurrent.futures.Future()
        self._future.set_running_or_notify_cancel()  # the end of who awaits it is not that of it
        context = contextvars.copy_context()  # Dask's annotations and client, a notebook's cell
        self._thread = threading.Thread(
            target=context.run, args=(self._run,), name=f"codebatch-run-{batch_id}", daemon=True
        )
        _at_work.add(self)
        self._thread.start()

    def done(self) -> bool:
        """Return whether it has ended, in whatever way."""
        return self._report is not None or self._error is not None

    def result(self, timeout: float | None = None) -> RunReport:
        """Return the report when the run has ended, or raise what it has raised: `RunInterrupted`
        where it was cancelled, for which ``await`` has `asyncio.CancelledError`. `TimeoutError`
        after ``timeout`` seconds.

        To interrupt the waiting does not end the run.
        """
        end = None if timeout is None else time.monotonic() + timeout
        pause = _FIRST_POLL_SECONDS
        while not self.done():  # no lock is waited for: an interrupt could leave it held
            left = pause if end is None else min(pause, end - time.monotonic())
            if left <= 0:
                raise TimeoutError(f"the run of {self.batch_id} goes on after {timeout:g} s")
            time.sleep(left)
            pause = min(2 * pause, _LAST_POLL_SECONDS)
        return self._outcome()

    def cancel(self) -> None:
        """End the run as an interrupt does, and return at once: what is in flight is committed, and
        the next run goes on from there. Where children are at work, a second call kills them.
        """
        self._interruption.interrupt()

    def __await__(self) -> Generator[Any, None, RunReport]:
        yield from asyncio.wrap_future(self._future).__await__()
        try:
            return self._outcome()
        except (KeyboardInterrupt, SystemExit) as error:  # of a task, they end the event loop
            raise asyncio.CancelledError(f"the run of {self.batch_id} was cancelled") from error

    def _card(self) -> cards.Card:
        """Return what is shown: how far it is, or what it came to."""
        report, found = self._report, self.progress
        status = "running" if not self.done() else report.status if report else "ended"
        facts: dict[str, object] = {}
        if report is not None:
            facts = {"shards": cards.state_bar(report.shards), "result": report.result}
        elif found is not None:
            facts = {
                "shards": cards.state_bar({"done": found.done, "total": found.total}),
                "files": f"{found.files_done} of {found.files_total}",
                "files a second": found.rate and round(found.rate, 1),
                "seconds left": found.seconds_left and round(found.seconds_left, 1),
            }
        notes = [f"{type(self._error).__name__}: {self._error}"] if self._error else []
        return cards.Card("Run of", self.batch_id, status, facts, notes=notes)

    def _outcome(self) -> RunReport:
        if self._error is not None:  # without the frames of those that it was raised to before
            raise self._error.with_traceback(self._traceback)
        if self._report is None:
            raise RuntimeError("the run has not ended")
        return self._report

    def _run(self) -> None:
        try:
            with self._interruption.applied():
                self._report = self._work(self._take)
        except BaseException as error:  # noqa: BLE001 - an interrupt among them: who waits gets it
            self._error, self._traceback = error, error.__traceback__
        self._future.set_result(None)

    def _take(self, progress: RunProgress) -> None:
        self.progress = progress

    def end(self) -> None:
        """Cancel the run, and wait for it; where that is long, kill its children."""
        for _ in range(2):
            if self._thread.is_alive():
                self.cancel()
                self._thread.join(_END_SECONDS)


_at_work: WeakSet[RunHandle] = WeakSet()


def _end_all() -> None:
    for handle in list(_at_work):
        handle.end()


# The threads of `concurrent.futures`, which runs use, take no more work once the interpreter ends:
# runs have to end before that, and only this is early enough.
getattr(threading, "_register_atexit", atexit.register)(_end_all)
