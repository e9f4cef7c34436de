"""One SQL statement of the user over the index of a batch, read-only and within limits.

It runs in a process of its own (`query.sql_process`), which is killed when it takes too
long, and when nobody wants the answer any more.
"""

from __future__ import annotations

import contextlib
import math
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, cast

from codebatch.model.digest import Document
from codebatch.model.errors import (
    CodeBatchError,
    FilterInvalidError,
    MachineExhaustedError,
    SqlInvalidError,
    SqlTimeoutError,
    SqlTooLargeError,
)
from codebatch.processes.channel import BrokenChannelError, receive, send
from codebatch.query.fields import spelled
from codebatch.query.index import TABLES, database_uri, index_file
from codebatch.query.sql_process import DISK, MAX_MEMORY_BYTES, MEMORY
from codebatch.runtime.programs import import_path, python_command
from codebatch.status.batch_status import BatchStatus
from codebatch.store import StoreDirectory

DEFAULT_TIMEOUT = 60.0
_LONGEST_TIMEOUT = 10**9
_BOOT = (
    "import sys; sys.path[:] = sys.argv[2:]; "
    "from codebatch.query.sql_process import main; main(int(sys.argv[1]))"
)


@dataclass(frozen=True)
class SqlResult:
    """The result of a statement: the names of its columns, each once, and its rows, which are
    read while it runs.
    """

    columns: tuple[str, ...]
    rows: Iterator[Document]


def run_sql(
    store: StoreDirectory,
    batch_status: BatchStatus,
    statement: str,
    timeout: float | None = None,
) -> SqlResult:
    """Run one statement. `SqlInvalidError` where SQLite refuses it.

    ``timeout`` is how many seconds to wait for it at most; None is the default, 0 no limit.
    """
    timeout = DEFAULT_TIMEOUT if timeout is None else timeout
    if not 0 <= timeout <= _LONGEST_TIMEOUT:
        raise FilterInvalidError("the time limit must be a number of seconds, or 0 for none")
    answers = _answers(store, batch_status, spelled(statement), timeout)
    columns = _unique(cast("Sequence[str]", next(answers)))
    rows = (
        dict(zip(columns, map(_json_value, row), strict=True))
        for portion in answers
        for row in portion
    )
    return SqlResult(columns, rows)


def _answers(
    store: StoreDirectory, batch_status: BatchStatus, statement: str, timeout: float
) -> Iterator[list[Any]]:
    """The names of the columns, then rows in portions."""
    with index_file(store, batch_status) as path, _Process(timeout) as process:
        process.ask({"uri": database_uri(path), "statement": statement, "timeout": timeout})
        answer = process.answer()
        while "error" not in answer and "end" not in answer:
            yield answer["columns"] if "columns" in answer else answer["rows"]
            answer = process.answer()
        if "error" in answer:
            raise _refusal(answer["error"], answer["kind"])


class _Process:
    """State: ``_left`` is how many seconds more to wait for answers; None where that is no matter.
    What the one who reads them takes does not count.
    """

    def __init__(self, timeout: float) -> None:
        self._timeout = timeout
        self._left = timeout or None
        self._channel, self._theirs = socket.socketpair()

    def __enter__(self) -> _Process:
        command = python_command(_BOOT, str(self._theirs.fileno()), *import_path())
        # The process inherits the mask: an interrupt is for this one to handle.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
        try:
            with self._theirs:
                self._process = subprocess.Popen(
                    command,
                    pass_fds=[self._theirs.fileno()],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                )
        except BaseException:
            self._channel.close()
            raise
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()
        self._channel.close()

    def ask(self, request: Document) -> None:
        """Send the request; whether it arrives, the answer tells."""
        with contextlib.suppress(BrokenChannelError):
            send(self._channel, request)

    def answer(self) -> dict[str, Any]:
        """The next answer."""
        began = time.monotonic()
        self._channel.settimeout(self._left)
        try:
            return cast("dict[str, Any]", receive(self._channel))
        except TimeoutError:
            raise self._too_slow() from None
        except BrokenChannelError:
            raise self._ended(self._process.wait()) from None
        finally:
            if self._left is not None:
                self._left = max(self._left - (time.monotonic() - began), 0.001)

    def _too_slow(self) -> CodeBatchError:
        message = f"the statement took longer than {self._timeout:g} s"
        return SqlTimeoutError(message, hints=["give it more: --timeout"])

    def _ended(self, status: int) -> CodeBatchError:
        """The error that tells why there is no answer."""
        if status == -signal.SIGXCPU:
            return self._too_slow()
        how = f"signal {-status}" if status < 0 else f"exit code {status}"
        return MachineExhaustedError(f"the process that ran the statement ended with {how}")


def _refusal(reason: str, kind: str) -> CodeBatchError:
    if kind == MEMORY:
        most = f"{MAX_MEMORY_BYTES // 2**20} MiB"
        return SqlTooLargeError(f"SQL: the statement needs more than {most} of memory")
    if kind == DISK:
        return MachineExhaustedError(f"SQL: SQLite cannot use its files: {reason}")
    # What is not authorised SQLite does not say well.
    told = "only reading is allowed" if reason == "not authorized" else reason
    return SqlInvalidError(f"SQL: {told}", hints=_hints(reason))


def _hints(reason: str) -> list[str]:
    """The tables, with their columns where a name is not known."""
    tables = {name: columns for name, columns in TABLES.items() if name != "meta"}
    if "no such" in reason:
        return [f"{name}: {', '.join(columns)}" for name, columns in tables.items()]
    return [f"the tables: {', '.join(tables)}"]


def _unique(names: Sequence[str]) -> tuple[str, ...]:
    """The names with a number after those that occurred before."""
    taken: dict[str, None] = {}
    for name in names:
        number, candidate = 1, name
        while candidate in taken:
            number += 1
            candidate = f"{name}_{number}"
        taken[candidate] = None
    return tuple(taken)


def _json_value(value: object) -> object:
    """A value of SQLite as one of JSON: bytes as hex digits, infinity as text."""
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value
