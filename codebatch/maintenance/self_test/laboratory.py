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
from collections.abc import Iterator
from dataclasses import replace
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

from codebatch.maintenance.self_test.scene import SECRET, Command, Result, Scene, Vector, folder

MOST_SECONDS = 10
MOST_MEGABYTES = 500

_RUNNING = frozenset(("scan", "run", "resume"))
_LEFT = "a process was left behind"
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


class Trial(NamedTuple):
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
        self._folder = tempfile.TemporaryDirectory(prefix="codebatch-self-test-", dir=folder)
        self._count = 0

    def __enter__(self) -> Laboratory:
        return self

    def __exit__(self, *_: object) -> None:
        self._folder.cleanup()

    def run(self, vector: Vector) -> Trial:
        """Plant the vector in a new scene, run its commands, and judge."""
        self._count += 1
        scene = replace(self._template, root=self._template.root.with_name(f"scene-{self._count}"))
        shutil.copytree(self._template.root, scene.root, symlinks=True)
        try:
            before = _listing(scene.root / "outside")
            scene.plant(vector.files)
            with vector.meanwhile(scene):
                results = tuple(self._run(scene, command) for command in vector.commands)
            problems = [*_left_behind(scene, before), *vector.check(results)]
            for command, result in zip(vector.commands, results, strict=True):
                problems += (f"{result.command}: {said}" for said in _wrong_with(result, command))
            return Trial(vector, tuple(problems), results)
        finally:
            shutil.rmtree(scene.root)

    @cached_property
    def _template(self) -> Scene:
        scene = Scene(Path(self._folder.name, "template"))
        outside = ("canary.py", "folder/canary.txt", ".gitignore")
        scene.plant({f"tree/{name}": content for name, content in _TREE.items()})
        scene.plant({f"outside/{name}": f"# {SECRET}: {name}\n" for name in outside})
        scene.plant(dict.fromkeys(("home", "markers"), folder))
        result = self._run(scene, Command("scan {tree} --store {store} --json"))
        if result.code != 0:
            raise RuntimeError(f"no scene can be made: {result.errors or result.output}")
        report = json.loads(result.output)
        return Scene(scene.root, report["snapshot_id"], report["batch_id"])

    def _run(self, scene: Scene, command: Command) -> Result:
        """Run one command in the scene's tree."""
        words = [scene.filled(word) for word in command.words.split()]
        if words[0] in _RUNNING:
            words += ["--scheduler", self._scheduler]
        start = command.start or _start()
        environment = {name: os.environ[name] for name in _KEPT if name in os.environ}
        environment["HOME"] = str(scene.root / "home")
        environment |= {name: scene.filled(v) for name, v in command.environment.items()}
        crowding = _crowding()
        done = subprocess.run(
            [
                *(sys.executable, "-I", "-S", "-c", _MEASURE),
                *(str(3 * MOST_SECONDS * crowding), str(scene.root / "tree")),
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
            errors += f"\n{_LEFT}"
        return Result(" ".join(words), code, seconds / crowding, megabytes, output, errors)


def _crowding() -> float:
    """Return how many processes want each processor, at least 1: a command then takes that much
    longer, which is not its fault.
    """
    return max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))


def _start() -> list[str]:
    """Return arguments of Python that run this codebatch without the current folder."""
    paths = [path for path in sys.path if os.path.isabs(path)]
    return ["-I", "-c", f"import sys; sys.path[:] = {paths}; import codebatch.cli as c; c.main()"]


def _listing(folder: Path) -> dict[str, str]:
    """Return everything below a folder: its type, and the digest of what it holds."""
    found = {}
    for path in sorted(folder.rglob("*")):
        status = path.lstat()
        kind = stat.filemode(status.st_mode)
        content = sha256(path.read_bytes()).hexdigest() if stat.S_ISREG(status.st_mode) else ""
        found[str(path.relative_to(folder))] = f"{kind} {content}"
    return found


def _left_behind(scene: Scene, before: dict[str, str]) -> Iterator[str]:
    for marker in sorted((scene.root / "markers").iterdir()):
        yield f"planted code ran: {marker.name}"
    after = _listing(scene.root / "outside")
    for path in sorted(before.keys() | after.keys()):
        if before.get(path) != after.get(path):
            yield f"changed outside: {path}"
    for path, facts in before.items():
        digest = facts.partition(" ")[2]
        # Where links were planted in the store there is no object to be found.
        stored = scene.root / "store/objects/sha256" / digest[:2] / digest[2:4] / digest
        if digest and any(os.path.lexists(f"{stored}{end}") for end in ("", ".zst")):
            yield f"read outside: {path}"


def _wrong_with(result: Result, command: Command) -> Iterator[str]:
    if SECRET in result.output or SECRET in result.errors:
        yield "printed what is outside"
    if result.code not in command.codes:
        yield f"exit code {result.code}: {(result.errors or result.output)[-500:]}"
    if "Traceback" in result.errors:
        yield f"a traceback: {result.errors[-500:]}"
    if _LEFT in result.errors:
        yield _LEFT
    if result.seconds > MOST_SECONDS:
        yield f"took {result.seconds:.1f} s"
    if result.megabytes > MOST_MEGABYTES:
        yield f"took {result.megabytes:.0f} MB"
