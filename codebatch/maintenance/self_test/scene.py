"""A vector, and the scene that it is planted in."""

from __future__ import annotations

import os
import shutil
import socket
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

SECRET = "a secret of the folder outside"  # noqa: S105 - what must not be read
DONE = frozenset((0,))
REFUSED = frozenset((2,))
DONE_OR_DAMAGED = frozenset((0, 1, 3, 4))


@dataclass(frozen=True)
class Scene:
    """Folders of one vector, below ``root``.

    ``tree`` is a small source tree, ``store`` a store that holds a finished batch of it,
    ``outside`` belongs to neither and holds `SECRET` in each of its files, ``home`` is the home
    folder of the commands. A planted program leaves a file in ``markers``.
    """

    root: Path
    snapshot_id: str = ""
    batch_id: str = ""

    def filled(self, text: str) -> str:
        """Return a text with folders and ids of the scene for ``{tree}``, ``{store}``,
        ``{outside}``, ``{root}``, ``{snapshot}`` and ``{batch}``.
        """
        values = {name: str(self.root / name) for name in ("tree", "store", "outside")}
        values |= {"root": str(self.root), "snapshot": self.snapshot_id, "batch": self.batch_id}
        for name, value in values.items():
            text = text.replace(f"{{{name}}}", value)
        return text

    def plant(self, files: Mapping[str, Content]) -> None:
        """Put each content in the place of what is at its path, relative to ``root`` (of a path
        with stars, the first match).
        """
        for path, content in files.items():
            name = self.filled(path)
            place = sorted(self.root.glob(name))[0] if "*" in name else self.root / name
            if place.is_dir() and not place.is_symlink():
                shutil.rmtree(place)
            place.unlink(missing_ok=True)
            place.parent.mkdir(parents=True, exist_ok=True)
            if callable(content):
                content(self, place)
                continue
            place.write_bytes(
                self.filled(content).encode() if isinstance(content, str) else content
            )
            place.chmod(0o755)  # any of it may be a program


# A text that is filled, bytes, or what makes something at a place.
Content = str | bytes | Callable[[Scene, Path], None]


class Command(NamedTuple):
    """A command line of codebatch and the exit codes it may end with.

    ``words`` and the values of ``environment`` are filled. ``start`` are arguments of Python that
    run codebatch; by default, Python and codebatch as they are here.
    """

    words: str
    codes: frozenset[int] = DONE
    environment: Mapping[str, str] = {}
    start: Sequence[str] | None = None


class Result(NamedTuple):
    """The end of a command: ``seconds`` as of a machine with nothing else to do, ``megabytes`` the
    peak memory of the largest of its processes.
    """

    command: str
    code: int
    seconds: float
    megabytes: float
    output: str
    errors: str


def nothing_more(_: Sequence[Result]) -> Iterable[str]:
    """Return no further problems."""
    return ()


class Vector(NamedTuple):
    """One hostile thing.

    ``files`` are planted in a scene, ``commands`` meet them in their order, ``meanwhile`` is
    entered while they run, and ``check`` returns what is wrong besides what is looked for after
    every vector (`maintenance.self_test.laboratory`).
    """

    kind: str
    name: str
    files: Mapping[str, Content]
    commands: tuple[Command, ...]
    check: Callable[[Sequence[Result]], Iterable[str]] = nothing_more
    meanwhile: Callable[[Scene], AbstractContextManager[object]] = nullcontext

    def __str__(self) -> str:
        return f"{self.kind}: {self.name}"


def commands(*words: str, codes: frozenset[int] = DONE_OR_DAMAGED) -> tuple[Command, ...]:
    """Return command lines that work on the store of the scene."""
    return tuple(Command(f"{one} --store {{store}}", codes) for one in words)


def pipe(_: Scene, place: Path) -> None:
    """Make a named pipe."""
    os.mkfifo(place)


def sparse(_: Scene, place: Path) -> None:
    """Make a file of 8 GiB of nothing."""
    with place.open("wb") as stream:
        stream.truncate(8 * 2**30)


def folder(_: Scene, place: Path) -> None:
    """Make an empty folder."""
    place.mkdir()


def link(target: str) -> Content:
    """Return what makes a link to a path, which is relative to the root of the scene."""
    return lambda scene, place: place.symlink_to(scene.root / target)


def socket_at(_: Scene, place: Path) -> None:
    """Make a socket."""
    # Bound from within: its path may be too long for a socket's address.
    before = os.getcwd()
    os.chdir(place.parent)
    try:
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(place.name)
    finally:
        os.chdir(before)


def repeated(unit: str, count: int) -> Content:
    """Return what writes a text again and again, with the number of the time for each ``N``."""

    def write(_: Scene, place: Path) -> None:
        numbered = (unit.replace("N", str(number)) for number in range(count))
        place.write_text("".join(numbered) if "N" in unit else unit * count)

    return write
