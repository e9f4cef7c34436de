"""Child processes to run shards in, forked from a small server that has our modules loaded.

The server (`processes.fork_server`) may be started before there is work (`start_server`), so
that loading its modules overlaps with whatever comes first. Children never run the caller's main
module, so a script needs no ``if __name__ == "__main__"``; and any process may have them, those
of Dask's workers too, which `multiprocessing` does not allow to have any.

A child ends with its owner: when the owner ends, for any reason, the server does, and kills
what it has forked.

A child runs the tasks of users of one message (`tasks.code.carry`) and no other: two versions of a
module cannot be loaded side by side. The worker of a cluster, which serves many runs, has children
for each of a few messages (`children_of`).
"""

from __future__ import annotations

import atexit
import contextlib
import os
import signal
import socket
import subprocess
import threading
from collections.abc import Iterator
from typing import Any

from codebatch.model.errors import TaskLoadError, WorkerLostError
from codebatch.processes.channel import BrokenChannelError, receive, send
from codebatch.runtime.programs import import_path, python_command

_BOOT = (
    "import sys; sys.path[:] = sys.argv[2:]; "
    "from codebatch.processes.fork_server import main; main(int(sys.argv[1]))"
)
_STATUS_BYTES = 4
_END_SECONDS = 5
_LOAD_SECONDS = 120
_MOST_CODES = 3
# A request to end, from outside: that says nothing about what a child was at.
TOLD_TO_END = frozenset(
    {-signal.SIGTERM, -signal.SIGINT, -signal.SIGHUP, -signal.SIGQUIT, -signal.SIGKILL}
)


class ChildEndedError(Exception):
    """A child ended before it answered; ``status`` is its exit code, or minus the signal."""

    def __init__(self, status: int) -> None:
        super().__init__(f"a worker process ended with {status}")
        self.status = status


class Child:
    """A process that answers messages, one at a time; see `processes.child`.

    ``variables`` are those of its owner when it was started.
    """

    def __init__(self, channel: socket.socket, lifeline: socket.socket) -> None:
        self.variables = dict(os.environb)
        self._channel = channel
        self._lifeline = lifeline

    def send(self, message: object) -> None:
        """Send one message; `ChildEndedError` where it has ended."""
        try:
            self._channel.settimeout(None)
            send(self._channel, message)
        except BrokenChannelError:
            self._ended()

    def receive(self, seconds: float | None = None) -> Any:
        """The next message; `TimeoutError` after so many seconds without one."""
        self._channel.settimeout(seconds)
        try:
            return receive(self._channel)
        except BrokenChannelError:
            self._ended()

    def kill(self) -> None:
        """Kill it, if it still runs."""
        with contextlib.suppress(OSError):
            self._lifeline.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        """Let it go: it ends at once."""
        self._channel.close()
        self._lifeline.close()

    def _ended(self) -> None:
        """Raise what the server says about its end."""
        status = b""
        while portion := self._lifeline.recv(_STATUS_BYTES):
            status += portion
        self.close()
        if len(status) != _STATUS_BYTES:
            raise WorkerLostError("the server of worker processes ended")
        raise ChildEndedError(int.from_bytes(status, "big", signed=True))


class Children:
    """The children of a run, or of a worker of a cluster; each has adopted the ``code`` of users'
    tasks and of tools, if there is some, and with it the variables of this process.

    State: ``_idle`` holds those that wait for work and ``_busy`` those that are lent; a child is
    used by one thread at a time. ``stopped`` is true once no child shall be started any more,
    ``_is_retired`` once none shall be kept.
    """

    def __init__(self, code: bytes = b"") -> None:
        self.stopped = False
        self._code = code
        self._is_retired = False
        self._idle: list[Child] = []
        self._busy: set[Child] = set()
        self._lock = threading.Lock()

    @contextlib.contextmanager
    def borrow(self) -> Iterator[Child]:
        """A child for a block; it is kept for the next one unless the block raises."""
        child = self._take() or self.start()
        try:
            yield child
        except BaseException:
            self.drop(child)
            raise
        with self._lock:
            self._busy.discard(child)
            is_kept = not self._is_retired
            if is_kept:
                self._idle.append(child)
        if not is_kept:
            child.close()

    def _take(self) -> Child | None:
        """Return one that waits; those for which a tool may be elsewhere by now are let go."""
        while True:
            with self._lock:
                if not self._idle:
                    return None
                child = self._idle.pop()
                if not self._code or child.variables == dict(os.environb):
                    self._busy.add(child)
                    return child
            child.close()

    def start(self) -> Child:
        """A new child, to be given to `drop`; `TaskLoadError` where the code cannot be loaded."""
        self.check_wanted()
        child = start_child()
        with self._lock:
            self._busy.add(child)
        if self._code:
            try:
                self._adopt(child)
            except BaseException:
                self.drop(child)
                raise
        return child

    def _adopt(self, child: Child) -> None:
        """Have a child load the code; no file is at hand that could be to blame."""
        try:
            child.send({"adopt": self._code, "variables": [*child.variables.items()]})
            answer = child.receive(_LOAD_SECONDS)
        except TimeoutError:
            child.kill()
            raise TaskLoadError(
                f"the modules of tasks were not loaded within {_LOAD_SECONDS} s"
            ) from None
        except ChildEndedError as end:
            self.check_wanted()
            if end.status in TOLD_TO_END:
                raise WorkerLostError("a worker process was told to end") from None
            raise TaskLoadError(
                f"a process ended with {end.status} while it loaded the modules of tasks"
            ) from None
        if "failed" in answer:
            raise TaskLoadError(answer["failed"])

    def drop(self, child: Child) -> None:
        """Let a child go."""
        with self._lock:
            self._busy.discard(child)
        child.close()

    def check_wanted(self) -> None:
        """Raise `WorkerLostError` once the run was stopped."""
        if self.stopped:
            raise WorkerLostError("the run was stopped")

    def stop(self) -> None:
        """Have no child started any more."""
        self.stopped = True

    def kill(self) -> None:
        """Kill all that are at work. It may interrupt any other method."""
        self.stopped = True
        for child in tuple(self._busy):
            child.kill()

    def close(self) -> None:
        """Let all go that wait, and kill those at work."""
        self.kill()
        self._let_idle_go()

    def retire(self) -> None:
        """Let all go that wait, and those at work when they are done."""
        self._is_retired = True
        self._let_idle_go()

    def _let_idle_go(self) -> None:
        with self._lock:
            idle, self._idle = self._idle, []
        for child in idle:
            child.close()


def children_of(code: bytes) -> Children:
    """Return the children of this process, the worker of a cluster say, for some code; they wait
    for its next shard. Those of the code that was asked for least recently are let go.
    """
    with _codes_lock:
        children = _by_code.pop(code, None) or Children(code)
        _by_code[code] = children
        while len(_by_code) > _MOST_CODES:
            _by_code.pop(next(iter(_by_code))).retire()
    return children


def let_children_go() -> None:
    """Let go what `children_of` keeps: nothing more is to come that they would wait for."""
    with _codes_lock:
        for children in _by_code.values():
            children.retire()
        _by_code.clear()


_by_code: dict[bytes, Children] = {}  # the most recent last
_codes_lock = threading.Lock()


def start_server() -> None:
    """Start the server, unless it runs; it loads the modules on its own."""
    with _server.lock:
        _server.ensure_running()


def start_child() -> Child:
    """A new child."""
    channel, other_channel = socket.socketpair()
    lifeline, other_lifeline = socket.socketpair()
    with other_channel, other_lifeline, _server.lock:
        _server.fork(other_channel, other_lifeline)
    return Child(channel, lifeline)


class _ServerHandle:
    """The server of this process.

    State: ``_control`` is the socket to it and ``_process`` the process, both None before the
    first start; ``lock`` is held by callers.
    """

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self._control: socket.socket | None = None
        self._process: subprocess.Popen[bytes] | None = None

    def ensure_running(self) -> socket.socket:
        """The control socket of a server that runs, as far as one can tell."""
        if self._process is not None and self._process.poll() is not None:
            self.stop()
        if self._control is None:
            self._control = self._start()
        return self._control

    def fork(self, channel: socket.socket, lifeline: socket.socket) -> None:
        """Have a child forked that holds these ends."""
        descriptors = [channel.fileno(), lifeline.fileno()]
        try:
            socket.send_fds(self.ensure_running(), [b"f"], descriptors)
        except ConnectionError:  # it ended a moment ago
            self.stop()
            socket.send_fds(self.ensure_running(), [b"f"], descriptors)

    def stop(self) -> None:
        """End the server, and with it all children."""
        if self._control is not None:
            self._control.close()
        if self._process is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(_END_SECONDS)
        self._control = self._process = None

    def disown(self) -> None:
        """Let go of the server of the process that this one is a fork of."""
        if self._control is not None:
            self._control.close()

    def _start(self) -> socket.socket:
        ours, theirs = socket.socketpair()
        command = python_command(_BOOT, str(theirs.fileno()), *import_path())
        # The server and what it forks inherit the mask: an interrupt is for the owner to handle.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
        try:
            with theirs:
                self._process = subprocess.Popen(
                    command,
                    cwd="/",
                    pass_fds=[theirs.fileno()],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,  # ours is for data
                )
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        return ours


_server = _ServerHandle()
_inherited: list[_ServerHandle] = []


def _after_fork() -> None:
    """A fork of this process has no children, and its parent's server must not outlive that."""
    global _server  # noqa: PLW0603 - one server a process
    _server.disown()
    _inherited.append(_server)
    _server = _ServerHandle()


def _stop_server() -> None:
    _server.stop()


os.register_at_fork(after_in_child=_after_fork)
atexit.register(_stop_server)
