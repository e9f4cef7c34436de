"""The files to try tasks on: those that are named, and those that a snapshot of a folder takes."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from codebatch.model.errors import SourceNotFoundError
from codebatch.model.records import SYMLINK_MODE
from codebatch.snapshot import DEFAULT_MAX_FILE_BYTES
from codebatch.snapshot.selection import check_directory
from codebatch.snapshot.tree import open_tree, read_entry
from codebatch.snapshot.walk import TreeWalk
from codebatch.testing.run import TriedFile

_LINK = "symlink"


def iter_files(paths: Iterable[str], language: str | None = None) -> Iterator[TriedFile]:
    """Yield each file that is named, by its name, and those of folders, by their paths in these."""
    for path in paths:
        if os.path.isdir(path):
            yield from _files_of(Path(path), language)
        else:
            yield read_file(path, language)


def read_file(path: str | os.PathLike[str], language: str | None = None) -> TriedFile:
    """Return a file by its name; `SourceNotFoundError` where it cannot be read."""
    name = os.path.normpath(path)
    try:
        return TriedFile.of(name.lstrip(f"{os.sep}."), Path(name).read_bytes(), language)
    except OSError as error:
        raise _unreadable(name, error) from error


def _files_of(root: Path, language: str | None) -> Iterator[TriedFile]:
    check_directory(root)
    with open_tree(root) as tree:
        walk = TreeWalk(tree, max_bytes=DEFAULT_MAX_FILE_BYTES)
        for entry in sorted(walk.entries(), key=lambda entry: entry.path):
            path = os.fsdecode(entry.path)
            try:
                found = read_entry(tree.folders, entry, bytes, b"".join)
            except OSError as error:
                raise _unreadable(str(root / path), error) from error
            if found is not None:
                spoken = _LINK if entry.mode == SYMLINK_MODE else language
                yield TriedFile.of(path, found[0], spoken)


def _unreadable(path: str, error: OSError) -> SourceNotFoundError:
    return SourceNotFoundError(f"cannot read {path}: {error.strerror or error}")
