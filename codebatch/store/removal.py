"""Removing things from a store beside processes that read and write it.

What others can see disappears by one rename. What a writer may just have come to rely on is set
aside first, looked at again, and put back where it was touched meanwhile.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
from pathlib import Path

from codebatch.errors import StoreWriteError
from codebatch.store.files import reporting_write_errors
from codebatch.store.inventory import ASIDE_PREFIX, REMOVED_PREFIX, files_below


def remove_if_old(path: str, before_ns: int) -> bool:
    """Remove an object unless it was modified since; a writer touches what it relies on."""
    folder, name = os.path.split(path)
    aside = f"{folder}/{ASIDE_PREFIX}{name}"
    with reporting_write_errors(Path(folder)):
        try:
            os.rename(path, aside)
        except FileNotFoundError:
            return False
    return remove_aside(aside, before_ns)


def remove_aside(aside: str, before_ns: int) -> bool:
    """Remove an object that was set aside, or put it back where it was modified since."""
    with reporting_write_errors(Path(aside).parent):
        if os.stat(aside).st_mtime_ns < before_ns:
            os.unlink(aside)
            return True
        put_back_object(aside)
    return False


def put_back_object(aside: str) -> None:
    """Give an object that was set aside its name again; whoever wrote it anew wrote the same."""
    folder, name = os.path.split(aside)
    with reporting_write_errors(Path(folder)):
        os.rename(aside, f"{folder}/{name.removeprefix(ASIDE_PREFIX)}")


def remove_empty_folder(path: str) -> None:
    """Remove a folder, if it is still empty."""
    with contextlib.suppress(OSError):
        os.rmdir(path)


def set_aside(folder: Path) -> Path | None:
    """Make a snapshot or a batch disappear, as a whole; where it is now, None if it was gone.

    The time of the folder says when.
    """
    aside = folder.with_name(f"{REMOVED_PREFIX}{folder.name}-{os.urandom(6).hex()}")
    with reporting_write_errors(folder.parent):
        try:
            os.rename(folder, aside)
        except FileNotFoundError:
            return None
        os.utime(aside)
    return aside


def put_back(aside: Path, folder: Path) -> None:
    """Undo `set_aside`; what a writer has begun there meanwhile steps aside."""
    with reporting_write_errors(folder.parent):
        try:
            os.rename(aside, folder)
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
            set_aside(folder)
            os.rename(aside, folder)


def removed_at_ns(aside: Path) -> int:
    """When a folder was set aside, at the earliest."""
    status = aside.stat()
    return max(status.st_mtime_ns, status.st_ctime_ns)


def newest_ns(folder: Path) -> int:
    """When anything in a folder was last modified."""
    times = [file.modified_ns for file in files_below(folder)]
    with contextlib.suppress(FileNotFoundError):
        times.append(folder.stat().st_mtime_ns)
    return max(times, default=0)


def remove_tree(folder: Path) -> None:
    """Delete a folder that nobody looks at any more, with all that is in it."""
    try:
        shutil.rmtree(folder)
    except FileNotFoundError:
        return
    except OSError as error:
        raise StoreWriteError(
            f"cannot remove {folder}: {error.strerror or error}",
            hints=["restore the permission, then run the same command again"],
            details={"errno": error.errno},
        ) from error
