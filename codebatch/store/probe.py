"""What the file system of a store can do, found out by trying it in the store itself."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from codebatch.model.errors import StoreWriteError
from codebatch.store.door import Door
from codebatch.store.files import create_file, remove_file
from codebatch.store.layout import Layout
from codebatch.store.removal import remove_tree
from codebatch.store.write_group import has_syncfs, temporary_name

_CLONE = 0x40049409  # FICLONE of Linux
_TIME_NS = 1_234_567_890_123_456_789
_UNITS_NS = (1, 100, 10**3, 10**6, 10**9, 2 * 10**9)


@dataclass(frozen=True)
class FileSystem:
    """The features of the file system of a store; null where nothing can be written to try."""

    type: str | None
    free_bytes: int
    writable: bool
    syncs_at_once: bool
    hard_links: bool | None = None
    reflinks: bool | None = None
    replaces_by_rename: bool | None = None
    creates_exclusively: bool | None = None
    case_sensitive: bool | None = None
    time_unit_ns: int | None = None


def probe_file_system(layout: Layout) -> FileSystem:
    """Try it in a folder that is there for a moment."""
    space = os.statvfs(layout.root)
    kind, free = _type_of(layout.root), space.f_bavail * space.f_frsize
    folder = layout.root / temporary_name()
    try:
        with layout.door.folder(folder, make=True):
            pass
    except OSError:
        return FileSystem(kind, free, writable=False, syncs_at_once=has_syncfs())
    try:
        return _tried(layout.door, folder, kind, free)
    finally:
        with contextlib.suppress(StoreWriteError):
            remove_tree(layout.door, folder)


@contextlib.contextmanager
def marked(layout: Layout) -> Iterator[str | None]:
    """Leave a mark in the store for a block, to be looked for by others who may see it; None where
    nothing can be written.
    """
    path = layout.root / temporary_name()
    try:
        create_file(layout.door, path)
    except StoreWriteError:
        yield None
        return
    try:
        yield path.name
    finally:
        remove_file(layout.door, path)


def is_marked(layout: Layout, mark: str) -> bool:
    """Return True if the mark is in the store as it is seen from here."""
    return layout.door.is_file(layout.root / Path(mark).name)


def can_write(layout: Layout) -> bool:
    """Return True if this process can write in the store, found out by trying it."""
    with marked(layout) as mark:
        return mark is not None


def _tried(door: Door, folder: Path, kind: str | None, free: int) -> FileSystem:
    name, other = folder / "name", folder / "other"
    create_file(door, name, b"content")
    exclusive = create_file(door, name) is None
    links = _can(lambda: os.link(name, folder / "link"))
    clones = _can(lambda: _clone(name, folder / "clone"))
    create_file(door, other, b"another")
    return FileSystem(
        type=kind,
        free_bytes=free,
        writable=True,
        syncs_at_once=has_syncfs(),
        hard_links=links,
        reflinks=clones,
        replaces_by_rename=_can(lambda: os.replace(other, name))
        and name.read_bytes() == b"another",
        creates_exclusively=exclusive,
        case_sensitive=not (folder / "NAME").exists(),
        time_unit_ns=_time_unit(name),
    )


def _can(act: Callable[[], object]) -> bool:
    try:
        act()
    except OSError:
        return False
    return True


def _clone(source: Path, target: Path) -> None:
    with source.open("rb") as old, target.open("wb") as new:
        fcntl.ioctl(new, _CLONE, old.fileno())


def _time_unit(path: Path) -> int | None:
    """The unit in which the file system keeps times."""
    os.utime(path, ns=(_TIME_NS, _TIME_NS))
    kept = path.stat().st_mtime_ns
    fitting = (unit for unit in _UNITS_NS if kept == _TIME_NS - _TIME_NS % unit)
    return next(fitting, None)


def _type_of(path: Path) -> str | None:
    """The type that the system gives for the mount a path is on; None where it does not tell."""
    found: tuple[int, str] = (0, "")
    with contextlib.suppress(OSError), open("/proc/self/mounts", encoding="utf-8") as stream:
        for line in stream:
            _, mount, kind, *_ = line.split(" ")
            if path.is_relative_to(mount) and len(mount) >= found[0]:
                found = (len(mount), kind)
    return found[1] or None
