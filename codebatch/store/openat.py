"""Opening below a folder without following a symbolic link in any part of the path.

Linux can do that in one call, `openat2`, which Python does not offer. Where the kernel has none
or a sandbox refuses it, folders are opened one after the other, each relative to the one before,
which also finds out which part of a path is the link. To import ``ctypes`` takes longer than to
open a few paths this way, so the call is used once there are many.
"""

from __future__ import annotations

import errno
import functools
import itertools
import os
import stat
import sys
from collections.abc import Callable

from codebatch.runtime.lazy import lazily

with lazily():
    import ctypes

# O_PATH is enough of a folder to work relative to it, whatever its permissions to be listed.
FOLDER = os.O_DIRECTORY | os.O_CLOEXEC | getattr(os, "O_PATH", os.O_RDONLY)
LISTED = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
# Without waiting: a named pipe would, for somebody at its other end.
NEVER = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | getattr(os, "O_NOCTTY", 0)

_OPENAT2 = 437
_MACHINES = frozenset({"x86_64", "aarch64"})
_NO_MAGICLINKS, _NO_SYMLINKS = 0x02, 0x04
_MANY = 64

Open = Callable[[str, int], int]


class LinkError(OSError):
    """A part of a path is a symbolic link; ``filename`` is the path up to it."""


def open_below(root: str, place: str, flags: int) -> int:
    """Return a descriptor of what is at a place below the root, which may itself be reached by
    links. `LinkError` where a part of the place is a link.
    """
    kernel = _kernel_open()
    if kernel is not None:
        try:
            return kernel(f"{root}/{place}" if place else root, flags)
        except OSError as error:
            # ELOOP: say which part. The others: a busy kernel asks to be asked again.
            if error.errno not in (errno.ELOOP, errno.EAGAIN, errno.EINTR):
                raise
    return walk_below(root, place, flags)


def walk_below(root: str, place: str, flags: int) -> int:
    """Do what `open_below` does, folder by folder."""
    if not place:
        return os.open(root, flags | NEVER & ~os.O_NOFOLLOW)
    *folders, name = place.split("/")
    folder = os.open(root, FOLDER)
    try:
        for number, one in enumerate(folders):
            try:
                below = open_in(folder, one, FOLDER)
            except LinkError as error:
                error.filename = "/".join(folders[: number + 1])
                raise
            os.close(folder)
            folder = below
        return open_in(folder, name, flags)
    except LinkError as error:
        error.filename = place if error.filename == name else error.filename
        raise
    finally:
        os.close(folder)


def open_in(folder: int, name: str, flags: int, mode: int = 0) -> int:
    """Return a descriptor of an entry of an open folder; `LinkError` where it is a link."""
    try:
        return os.open(name, flags | NEVER, mode, dir_fd=folder)
    except OSError as error:
        # As a folder, a link is none (ENOTDIR), else one link too many (ELOOP; EMLINK in BSD).
        if error.errno in (errno.ENOTDIR, errno.ELOOP, errno.EMLINK) and _is_link(folder, name):
            raise LinkError(errno.ELOOP, os.strerror(errno.ELOOP), name) from error
        raise


def _is_link(folder: int, name: str) -> bool:
    try:
        return stat.S_ISLNK(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode)
    except OSError:
        return False


_opened = itertools.count()


def _kernel_open() -> Open | None:
    return kernel_open() if next(_opened) > _MANY else None


@functools.cache
def kernel_open() -> Open | None:
    """Return how to open an absolute path no part of which is a link, in one call; None where
    this cannot be done.
    """
    if sys.platform != "linux" or os.uname().machine not in _MACHINES:
        return None
    call = ctypes.CDLL(None, use_errno=True).syscall
    call.restype = ctypes.c_long
    call.argtypes = [ctypes.c_long, ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p, ctypes.c_size_t]
    open_path = functools.partial(_openat2, call)
    try:
        os.close(open_path("/", FOLDER))
    except OSError:  # an old kernel, or one that is told to refuse it
        return None
    return open_path


def _openat2(call: Callable[..., int], path: str, flags: int) -> int:
    how, size = _how(flags)
    descriptor = call(_OPENAT2, -1, os.fsencode(path), how, size)
    if descriptor < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), path)
    return descriptor


@functools.cache
def _how(flags: int) -> tuple[object, int]:
    """The argument that says how to open, and its size: flags, a mode, what not to resolve."""
    # With O_PATH, the call refuses flags that Python's leaves unheeded.
    never = NEVER if flags & FOLDER != FOLDER else NEVER & FOLDER
    values = (ctypes.c_uint64 * 3)(flags | never, 0, _NO_SYMLINKS | _NO_MAGICLINKS)
    return values, ctypes.sizeof(values)
