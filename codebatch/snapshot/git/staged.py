"""What is staged in the index, as trees: those that git would write for a commit of it."""

from __future__ import annotations

import hashlib
import os
from collections import defaultdict

from codebatch.model.errors import NothingStagedError
from codebatch.snapshot.descriptors import Folder
from codebatch.snapshot.git.history import History
from codebatch.snapshot.git.index import CONFLICT, INTENDED, read_entries
from codebatch.snapshot.git.trees import FOLDER, Entry, in_order

_IN_HOOKS = b"GIT_INDEX_FILE"
_NAMED = 3
# What the paths of all folders may have together, each with what else is held of a folder.
_MOST_FOLDER_BYTES = 2**26
_FOLDER_BYTES = 100


def staged_trees(history: History) -> tuple[bytes, dict[bytes, list[Entry]]]:
    """Return the hash of the top tree, and all trees by hash. `NothingStagedError` where there is
    no index to read, or where it has conflicts.
    """
    size = history.repository.hash_size
    if history.top is None:
        raise NothingStagedError("a bare repository has no index: nothing can be staged in it")
    try:
        with history.repository.own.open() as own:
            name = _index_name(own)
            entries = read_entries(
                lambda path, most: own.read(name if path == b"index" else path, most), size
            )
    except (OSError, ValueError) as error:
        said = (isinstance(error, OSError) and error.strerror) or error
        raise NothingStagedError(f"the index of git cannot be read: {said}") from None
    conflicts = sorted({entry.path for entry in entries if entry.flags & CONFLICT})
    if conflicts:
        named = ", ".join(path.decode("utf-8", "replace") for path in conflicts[:_NAMED])
        more = f" and {len(conflicts) - _NAMED} more" if len(conflicts) > _NAMED else ""
        raise NothingStagedError(
            f"not merged yet: {named}{more}", hints=["resolve the conflict, then git add"]
        )
    folders: defaultdict[bytes, list[Entry]] = defaultdict(list)
    for entry in entries:
        if not entry.flags & INTENDED:
            folder, _, name = entry.path.rstrip(b"/").rpartition(b"/")
            folders[folder].append(Entry(name, entry.mode, entry.name))
    return _written(folders, size)


def _index_name(own: Folder) -> bytes:
    """Return the name of the index in the git folder: in a hook, git may have another one for what
    it is about to commit.
    """
    folder, name = os.path.split(os.path.realpath(os.environb.get(_IN_HOOKS, b"")))
    return name if _IN_HOOKS in os.environb and folder == os.path.realpath(own.path) else b"index"


def _written(
    folders: defaultdict[bytes, list[Entry]], hash_size: int
) -> tuple[bytes, dict[bytes, list[Entry]]]:
    """Return the top tree, and all, made from the files of each folder, the deepest first."""
    trees: dict[bytes, list[Entry]] = {}
    pending, left = list(folders), _MOST_FOLDER_BYTES
    while pending:
        above = pending.pop().rpartition(b"/")[0]
        if above not in folders:
            left -= len(above) + _FOLDER_BYTES
            if left < 0:
                raise NothingStagedError("the index of git has too many folders in folders")
            folders[above] = []
            pending.append(above)
    for folder in sorted(folders, key=lambda path: (path.count(b"/"), path), reverse=True):
        if folder:
            tree = _tree(folders[folder], hash_size, trees)
            above, _, name = folder.rpartition(b"/")
            folders[above].append(Entry(name, FOLDER, tree))
    return _tree(folders[b""], hash_size, trees), trees


def _tree(entries: list[Entry], hash_size: int, trees: dict[bytes, list[Entry]]) -> bytes:
    entries.sort(key=in_order)
    data = b"".join(b"%o %s\0%s" % (mode, name, found) for name, mode, found in entries)
    algorithm = "sha1" if hash_size == 20 else "sha256"
    head = b"tree %d\0" % len(data)
    name = hashlib.new(algorithm, head + data, usedforsecurity=False).digest()
    trees[name] = entries
    return name
