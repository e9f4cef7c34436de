"""Faults in what the file system does for a store, without a hook in the package.

`install` wraps the functions of `os` and `io` that can change something on disk. Each call that
concerns the tree below ``root`` is one *step*. At a chosen step the process is killed (``kill``:
after it, ``tear``: in a write, half of which arrives), or the call fails with an error, and so
do all later calls that such a disk refuses. The steps are written to a log.

Run as a program, this is a server: it has the command line loaded, and forks for each line of
JSON on stdin (arguments, fault, folder), so that hundreds of runs take seconds (`Server`). A
process with ``tests/faulty`` on its path and ``CODEBATCH_FAULT`` set has the faults installed when
it starts, and so have the worker processes that it starts.
"""

from __future__ import annotations

import errno
import io
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

HERE = Path(__file__).parent
VARIABLE = "CODEBATCH_FAULT"

_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT
_ALLOCATING = {"create", "write", "mkdir", "link", "replace"}
# What a disk in that condition refuses. A file that is open stays writable without permission.
REFUSED = {
    "ENOSPC": _ALLOCATING,
    "EDQUOT": _ALLOCATING,
    "EROFS": _ALLOCATING | {"unlink"},
    "EACCES": (_ALLOCATING | {"unlink"}) - {"write"},
    "EIO": {"write", "close", "sync"},
}


class Fault(NamedTuple):
    """What happens at step ``at`` (from 1; 0 is never) below ``root``; steps go to ``log``."""

    root: str
    at: int = 0
    action: str = "kill"
    log: str = ""


class _Steps:
    """State: ``number`` counts, ``_paths`` has the file of each descriptor open for writing."""

    def __init__(self, fault: Fault) -> None:
        self.fault = fault
        self.number = 0
        self._lock = threading.Lock()
        self._paths: dict[int, str] = {}
        self._real = {
            name: getattr(os, name)
            for name in ("open", "write", "close", "replace", "rename", "link", "mkdir", "unlink")
        }
        self._log = -1
        if fault.log:
            flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT
            self._log = self._real["open"](fault.log, flags, 0o644)

    def step(
        self, kind: str, path: str, act: Callable[[], Any], half: Any = None, source: str = ""
    ) -> Any:
        with self._lock:
            self.number += 1
            number = self.number
        if self._log >= 0:
            line = json.dumps([kind, path, source]) + "\n"
            self._real["write"](self._log, line.encode())
        fault = self.fault
        if fault.at and number >= fault.at and fault.action in REFUSED:
            if kind in REFUSED[fault.action]:
                if kind == "close":
                    act()
                code = getattr(errno, fault.action)
                raise OSError(code, os.strerror(code), path)
        elif number == fault.at:
            try:
                half() if fault.action == "tear" and half is not None else act()
            finally:
                os.kill(os.getpid(), signal.SIGKILL)
        return act()

    def inside(self, path: Any, folder: int | None = None) -> str | None:
        """The path as text, if it is below the root; it may be relative to an open folder."""
        if not isinstance(path, str | bytes | os.PathLike):
            return None
        start = "" if folder is None else os.readlink(f"/proc/self/fd/{folder}")
        text = os.path.abspath(os.path.join(start, os.fsdecode(path)))
        return text if text == self.fault.root or text.startswith(self.fault.root + "/") else None

    def open(self, path: Any, flags: int, *rest: Any, **options: Any) -> int:
        real = self._real["open"]
        text = self.inside(path, options.get("dir_fd"))
        if text is None:
            return real(path, flags, *rest, **options)
        if not flags & _WRITING:
            # Only to be synced is a folder opened without anything else.
            if flags == os.O_RDONLY and os.path.isdir(text):
                return self.step("sync", text, lambda: real(path, flags, *rest, **options))
            return real(path, flags, *rest, **options)
        descriptor = self.step("create", text, lambda: real(path, flags, *rest, **options))
        self._paths[descriptor] = text
        return descriptor

    def write(self, descriptor: int, data: Any) -> int:
        real = self._real["write"]
        path = self._paths.get(descriptor)
        if path is None:
            return real(descriptor, data)
        half = memoryview(data)[: len(data) // 2]
        return self.step(
            "write", path, lambda: real(descriptor, data), lambda: real(descriptor, half)
        )

    def close(self, descriptor: int) -> None:
        path = self._paths.pop(descriptor, None)
        if path is None:
            self._real["close"](descriptor)
        else:
            self.step("close", path, lambda: self._real["close"](descriptor))

    def on_paths(self, name: str, which: int) -> Callable[..., Any]:
        real = self._real[name]

        def call(*arguments: Any, **options: Any) -> Any:
            path = self.inside(arguments[which], options.get("dst_dir_fd" if which else "dir_fd"))
            if path is None:
                return real(*arguments, **options)
            kind = "replace" if name == "rename" else name
            source = self.inside(arguments[0], options.get("src_dir_fd")) if which else ""
            source = os.fsdecode(arguments[0]) if source is None else source
            return self.step(kind, path, lambda: real(*arguments, **options), source=source)

        return call

    def fdopen(self, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(descriptor: int, mode: str = "r", *rest: Any, **options: Any) -> Any:
            if descriptor not in self._paths or "b" not in mode:
                return real(descriptor, mode, *rest, **options)
            return io.BufferedWriter(_Raw(descriptor))

        return call

    def open_file(self, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(file: Any, mode: str = "r", *rest: Any, **options: Any) -> Any:
            path = self.inside(file)
            if path is None or not set(mode) & set("wax"):
                return real(file, mode, *rest, **options)
            exclusive = os.O_EXCL if "x" in mode else os.O_TRUNC if "w" in mode else os.O_APPEND
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | exclusive, 0o666)
            stream = io.BufferedWriter(_Raw(descriptor))
            return stream if "b" in mode else io.TextIOWrapper(stream, encoding="utf-8")

        return call


class _Raw(io.RawIOBase):
    """A file whose writes are calls of ``os.write``."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._descriptor

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = 0) -> int:
        return os.lseek(self._descriptor, offset, whence)

    def write(self, data: Any) -> int:
        return os.write(self._descriptor, data)

    def close(self) -> None:
        if not self.closed:
            super().close()
            os.close(self._descriptor)


def install(fault: Fault) -> None:
    """Wrap the functions for the rest of this process."""
    steps = _Steps(fault._replace(root=os.path.abspath(fault.root)))
    for name in ("open", "write", "close"):
        setattr(os, name, getattr(steps, name))
    for name in ("replace", "rename", "link"):
        setattr(os, name, steps.on_paths(name, 1))
    for name in ("mkdir", "unlink"):
        setattr(os, name, steps.on_paths(name, 0))
    os.fdopen = steps.fdopen(os.fdopen)  # type: ignore[assignment]
    import builtins  # noqa: PLC0415 - to be changed, not used
    import pathlib  # noqa: PLC0415 - as above

    io.open = builtins.open = steps.open_file(builtins.open)
    accessor = getattr(pathlib, "_NormalAccessor", None)  # Python 3.10 looks names up early
    for name in ("open", "mkdir", "unlink", "replace", "rename", "link"):
        if hasattr(accessor, name):
            setattr(accessor, name, staticmethod(io.open if name == "open" else getattr(os, name)))


def install_from_environment() -> None:
    """What ``tests/faulty`` calls when a process starts."""
    if VARIABLE in os.environ:
        install(Fault(*json.loads(os.environ[VARIABLE])))


class Step(NamedTuple):
    """One step that was tried; ``source`` is what was renamed or linked to ``path``."""

    kind: str
    path: str
    source: str


class Done(NamedTuple):
    """What a run of the command line came to."""

    code: int
    stdout: str
    stderr: str
    steps: list[Step]

    @property
    def json(self) -> Any:
        return json.loads(self.stdout)


class Server:
    """The command line, loaded once and forked for each call."""

    def __init__(self, folder: Path) -> None:
        self._log = folder / "steps"
        self._process = subprocess.Popen(
            [sys.executable, HERE / "faults.py"],
            cwd=folder,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def run(
        self,
        *arguments: object,
        at: int = 0,
        action: str = "kill",
        root: object,
        folder: Path | None = None,
    ) -> Done:
        """Run a command, in a folder, with a fault below ``root``."""
        assert self._process.stdin
        assert self._process.stdout
        self._log.unlink(missing_ok=True)
        fault = Fault(str(root), at, action, str(self._log))
        request = [[*map(str, arguments)], fault, str(folder or self._log.parent)]
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        code, stdout, stderr = json.loads(self._process.stdout.readline())
        lines = self._log.read_text().splitlines() if self._log.exists() else []
        return Done(code, stdout, stderr, [Step(*json.loads(line)) for line in lines])

    def close(self) -> None:
        """End the process."""
        self._process.communicate("", timeout=240)


def _serve() -> None:
    import codebatch.cli.commands.scan  # noqa: PLC0415 - loaded before the forks
    import codebatch.processes.preload  # noqa: PLC0415 - as above
    import codebatch.snapshot.take  # noqa: PLC0415
    import codebatch.snapshot.walk  # noqa: F401, PLC0415

    replies = os.dup(1)
    for line in sys.stdin:
        arguments, fault, folder = json.loads(line)
        reply = json.dumps(_forked(arguments, Fault(*fault), folder))
        os.write(replies, reply.encode() + b"\n")


def _forked(arguments: list[str], fault: Fault, folder: str) -> tuple[int, str, str]:
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        child = os.fork()
        if child == 0:
            os.dup2(out.fileno(), 1)
            os.dup2(err.fileno(), 2)
            os.chdir(folder)
            os._exit(_run(arguments, fault))
        _, status = os.waitpid(child, 0)
        texts = []
        for stream in (out, err):
            stream.seek(0)
            texts.append(stream.read().decode("utf-8", "backslashreplace"))
    return os.waitstatus_to_exitcode(status), texts[0], texts[1]


def _run(arguments: list[str], fault: Fault) -> int:
    from codebatch.cli import main  # noqa: PLC0415 - loaded by now

    try:
        install(fault)
        main(arguments)
    except SystemExit as stopped:
        sys.stdout.flush()
        sys.stderr.flush()
        return stopped.code if isinstance(stopped.code, int) else 0
    except BaseException as error:  # noqa: BLE001 - nothing may get back into the loop
        os.write(2, f"escaped: {error!r}\n".encode())
    return 99


if __name__ == "__main__":
    _serve()
