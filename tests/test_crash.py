"""A process that dies at any instant, or a machine that loses its power, costs no result.

A sample of the write steps of a command, or with ``SAMPLE=all`` every one of them, are places
to die (`faults`): the store is then read by the verifier that knows `SPEC.md` alone, what was there
before is compared byte for byte, and the command is given again and must come to what an
undisturbed one comes to.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import click
import jsonschema
import pytest
from conftest import Note, cli_command, cli_environment, write_tree
from faults import Done, Server, Step
from sampling import ALL
from test_golden import unpack
from verifier import verify_store

import codebatch

FILES = {
    "cart.py": "import os\n\n\ndef add(a, b=[]):\n    return a if b else os\n" * 3,
    "twin.py": "import os\n\n\ndef add(a, b=[]):\n    return a if b else os\n" * 3,
    "web/app.ts": "export const f = (a: number) => a ? 1 : 2;\n",
    "notes.txt": "again \n",
}
EDITS = {"cart.py": "import sys\n" + FILES["cart.py"], "new.js": "let x = 1;\n"}
# A seed of one's own: CRASH_SEED=1 pytest …
SEED = int(os.environ.get("CRASH_SEED", "20261122"))


def check_store(store: Path, harmless: tuple[str, ...] = ()) -> None:
    """Nothing in the store is wrong: the one place to add what else can find damage."""
    verify_store(store)
    found = codebatch.open_store(store).verify(read_data=True)
    assert [problem for problem in found.problems if problem.code not in harmless] == []


class Scene(NamedTuple):
    """A store, a command to disturb, and what it comes to undisturbed.

    ``before`` holds the files that may not be lost; ``answer`` is what is compared.
    """

    store: Path
    command: tuple[object, ...]
    before: dict[str, bytes]
    answer: object
    steps: int


Answer = Callable[[Done], object]


def files_of(store: Path) -> dict[str, bytes]:
    """What is committed: all but derived files, events, askings and temporary ones."""
    return {
        name: path.read_bytes()
        for path in sorted(store.rglob("*"))
        if path.is_file()
        for name in [path.relative_to(store).as_posix()]
        if not name.startswith("indexes/")
        and not path.name.startswith(".tmp-")
        and path.name not in ("events.jsonl", "asked.json")
    }


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = Server(tmp_path_factory.mktemp("server"))
    yield server
    server.close()


class Theatre:
    """Makes scenes. ``base`` has a store with one finished batch and the tree edited since."""

    def __init__(self, base: Path, server: Server) -> None:
        self.base = base
        self.server = server
        self._scenes: dict[str, Scene] = {}
        self.tree = write_tree(base / "tree", {**FILES})
        self._done("scan", self.tree, "--store", base / "first")
        write_tree(self.tree, {**EDITS})
        shutil.copytree(base / "first", base / "second")
        self._done("scan", self.tree, "--store", base / "second")
        self._done("memo", "export", base / "memo.tar", "--store", base / "second")

    def _done(self, *command: object) -> Done:
        done = self.server.run(*command, *_options(command), root="/nonexistent")
        assert done.code == 0, done
        return done

    def _scan_many(self) -> None:
        """A store with states enough for totals to be kept."""
        files = {f"{number}.txt": f"{number} \n" for number in range(80)}
        tree = write_tree(self.base / "many-files", {**files})
        self._done("scan", tree, "--store", self.base / "many", "--shards", "4096")
        time.sleep(0.2)  # totals of files as young as the clock's tick are not kept

    def _pack_and_forget(self) -> None:
        """A store with packs that are written anew and that stay, and with objects in files of
        their own that become one.
        """
        self._done("init", self.base / "packed")
        tree = self.base / "changing"
        kept = {f"{number}.txt": f"{number} \n" for number in range(12)}
        for start, number in ((100, 40), (200, 40), (300, 20), (400, 20)):
            files = {f"{one}.txt": f"{one} \n" for one in range(start, start + number)}
            shutil.rmtree(tree, ignore_errors=True)
            write_tree(tree, {**kept, **files})
            self._done("snapshot", tree, "--store", self.base / "packed")
            if start == 100:
                self._done("snapshot", "rm", "latest", "--store", self.base / "packed")
                self._done("gc", "--store", self.base / "packed")  # all that is young stays

    def copy(self, scene: Scene, name: str) -> Path:
        """The scene's store once more, to be harmed."""
        return _copy(scene.store, self.base / name)

    def scene(self, name: str) -> Scene:
        if name not in self._scenes:
            self._scenes[name] = self._make(name)
        return self._scenes[name]

    def _make(self, name: str) -> Scene:
        store, command = {
            "scan from nothing": (None, ("scan", self.tree)),
            "scan of an edited tree": ("first", ("scan", self.tree)),
            "scan of an unchanged tree": ("second", ("scan", self.tree)),
            "import of a memo": ("first", ("memo", "import", self.base / "memo.tar")),
            "first query in SQL": ("second", ("sql", "SELECT path, code FROM diagnostics")),
            "status of many shards": ("many", ("status",)),
            "gc": ("second", ("gc", "--max-memo-days", "0")),
            "upgrade": ("golden", ("store", "upgrade")),
            "scan of many files": (None, ("scan", self.base / "many-files")),
            "gc of packs": ("packed", ("gc", "--grace", "0s")),
        }[name]
        if store == "many" or name == "scan of many files":
            self._scan_many()
        elif store == "golden":
            unpack(self.base / "old").rename(self.base / store)
        elif store == "packed":
            self._pack_and_forget()
        place = self.base / name.replace(" ", "-")
        if store is not None:
            shutil.copytree(self.base / store, place)
        before = files_of(place)
        if name == "upgrade":  # which replaces these; that nothing is lost, `check_store` says
            before = {n: b for n, b in before.items() if not n.endswith(REPLACED)}
        copy = _copy(place, self.base / "undisturbed")
        command = (*command, "--json")
        done = self.server.run(*command, *_options(command), "--store", copy, root=copy)
        assert done.code == 0, done
        if store == "packed":
            before = {name: data for name, data in before.items() if "objects/" not in name}
            assert done.json["removed"]["packs"] > 0
            assert len(list(copy.glob("objects/packs/*.pack"))) > 0
        if files_of(copy).keys() - before.keys():
            seen = {step.kind for step in done.steps}
            assert seen >= {"create", "write", "replace"}, "files appear that no step has made"
        return Scene(place, command, before, answer_of(done), len(done.steps))


def _options(command: tuple[object, ...]) -> tuple[str, ...]:
    return ("--scheduler", "sync") if command[0] in ("scan", "run", "resume") else ()


def _copy(store: Path, target: Path) -> Path:
    shutil.rmtree(target, ignore_errors=True)
    if store.exists():
        shutil.copytree(store, target, copy_function=os.link)
        # What is changed in place, and not replaced, must not be shared.
        for path in target.glob("batches/*/events.jsonl"):
            data = path.read_bytes()
            path.unlink()
            path.write_bytes(data)
    return target


def answer_of(done: Done) -> object:
    """What has to be the same however often it was interrupted."""
    document = done.json
    if isinstance(document, dict) and "result" in document:
        return document["status"], document["result"]
    return None if isinstance(document, dict) else document


@pytest.fixture(scope="module")
def theatre(tmp_path_factory: pytest.TempPathFactory, server: Server) -> Theatre:
    return Theatre(tmp_path_factory.mktemp("crash"), server)


REPLACED = ("store.json", "outputs.index.jsonl")
SCENES = (
    "scan from nothing",
    "scan of an edited tree",
    "scan of an unchanged tree",
    "import of a memo",
    "first query in SQL",
    "gc",
    "upgrade",
    "scan of many files",
    "gc of packs",
)


def let_leases_age(store: Path) -> None:
    """A lease that cannot be read is held for a minute: let that have passed."""
    then = time.time() - 120
    for path in (store / "leases").rglob("*"):
        os.utime(path, (then, then))


def collect(store: Path, server: Server) -> None:
    """Collect garbage without a grace: nothing of the dead is left, nothing else is lost."""
    time.sleep(0.02)  # what is as young as the clock's tick is not old
    let_leases_age(store)
    done = server.run("gc", "--grace", "0s", "--store", store, root=store)
    assert done.code == 0, done
    assert list(store.rglob(".tmp-*")) == []
    check_store(store)


def check_after_death(scene: Scene, store: Path, server: Server, *, gc_first: bool) -> None:
    """Nothing is damaged or lost, and the command does its work when it is given again."""
    if gc_first and (store / "store.json").exists():
        collect(store, server)
    half_written = [path for path in (store / "leases").rglob("*") if path.stat().st_size == 0]
    if half_written:  # readable ones are known for dead at once
        let_leases_age(store)
    if (store / "store.json").exists():
        check_store(store)
    kept = files_of(store)
    lost = [name for name in scene.before if kept.get(name) != scene.before[name]]
    assert lost == [], "what was committed has gone or is another"
    for _ in range(2):
        done = server.run(*scene.command, *_options(scene.command), "--store", store, root=store)
        assert done.code == 0, done
        assert answer_of(done) == scene.answer
    check_store(store)
    collect(store, server)


def die_at_steps(name: str, action: str, every: int, theatre: Theatre, note: Note) -> None:
    scene = theatre.scene(name)
    every = min(every, 1 + scene.steps // 4)
    died = 0
    for at in range(1 + random.Random(f"{SEED}{name}{action}").randrange(every), 10_000, every):
        store = theatre.copy(scene, "dying")
        options = ("--store", store, *_options(scene.command))
        done = theatre.server.run(*scene.command, *options, at=at, action=action, root=store)
        if done.code == 0:
            break
        assert done.code == -signal.SIGKILL, done
        died += 1
        try:
            check_after_death(scene, store, theatre.server, gc_first=died % 2 == 0)
        except BaseException:
            note(f"{name}: died at step {at}, {done.steps[-1]}")
            raise
    assert died * every >= scene.steps - every
    note(f"{name}: {action} after {died} of {scene.steps} steps, seed {SEED}")


@pytest.mark.slow
@pytest.mark.sample(14)
@pytest.mark.parametrize("action", ["kill", "tear"])
@pytest.mark.parametrize("name", [*SCENES, "status of many shards"])
def test_death_after_many_steps(name: str, action: str, theatre: Theatre, note: Note) -> None:
    die_at_steps(name, action, 1 if ALL else 41, theatre, note)


# -- writing to a file that is no part of a store -------------------------------------------------


@pytest.mark.parametrize("name", ["export", "memo export"])
def test_death_while_a_file_is_written(name: str, theatre: Theatre, note: Note) -> None:
    """The file is the old one or the new one, whole."""
    folder = theatre.base / "out"
    target = folder / "file"
    store = ("--store", theatre.base / "second")
    command = {
        "export": ("export", "--format", "jsonl", "--output", target, *store),
        "memo export": ("memo", "export", target, *store),
    }[name]
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    done = theatre.server.run(*command, root=folder)
    assert done.code == 0, done
    new = target.read_bytes()
    for at in range(1, len(done.steps) + 1):
        target.write_bytes(b"old")
        killed = theatre.server.run(*command, at=at, action="tear", root=folder)
        assert killed.code == -signal.SIGKILL, killed
        assert target.read_bytes() in (b"old", new), done.steps[at - 1]
    note(f"{name} to a file: killed after each of {len(done.steps)} steps")


# -- power cuts -----------------------------------------------------------------------------------


def unsafe_files(steps: list[Step]) -> dict[str, bool]:
    """What a power cut after these steps may harm: whether data may be lost, or the name alone.

    A sync makes all data durable that was written before, and all names.
    """
    last = max((n for n, step in enumerate(steps) if step.kind == "sync"), default=-1)
    written = {step.path: n for n, step in enumerate(steps) if step.kind in ("create", "write")}
    found = {}
    for n, step in enumerate(steps):
        if n > last and step.kind in ("replace", "link"):
            found[step.path] = written.get(step.source, -1) > last
    for path, n in written.items():
        if n > last and "events.jsonl" in path:
            found[path] = True
    return found


def cut_power(store: Path, steps: list[Step], chance: random.Random) -> int:
    """Do to each file that is not durable one of the things that may happen to it."""
    harmed = 0
    for name, data_too in unsafe_files(steps).items():
        path = Path(name)
        fate = chance.choice(["kept", "gone", "empty", "half", "zeros"])
        if fate == "kept" or not path.is_file():
            continue
        if fate == "gone" or not data_too:
            path.unlink()
        else:
            data = path.read_bytes()
            half = data[: len(data) // 2]
            path.unlink()
            path.write_bytes({"empty": b"", "half": half, "zeros": bytes(len(data))}[fate])
        harmed += 1
    return harmed


def cut_power_at_random(name: str, times: int, theatre: Theatre, note: Note) -> None:
    scene = theatre.scene(name)
    chance = random.Random(f"{SEED}{name}")
    harmed = 0
    for _ in range(times):
        store = theatre.copy(scene, "cut")
        options = ("--store", store, *_options(scene.command))
        at = chance.randrange(1, scene.steps + 1)
        done = theatre.server.run(*scene.command, *options, at=at, action="tear", root=store)
        assert done.code == -signal.SIGKILL, done
        number = cut_power(store, done.steps, chance)
        harmed += number
        let_leases_age(store)  # as it takes for a machine to start again
        done = theatre.server.run(*scene.command, *options, root=store)
        try:
            assert done.code == 0, done
            assert answer_of(done) == scene.answer
            # What is derived is not made durable: where it is damaged, nobody believes it.
            check_store(store, harmless=("MEMO_DAMAGED", "INDEX_DAMAGED", "ASKED_DAMAGED"))
        except BaseException:
            note(f"{name}: power cut at step {at}, {number} files harmed, seed {SEED}")
            raise
    note(f"{name}: {times} power cuts harmed {harmed} files, seed {SEED}")


POWER_SCENES = ("scan from nothing", "scan of an edited tree", "import of a memo")


@pytest.mark.slow
@pytest.mark.parametrize("name", POWER_SCENES)
def test_many_power_cuts(name: str, theatre: Theatre, note: Note) -> None:
    cut_power_at_random(name, 200 if ALL else 20, theatre, note)


# -- a real package, worker processes, any moment ------------------------------------------------


class Package(NamedTuple):
    """An installed package to scan; ``seconds`` is how long that takes undisturbed."""

    folder: Path
    result: str
    seconds: float
    store: Path


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Package:
    """The package, and a store with the finished scan of a part of it."""
    base = tmp_path_factory.mktemp("package")
    unwanted = shutil.ignore_patterns("__pycache__")
    installed = Path(str(jsonschema.__file__)).parent, Path(str(click.__file__)).parent
    for folder in installed:
        shutil.copytree(folder, base / "code" / folder.name, ignore=unwanted)
    part = base / "code" / installed[1].name
    _scan(part, base / "part")
    began = time.monotonic()
    result = _scan(base / "code", base / "whole")["result"]
    return Package(base / "code", result, time.monotonic() - began, base / "part")


def _scan_command(tree: Path, store: Path) -> list[str]:
    arguments = ("scan", tree, "--store", store, "--scheduler", "processes", "--shards", "256")
    return cli_command(*arguments, "--workers", "2", "--json")


def _scan(tree: Path, store: Path) -> Any:
    done = subprocess.run(
        _scan_command(tree, store), env=cli_environment(), capture_output=True, check=False
    )
    assert done.returncode == 0, done
    return json.loads(done.stdout)


def kill_at_random(times: int, package: Package, base: Path, note: Note) -> None:
    chance = random.Random(f"{SEED}processes")
    shutil.copytree(package.store, base / "before")
    before = files_of(base / "before")
    died = finished = 0
    for number in range(times):
        store = base / f"store-{number}"
        shutil.copytree(package.store, store)
        process = subprocess.Popen(
            _scan_command(package.folder, store),
            env=cli_environment(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        moment = chance.uniform(0, package.seconds)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(moment)
        died, finished = died + (process.poll() is None), finished + (process.poll() == 0)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(240)
        try:
            check_store(store)
            done = files_of(store)
            assert {name: done.get(name) for name in before} == before
            assert _scan(package.folder, store)["result"] == package.result
            check_store(store)
            after = files_of(store)
            redone = [n for n in done if n.endswith("/state.json") and after.get(n) != done[n]]
            assert redone == [], "finished shards were computed again"
        except BaseException:
            note(f"processes: killed after {moment:.3f} s, number {number}, seed {SEED}")
            raise
        shutil.rmtree(store)
    note(f"processes: {died} runs killed, {finished} had finished, seed {SEED}")


@pytest.mark.slow
def test_death_of_all_processes_at_any_moment(package: Package, tmp_path: Path, note: Note) -> None:
    kill_at_random(200 if ALL else 12, package, tmp_path, note)
