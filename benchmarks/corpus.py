"""Trees to measure on: copies of real ones, edits of them, and corpora of any size.

Everything is a function of the source tree alone, so that two runs measure the same.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks.commands import require

SMALL_BYTES = 4096
_COMMENTS = {".py": "# {}", ".js": "// {}", ".html": "<!-- {} -->", ".po": "# {}", ".txt": "{}"}
_PER_FOLDER = 500
_COMPILED = (".a", ".o", ".pyc", ".so")
_UNWANTED = ("__pycache__", "site-packages", "dist-packages", ".git", ".codebatch")


def copy_tree(source: Path, target: Path) -> Path:
    """The regular files of a tree, without what compilers, git and installers put beside them.

    Compiled libraries differ from machine to machine, and can outweigh the sources.
    """

    def unwanted(folder: str, names: list[str]) -> list[str]:
        return [
            name
            for name in names
            if name in _UNWANTED
            or name.endswith(_COMPILED)
            or os.path.islink(os.path.join(folder, name))
        ]

    shutil.copytree(source, target, ignore=unwanted)
    require(files_below(target), f"no files below {source}")
    return target


def make_corpus(source: Path, target: Path, count: int, max_bytes: int | None = None) -> Path:
    """``count`` files: the `commentable` files of ``source`` in turn, each ending in its number.

    So no two are equal. The order is a fixed shuffle, so that a small corpus has the mix of a
    large one.
    """
    chosen = commentable(source, max_bytes)
    require(chosen, f"no files to build a corpus from below {source}")
    chosen.sort(key=lambda p: hashlib.sha256(p.relative_to(source).as_posix().encode()).digest())
    contents = [(path, path.read_bytes()) for path in chosen]
    for index in range(count):
        path, content = contents[index % len(contents)]
        folder = target / f"{index // _PER_FOLDER:04d}"
        if index % _PER_FOLDER == 0:
            folder.mkdir(parents=True)
        comment = _COMMENTS[path.suffix].format(index)
        name = f"{path.stem}_{index}{path.suffix}"
        (folder / name).write_bytes(content + f"\n{comment}\n".encode())
    return target


def commentable(source: Path, max_bytes: int | None = None) -> list[Path]:
    """The files, of up to that size, in formats in which a comment can be appended."""
    return [
        path
        for path in files_below(source)
        if path.suffix in _COMMENTS and (max_bytes is None or path.stat().st_size <= max_bytes)
    ]


def files_below(folder: Path) -> list[Path]:
    """All files, ordered by path; reading them once here or later keeps the disk out of it."""
    return sorted(Path(below, name) for below, _, names in os.walk(folder) for name in names)


def read_all(folder: Path) -> int:
    """Read every file once, so that the page cache holds them; how many bytes they are."""
    return sum(len(path.read_bytes()) for path in files_below(folder))


def python_files(folder: Path) -> list[Path]:
    """The Python files from the middle of the order by size, outwards."""
    found = [path for path in files_below(folder) if path.suffix == ".py"]
    require(found, f"no Python files below {folder}")
    found.sort(key=lambda path: path.stat().st_size)
    middle = len(found) // 2
    return [found[i] for i in sorted(range(len(found)), key=lambda i: abs(i - middle))]


@contextlib.contextmanager
def edited(files: Sequence[Path], mark: str) -> Iterator[None]:
    """The files with a statement appended that holds ``mark``, as long as the block lasts."""
    before = [(path, path.read_bytes()) for path in files]
    for number, (path, content) in enumerate(before):
        path.write_bytes(content + f"\n{mark} = {number}\n".encode())
    try:
        yield
    finally:
        for path, content in before:
            path.write_bytes(content)


def stored_size(folder: Path) -> tuple[int, int, int]:
    """Files below a folder, the sum of their sizes, and the bytes of disk they occupy."""
    facts = {(s.st_dev, s.st_ino): s for s in (p.stat() for p in files_below(folder))}.values()
    return len(facts), sum(s.st_size for s in facts), sum(s.st_blocks * 512 for s in facts)


def remove(folder: Path) -> None:
    """Put a folder out of the way, if it is there. It goes with the whole scratch folder: a file
    system that has just freed thousands of files makes the next thousands much more slowly.
    """
    if folder.exists():
        folder.rename(Path(tempfile.mkdtemp(prefix="removed-", dir=folder.parent.parent), "it"))
