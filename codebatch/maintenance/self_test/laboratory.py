"""Run vectors in scenes of their own, and judge what came of them.

Whatever the vector, it is a problem if a marker was left, if anything outside is not as it was,
if its content is in the store or was printed, if a command ended with an exit code that is not
among its own, printed a traceback, left a process behind, or took more than `MOST_SECONDS` or
`MOST_MEGABYTES`.
"""

from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

from codebatch.maintenance.self_test.vector import SECRET, Command, Result, Scene, Vector

MOST_SECONDS = 10
MOST_MEGABYTES = 500

_RUNNING = frozenset(("scan", "run", "resume"))
_KEPT = ("PATH", "LANG", "LC_ALL", "TMPDIR", "SYSTEMROOT", "LD_LIBRARY_PATH")
_TREE = {
    "a.py": "import os\n\n\ndef first(items):\n    return items[0]\n",
    "pkg/__init__.py": "from pkg.b import second\n",
    "pkg/b.py": "def second(items):\n    unused = 1\n    return items[1]\n",
    "web/c.ts": "import { x } from './x';\nexport const y = (n: number) => n + 1;\n",
    "notes.txt": "plain\n",
}
# A small process of its own: the memory of the process that forks it is counted as its child's.
_MEASURE = """
import json, os, signal, subprocess, sys, time
seconds, folder, *command = sys.argv[1:]
began = time.monotonic()
process = subprocess.Popen(command, cwd=folder, stdin=subprocess.DEVNULL, start_new_session=True)
signal.signal(signal.SIGALRM, lambda *_: os.killpg(process.pid, signal.SIGKILL))
signal.setitimer(signal.ITIMER_REAL, float(seconds))
_, status, usage = os.wait4(process.pid, 0)
seconds = time.monotonic() - began
signal.setitimer(signal.ITIMER_REAL, 0)
for left in range(20):
    try:
        os.killpg(process.pid, 0)
    except ProcessLookupError:
        break
    time.sleep(0.05)
else:
    os.killpg(process.pid, signal.SIGKILL)
sys.stdout.write("\\n" + json.dumps(
    [os.waitstatus_to_exitcode(status), seconds, usage.ru_maxrss / 1024, left == 19]))
"""


class Verdict(NamedTuple):
    """What came of a vector; it was held off if there are no ``problems``."""

    vector: Vector
    problems: tuple[str, ...]
    results: tuple[Result, ...]

    @property
    def ok(self) -> bool:
        """True if nothing is wrong."""
        return not self.problems


class Laboratory:
    """A temporary folder in which vectors are run, to be used in a ``with`` block.

    ``scheduler`` is given to every command that runs a batch. State: ``_template`` is a scene
    without a vector, made once and copied for each.
    """

    def __init__(self, scheduler: str, *, folder: str | None = None) -> None:
        self._scheduler = scheduler
        self._parent = folder
        self._folder: str | None = None
        self._template: Scene | None = None
        self._count = 0

    def __enter__(self) -> Laboratory:
        self._folder = tempfile.mkdtemp(prefix="codebatch-self-test-", dir=self._parent)
        return self

    def __exit__(self, *_: object) -> None:
        if self._folder is not None:
            shutil.rmtree(self._folder)

    def run(self, vector: Vector) -> Verdict:
        """Plant the vector in a new scene, run its commands, and judge."""
        scene = self._scene()
        try:
            before = _listing(scene.outside)
            vector.plant(scene)
            with vector.meanwhile(scene):
                results = [self._run(scene, command) for command in vector.commands]
            problems = [
                *_left_behind(scene, before),
                *_shown(results),
                *_badly_ended(vector.commands, results),
                *vector.check(scene, results),
            ]
            return Verdict(vector, tuple(problems), tuple(results))
        finally:
            shutil.rmtree(scene.root)

    def _scene(self) -> Scene:
        if self._template is None:
            self._template = self._new_template()
        self._count += 1
        root = self._root / f"scene-{self._count}"
        shutil.copytree(self._template.root, root, symlinks=True)
        return Scene(root, self._template.snapshot_id, self._template.batch_id)

    @property
    def _root(self) -> Path:
        if self._folder is None:
            raise ValueError("a laboratory is used in a with block")
        return Path(self._folder)

    def _new_template(self) -> Scene:
        scene = Scene(self._root / "template", "", "")
        for name, content in _TREE.items():
            scene.write(f"tree/{name}", content)
        for name in ("canary.py", "folder/canary.txt", ".gitignore"):
            scene.write(f"outside/{name}", f"# {SECRET}: {name}\n")
        scene.home.mkdir()
        scene.markers.mkdir()
        result = self._run(scene, Command("scan {tree} --store {store} --json"))
        if result.code != 0:
            raise RuntimeError(f"no scene can be made: {result.errors or result.output}")
        report = json.loads(result.output)
        return Scene(scene.root, report["snapshot_id"], report["batch_id"])

    def _run(self, scene: Scene, command: Command) -> Result:
        """Run one command in the scene's tree."""
        words = [_filled(word, scene) for word in command.words.split()]
        if words[0] in _RUNNING and "--scheduler" not in words:
            words += ["--scheduler", self._scheduler]
        start = [_filled(word, scene) for word in command.start or _start()]
        environment = {name: os.environ[name] for name in _KEPT if name in os.environ}
        environment["HOME"] = str(scene.home)
        environment |= {name: _filled(v, scene) for name, v in command.environment.items()}
        crowding = _crowding()
        done = subprocess.run(
            [
                *(sys.executable, "-I", "-S", "-c", _MEASURE),
                *(str(3 * MOST_SECONDS * crowding), str(scene.tree)),
                *(sys.executable, *start, *words),
            ],
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=True,
        )
        output, _, measured = done.stdout.decode(errors="replace").rpartition("\n")
        code, seconds, megabytes, left = json.loads(measured)
        errors = done.stderr.decode(errors="replace")
        if left:
            errors += "\na process was left behind"
        return Result(" ".join(words), code, seconds / crowding, megabytes, output, errors)


def _crowding() -> float:
    """Return how many processes want each processor, at least 1: a command then takes that much
    longer, which is not its fault.
    """
    return max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))


def _start() -> list[str]:
    """Arguments of Python that run the codebatch that is running, without the current folder."""
    paths = [path for path in sys.path if os.path.isabs(path)]
    return ["-I", "-c", f"import sys; sys.path[:] = {paths}; import codebatch.cli as c; c.main()"]


def _filled(text: str, scene: Scene) -> str:
    values = {
        "{tree}": scene.tree,
        "{store}": scene.store,
        "{outside}": scene.outside,
        "{root}": scene.root,
        "{snapshot}": scene.snapshot_id,
        "{batch}": scene.batch_id,
    }
    for name, value in values.items():
        text = text.replace(name, str(value))
    return text


def _listing(folder: Path) -> dict[str, str]:
    """Everything below a folder: its type, and the digest of what it holds."""
    found = {}
    for path in sorted(folder.rglob("*")):
        status = path.lstat()
        kind = stat.filemode(status.st_mode)
        content = sha256(path.read_bytes()).hexdigest() if stat.S_ISREG(status.st_mode) else ""
        found[str(path.relative_to(folder))] = f"{kind} {content}"
    return found


def _left_behind(scene: Scene, before: dict[str, str]) -> Iterator[str]:
    for marker in sorted(scene.markers.iterdir()):
        yield f"planted code ran: {marker.name}"
    after = _listing(scene.outside)
    for path in sorted(before.keys() | after.keys()):
        if before.get(path) != after.get(path):
            yield f"changed outside: {path}"
    for path, facts in before.items():
        digest = facts.partition(" ")[2]
        if digest and _is_stored(scene.store, digest):
            yield f"read outside: {path}"


def _is_stored(store: Path, digest: str) -> bool:
    """Look for an object in the store; where links were planted there is none to be found."""
    name = store / "objects" / "sha256" / digest[:2] / digest[2:4] / digest
    return any(os.path.lexists(path) for path in (name, f"{name}.zst"))


def _shown(results: Sequence[Result]) -> Iterator[str]:
    for result in results:
        if SECRET in result.output or SECRET in result.errors:
            yield f"{result.command}: printed what is outside"


def _badly_ended(commands: Sequence[Command], results: Sequence[Result]) -> Iterator[str]:
    for command, result in zip(commands, results, strict=True):
        if result.code not in command.codes:
            said = (result.errors or result.output)[-500:]
            yield f"{result.command}: exit code {result.code}: {said}"
        if "Traceback" in result.errors:
            yield f"{result.command}: a traceback: {result.errors[-500:]}"
        if "a process was left behind" in result.errors:
            yield f"{result.command}: a process was left behind"
        if result.seconds > MOST_SECONDS:
            yield f"{result.command}: took {result.seconds:.1f} s"
        if result.megabytes > MOST_MEGABYTES:
            yield f"{result.command}: took {result.megabytes:.0f} MB"
