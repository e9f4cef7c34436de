"""A small process that has our modules loaded and forks children when it is asked.

It is started once by a process that needs children (`processes.pool`) and has one thread, so
forking is safe and takes a moment. Over the control socket come requests: one byte with two
descriptors, the *channel*, over which the child serves (`processes.child`), and the *lifeline*,
which stays here. When the child ends, its exit status is written to the lifeline; when the
owner closes the lifeline, the child is killed. When the owner ends, for any reason, the
control socket does, and all children are killed.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import selectors
import signal
import socket
import struct
import sys
import tempfile
from pathlib import Path

import codebatch.processes.preload  # noqa: F401 - what children share
from codebatch.processes.child import serve
from codebatch.runtime.scratch import memory_folder

STATUS = struct.Struct("!i")

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_SERVER_FAILED = _CHILD_FAILED = 70


def main(descriptor: int) -> None:
    """Serve the owner that holds the other end of the socket."""
    status = _SERVER_FAILED
    try:
        _adopt_orphans()
        with tempfile.TemporaryDirectory(prefix="codebatch-") as folder, memory_folder():
            tempfile.tempdir = folder  # what children that die leave behind goes with it
            _Server(socket.socket(fileno=descriptor)).run()
        status = 0
    except BaseException:  # noqa: BLE001 - said as the interpreter would say it
        sys.excepthook(*sys.exc_info())
    finally:
        os._exit(status)  # at once: the owner waits


class _Server:
    """State: ``_lifelines`` has the owner's line of each child, by process id."""

    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._lifelines: dict[int, socket.socket] = {}
        self._selector = selectors.DefaultSelector()
        self._selector.register(control, selectors.EVENT_READ)
        self._woken, self._waker = socket.socketpair()
        for end in (self._woken, self._waker):
            end.settimeout(0)  # neither ever waits
        self._selector.register(self._woken, selectors.EVENT_READ)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(self._waker.fileno(), warn_on_full_buffer=False)

    def run(self) -> None:
        """Serve until the owner has gone."""
        try:
            while self._react():
                pass
        finally:
            self._end_all()

    def _react(self) -> bool:
        for key, _ in self._selector.select():
            if key.fileobj is self._control:
                if not self._fork():
                    return False
            elif key.fileobj is self._woken:
                self._reap()
            elif key.data in self._lifelines:  # closed by the owner, who sends nothing over it
                self._selector.unregister(key.fileobj)
                os.kill(key.data, signal.SIGKILL)
        return True

    def _fork(self) -> bool:
        """Fork a child; False where the owner has gone."""
        try:
            request, descriptors, _, _ = socket.recv_fds(self._control, 1, 2)
        except ConnectionError:
            return False
        if not request:
            return False
        channel, lifeline = (socket.socket(fileno=one) for one in descriptors)
        try:
            pid = os.fork()
        except OSError:  # too many processes: the owner sees a line without a status
            channel.close()
            lifeline.close()
            return True
        if pid == 0:
            lifeline.close()
            self._become_child(channel)
        channel.close()
        self._lifelines[pid] = lifeline
        self._selector.register(lifeline, selectors.EVENT_READ, pid)
        return True

    def _become_child(self, channel: socket.socket) -> None:
        """Serve and end; nothing of the server's own may go on in a child."""
        status = _CHILD_FAILED
        try:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            for end in (self._control, self._woken, self._waker, *self._lifelines.values()):
                end.close()
            self._selector.close()
            _die_with_parent()
            serve(channel)
            status = 0
        except BaseException:  # noqa: BLE001 - it must not return into the server's loop
            sys.excepthook(*sys.exc_info())
        finally:
            os._exit(status)

    def _reap(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while self._woken.recv(4096):
                pass
        with contextlib.suppress(ChildProcessError):
            while True:
                pid, status = os.waitpid(-1, os.WNOHANG)
                if pid == 0:
                    break
                self._report(pid, os.waitstatus_to_exitcode(status))
        self._kill_orphans()

    def _end_all(self) -> None:
        for pid in self._lifelines:
            os.kill(pid, signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):
            while True:
                pid, _ = os.waitpid(-1, 0)
                self._lifelines.pop(pid, None)
                self._kill_orphans()

    def _kill_orphans(self) -> None:
        """Kill what children have started and left behind: a tool, say, that hangs."""
        for pid in _children_of_this_process():
            if pid not in self._lifelines:
                os.kill(pid, signal.SIGKILL)

    def _report(self, pid: int, status: int) -> None:
        lifeline = self._lifelines.pop(pid, None)
        if lifeline is None:
            return
        with contextlib.suppress(KeyError):
            self._selector.unregister(lifeline)
        with contextlib.suppress(OSError):  # the owner no longer wants to know
            lifeline.sendall(STATUS.pack(status))
        lifeline.close()


def _children_of_this_process() -> list[int]:
    """Ids of the child processes, where the system tells."""
    try:
        text = Path(f"/proc/self/task/{os.getpid()}/children").read_text(encoding="ascii")
    except OSError:
        return []
    return [int(pid) for pid in text.split()]


def _adopt_orphans() -> None:
    """Become the parent of processes that children leave behind, where the system can do that."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1)


def _die_with_parent() -> None:
    """Have the kernel end this child with the server, where it can: the server may be killed."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
