"""The lock of those commands that remove or repair: one of them at a time in a store.

Nothing that reads, takes snapshots or runs asks for it. Who has the lock is written beside it,
for those who wait.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, cast

from codebatch.digest import compact, unseal
from codebatch.errors import LockedError, StoreError, StoreWriteError
from codebatch.lazy import lazy
from codebatch.store.files import read_file, remove_file, reporting_write_errors, write_file
from codebatch.store.layout import Layout
from codebatch.store.leases import Process, is_running, parse_process, this_process

if TYPE_CHECKING:
    import filelock
else:
    filelock = lazy("filelock")


@dataclass(frozen=True)
class Holder:
    """Who has the lock: the command and its process, and since when by the machine's clock."""

    command: str
    process: Process
    since: str

    def __str__(self) -> str:
        return f"{self.command} ({self.process}, since {self.since})"


@contextlib.contextmanager
def maintenance_lock(
    layout: Layout, command: str, since: str, wait_seconds: float = 0
) -> Iterator[int]:
    """Hold the lock for a block; gives the time of the file system, in nanoseconds.

    `LockedError`, which names the holder, where it is not free within so many seconds.
    """
    lock = filelock.FileLock(layout.lock)
    with reporting_write_errors(layout.root):
        try:
            lock.acquire(timeout=wait_seconds)
        except filelock.Timeout:
            raise _locked(layout, wait_seconds) from None
    try:
        holder = {"command": command, "process": asdict(this_process()), "since": since}
        write_file(layout.lock_holder, compact(holder), durable=False)
        yield os.stat(layout.lock_holder).st_mtime_ns
    finally:
        with contextlib.suppress(StoreWriteError):  # it says nothing while the lock is free
            remove_file(layout.lock_holder)
        lock.release()


def lock_holder(layout: Layout) -> Holder | None:
    """Who has the lock; None where nobody says so, or who said so has ended."""
    try:
        data = read_file(layout.lock_holder)
        document = {} if data is None else unseal(data, layout.lock_holder.name)
        process = parse_process(cast("dict[str, object]", document["process"]))
        holder = Holder(str(document["command"]), process, str(document["since"]))
    except (StoreError, KeyError, TypeError, ValueError):
        return None
    here = process.machine == this_process().machine
    return None if here and not is_running(process) else holder


def _locked(layout: Layout, wait_seconds: float) -> LockedError:
    holder = lock_holder(layout)
    waited = f" for {wait_seconds:g} s" if wait_seconds else ""
    details: dict[str, object] = {}
    if holder is not None:
        process = {"host": holder.process.host, "pid": holder.process.pid}
        details = {**process, "command": holder.command, "since": holder.since}
    return LockedError(
        f"the store is locked{waited} by {holder or 'another command'}",
        hints=["wait for it: --wait SECONDS"],
        details=details,
    )
