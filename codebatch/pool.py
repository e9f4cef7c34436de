"""Processes of our own to run shards in, forked from a small server that has our modules loaded.

The server may be started before there is work (`start_server`), so that loading them overlaps
with whatever comes first. Workers never run the caller's main module again: they only ever call
us. So a script needs no ``if __name__ == "__main__"``, and a notebook has none to be missed.
"""

from __future__ import annotations

import signal
import sys
import threading
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import forkserver
from multiprocessing.context import ForkServerContext, ForkServerProcess
from multiprocessing.process import BaseProcess
from types import ModuleType
from typing import Any

_PRELOADED = ("codebatch.preload",)

_main_lock = threading.Lock()


def start_server() -> None:
    """Start the server, unless it runs; it loads the modules on its own."""
    forkserver.set_forkserver_preload(list(_PRELOADED))
    # The server and what it forks inherit the mask: an interrupt is for the parent to handle.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        with _main_lock, _NoMainModule():
            forkserver.ensure_running()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def make_pool(workers: int) -> ProcessPoolExecutor:
    """A pool of so many processes, which leave an interrupt to their parent."""
    start_server()
    return ProcessPoolExecutor(workers, _WorkerContext(), initializer=_ignore_interrupts)


class _NoMainModule:
    """For a block, the main module is one that nobody would want to run again."""

    def __enter__(self) -> None:
        self._main = sys.modules["__main__"]
        sys.modules["__main__"] = ModuleType("__main__")

    def __exit__(self, *_: object) -> None:
        sys.modules["__main__"] = self._main


class _WorkerProcess(ForkServerProcess):
    """A worker that does not run the caller's main module again."""

    @staticmethod
    def _Popen(process_obj: BaseProcess) -> Any:  # noqa: N802 - the hook multiprocessing has
        with _main_lock, _NoMainModule():
            return ForkServerProcess._Popen(process_obj)  # noqa: SLF001 - as above


class _WorkerContext(ForkServerContext):
    """Starts workers from the server."""

    Process = _WorkerProcess


def _ignore_interrupts() -> None:
    """Ctrl-C reaches the whole process group; the parent decides, workers finish their shard."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
