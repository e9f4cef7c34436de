"""Kernels of notebooks: real ones, each a process of its own, driven as a notebook drives them.

All that a kernel starts carries a mark in its environment, by which it is found when the kernel has
ended.
"""

from __future__ import annotations

import contextlib
import secrets
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import psutil
import pytest
from conftest import cli_environment

pytest.importorskip("ipykernel", reason="kernels need ipykernel, which is not installed")

from jupyter_client.manager import KernelManager

MARK = "CODEBATCH_TEST_KERNEL"
SECONDS = 240  # a busy machine may take many times as long as usual
END_SECONDS = 30


class Shown(NamedTuple):
    """What a cell came to: the name of its error, None without one, what it wrote, and the data of
    what it displayed.
    """

    error: str | None
    text: str
    displays: tuple[dict[str, Any], ...]


class Kernel:
    """A kernel that runs cells."""

    def __init__(self, manager: Any, client: Any, mark: str) -> None:
        self.manager = manager
        self._client = client
        self._mark = mark

    @property
    def pid(self) -> int:
        """The number of its process."""
        return int(self.manager.provisioner.pid)

    def begin(self, code: str) -> str:
        """Have a cell run, and return its id."""
        return str(self._client.execute(code))

    def end(self, cell: str) -> Shown:
        """Return what became of a cell, when it has ended."""
        end = time.monotonic() + SECONDS
        error, text, displays = None, [], []
        while True:
            message = self._client.get_iopub_msg(timeout=max(0.1, end - time.monotonic()))
            kind, content = message["msg_type"], message["content"]
            if message["parent_header"].get("msg_id") != cell:
                continue
            if kind == "stream":
                text.append(content["text"])
            elif kind == "error":
                error = content["ename"]
                text.append("\n".join(content["traceback"]))
            elif kind in ("display_data", "execute_result"):
                displays.append(content["data"])
            elif kind == "status" and content["execution_state"] == "idle":
                return Shown(error, "".join(text), tuple(displays))

    def run(self, code: str) -> Shown:
        """Run a cell."""
        return self.end(self.begin(code))

    def interrupt(self) -> None:
        """Interrupt the kernel, as the button of a notebook does."""
        self.manager.interrupt_kernel()

    def others(self) -> list[psutil.Process]:
        """Return the processes that were started by it, and are not the kernel itself."""
        return [one for one in _marked(self._mark) if one.pid != self.pid]

    def await_end(self) -> list[psutil.Process]:
        """Return what is still there of all that was started, some time after the kernel ended."""
        end = time.monotonic() + END_SECONDS
        while (left := _marked(self._mark)) and time.monotonic() < end:
            time.sleep(0.05)
        return left


@contextlib.contextmanager
def kernel(folder: Path, **environment: str) -> Iterator[Kernel]:
    """Yield a kernel that works in a folder; it has ended after the block."""
    mark = secrets.token_hex(8)
    # Sockets in a folder: on a port, a kernel warns of those who may listen. Their names are short
    # wherever temporary files are: the system takes some hundred characters.
    sockets = tempfile.mkdtemp(prefix="kernel-", dir="/tmp")
    manager: Any = KernelManager(transport="ipc", ip=f"{sockets}/socket")
    manager.start_kernel(cwd=str(folder), env=cli_environment(**{MARK: mark}, **environment))
    client = manager.blocking_client()
    client.start_channels()
    try:
        client.wait_for_ready(timeout=SECONDS)
        yield Kernel(manager, client, mark)
    finally:
        client.stop_channels()
        if manager.is_alive():
            manager.shutdown_kernel(now=True)
        manager.cleanup_resources()
        shutil.rmtree(sockets)


def _marked(mark: str) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if process.environ().get(MARK) == mark and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
    return found
