"""A source tree, opened: its folders, and what git's files in it say."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from codebatch.model.errors import SourceNotFoundError
from codebatch.snapshot.descriptors import Folder, Folders
from codebatch.snapshot.git import GitReader


class OpenTree(NamedTuple):
    """Ways to read a tree."""

    folders: Folders
    git: GitReader


@contextmanager
def open_tree(root: Path) -> Iterator[OpenTree]:
    """Open a folder, which may be named by a link, as the root of a tree for a block."""
    try:
        folder = Folder.at(os.path.realpath(os.fsencode(root)))
    except OSError as error:
        raise SourceNotFoundError(f"cannot list {root}: {error.strerror}") from error
    with folder, Folders(folder) as folders, GitReader(folder) as git:
        yield OpenTree(folders, git)
