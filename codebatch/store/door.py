"""The one door to what lies below a store: nothing there is believed to be what its name says.

A store may come from anybody. So whatever is opened, looked at, written, renamed or removed below
its root is reached without following a link, relative to open folders, so that a link that is
put in the way meanwhile leads nowhere; a file is a regular file, or is not read; and no more is
read than a stated limit. The root itself is the user's choice and may be reached through links.

Methods take paths below the root. They raise what the system raises, and `StoreDamagedError`
where a link or something else stands in the place of a folder or a file.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Iterable, Iterator
from functools import cached_property
from typing import BinaryIO

from codebatch.model.errors import StoreDamagedError
from codebatch.store.openat import FOLDER, LISTED, NEVER, LinkError, open_below, open_in

ABSENT = (FileNotFoundError, NotADirectoryError)
TEMPORARY_PREFIX = ".tmp-"

_PORTION = 2**20
_HINTS = ["see what is damaged: codebatch verify", "move away or delete what does not belong there"]

StorePath = str | os.PathLike[str]


class Folder:
    """An open folder of a store, to be used in a ``with`` block or closed; names are those of its
    entries, ``place`` is relative to the store.
    """

    __slots__ = ("descriptor", "place")

    def __init__(self, descriptor: int, place: str) -> None:
        self.descriptor = descriptor
        self.place = place

    def __enter__(self) -> Folder:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Give the descriptor back."""
        os.close(self.descriptor)

    def enter(self, name: str) -> Folder:
        """Open a folder in it."""
        try:
            return Folder(open_in(self.descriptor, name, FOLDER), self.at(name))
        except LinkError as error:
            raise misplaced(self.at(name), "symbolic link") from error

    def open(self, name: str, flags: int = os.O_RDONLY) -> int:
        """Return a descriptor of a regular file."""
        try:
            descriptor = open_in(self.descriptor, name, flags, 0o644)
        except LinkError as error:
            raise misplaced(self.at(name), "symbolic link") from error
        except OSError as error:
            _say_what_is_there(error, self.at(name))
            raise
        return _regular(descriptor, self.at(name))

    def read(self, name: str, limit: int) -> bytes:
        """Return the bytes of a file of at most so many."""
        return _read(self.open(name), self.at(name), limit)

    def create(self, name: str, mode: int = 0o644) -> int:
        """Return a descriptor of a new file; FileExistsError where there is anything."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | NEVER
        return os.open(name, flags, mode, dir_fd=self.descriptor)

    def status(self, name: str) -> os.stat_result:
        """Return what the system says of an entry, of a link itself."""
        return os.stat(name, dir_fd=self.descriptor, follow_symlinks=False)

    def is_filled(self, name: str) -> bool:
        """True if an entry has any bytes."""
        return self.status(name).st_size > 0

    def has(self, name: str) -> bool:
        """True if there is an entry, of whatever kind."""
        # Not by `status`, which makes an error for each of very many that are absent.
        return os.access(name, os.F_OK, dir_fd=self.descriptor, follow_symlinks=False)

    def make(self, name: str) -> None:
        """Make a folder, unless there is something already."""
        with contextlib.suppress(FileExistsError):
            os.mkdir(name, dir_fd=self.descriptor)

    def rename(self, name: str, other: str, target: Folder | None = None) -> None:
        """Give an entry another name, in another folder of the store perhaps."""
        above = self.descriptor if target is None else target.descriptor
        os.rename(name, other, src_dir_fd=self.descriptor, dst_dir_fd=above)

    def link(self, name: str, other: str, target: Folder) -> None:
        """Give a file a second name."""
        above = target.descriptor
        os.link(name, other, src_dir_fd=self.descriptor, dst_dir_fd=above, follow_symlinks=False)

    def unlink(self, name: str) -> None:
        """Remove a file, or a link itself."""
        os.unlink(name, dir_fd=self.descriptor)

    def touch(self, name: str, now_ns: int | None = None) -> None:
        """Make an entry as new as now, or as that time."""
        times = {} if now_ns is None else {"ns": (now_ns, now_ns)}
        os.utime(name, **times, dir_fd=self.descriptor, follow_symlinks=False)

    def remove_empty(self, name: str) -> None:
        """Remove a folder in it that is empty."""
        os.rmdir(name, dir_fd=self.descriptor)

    @contextlib.contextmanager
    def entries(self) -> Iterator[Iterator[os.DirEntry[str]]]:
        """Yield its entries for a block; none is to be asked for what a link leads to."""
        with _listing(self.descriptor, self.place) as listed, os.scandir(listed) as found:
            yield found

    def names(self) -> list[str]:
        """Return the names of what is in it."""
        with _listing(self.descriptor, self.place) as listed:
            return os.listdir(listed)

    def at(self, name: str) -> str:
        """Return the place of an entry."""
        return f"{self.place}/{name}" if self.place else name


class Door:
    """The door to one store, whose root is an absolute path."""

    def __init__(self, root: str) -> None:
        self.root = root
        self._start = root.rstrip("/") + "/"

    @cached_property
    def _real(self) -> str:
        """The root without links on the way to it, as it was when it was first needed."""
        return os.path.realpath(self.root)

    def place(self, path: StorePath) -> str:
        """Return where a path is, relative to the root."""
        text = os.fspath(path)
        if text == self.root:
            return ""
        place = text[len(self._start) :]
        if not text.startswith(self._start) or ".." in place.split("/") or "\0" in place:
            raise ValueError(f"{text!r} is not below {self.root!r}")
        return place

    def folder(self, path: StorePath, *, make: bool = False) -> Folder:
        """Open a folder, made with those above it where ``make`` says so and it is not there."""
        return self.folder_at(self.place(path), make=make)

    def folder_at(self, place: str, *, make: bool = False) -> Folder:
        """Open the folder at a place relative to the root."""
        try:
            return Folder(self._open(place, FOLDER), place)
        except FileNotFoundError:
            if not make or not place:
                raise
        parent, _, name = place.rpartition("/")
        with self.folder_at(parent, make=True) as above:
            above.make(name)
            return above.enter(name)

    def above(self, path: StorePath) -> tuple[Folder, str]:
        """Open the folder that a path is in, and give its name there."""
        folder, name = os.path.split(path)
        return self.folder(folder), name

    def open(self, path: StorePath, flags: int = os.O_RDONLY) -> int:
        """Return a descriptor of a regular file."""
        place = self.place(path)
        try:
            return _regular(self._open(place, flags), place)
        except OSError as error:
            _say_what_is_there(error, place)
            raise

    def read(self, path: StorePath, limit: int) -> bytes:
        """Return the bytes of a file of at most so many."""
        return _read(self.open(path), self.place(path), limit)

    @contextlib.contextmanager
    def stream(self, path: StorePath) -> Iterator[BinaryIO]:
        """Read a file in portions, for a block."""
        with os.fdopen(self.open(path), "rb", buffering=0) as raw:
            yield raw

    def status(self, path: StorePath) -> os.stat_result | None:
        """Return what the system says of something, of a link itself; None where nothing is."""
        folder, name = os.path.split(path)
        try:
            with self.folder(folder) as above:
                return above.status(name)
        except ABSENT:
            return None

    def statuses(self, path: StorePath, names: Iterable[str]) -> Iterator[os.stat_result | None]:
        """Yield the statuses of entries of a folder; None where nothing is, or no folder."""
        try:
            folder = self.folder(path)
        except (OSError, StoreDamagedError):
            yield from (None for _ in names)
            return
        with folder:
            for name in names:
                yield folder.status(name) if folder.has(name) else None

    def is_there(self, path: StorePath) -> bool:
        """True if there is something, of whatever kind, that is reached without a link."""
        try:
            return self.status(path) is not None
        except StoreDamagedError:
            return False

    def is_file(self, path: StorePath) -> bool:
        """True if there is a regular file that is reached without a link."""
        return self._is_of_type(path, stat.S_IFREG)

    def is_folder(self, path: StorePath) -> bool:
        """True if there is a folder that is reached without a link."""
        return self._is_of_type(path, stat.S_IFDIR)

    def touch(self, path: StorePath, now_ns: int | None = None) -> None:
        """Make a file as new as now, or as that time."""
        folder, name = self.above(path)
        with folder:
            folder.touch(name, now_ns)

    def names(self, path: StorePath) -> list[str]:
        """Return the names of what is in a folder, sorted; none where there is none."""
        try:
            with self.folder(path) as folder:
                return sorted(folder.names())
        except ABSENT:
            return []

    def _is_of_type(self, path: StorePath, kind: int) -> bool:
        try:
            found = self.status(path)
        except (StoreDamagedError, OSError):
            return False
        return found is not None and stat.S_IFMT(found.st_mode) == kind

    def _open(self, place: str, flags: int) -> int:
        try:
            return open_below(self._real, place, flags)
        except LinkError as error:
            raise misplaced(str(error.filename), "symbolic link") from error


def misplaced(place: str, what: str) -> StoreDamagedError:
    """The error for what stands where a file or a folder of a store should be."""
    article = "an" if what[0] in "aeiou" else "a"
    return StoreDamagedError(
        f"{place} in the store is {article} {what}: only plain files and folders are opened there",
        hints=_HINTS,
        details={"path": place},
    )


def too_large(place: str, size: int, limit: int) -> StoreDamagedError:
    """The error for a file that is larger than anything that may stand there."""
    return StoreDamagedError(
        f"{place} has {size} bytes: no more than {limit} are read of it",
        hints=_HINTS[:1],
        details={"path": place},
    )


def form_of(mode: int) -> str:
    """Return what something is in a file system."""
    return _FORMS.get(stat.S_IFMT(mode), "special file")


_FORMS = {
    stat.S_IFREG: "file",
    stat.S_IFDIR: "folder",
    stat.S_IFLNK: "symbolic link",
    stat.S_IFIFO: "named pipe",
    stat.S_IFSOCK: "socket",
    stat.S_IFCHR: "device",
    stat.S_IFBLK: "device",
}


def _say_what_is_there(error: OSError, place: str) -> None:
    """Raise what the error means, where it tells what is in the place of a file."""
    if error.errno == errno.ENXIO:  # of a socket, or a pipe that is to be written
        raise misplaced(place, "socket or a pipe") from error
    if error.errno == errno.EISDIR:
        raise misplaced(place, "folder") from error


def _regular(descriptor: int, place: str) -> int:
    """Return the descriptor, unless it is that of something else than a file."""
    mode = os.fstat(descriptor).st_mode
    if stat.S_ISREG(mode):
        return descriptor
    os.close(descriptor)
    raise misplaced(place, form_of(mode))


def _read(descriptor: int, place: str, limit: int) -> bytes:
    try:
        size = os.fstat(descriptor).st_size
        if size > limit:
            raise too_large(place, size, limit)
        data = os.read(descriptor, size + 1)
        if len(data) == size:  # as nearly always
            return data
        parts = [data]
        while data and size <= limit:  # it grows, or a read was cut short
            data = os.read(descriptor, _PORTION)
            parts.append(data)
            size = sum(map(len, parts))
        if size > limit:
            raise too_large(place, size, limit)
        return b"".join(parts)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _listing(folder: int, place: str) -> Iterator[int]:
    """A descriptor to list a folder by: one that is only a place cannot be read."""
    try:
        descriptor = os.open(".", LISTED, dir_fd=folder)
    except OSError as error:
        raise OSError(error.errno, error.strerror, place) from error
    try:
        yield descriptor
    finally:
        os.close(descriptor)
