"""A native tool at work over copies of sources, with limits of its own.

The tool sees a private folder that holds the copies and nothing else: no file of the tree, no
configuration, no variable of the caller. It is the binary of an installed distribution, wherever
`PATH` and the current folder point. What it may use is stated (`ToolLimits`), is part of what
results depend on, and does not follow from the limits of whoever calls: a tool that ends for what
it was given ends everywhere. Where less can be had than is stated, nothing is said of any file.
"""

from __future__ import annotations

import contextlib
import os
import re
import resource
import signal
import sys
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import IO, NamedTuple, Protocol

from codebatch.model.errors import CodeBatchError, MemoryExhaustedError, WorkerLostError
from codebatch.runtime.lazy import lazily
from codebatch.runtime.scratch import folder_for
from codebatch.tasks.base import ToolCrashedError
from codebatch.tasks.languages.versions import metadata_folder, package_version
from codebatch.tasks.rules import TASK_CRASHED, TASK_OUT_OF_MEMORY, TASK_TIMED_OUT

with lazily():
    import shutil
    import subprocess
    import tempfile

_KIB, _BLOCK = 1024, 512
_ROOM_BYTES = 2**20
_PROGRAM_BYTES = 2**28  # of address space, for what is no data of its own
_PANIC = 101  # the exit code of a program in Rust that met an error of its own
_TOLD_TO_END = {signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT}
_CODES = {int(signal.SIGXCPU): TASK_TIMED_OUT, int(signal.SIGKILL): TASK_OUT_OF_MEMORY}

# A shell sets them: Python could do so only between fork and exec, where other threads of this
# process may hold any lock. What is put off (``-S``) are the soft limits, the hard ones stay.
_LIMITED = 'ulimit -S -d "$1" && ulimit -S -s "$2" && ulimit -S -t "$3" && ulimit -S -f "$4"'
_SCRIPT = f'{_LIMITED} && ulimit -S -v "$5" && ulimit -S -c 0 && shift 5 && exec "$@"'
_SHELL = "/bin/sh"


class ToolError(Exception):
    """A tool is missing, cannot be run or refused its arguments."""


class ToolLimits(NamedTuple):
    """The limits of one process of a tool.

    ``stack_bytes`` is for each thread that it starts, ``main_stack_bytes`` for its first one.
    """

    memory_bytes: int = 2**30
    stack_bytes: int = 2**26
    main_stack_bytes: int = 2**23
    cpu_seconds: int = 300
    output_bytes: int = 2**28

    def __str__(self) -> str:
        return " ".join(map(str, self))


class NativeTool(NamedTuple):
    """A program of a distribution from PyPI that has the program's name.

    It may end with any of the exit codes ``ends_well`` without having failed.
    """

    name: str
    ends_well: Collection[int] = (0,)
    limits: ToolLimits = ToolLimits()

    def version(self) -> str:
        """Return the version of the installed distribution."""
        try:
            return package_version(self.name)
        except ModuleNotFoundError:
            raise ToolError(f"{self.name} is not installed") from None

    def toolchain(self) -> dict[str, str]:
        """Return what the results of the tool depend on beside what it is given."""
        return {self.name: self.version(), f"{self.name} limits": str(self.limits)}

    def binary(self) -> str:
        """Return the path of the program that was installed with the distribution."""
        for place in self._places():
            if os.path.isfile(place) and os.access(place, os.X_OK):
                return place
        raise ToolError(f"{self.name} is not installed")

    def _places(self) -> Iterator[str]:
        """Yield where it may be: what the distribution lists, then where installers put it."""
        metadata = metadata_folder(self.name)
        if metadata is None:
            return
        library = os.path.dirname(metadata)
        with contextlib.suppress(OSError), open(os.path.join(metadata, "RECORD"), "rb") as record:
            for line in record.read().splitlines():
                path = os.fsdecode(line.split(b",")[0])
                if path.endswith(f"bin/{self.name}"):
                    yield os.path.normpath(os.path.join(library, path))
        yield os.path.join(library, "bin", self.name)
        yield os.path.join(sys.prefix, "bin", self.name)


class AnyTool(Protocol):
    """A program, as far as it is run: where it is, how it may end, and what it may use."""

    @property
    def name(self) -> str:
        """What messages call it."""

    @property
    def ends_well(self) -> Collection[int]:
        """The exit codes with which it has not failed."""

    @property
    def limits(self) -> ToolLimits:
        """What one process of it may use."""

    def binary(self) -> str:
        """Return the path of the program; `ToolError` where it is not installed."""


class ToolRun:
    """A tool at work. Whoever starts one asks for its output, or cancels it.

    State: ``folder`` holds what the tool sees and says, until then; ``exit_code`` is 0 until it has
    ended.
    """

    def __init__(
        self,
        tool: AnyTool,
        arguments: Sequence[str] | Callable[[str], Sequence[str]],
        files: Mapping[str, bytes],
        environment: Mapping[str, str] | None = None,
        prefix: Sequence[str] = (),
        beside: Mapping[str, bytes] | None = None,
    ) -> None:
        """Start the tool among ``files``, by their names below its folder, with ``environment``
        in addition to what every tool is given. ``arguments`` may be a function of the folder, in
        which the files ``beside`` are as well; ``prefix`` is a command that starts another one.
        """
        # A tool of others may look for its configuration in the folders above: these are checked.
        is_ours = isinstance(tool, NativeTool)
        above = folder_for(sum(map(len, files.values()))) if is_ours else None
        self.folder = os.path.realpath(
            tempfile.mkdtemp(prefix=f"codebatch-{tool.name}-", dir=above)
        )
        self.exit_code = 0
        self._tool = tool
        self._process: subprocess.Popen[bytes] | None = None
        try:
            _write_files(self._path("files"), files)
            _write_files(self.folder, beside or {})
            words = arguments(self.folder) if callable(arguments) else arguments
            self._process = self._start([*prefix, tool.binary(), *words], environment or {})
        except OSError as error:
            self.cancel()
            raise ToolError(f"{tool.name} cannot be run: {error}") from error
        except BaseException:
            self.cancel()
            raise

    def output(self, seconds: float | None = None, name: str = "said") -> IO[bytes]:
        """Wait for the tool, and return what it said, or a file ``name`` that it was to write, to
        be read before `cancel`.

        `ToolCrashedError` where it ended over one of the files, it seems, or took more ``seconds``.
        """
        try:
            code = self._process.wait(seconds) if self._process is not None else 0
        except subprocess.TimeoutExpired:
            said = f"{self._tool.name} took more than {seconds:g} seconds: {self.complaint()}"
            raise ToolCrashedError(said, TASK_TIMED_OUT) from None
        self.exit_code = code
        self._end()  # what it may have started, and left behind
        try:
            if code in self._tool.ends_well:
                return open(self._path(name), "rb")
        except FileNotFoundError:
            said = self.complaint() or "no message"
            raise ToolError(f"{self._tool.name} has written no output: {said}") from None
        except OSError as error:
            raise ToolError(f"{self._tool.name} cannot be run: {error}") from error
        raise self._failure(code, self.complaint())

    def complaints(self) -> bytes:
        """Return what the tool said on stderr."""
        with open(self._path("complaints"), "rb") as complaints:
            return complaints.read()

    def complaint(self) -> str:
        """Return the end of what the tool said on stderr, on one line, without its folder."""
        with open(self._path("complaints"), "rb") as complaints:
            complaints.seek(max(0, os.fstat(complaints.fileno()).st_size - 4096))
            words = complaints.read().decode("utf-8", "replace")
        return " ".join(without_folder(words, self.folder).split())[-500:]

    def cancel(self) -> None:
        """End the process, if it has not ended, and let go of the files."""
        self._end()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _end(self) -> None:
        """End the process and those that it has started, which are in its session."""
        process, self._process = self._process, None
        if process is not None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def _start(
        self, command: Sequence[str], environment: Mapping[str, str]
    ) -> subprocess.Popen[bytes]:
        limits = [str(limit) for limit in _obtainable(self._tool.limits)]
        command = [_SHELL, "-c", _SCRIPT, "sh", *limits, *command]
        home, temporary = self._path("home"), self._path("tmp")
        os.mkdir(home)
        os.mkdir(temporary)
        variables = {
            **dict.fromkeys(("HOME", "XDG_CONFIG_HOME", "XDG_CACHE_HOME", "XDG_DATA_HOME"), home),
            "TMPDIR": temporary,
            "PATH": "/usr/bin:/bin",
            "LC_ALL": "C",
            "RAYON_NUM_THREADS": "1",  # shards already run on all cores
            "RUST_MIN_STACK": str(self._tool.limits.stack_bytes),
            **environment,
        }
        # Into files: through a pipe it would wait for us after the first 64 KiB.
        with (
            open(self._path("said"), "wb") as said,
            open(self._path("complaints"), "wb") as complaints,
        ):
            # A session of its own: Ctrl-C is for us to answer, by finishing the shard.
            return subprocess.Popen(
                command,
                cwd=self._path("files"),
                env=variables,
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=complaints,
                start_new_session=True,
            )

    def _failure(self, code: int, complaint: str) -> Exception:
        """Return what the end of the tool says about what it was given, if anything."""
        name = self._tool.name
        said = f"{name} failed with exit code {code}: {complaint or 'no message'}"
        no_room = self._lack_of_room()
        if no_room is not None:
            failure = ToolError(said)
            failure.__cause__ = no_room
            return failure
        short = _lack_of_limits(self._tool)
        if short is not None:
            return short
        if -code in _TOLD_TO_END:
            return WorkerLostError(f"{name} was told to end")
        if code < 0 or code == _PANIC:
            return ToolCrashedError(said, _CODES.get(-code, TASK_CRASHED))
        return ToolError(said)

    def _lack_of_room(self) -> OSError | None:
        """Return the error of writing as much as the tool may have to say, which it cannot say."""
        try:
            with open(self._path("room"), "wb") as file:
                file.write(bytes(_ROOM_BYTES))
        except OSError as error:
            return error
        return None

    def _path(self, name: str) -> str:
        return os.path.join(self.folder, name)


def without_folder(text: str, folder: str) -> str:
    """Return what a tool says with the names of its files as the tree has them, and without any
    other path of its private ``folder``, which is another one each time.
    """
    relative = text.replace(f"{folder}/files/", "").replace(f"{folder}/files", ".")
    return re.sub(re.escape(folder) + r"[^\s'\"]*", "(a file of its own)", relative)


def _write_files(folder: str, files: Mapping[str, bytes]) -> None:
    os.makedirs(folder, exist_ok=True)
    for name, content in files.items():
        path = os.path.join(folder, name)
        if "/" in name:
            os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(content)


def _obtainable(limits: ToolLimits) -> list[int | str]:
    """Return the limits in the units of the shell, none above what this process may grant."""
    found: list[int | str] = []
    for name, stated, unit in _stated(limits):
        hard = _granted(name)
        found.append((stated if hard is None else min(stated, hard)) // unit)
    hard = _granted(resource.RLIMIT_AS)
    return [*found, "unlimited" if hard is None else hard // _KIB]


def _granted(name: int) -> int | None:
    """Return the hard limit of this process, None where there is none."""
    _, hard = resource.getrlimit(name)
    return None if hard == resource.RLIM_INFINITY else hard


def _stated(limits: ToolLimits) -> Iterator[tuple[int, int, int]]:
    yield resource.RLIMIT_DATA, limits.memory_bytes, _KIB
    yield resource.RLIMIT_STACK, limits.main_stack_bytes, _KIB
    yield resource.RLIMIT_CPU, limits.cpu_seconds, 1
    yield resource.RLIMIT_FSIZE, limits.output_bytes, _BLOCK


def _lack_of_limits(tool: AnyTool) -> CodeBatchError | None:
    """Return what to say where this process may not grant what is stated: a tool that failed
    there may have done so for that. The stack of the first thread is not what it works on.
    """
    wanted = [one[:2] for one in _stated(tool.limits) if one[0] != resource.RLIMIT_STACK]
    for name, stated in [*wanted, (resource.RLIMIT_AS, tool.limits.memory_bytes + _PROGRAM_BYTES)]:
        hard = _granted(name)
        if hard is not None and hard < stated:
            return MemoryExhaustedError(f"a limit of this process is too low for {tool.name}")
    return None
