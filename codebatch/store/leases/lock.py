"""The lock of those commands that remove or repair: one of them at a time in a store.

Nothing that reads, takes snapshots or runs asks for it. Who has the lock is written beside it,
for those who wait.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import cast

from codebatch.model.digest import compact, unseal
from codebatch.model.errors import LockedError, StoreError
from codebatch.runtime.interrupts import deferred
from codebatch.store.files import file_status, read_file, remove_file, write_file
from codebatch.store.layout import SMALL_BYTES, Layout
from codebatch.store.leases.leases import Process, is_running, parse_process, this_process
from codebatch.store.write_group import reporting_write_errors

_PAUSE_SECONDS = 0.05


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
    with _locking(layout, wait_seconds):
        holder = {"command": command, "process": asdict(this_process()), "since": since}
        try:
            write_file(layout.door, layout.lock_holder, compact(holder), durable=False)
            status = file_status(layout.door, layout.lock_holder)
            yield 0 if status is None else status.st_mtime_ns
        finally:
            # It says nothing while the lock is free.
            with deferred(), contextlib.suppress(StoreError):
                remove_file(layout.door, layout.lock_holder)


@contextlib.contextmanager
def _locking(layout: Layout, wait_seconds: float) -> Iterator[None]:
    """Hold the lock for a block; the kernel gives it back however this process ends."""
    with reporting_write_errors(layout.root), layout.door.folder(layout.root) as folder:
        descriptor = folder.open(layout.lock.name, os.O_RDWR | os.O_CREAT)
    try:
        end = time.monotonic() + wait_seconds
        while True:
            with (
                contextlib.suppress(BlockingIOError),
                reporting_write_errors(layout.root, (BlockingIOError,)),
            ):
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            if time.monotonic() >= end:
                raise _locked(layout, wait_seconds)
            time.sleep(_PAUSE_SECONDS)
        yield
    finally:
        with deferred(), reporting_write_errors(layout.root):  # held as long as this is open
            os.close(descriptor)


def lock_holder(layout: Layout) -> Holder | None:
    """Return the holder of the lock; None where none is named, or it has ended."""
    try:
        data = read_file(layout.door, layout.lock_holder, SMALL_BYTES)
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
