"""Wait for changes of a source tree.

The folders that a walk enters are watched, each by itself: what happens in ignored folders, in a
``.git``, in a store or behind a link causes no event. An event says that the tree may be another
one, and nothing more: what it is like then, the next snapshot tells.
"""

from __future__ import annotations

import os
import stat
import threading
from collections.abc import Callable, Collection, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from codebatch.model.errors import MissingExtraError, SourceNotFoundError, UsageError
from codebatch.model.records import SkippedFile
from codebatch.snapshot.ignore import GIT_IGNORE_FILE, OWN_IGNORE_FILE
from codebatch.snapshot.selection import Selection
from codebatch.snapshot.tree import open_tree
from codebatch.snapshot.walk import EXCLUDED, GIT_METADATA, IGNORED, NOT_INCLUDED, STORE, TreeWalk

if TYPE_CHECKING:
    from watchfiles._rust_notify import RustNotify

# An editor writes a file in several steps: changes are waited for until none has come for so long,
# and no longer than that in all.
_STEP_MS = 20
_DEBOUNCE_MS = 400
_LOOK_AGAIN_SECONDS = 0.5
_MODIFIED = 2  # of watchfiles' kinds of changes, that after which all names are what they were
_POLLING = "WATCHFILES_FORCE_POLLING"  # as watchfiles has it, for file systems without events
_POLL_MS = 300
_RULES = {os.fsdecode(name) for name in (GIT_IGNORE_FILE, OWN_IGNORE_FILE)}
_BY_RULES = frozenset({EXCLUDED, GIT_METADATA, IGNORED, NOT_INCLUDED, STORE})


class TreeWatch:
    """The folders of a selection of the tree at ``root``, watched from here on until `close`.

    What is written to files with the status of ``outputs`` is no change. `MissingExtraError` where
    watchfiles is not installed. Folders with names that are not UTF-8
    are not watched. State: ``_notify`` holds the events since the last `wait`, None while the root
    is gone; ``_folders`` are those that are watched, ``_left_out`` the paths that rules leave out.
    Since the last snapshot, files have changed in the folders ``_touched``, and names have in those
    of ``_renamed``, or where ``_is_unsure`` anywhere; ``_files`` it has, which ``_listing`` gives.
    """

    def __init__(
        self,
        root: Path,
        selection: Selection,
        *,
        ignore: bool = True,
        outputs: Sequence[os.stat_result] = (),
    ) -> None:
        check_installed()
        self._root = os.path.realpath(os.fsencode(root))
        self._selection = selection
        self._ignore = ignore
        self._outputs = {(status.st_dev, status.st_ino) for status in outputs}
        self._folders: frozenset[str] = frozenset()
        self._left_out: Collection[str] = ()
        self._notify: RustNotify | None = None
        self._touched: set[str] = set()
        self._renamed: set[str] = set()
        self._is_unsure = True
        self._files: Collection[str] | None = ()
        self._listing: Callable[[], Iterable[str]] = tuple
        self._watch_folders()

    def close(self) -> None:
        """Watch nothing any more."""
        if self._notify is not None:
            self._notify.close()
            self._notify = None

    @property
    def same_names(self) -> frozenset[bytes]:
        """The folders in which a snapshot will find the names that the last one has found."""
        if self._is_unsure:
            return frozenset()
        found = map(os.fsencode, self._touched - self._renamed)
        return frozenset(os.path.relpath(path, self._root) for path in found)

    def taken(self, skipped: Iterable[SkippedFile], files: Callable[[], Iterable[str]]) -> None:
        """Note that a snapshot has what is there now: the paths that ``files`` gives, and not what
        is skipped, of which no change is expected until the rules change that leave it out.
        """
        found = (file.path for file in skipped if file.reason in _BY_RULES)
        self._left_out = frozenset(map(self._path, found))
        if self._is_unsure or self._renamed:
            self._files, self._listing = None, files
        self._touched, self._renamed, self._is_unsure = set(), set(), False

    def wait(self, stop: threading.Event) -> bool:
        """Wait until something has changed, or the root is gone, or there again; False: ``stop`` is
        set.
        """
        if self._notify is None:
            return self._wait_for_root(stop)
        if self._files is None:  # now, as it takes a while in which nobody waits
            self._files = frozenset(map(self._path, self._listing()))
        while True:
            events = self._events(self._notify, stop)
            if events is None:
                return False
            paths = self._noted(events)
            if not paths or not all(map(self._is_left_out, paths)):
                break
        if not os.path.isdir(self._root):
            self.close()
        elif not paths or any(map(self._moves_folders, paths)):
            self._watch_folders()
        return True

    def _is_left_out(self, path: str) -> bool:
        if path in self._left_out:
            return True
        status = _status(path) if self._outputs else None
        return status is not None and (status.st_dev, status.st_ino) in self._outputs

    def _wait_for_root(self, stop: threading.Event) -> bool:
        while not os.path.isdir(self._root):
            if stop.wait(_LOOK_AGAIN_SECONDS):
                return False
        self._watch_folders()
        return True

    def _noted(self, events: set[tuple[int, str]]) -> set[str]:
        """Return the paths of events, and note in which folders names have changed by them."""
        self._is_unsure |= not events
        for kind, path in events:
            folder = os.path.dirname(path)
            status = _status(path)
            is_file = status is not None and not stat.S_ISDIR(status.st_mode)
            is_passing = status is None and path not in self._folders
            was_file = path in (self._files or ())
            if (is_file and was_file) or (is_passing and not was_file):
                self._touched.add(folder)
            elif kind != _MODIFIED:
                self._renamed.add(folder)
        return {path for _, path in events}

    def _path(self, path: str) -> str:
        return os.path.join(os.fsdecode(self._root), path)

    def _events(self, notify: RustNotify, stop: threading.Event) -> set[tuple[int, str]] | None:
        """Return what has happened to paths, nothing where it cannot be told; None at ``stop``."""
        try:
            found = notify.watch(_DEBOUNCE_MS, _STEP_MS, 0, stop)
        except RuntimeError:  # a name that is not UTF-8, which no event can be about
            return set()
        if found == "signal":
            raise KeyboardInterrupt
        return None if isinstance(found, str) else found

    def _moves_folders(self, path: str) -> bool:
        """Return True if other folders may have to be watched after a change of a path."""
        is_rules = os.path.basename(path) in _RULES  # what they say decides where the walk goes
        return is_rules or path in self._folders or _is_folder(path)

    def _watch_folders(self) -> None:
        """Watch the folders that are there now; the old watch ends when the new one has begun."""
        from watchfiles._rust_notify import RustNotify  # noqa: PLC0415 - of an extra

        try:
            folders = self._walked_folders()
        except SourceNotFoundError:
            self.close()
            return
        polling = bool(os.environ.get(_POLLING))
        try:
            notify = RustNotify(folders, False, polling, _POLL_MS, False, True)  # noqa: FBT003
        except OSError as error:
            raise UsageError(
                f"{len(folders):,} folders cannot be watched: {error.strerror or error}",
                hints=[
                    "allow more: sysctl fs.inotify.max_user_watches",
                    f"or look for changes again and again: {_POLLING}=1",
                ],
            ) from error
        self.close()
        self._notify, self._folders, self._is_unsure = notify, frozenset(folders), True

    def _walked_folders(self) -> list[str]:
        """Return the folders that a walk of the tree enters, the root first."""
        with open_tree(Path(os.fsdecode(self._root))) as tree:
            walk = TreeWalk(tree, ignore=self._ignore, selection=self._selection)
            for _ in walk.entries():
                pass  # what is wanted of the walk is where it has been
        found = (os.path.join(self._root, path) for path in walk.watched if path != b".")
        folders = sorted(path for path in found if _is_watchable(path))
        return [os.fsdecode(path) for path in (self._root, *folders)]


def _is_watchable(path: bytes) -> bool:
    """Return True for a folder whose name is UTF-8, as watchfiles wants names."""
    try:
        path.decode()
    except UnicodeDecodeError:
        return False
    return _is_folder(path)


def _is_folder(path: str | bytes) -> bool:
    status = _status(path)
    return status is not None and stat.S_ISDIR(status.st_mode)


def _status(path: str | bytes) -> os.stat_result | None:
    try:
        return os.lstat(path)
    except OSError:
        return None


def check_installed() -> None:
    """Raise `MissingExtraError` unless trees can be watched."""
    try:
        import watchfiles  # noqa: F401, PLC0415 - of an extra
    except ImportError as error:
        raise MissingExtraError(
            "watching a tree needs watchfiles, which is not installed",
            hints=["pip install 'codebatch[watch]'"],
        ) from error
