"""A vector and the scene it plants something in."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

SECRET = "a secret of the folder outside"  # noqa: S105 - what must not be read
DONE = frozenset((0,))
DONE_OR_DAMAGED = frozenset((0, 1, 3, 4))


@dataclass(frozen=True)
class Scene:
    """Folders of one vector, below ``root``.

    ``tree`` is a small source tree, ``store`` a store that holds a finished batch of it,
    ``outside`` belongs to neither and holds `SECRET` in each of its files, ``home`` is the home
    folder of the commands. A planted program leaves a file in ``markers``.
    """

    root: Path
    snapshot_id: str
    batch_id: str

    @property
    def tree(self) -> Path:
        """The source tree; the commands start in it."""
        return self.root / "tree"

    @property
    def store(self) -> Path:
        """The store."""
        return self.root / "store"

    @property
    def outside(self) -> Path:
        """The folder that no command may read, change or remove."""
        return self.root / "outside"

    @property
    def home(self) -> Path:
        """The home folder of the commands, empty at first."""
        return self.root / "home"

    @property
    def markers(self) -> Path:
        """The folder in which planted programs leave a file."""
        return self.root / "markers"

    def python_marker(self, name: str) -> str:
        """Return Python code that leaves the marker."""
        return f"open({str(self.markers / name)!r}, 'w').close()\n"

    def shell_marker(self, name: str) -> str:
        """Return a command for ``sh`` that leaves the marker."""
        return f": > '{self.markers / name}'"

    def write(self, path: str, content: str | bytes, *, mode: int = 0o644) -> Path:
        """Write a file at a path relative to ``root``, making its folders."""
        target = self.root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content.encode() if isinstance(content, str) else content)
        target.chmod(mode)
        return target


class Command(NamedTuple):
    """A command line of codebatch and the exit codes it may end with.

    In ``words`` and the values of ``environment``, ``{tree}``, ``{store}``, ``{outside}``,
    ``{root}``, ``{snapshot}`` and ``{batch}`` stand for those of the scene. ``start`` are
    arguments of Python that run codebatch; by default, Python and codebatch as they are here.
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


Plant = Callable[[Scene], None]
Check = Callable[[Scene, Sequence[Result]], Iterable[str]]
Meanwhile = Callable[[Scene], AbstractContextManager[object]]


def _nothing_more(_: Scene, __: Sequence[Result]) -> Iterable[str]:
    return ()


def _nothing_meanwhile(_: Scene) -> AbstractContextManager[object]:
    return nullcontext()


@dataclass(frozen=True)
class Vector:
    """One hostile thing.

    ``plant`` puts it into a scene, ``commands`` meet it in their order, ``meanwhile`` is entered
    while they run, and ``check`` yields what is wrong besides what is looked for after every
    vector (`maintenance.self_test.laboratory`).
    """

    kind: str
    name: str
    plant: Plant
    commands: tuple[Command, ...]
    check: Check = field(default=_nothing_more)
    meanwhile: Meanwhile = field(default=_nothing_meanwhile)

    def __str__(self) -> str:
        return f"{self.kind}: {self.name}"
