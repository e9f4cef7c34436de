"""Find the parts of a repository, and what its own configuration may say of it.

A ``.git`` is a folder, or a file that names one. What is named may be in the tree; outside of it,
it counts only if it says on its part that it belongs to this work tree. Of its configuration
nothing counts but what tells how to read it, and where its work tree is: that has to be here.
``core.excludesFile`` counts where it is in the work tree, ``include.path`` not at all.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from typing import NamedTuple

from codebatch.snapshot.descriptors import Folder
from codebatch.snapshot.git.config import LARGEST_CONFIG, is_true, read_settings
from codebatch.snapshot.git.objects import Objects

GIT_FOLDER = b".git"

_ALTERNATES = b"info/alternates"
_MOST_ALTERNATES = 8
_LARGEST_POINTER = 2**14
_POINTER = b"gitdir: "
_HEAD = re.compile(rb"ref:[ \t\r\n]*refs/|[0-9a-f]{40}")
_EXTENSIONS = frozenset(
    b"extensions." + name
    for name in (
        *(b"noop", b"noop-v1", b"preciousobjects", b"partialclone", b"worktreeconfig"),
        *(b"objectformat", b"compatobjectformat", b"refstorage", b"relativeworktrees"),
    )
)
_HASH_SIZES = {b"sha1": 20, b"sha256": 32}


class NoRepositoryError(Exception):
    """There is a ``.git`` that git would refuse, or that leads out of the tree; the message says
    why.
    """


class Place(NamedTuple):
    """The place of a folder: at a path relative to ``base``, which is part of the tree, or, without
    one, at an absolute path that is trusted.
    """

    base: Folder | None
    path: bytes

    def open(self) -> Folder:
        """Open the folder."""
        if self.base is None:
            return Folder.at(self.path)
        return self.base.open(self.path) if self.path else Folder.at(self.base.path)

    @property
    def absolute(self) -> bytes:
        """Its path in the file system."""
        return os.path.join(self.base.path, self.path) if self.base else self.path


class Repository(NamedTuple):
    """The folder of a work tree, that of git for it, what it shares with other work trees, and
    what is set in it. Of a bare one, ``top`` is its own folder.
    """

    top: Folder
    own: Place
    common: Place
    settings: dict[bytes, bytes]
    is_bare: bool = False

    @property
    def hash_size(self) -> int:
        """The number of bytes of an object's name."""
        return _HASH_SIZES[self.settings.get(b"extensions.objectformat", b"sha1").lower()]

    def excludes(self, most: int) -> bytes | None:
        """Return the text of the ignore file that is set, if it is in the work tree; None where
        none is.
        """
        named = self.settings.get(b"core.excludesfile")
        if named is None:
            return None
        path = os.path.normpath(os.path.join(self.top.path, named))
        if not path.startswith(os.path.join(self.top.path, b"")):
            return None
        try:
            return self.top.read(os.path.relpath(path, self.top.path), most) or b""
        except (OSError, ValueError):
            return b""


def repository_of(top: Folder, tree: Folder) -> Repository | None:
    """Return the repository whose work tree is ``top``, a folder of ``tree``, where all that is
    not in ``tree`` is to be confirmed; None where there is none. `NoRepositoryError` where git
    would refuse it.
    """
    status = top.status(GIT_FOLDER)
    if status is None:
        return None
    if stat.S_ISLNK(status.st_mode):
        raise NoRepositoryError(".git is a link")
    try:
        if stat.S_ISDIR(status.st_mode):
            return _repository(top, os.path.join(top.path, GIT_FOLDER), tree)
        if stat.S_ISREG(status.st_mode):
            text = top.read(GIT_FOLDER, _LARGEST_POINTER) or b""
            path = os.path.join(top.path, text[len(_POINTER) :].rstrip(b"\r\n"))
            found = _repository(top, path, tree) if text.startswith(_POINTER) else None
            if found is None:
                raise NoRepositoryError(".git names no folder of git")
            return found
    except (OSError, ValueError) as error:
        raise NoRepositoryError(_words(error)) from None
    return None  # a pipe is nothing to git


def folders_around(folder: Folder, opened: ExitStack) -> Iterator[Folder]:
    """Yield a folder and those around it, the nearest first, as far as its file system reaches."""
    device, top = os.fstat(folder.descriptor).st_dev, folder
    while os.fstat(top.descriptor).st_dev == device:
        yield top
        above = os.path.dirname(top.path)
        if above == top.path:
            return
        top = opened.enter_context(Folder.at(above, search=True))


def is_own(top: Folder, *others: int) -> bool:
    """Return True if a work tree and its ``.git`` belong to the user, or the one behind sudo, or to
    others of these numbers.
    """
    users = {os.geteuid(), *others}
    if os.geteuid() == 0 and os.environ.get("SUDO_UID", "").isdecimal():
        users.add(int(os.environ["SUDO_UID"]))
    found = (os.fstat(top.descriptor), top.status(GIT_FOLDER))
    return {status.st_uid for status in found if status is not None} <= users


def is_git_folder(folder: Folder) -> bool:
    """Return True if git would take the folder itself for a repository without a work tree."""
    try:
        if not _has_head(folder):
            return False
        with _common(folder, Place(folder, b""), folder).open() as shared:
            return all(map(shared.status, (b"objects", b"refs")))
    except (OSError, ValueError, NoRepositoryError):
        return False


def bare_repository(folder: Folder) -> Repository | None:
    """Return the repository that a folder is itself, without a work tree; None where it is none.
    `NoRepositoryError` where git would refuse it.
    """
    if not is_git_folder(folder):
        return None
    own = Place(folder, b"")
    common = _common(folder, own, folder)
    try:
        with common.open() as shared:
            settings = dict(read_settings(shared.read(b"config", LARGEST_CONFIG) or b""))
    except (OSError, ValueError) as error:
        raise NoRepositoryError(_words(error)) from None
    _check_understood(settings)
    return Repository(folder, own, common, settings, is_bare=True)


def open_objects(repository: Repository, common: Folder) -> Objects:
    """Open the objects of a repository, with those that it shares within its own tree: what is
    named outside of it is not looked at.
    """
    with ExitStack() as opened:
        folder = opened.enter_context(common.open(b"objects"))
        shared = []
        for path in _alternates(folder):
            place = _place(path, repository.top)
            if place.base is not None:
                with suppress(OSError):
                    shared.append(opened.enter_context(place.open()))
        objects = Objects(folder, repository.hash_size, tuple(shared))
        opened.pop_all()
    return objects


def _alternates(folder: Folder) -> list[bytes]:
    try:
        text = folder.read(_ALTERNATES, _LARGEST_POINTER) or b""
    except OSError:
        return []
    paths = [line for line in text.split(b"\n") if line and not line.startswith(b"#")]
    return [os.path.join(folder.path, path) for path in paths[:_MOST_ALTERNATES]]


def _repository(top: Folder, path: bytes, tree: Folder) -> Repository | None:
    """Return the repository with its git folder at a path; None where that is none."""
    own = _place(path, tree)
    with own.open() as folder:
        if own.base is None and not _belongs_to(folder, top):
            raise NoRepositoryError("its git folder is elsewhere and does not name it")
        if not _has_head(folder):
            return None
        common = _common(folder, own, tree)
        with common.open() as shared:
            if not all(map(shared.status, (b"objects", b"refs"))):
                return None
            settings = dict(read_settings(shared.read(b"config", LARGEST_CONFIG) or b""))
        is_linked = folder.status(b"commondir") is not None
        if is_true(settings.get(b"extensions.worktreeconfig")):
            text = folder.read(b"config.worktree", LARGEST_CONFIG) or b""
            settings.update(read_settings(text))
    _check_understood(settings)
    if not is_linked and not _is_work_tree(settings, own.absolute, top.path):
        raise NoRepositoryError("its work tree is elsewhere, or it has none")
    return Repository(top, own, common, settings)


def _place(path: bytes, tree: Folder) -> Place:
    """Return the place of an absolute path: in the tree, unless it leads elsewhere."""
    path = os.path.normpath(path)
    if path == tree.path:
        return Place(tree, b"")
    start = os.path.join(tree.path, b"")
    return Place(tree, path[len(start) :]) if path.startswith(start) else Place(None, path)


def _common(folder: Folder, own: Place, tree: Folder) -> Place:
    """Return where a git folder has what it shares; one in the tree must not lead out of it."""
    text = folder.read(b"commondir", _LARGEST_POINTER)
    if text is None:
        return own
    path = os.path.normpath(os.path.join(own.absolute, text.rstrip(b"\r\n")))
    if own.base is None:
        return Place(None, path)
    found = _place(path, tree)
    if found.base is None:
        raise NoRepositoryError("its commondir leads out of it")
    return found


def _belongs_to(folder: Folder, top: Folder) -> bool:
    """Return True if a git folder elsewhere says that it is that of this work tree."""
    text = folder.read(b"gitdir", _LARGEST_POINTER)
    if text is not None:
        back = os.path.join(folder.path, text.rstrip(b"\r\n"))
        head, name = os.path.split(back)
        return name == GIT_FOLDER and os.path.realpath(head) == top.path
    settings = dict(read_settings(folder.read(b"config", LARGEST_CONFIG) or b""))
    named = settings.get(b"core.worktree")
    return named is not None and _is_work_tree(settings, folder.path, top.path)


def _is_work_tree(settings: dict[bytes, bytes], git_folder: bytes, top: bytes) -> bool:
    named = settings.get(b"core.worktree")
    if named is None:
        return not is_true(settings.get(b"core.bare"))
    return os.path.realpath(os.path.join(git_folder, named)) == top


def _check_understood(settings: dict[bytes, bytes]) -> None:
    version = settings.get(b"core.repositoryformatversion", b"0")
    if version not in (b"0", b"1"):
        raise NoRepositoryError("its format is of another version")
    if settings.get(b"extensions.objectformat", b"sha1").lower() not in _HASH_SIZES:
        raise NoRepositoryError("its hashes are of a kind that is not known")
    extensions = {name for name in settings if name.startswith(b"extensions.")}
    if version == b"1" and (unknown := sorted(extensions - _EXTENSIONS)):
        named = unknown[0].decode("utf-8", "replace")
        raise NoRepositoryError(f"it has an extension that is not known: {named}")


def _words(error: OSError | ValueError) -> str:
    said = error.strerror if isinstance(error, OSError) else None
    return f"its files cannot be read: {said or error}"


def _has_head(folder: Folder) -> bool:
    status = folder.status(b"HEAD")
    if status is None:
        return False
    if stat.S_ISLNK(status.st_mode):
        return os.readlink(b"HEAD", dir_fd=folder.descriptor).startswith(b"refs/")
    return _HEAD.match(folder.read(b"HEAD", _LARGEST_POINTER) or b"") is not None
