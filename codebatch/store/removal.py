"""Removing things from a store beside processes that read and write it.

What others can see disappears by one rename. What a writer may just have come to rely on is set
aside first, looked at again, and put back where it was touched meanwhile.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Callable
from pathlib import Path

from codebatch.model.errors import StoreWriteError
from codebatch.store.door import ABSENT, Door, Folder
from codebatch.store.inventory import ASIDE_PREFIX, REMOVED_PREFIX, files_below
from codebatch.store.layout import INDEX_SUFFIX, Layout
from codebatch.store.write_group import reporting_write_errors, temporary_name


def remove_if_old(door: Door, path: str, before_ns: int) -> bool:
    """Remove an object, one that was set aside perhaps, unless it was modified since: a writer
    touches what it relies on. One that is not removed has its name again; whoever wrote it anew
    meanwhile wrote the same.
    """
    parent, found = os.path.split(path)
    name = found.removeprefix(ASIDE_PREFIX)
    aside = ASIDE_PREFIX + name
    with reporting_write_errors(Path(parent)), door.folder(parent) as folder:
        try:
            folder.rename(found, aside)
        except FileNotFoundError:
            return False
        if folder.status(aside).st_mtime_ns < before_ns:
            folder.unlink(aside)
            return True
        folder.rename(aside, name)
        return False


def remove_pack(layout: Layout, name: str, before_ns: int) -> bool:
    """Remove a pack and its index, unless the pack was modified since.

    The index goes first: so a reader finds the pack that has taken its place. One that relies on
    what it knew touches the pack, which then comes back.
    """
    index = f"{name}{INDEX_SUFFIX}"
    path = Path(layout.packs)
    with reporting_write_errors(path), layout.door.folder(path) as folder:
        try:
            folder.rename(index, ASIDE_PREFIX + index)
        except FileNotFoundError:
            return False
        is_removed = remove_if_old(layout.door, layout.pack(name), before_ns)
        if is_removed:
            folder.unlink(ASIDE_PREFIX + index)
        else:
            folder.rename(ASIDE_PREFIX + index, index)
    return is_removed


def remove_empty_folder(door: Door, path: str) -> None:
    """Remove a folder, if it is still empty."""
    parent, name = os.path.split(path)
    with contextlib.suppress(OSError), door.folder(parent) as folder:
        folder.remove_empty(name)


def set_aside(door: Door, folder: Path) -> Path | None:
    """Make a snapshot or a batch disappear, as a whole; where it is now, None if it was gone.

    The time of the folder says when.
    """
    aside = folder.with_name(f"{REMOVED_PREFIX}{folder.name}-{os.urandom(6).hex()}")
    with reporting_write_errors(folder.parent), door.folder(folder.parent) as parent:
        try:
            parent.rename(folder.name, aside.name)
        except FileNotFoundError:
            return None
        parent.touch(aside.name)
    return aside


def put_back(door: Door, aside: Path, folder: Path) -> None:
    """Undo `set_aside`; what a writer has begun there meanwhile steps aside."""
    with reporting_write_errors(folder.parent), door.folder(folder.parent) as parent:
        try:
            parent.rename(aside.name, folder.name)
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
            set_aside(door, folder)
            parent.rename(aside.name, folder.name)


def removed_at_ns(door: Door, aside: Path) -> int:
    """Return when a folder was set aside, at the earliest."""
    status = door.status(aside)
    return 0 if status is None else max(status.st_mtime_ns, status.st_ctime_ns)


def newest_ns(door: Door, folder: Path) -> int:
    """Return when anything in a folder was last modified."""
    times = [file.modified_ns for file in files_below(door, folder)]
    status = door.status(folder)
    return max([*times, *([] if status is None else [status.st_mtime_ns])], default=0)


def remove_tree(door: Door, path: Path) -> None:
    """Delete a folder that nobody looks at any more, with all that is in it.

    What is in a folder below it is moved up into it first. So two folders are open at most,
    however deep somebody has nested them, and none is reached but from the one above.
    """
    try:
        with door.folder(path) as folder:
            while folder.names():
                _remove_entries(folder)
        above, name = door.above(path)
        with above:
            above.remove_empty(name)
    except ABSENT:
        return
    except OSError as error:
        raise StoreWriteError(
            f"cannot remove {path}: {error.strerror or error}",
            hints=["restore the permission, then run the same command again"],
            details={"errno": error.errno},
        ) from error


def _remove_entries(folder: Folder) -> None:
    """Remove the files in a folder and the folders, whose own folders are then in it."""
    for name in _remove_files(folder):
        with folder.enter(name) as below:
            for other in _remove_files(below):
                below.rename(other, temporary_name(), folder)
        folder.remove_empty(name)


def _remove_files(folder: Folder) -> list[str]:
    """Remove what is no folder; the names of those that are."""
    folders = []
    with folder.entries() as entries:
        for entry in list(entries):
            if entry.is_dir(follow_symlinks=False):
                folders.append(entry.name)
            else:
                folder.unlink(entry.name)
    return folders


def drop_file(door: Door, path: Path, is_whole: Callable[[str], bool]) -> bool:
    """Remove a file, unless it is whole by now; whether it was removed.

    It is moved aside first and looked at there, so that what is removed is what was looked at;
    one that turns out whole is put back. A folder in its place stays aside, under a name that
    readers ignore.
    """
    if not door.is_there(path) or is_whole(os.fspath(path)):
        return False
    aside = path.with_name(temporary_name() + path.suffix)
    with reporting_write_errors(path.parent), door.folder(path.parent) as folder:
        try:
            folder.rename(path.name, aside.name)
        except FileNotFoundError:
            return False
        if stat.S_ISDIR(folder.status(aside.name).st_mode):
            return True
        if is_whole(os.fspath(aside)):
            folder.rename(aside.name, path.name)
            return False
        folder.unlink(aside.name)
    return True
