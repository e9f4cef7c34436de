"""Findings of ruff over many files in one process, which works while its caller does other things.

Ruff judges a file by its content and by its name (``__init__.py`` and ``.pyi`` are special), and
reads neither configuration nor neighbours here: every source is written to a temporary directory
under a name that says its role and nothing else: a number, which no import can name. What comes
back depends on content, role, rules and ruff's version alone. Inline ``noqa`` is honoured.
"""

from __future__ import annotations

import functools
import importlib
import json
import os
import re
import shutil
import subprocess
import tempfile
import threading
from typing import TYPE_CHECKING, Any, NamedTuple

from codebatch.tasks.languages.encodings import declared_encoding
from codebatch.tasks.languages.versions import package_version

if TYPE_CHECKING:
    from collections.abc import Sequence

_NAMES = {"init": "{}/__init__.py", "stub": "{}.pyi"}
_MODULE = "{}.py"
_ROOM_BYTES = 2**20

# Faults (``invalid-syntax``) are the parse task's to report; rule codes look like F401.
_RULE_CODE = re.compile(r"[A-Z]+[0-9]+")


class RuffError(Exception):
    """Ruff is missing, cannot be run or refused its arguments."""


class RuffCrashedError(RuffError):
    """Ruff was ended by a signal."""


class RuffInput(NamedTuple):
    """A file: its bytes, and its role: ``init``, ``stub``, anything else being a module."""

    content: bytes
    role: str


class RuffFinding(NamedTuple):
    """A finding at a line and a column, both from 1; the column counts characters.

    ``noqa_line`` is the line where a ``noqa`` comment would silence it.
    """

    code: str
    message: str
    line: int
    column: int
    noqa_line: int


def ruff_version() -> str:
    """The version of the installed ruff package."""
    try:
        return package_version("ruff")
    except ModuleNotFoundError:
        raise RuffError("ruff is not installed") from None


class RuffRun:
    """Ruff at work on some files. Whoever starts one asks for its findings, or cancels it.

    State: ``_folder`` holds the sources and what ruff prints, as long as that is needed;
    both it and ``_process`` are None where there is nothing to do.
    """

    def __init__(self, sources: Sequence[RuffInput], select: Sequence[str], threads: int) -> None:
        self._count = len(sources)
        self._folder: str | None = None
        self._process: subprocess.Popen[bytes] | None = None
        if not sources or not select:
            return
        self._folder = tempfile.mkdtemp(prefix="codebatch-ruff-")
        try:
            names = _write_sources(self._folder, sources)
            if names:
                self._process = _start(self._folder, names, select, threads)
        except BaseException:
            self.cancel()
            raise

    def findings(self) -> list[list[RuffFinding]]:
        """Findings per file, in the files' order, sorted by place, code and message.

        A file that does not decode, or does not parse, has none.
        """
        findings: list[list[RuffFinding]] = [[] for _ in range(self._count)]
        try:
            items = _printed(self._folder, self._process) if self._folder and self._process else ()
        finally:
            self.cancel()
        for item in items:
            finding = _finding(item)
            if finding is not None:
                findings[_index(item["filename"])].append(finding)
        for found in findings:
            found.sort(key=lambda one: (one.line, one.column, one.code, one.message))
        return findings

    def cancel(self) -> None:
        """End the process, if it has not ended, and let go of the files."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)


def start_ruff(sources: Sequence[RuffInput], select: Sequence[str], *, threads: int = 1) -> RuffRun:
    """Start ruff on files. One thread by default: shards already run on all cores."""
    return RuffRun(sources, select, threads)


def run_ruff(
    sources: Sequence[RuffInput], select: Sequence[str], *, threads: int = 1
) -> list[list[RuffFinding]]:
    """The findings of `RuffRun`, waited for."""
    return start_ruff(sources, select, threads=threads).findings()


def _write_sources(folder: str, sources: Sequence[RuffInput]) -> list[str]:
    """Write each source that decodes, under a name with its index; their names."""
    names = []
    for index, source in enumerate(sources):
        content = _as_utf8(source.content)
        if content is None:
            continue
        name = _NAMES.get(source.role, _MODULE).format(index)
        if source.role == "init":
            os.mkdir(os.path.join(folder, str(index)))
        with open(os.path.join(folder, name), "wb") as file:
            file.write(content)
        names.append(name)
    return names


def _as_utf8(content: bytes) -> bytes | None:
    """The source in UTF-8, the only encoding ruff reads; None where it is not text.

    The encoding declaration stays as it is: ruff does not look at it.
    """
    encoding = declared_encoding(content)
    if encoding is None:
        return None
    try:
        text = content.decode(encoding)
        return content if encoding.startswith("utf-8") else text.encode()
    except (ValueError, LookupError):
        return None


def _start(
    folder: str, names: Sequence[str], select: Sequence[str], threads: int
) -> subprocess.Popen[bytes]:
    with open(os.path.join(folder, "files"), "w", encoding="utf-8") as file:
        file.write("\n".join(names))
    # Finding it initialises sysconfig, which two threads may not do at once before 3.11.
    with _binary_lock:
        binary = _ruff_binary()
    command = [
        *(binary, "check", "--isolated", "--no-cache", "--quiet", "--exit-zero"),
        *("--no-force-exclude", "--no-respect-gitignore", "--output-format", "json"),
        *("--select", ",".join(select), "@files"),
    ]
    environment = {name: value for name, value in os.environ.items() if name[:5] != "RUFF_"}
    environment["RAYON_NUM_THREADS"] = str(threads)
    try:
        # Into files: through a pipe it would wait for us after the first 64 KiB.
        with open(_said(folder), "wb") as said, open(_complained(folder), "wb") as complained:
            # A session of its own: Ctrl-C is for us to answer, by finishing the shard.
            return subprocess.Popen(
                command,
                cwd=folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=complained,
                start_new_session=True,
            )
    except OSError as error:
        raise RuffError(f"ruff cannot be run: {error}") from error


def _printed(folder: str, process: subprocess.Popen[bytes]) -> Any:
    code = process.wait()
    try:
        with open(_said(folder), "rb") as said, open(_complained(folder), "rb") as complained:
            if code == 0:
                return json.loads(said.read())
            complaint = " ".join(complained.read().decode("utf-8", "replace").split())
    except (OSError, ValueError) as error:
        raise RuffError(f"ruff cannot be run: {error}") from error
    if code < 0:
        raise RuffCrashedError(f"ruff was ended by signal {-code}")
    failure = RuffError(f"ruff failed with exit code {code}: {complaint[:500] or 'no message'}")
    raise failure from _lack_of_room(folder)


def _lack_of_room(folder: str) -> OSError | None:
    """The error of writing as much as ruff may have to say: it cannot say so itself."""
    try:
        with open(os.path.join(folder, "room"), "wb") as file:
            file.write(bytes(_ROOM_BYTES))
    except OSError as error:
        return error
    return None


def _said(folder: str) -> str:
    return os.path.join(folder, "findings")


def _complained(folder: str) -> str:
    return os.path.join(folder, "complaints")


_binary_lock = threading.Lock()


@functools.cache
def _ruff_binary() -> str:
    """The binary that belongs to the installed package, whatever else PATH offers."""
    try:
        module = importlib.import_module("ruff.__main__")
        return str(module.find_ruff_bin())
    except (ImportError, AttributeError, FileNotFoundError) as error:
        raise RuffError("ruff is not installed") from error


def _index(filename: str) -> int:
    folder, name = os.path.split(filename)
    return int(os.path.basename(folder) if name == "__init__.py" else name.partition(".")[0])


def _finding(item: dict[str, Any]) -> RuffFinding | None:
    """A finding from ruff's JSON; None for what is not a rule's.

    F401's advice after the semicolon depends on whether ruff takes a module for first-party.
    """
    code = item["code"]
    if code is None or not _RULE_CODE.fullmatch(code):
        return None
    message = item["message"]
    if code == "F401":
        message = message.partition("; ")[0]
    place = item["location"]
    line = place["row"]
    return RuffFinding(code, message, line, place["column"], item.get("noqa_row") or line)
