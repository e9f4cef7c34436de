"""Pins: the files that a writer finds in place and relies on, so that `gc` leaves them alone.

An object that is there may be one that nothing refers to any more. A writer that would have
written it, and finds it, makes it as new as if it had: while the writer holds its lease, `gc`
removes nothing that young.
"""

from __future__ import annotations

import contextlib
import stat
from collections.abc import Callable, Iterator

from codebatch.model.errors import StoreError
from codebatch.store.door import Door, Folder
from codebatch.store.layout import Layout
from codebatch.store.leases.leases import hold_lease


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
