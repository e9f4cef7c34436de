"""Repositories of git made from releases of packages, with the same hashes wherever they are made.

The files of each release are those of its wheel. `one_by_one` commits each whole, with a tag;
`file_by_file` commits what changed between two in portions, until there are so many commits;
`two_branches` splits what changed last over two branches, and merges them.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cache, partial
from itertools import pairwise
from pathlib import Path

from corpora import fetch
from repositories import git

CLICK = tuple(
    "8.0.0 8.0.1 8.0.2 8.0.3 8.0.4 8.1.0 8.1.1 8.1.2 8.1.3 8.1.4 8.1.5 8.1.6 8.1.7 8.1.8 "
    "8.2.0 8.2.1 8.3.0 8.3.1 8.3.2 8.3.3".split()
)
SQLALCHEMY = tuple(f"2.0.{number}" for number in range(20))
DJANGO = tuple(f"5.2.{number}" if number else "5.2" for number in range(20))
SYMPY = tuple(
    "1.5 1.5.1 1.6 1.6.1 1.6.2 1.7 1.7.1 1.8 1.9 1.10 1.10.1 1.11 1.11.1 1.12 1.12.1 "
    "1.13.0 1.13.1 1.13.2 1.13.3 1.14.0".split()
)
FIRST_DAY, DAY = 1_600_000_000, 86_400

Files = Mapping[str, bytes]


@dataclass(frozen=True)
class Release:
    """The files of a version, by path."""

    version: str
    files: Files


@dataclass
class Repository:
    """A repository whose work tree is at the last commit of branch ``main``.

    ``commits`` are the hashes of all commits in the order they were made, ``tags`` those of the
    releases, which are named after their versions.
    """

    folder: Path
    commits: list[str] = field(default_factory=list)
    tags: dict[str, str] = field(default_factory=dict)


def click_releases(*versions: str) -> list[Release]:
    """Return releases of click, of 8.0 to 8.3 all twenty unless some are named."""
    return list(releases("click", versions or CLICK))


@cache
def releases(package: str, versions: tuple[str, ...]) -> tuple[Release, ...]:
    """Return the named releases of a package, in that order; downloaded once in a process."""
    same: dict[bytes, bytes] = {}  # most files are in many releases
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(4) as pool:
        wheels = list(pool.map(partial(_wheel, Path(folder), package), versions))
        return tuple(
            Release(version, _read(wheel, same))
            for version, wheel in zip(versions, wheels, strict=True)
        )


def one_by_one(folder: Path, found: Sequence[Release]) -> Repository:
    """Make a repository with a commit and a tag for each release."""
    history = _History()
    for release in found:
        history.commit(f"Release {release.version}", _difference(history.files, release.files))
        history.tag(release.version)
    return history.write(folder)


def file_by_file(folder: Path, found: Sequence[Release], commits: int) -> Repository:
    """Make a repository with so many commits: the first release is one, and the files that change
    to each of the others are committed in portions; the last of these has the tag.
    """
    history = _History()
    steps = [sorted(_difference(old.files, new.files).items()) for old, new in pairwise(found)]
    history.commit(f"Release {found[0].version}", dict(found[0].files))
    history.tag(found[0].version)
    for release, changes, count in zip(
        found[1:], steps, _portions([len(step) for step in steps], commits - 1), strict=True
    ):
        for number in range(count):
            part = changes[len(changes) * number // count : len(changes) * (number + 1) // count]
            subject = f"Change {part[0][0]} towards {release.version}"
            history.commit(subject, dict(part))
        history.tag(release.version)
    return history.write(folder)


def two_branches(folder: Path, found: Sequence[Release]) -> Repository:
    """Make a repository in which the last release is a merge: every other file that changed towards
    it was committed on branch ``main``, the others on branch ``side``.
    """
    history = _History()
    for release in found[:-1]:
        history.commit(f"Release {release.version}", _difference(history.files, release.files))
        history.tag(release.version)
    last = found[-1]
    fork, base = history.files, len(history.parents)
    changes = sorted(_difference(fork, last.files).items())
    history.commit("Change one half", dict(changes[::2]))
    history.commit("Change the other half", dict(changes[1::2]), branch="side", parent=base)
    history.commit("Merge branch 'side'", dict(changes[1::2]), parent=base + 1, merged=base + 2)
    history.tag(last.version)
    return history.write(folder)


class _History:
    """Commits as a stream for ``git fast-import``, which numbers them from 1.

    ``files`` are those of branch ``main``, ``parents`` the number of the parent of each commit.
    """

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.parents: list[int] = []
        self._stream: list[bytes] = []
        self._tags: dict[str, int] = {}
        self._at = 0

    def commit(
        self,
        subject: str,
        changes: Mapping[str, bytes | None],
        *,
        branch: str = "main",
        parent: int | None = None,
        merged: int | None = None,
    ) -> None:
        """Commit changes, None for a file that goes, on top of a parent: the last on ``main``."""
        parent = self._at if parent is None else parent
        number = len(self.parents) + 1
        who = b"A. Author <author@example.org> %d +0000" % (FIRST_DAY + DAY * number)
        head = [b"commit refs/heads/%s" % branch.encode(), b"mark :%d" % number]
        head += [b"author " + who, b"committer " + who, _data(subject.encode())]
        head += [b"from :%d" % parent] if parent else []
        head += [b"merge :%d" % merged] if merged else []
        for path, content in changes.items():
            name = b'"%s"' % path.encode().replace(b"\\", b"\\\\").replace(b'"', b'\\"')
            if content is None:
                head.append(b"D " + name)
            else:
                head.append(b"M 100644 inline " + name + b"\n" + _data(content))
        self._stream += [*head, b""]
        self.parents.append(parent)
        if branch == "main":
            self._at = number
            gone = {path for path, content in changes.items() if content is None}
            kept = {path: data for path, data in self.files.items() if path not in gone}
            self.files = kept | {p: c for p, c in changes.items() if c is not None}

    def tag(self, name: str) -> None:
        """Tag the last commit on ``main``."""
        self._tags[name] = self._at
        self._stream += [b"reset refs/tags/" + name.encode(), b"from :%d" % self._at, b""]

    def write(self, folder: Path) -> Repository:
        """Make the repository, and check ``main`` out."""
        folder.mkdir(parents=True)
        git(folder, "init", "-q", "-b", "main")
        marks = folder / ".git/marks"
        words = ["git", "-C", str(folder), "fast-import", "--quiet", f"--export-marks={marks}"]
        subprocess.run(words, input=b"\n".join(self._stream), check=True, capture_output=True)
        found = dict(line.split() for line in marks.read_text().splitlines())
        marks.unlink()
        git(folder, "reset", "-q", "--hard", "main")
        commits = [found[f":{number}"] for number in range(1, len(self.parents) + 1)]
        tags = {name: found[f":{number}"] for name, number in self._tags.items()}
        return Repository(folder, commits, tags)


def _data(content: bytes) -> bytes:
    return b"data %d\n%s" % (len(content), content)


def _difference(old: Files, new: Files) -> dict[str, bytes | None]:
    """Return the changes from one to the other by path, None for a file that goes."""
    changes: dict[str, bytes | None] = {path: None for path in old if path not in new}
    changes.update((path, data) for path, data in new.items() if old.get(path) != data)
    return dict(sorted(changes.items()))


def _portions(sizes: Sequence[int], count: int) -> list[int]:
    """Return in how many portions to take each of several lists, to have so many in all: none that
    is empty, and the others by their sizes.
    """
    least = [min(size, 1) for size in sizes]
    more = [size - one for size, one in zip(sizes, least, strict=True)]
    extra, total, before = count - sum(least), sum(more), 0
    assert 0 <= extra <= total, f"{sum(least)} to {sum(sizes)} commits can be made"
    portions = []
    for one, weight in zip(least, more, strict=True):
        upto = before + weight
        share = extra * upto // total - extra * before // total if total else 0
        portions.append(one + share)
        before = upto
    return portions


def _wheel(folder: Path, package: str, version: str) -> Path:
    target = folder / version
    target.mkdir()
    command = [sys.executable, "-m", "pip", "download", "--quiet", f"{package}=={version}"]
    # The wheel for all machines, whatever this one is.
    command += ["--no-deps", "--only-binary", ":all:", "--platform", "any"]
    command += ["--python-version", "3.13"]
    fetch([*command, "--dest", str(target)], target)
    return next(target.glob("*.whl"))


def _read(wheel: Path, same: dict[bytes, bytes]) -> Files:
    """Return the files that a wheel installs into its packages."""
    with zipfile.ZipFile(wheel) as archive:
        names = [name for name in archive.namelist() if ".dist-info/" not in name]
        read: Callable[[str], bytes] = archive.read
        found = {name: read(name) for name in names if not name.endswith("/")}
        return {name: same.setdefault(data, data) for name, data in sorted(found.items())}
