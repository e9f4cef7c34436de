"""Leases below ``leases/``: which commands are at work in a store, and since when.

A command that writes holds one from before it relies on anything in the store until all that it
wrote is referred to by a document that others can see. `gc` takes nothing that the holder of a
live lease may rely on, and a batch with a live lease is not removed.

A lease is live while the process that holds it runs, as far as that can be told from here; seen
from another machine, while the file was touched a short time ago, which a thread of the holder's
does. Times are those of the file system, so machines need not agree on one. Anyone may delete a
lease at any time: the holder makes it again when it touches it next. A run that was left to a
cluster has a lease that no process holds: each worker that is at work for it keeps it alive.

An object that is there may be one that nothing refers to any more. A writer that would have
written it, and finds it, pins it: makes it as new as if it had. While the writer holds its lease,
`gc` removes nothing that young.
"""

from __future__ import annotations

import contextlib
import functools
import os
import stat
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import cast

from codebatch.model.digest import Document, compact, unseal
from codebatch.model.errors import BatchRunningError, StoreError
from codebatch.runtime.interrupts import deferred
from codebatch.store.door import Door, Folder
from codebatch.store.files import create_file, file_status, read_file, remove_file, write_file
from codebatch.store.layout import SMALL_BYTES, Layout, is_name
from codebatch.store.write_group import reporting_read_errors

TOUCH_SECONDS = 5.0
EXPIRY_NS = 60 * 10**9
_SUFFIX = ".json"
_OF_A_CLUSTER = "cluster"  # instead of a machine: no process is at work, but whatever is there


@dataclass(frozen=True)
class Process:
    """A process and where it runs; ``started`` tells it from a later one of the same number.

    ``machine`` is the same for processes that can see each other.
    """

    host: str
    machine: str
    pid: int
    started: str

    @property
    def is_cluster(self) -> bool:
        """True if it stands for the cluster whose scheduler has the address ``host``."""
        return self.machine == _OF_A_CLUSTER

    def __str__(self) -> str:
        return (
            f"the cluster at {self.host}"
            if self.is_cluster
            else f"process {self.pid} on {self.host}"
        )


@dataclass(frozen=True)
class Lease:
    """Who works in a store, at what, and since when by the clock of the file system.

    ``touched_ns`` is when the holder last showed that it is alive. A lease that cannot be read
    (the holder is writing it, or it is damaged) has no process and counts from the beginning of
    time.
    """

    lease_id: str
    purpose: str
    batch_id: str | None
    since_ns: int
    touched_ns: int
    process: Process | None

    def is_live(self, now_ns: int) -> bool:
        """Return True if its holder is at work, at a time of the file system's."""
        if self.process is not None and self.process.machine == _machine():
            return is_running(self.process)
        return now_ns - self.touched_ns < EXPIRY_NS


@contextlib.contextmanager
def hold_lease(layout: Layout, purpose: str, batch_id: str | None = None) -> Iterator[Lease]:
    """Hold a lease for a block.

    The process may go on after an interrupt, as the kernel of a notebook does, and a lease that is
    not given up would last as long: there is no moment in which one is made and not known here.
    """
    lease_id = _new_id()
    try:
        with deferred():  # half of one would be left, too
            lease = _make(layout, lease_id, purpose, batch_id, this_process())
        with keep_lease(layout, lease):
            yield lease
    finally:
        with deferred():
            drop_lease(layout, lease_id)


def leave_lease(layout: Layout, purpose: str, batch_id: str, address: str) -> Lease:
    """Make a lease that lasts when this process ends, for the cluster at an address, whose workers
    keep it alive; it expires when none is at work for it any more.
    """
    return _make(layout, _new_id(), purpose, batch_id, cluster_process(address))


def cluster_process(address: str) -> Process:
    """Return what a lease has instead of a process where it is that of a cluster."""
    return Process(address, _OF_A_CLUSTER, 0, "")


@contextlib.contextmanager
def keep_lease(layout: Layout, lease: Lease) -> Iterator[Lease]:
    """Show for a block that the holder of a lease is alive; make it anew where it is gone."""
    if lease.process is not None and lease.process.is_cluster:
        _touch(layout, lease)  # it was perhaps left alone since the last work for it
    ended = threading.Event()
    thread = threading.Thread(target=_keep_alive, args=(layout, lease, ended), daemon=True)
    try:
        with deferred():  # a thread that is not told to end makes the lease anew for ever
            thread.start()
        yield lease
    finally:
        with deferred():
            ended.set()
            if thread.ident is not None:
                thread.join()


def drop_lease(layout: Layout, lease_id: str) -> None:
    """Give a lease up; one that cannot be removed expires."""
    with contextlib.suppress(StoreError):
        remove_file(layout.door, layout.lease(lease_id))


class Pins:
    """The objects that one writer has pinned.

    ``begin`` takes a lease and says since when it holds. With ``at_once``, that is before the
    first object is looked at; else when something is written, or when `secure` is called. State:
    ``_found`` are the objects that are still to be secured, ``_since_ns`` when the lease began.
    """

    def __init__(self, door: Door, begin: Callable[[], int], *, at_once: bool = True) -> None:
        self._door = door
        self._begin = begin
        self._at_once = at_once
        self._since_ns: int | None = None
        self._found: list[str] = []
        if at_once:
            self.start()

    def start(self) -> int:
        """Hold the lease from here on."""
        if self._since_ns is None:
            self._since_ns = self._begin()
        return self._since_ns

    def add(self, path: str) -> bool:
        """Pin a file that is in place; return False where it is not any more, or cannot be kept."""
        if self._at_once:
            return kept_size(self._door, path, self.start()) is not None
        self._found.append(path)
        return True

    def secure(self) -> bool:
        """Return True if all that is pinned is in place, and will be until the lease ends."""
        since = self.start()
        return all(kept_size(self._door, path, since) is not None for path in self._found)


@contextlib.contextmanager
def pinning(layout: Layout, purpose: str, *, at_once: bool) -> Iterator[Pins]:
    """Give pins for a block, under a lease that is taken when it is needed."""
    with contextlib.ExitStack() as stack:
        yield Pins(
            layout.door,
            lambda: stack.enter_context(hold_lease(layout, purpose)).since_ns,
            at_once=at_once,
        )


def kept_size(door: Door, path: str, since_ns: int) -> int | None:
    """Return the size of a file in place and safe from `gc` for a writer at work since then.

    One that is older is made as new as now. None where that cannot be: write it again.
    """
    try:
        folder, name = door.above(path)
        with folder:
            return kept_in(folder, name, since_ns)
    except (OSError, StoreError):
        return None


def kept_in(folder: Folder, name: str, since_ns: int) -> int | None:
    """Do the same for a file in an open folder."""
    try:
        status = folder.status(name)
        if not stat.S_ISREG(status.st_mode):
            return None
        if status.st_mtime_ns < since_ns:
            # By its name, not by a descriptor: one that gc has set aside must not be found.
            folder.touch(name)
    except OSError:
        return None
    return status.st_size


def read_leases(layout: Layout) -> list[Lease]:
    """All leases, live or not, by id; a file whose name no lease has is none."""
    with reporting_read_errors(layout.leases):
        names = layout.door.names(layout.leases)
    ids = [name[: -len(_SUFFIX)] for name in names if name.endswith(_SUFFIX)]
    ids = [lease_id for lease_id in ids if is_name(lease_id)]
    return [lease for lease_id in ids if (lease := read_lease(layout, lease_id)) is not None]


def read_lease(layout: Layout, lease_id: str) -> Lease | None:
    """One lease; None where it is gone."""
    touched = touched_ns(layout, lease_id)
    path = layout.lease(lease_id)
    if touched is None:
        return None
    try:
        data = read_file(layout.door, path, SMALL_BYTES)
        return None if data is None else _parsed(lease_id, touched, unseal(data, path.name))
    except (StoreError, KeyError, TypeError, ValueError):
        return Lease(lease_id, "", None, 0, touched, None)


def touched_ns(layout: Layout, lease_id: str) -> int | None:
    """Return when the holder of a lease last touched it; None where there is none."""
    status = file_status(layout.door, layout.lease(lease_id))
    return None if status is None else status.st_mtime_ns


def live_leases(layout: Layout, now_ns: int) -> list[Lease]:
    """The leases whose holders are at work."""
    return [lease for lease in read_leases(layout) if lease.is_live(now_ns)]


def runs_of(layout: Layout, batch_id: str, now_ns: int) -> list[Lease]:
    """The live leases of runs of a batch."""
    return [lease for lease in live_leases(layout, now_ns) if lease.batch_id == batch_id]


def refuse_beside(runs: Sequence[Lease], batch_id: str) -> None:
    """`BatchRunningError`, which names the holders, where there are runs of the batch."""
    if runs:
        names = [str(run.process or "another command") for run in runs]
        raise BatchRunningError(
            f"batch {batch_id} is being run by {', '.join(names)}",
            hints=["interrupt the run, or wait until it has ended"],
            details={"batch_id": batch_id, "runs": names},
        )


def this_process() -> Process:
    """The process that asks."""
    pid = os.getpid()
    return Process(os.uname().nodename, _machine(), pid, _started(pid) or "")


def is_running(process: Process) -> bool:
    """Return True if a process of this machine runs, and is the one that is meant."""
    try:
        os.kill(process.pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        pass  # somebody else's
    return _started(process.pid) in (None, process.started)


def _new_id() -> str:
    return os.urandom(8).hex()


def _make(
    layout: Layout, lease_id: str, purpose: str, batch_id: str | None, process: Process
) -> Lease:
    # It counts from the moment in which others can see it.
    since = create_file(layout.door, layout.lease(lease_id)) or 0
    lease = Lease(lease_id, purpose, batch_id, since, since, process)
    _write(layout, lease)
    return lease


def _write(layout: Layout, lease: Lease) -> None:
    names = ("purpose", "batch_id", "since_ns", "process")
    document = {name: value for name, value in asdict(lease).items() if name in names}
    write_file(layout.door, layout.lease(lease.lease_id), compact(document), durable=False)


def _keep_alive(layout: Layout, lease: Lease, ended: threading.Event) -> None:
    while not ended.wait(TOUCH_SECONDS):
        _touch(layout, lease)


def _touch(layout: Layout, lease: Lease) -> None:
    with contextlib.suppress(OSError, StoreError):  # the next time, perhaps
        try:
            layout.door.touch(layout.lease(lease.lease_id))
        except FileNotFoundError:
            _write(layout, lease)


def _parsed(lease_id: str, touched: int, document: Document) -> Lease:
    batch_id, since = document["batch_id"], document["since_ns"]
    process = parse_process(cast("dict[str, object]", document["process"]))
    if not isinstance(since, int) or not (batch_id is None or isinstance(batch_id, str)):
        raise TypeError("a lease has a batch and a time")
    return Lease(lease_id, str(document["purpose"]), batch_id, since, touched, process)


def parse_process(document: Document) -> Process:
    """A process as a document has it; KeyError, TypeError or ValueError where it has none."""
    return Process(
        host=str(document["host"]),
        machine=str(document["machine"]),
        pid=int(cast("int", document["pid"])),
        started=str(document["started"]),
    )


@functools.cache
def _machine() -> str:
    """Return what processes share that see each other: a boot, and a space of process numbers."""
    boot = _first_line("/proc/sys/kernel/random/boot_id")
    try:
        numbers = os.readlink("/proc/self/ns/pid")
    except OSError:
        numbers = ""
    return " ".join((os.uname().nodename, boot, numbers))


def _started(pid: int) -> str | None:
    """Return when a process was started, in ticks since the boot; None where nothing tells.

    One that has ended and waits for its parent has not started at any time that is asked for.
    """
    line = _first_line(f"/proc/{pid}/stat")
    # The name in brackets may hold anything; the state comes after it, 19 fields on the start.
    fields = line.rpartition(")")[2].split()
    if len(fields) <= 19:
        return None
    return "ended" if fields[0] in ("Z", "X") else fields[19]


def _first_line(path: str) -> str:
    try:
        with open(path, "rb") as stream:
            return stream.readline().decode("ascii", "replace").strip()
    except OSError:
        return ""
