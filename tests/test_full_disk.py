"""A disk that is full, read-only or broken, from any write on: said in one line, nothing damaged.

Which call fails is chosen by `faults`; a small file system in memory stands for the real thing.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import random
import resource
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from conftest import REPOSITORY, Note, Outcome, write_tree
from faults import REFUSED, VARIABLE, Done, Fault, Server
from sampling import ALL
from test_crash import SEED, Scene, Theatre, answer_of, check_store, files_of

import codebatch
from codebatch.model.errors import StoreWriteError
from codebatch.store.inventory import ASIDE_PREFIX


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = Server(tmp_path_factory.mktemp("server"))
    yield server
    server.close()


@pytest.fixture(scope="module")
def theatre(tmp_path_factory: pytest.TempPathFactory, server: Server) -> Theatre:
    return Theatre(tmp_path_factory.mktemp("disk"), server)


def check_refusal(done: Done, scene: Scene, step: str) -> bool:
    """Either the command has done its work, or it says in one line that it could not write."""
    assert "Traceback" not in done.stderr, done
    assert "escaped" not in done.stderr, done
    if done.code == 0:
        assert answer_of(done) == scene.answer, step
        return False
    assert done.code == 4, (step, done)
    error = done.json["error"]
    assert error["code"] == "STORE_WRITE_FAILED", (step, done)
    assert "\n" not in error["message"]
    assert error["hints"]
    return True


def refuse_at_steps(
    name: str, action: str, every: int, theatre: Theatre, note: Note, scheduler: str = "sync"
) -> None:
    scene = theatre.scene(name)
    every = min(every, 1 + scene.steps // 4)
    options: tuple[object, ...] = ("--store", theatre.base / "full")
    if scene.command[0] == "scan":
        options += ("--scheduler", scheduler)
    refused = tried = 0
    first = 1 + random.Random(f"{SEED}{name}{action}").randrange(every)
    for at in range(first, scene.steps + 1, every):
        store = theatre.copy(scene, "full")
        done = theatre.server.run(*scene.command, *options, at=at, action=action, root=store)
        step = f"{name}: {action} from step {at} on, {done.steps[at - 1 : at]}"
        tried += 1
        refused += check_refusal(done, scene, step)
        if (store / "store.json").exists():
            check_store(store)
        kept = files_of(store)
        assert {file: kept.get(file) for file in scene.before} == scene.before, step
        left = {one.name[: len(ASIDE_PREFIX)] for one in store.rglob(".tmp-*")} - {ASIDE_PREFIX}
        assert not left or action in ("EROFS", "EACCES", "EIO"), step
        done = theatre.server.run(*scene.command, *options, root=store)
        assert done.code == 0, (step, done)
        assert answer_of(done) == scene.answer, step
        check_store(store)
    note(f"{name}, {scheduler}: {action} from {tried} of {scene.steps} steps on, {refused} refused")


SCENES = (
    "scan from nothing",
    "scan of an edited tree",
    "scan of an unchanged tree",
    "import of a memo",
    "first query in SQL",
    "gc",
    "upgrade",
    "gc of packs",
)


@pytest.mark.slow
@pytest.mark.parametrize("name", SCENES)
def test_disk_that_gets_full(name: str, theatre: Theatre, note: Note) -> None:
    refuse_at_steps(name, "ENOSPC", 67, theatre, note)


@pytest.mark.slow
@pytest.mark.sample(2)
@pytest.mark.parametrize("action", sorted(REFUSED))
def test_disk_that_refuses(action: str, theatre: Theatre, note: Note) -> None:
    refuse_at_steps("scan of an edited tree", action, 151, theatre, note, "threads")


@pytest.mark.slow
@pytest.mark.sample(10)
@pytest.mark.parametrize("action", sorted(set(REFUSED) - {"ENOSPC"}))
@pytest.mark.parametrize("name", [*SCENES, "status of many shards"])
def test_disk_that_refuses_from_many_steps_on(
    name: str, action: str, theatre: Theatre, note: Note
) -> None:
    refuse_at_steps(name, action, 1 if ALL else 97, theatre, note)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["scan from nothing", "scan of an edited tree"])
def test_derived_data_that_cannot_be_written_costs_nothing(
    name: str, theatre: Theatre, note: Note
) -> None:
    """Memo, hints and stat cache save time; a run that cannot keep them is a run all the same."""
    scene = theatre.scene(name)
    tried = 0
    for action in sorted(REFUSED):
        for at in (1, 2, 9):
            store = theatre.copy(scene, "underived")
            command = (*scene.command, "--store", store, "--scheduler", "sync")
            done = theatre.server.run(*command, at=at, action=action, root=store / "indexes")
            assert done.code == 0, (action, at, done)
            assert answer_of(done) == scene.answer
            check_store(store)
            tried += 1
    note(f"{name}: done {tried} times without what is derived")


def test_disk_that_gets_full_in_a_worker_process(
    theatre: Theatre, tmp_path: Path, cli: Callable[..., Outcome]
) -> None:
    """What a worker cannot write is no failure of the shard: the run ends with the disk's error."""
    scene = theatre.scene("scan of an edited tree")
    store = theatre.copy(scene, "workers")
    command = (*scene.command, "--store", store, "--scheduler", "processes", "--workers", "2")
    log = tmp_path / "steps"
    fault = Fault(str(store / "batches"), 60, "ENOSPC", str(log))
    path = os.pathsep.join([str(REPOSITORY / "tests/faulty"), str(REPOSITORY)])
    done = cli(*command, env={VARIABLE: json.dumps(fault), "PYTHONPATH": path})
    assert b"Traceback" not in done.stderr
    assert log.read_text().count("shards") > 0, "the faults were not installed"
    # The driver writes some twenty files, each worker the states and outputs of its shards.
    assert done.code == 4, done
    error = json.loads(done.stdout)["error"]
    assert error["code"] == "STORE_WRITE_FAILED"
    check_store(store)
    again = cli("resume", "--store", store, "--json")
    assert (again.code, json.loads(again.stdout)["result"]) == (0, scene.answer[1])  # type: ignore[index]
    check_store(store)


@contextlib.contextmanager
def limited_files(size: int) -> Iterator[None]:
    """No file gets larger than that in a block: one that does is refused as by a full disk."""
    _, hard = before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def noise(number: int, size: int = 2**15) -> bytes:
    return random.Random(number).randbytes(size)


@codebatch.task
def noisy(file: codebatch.File) -> Iterator[codebatch.Artifact]:
    """Values of 1.25 MiB that cannot be compressed."""
    yield from (codebatch.Artifact(f"{number}", noise(number)) for number in range(40))


def take_noise(store: codebatch.Store) -> object:
    files = {f"{number}.txt": noise(number).hex().encode() for number in range(40)}
    return store.snapshot(write_tree(store.path.parent / "tree", {**files}))


def scan_noisily(store: codebatch.Store) -> object:
    tree = write_tree(store.path.parent / "tree", {"a.py": "a = 1\n"})
    return codebatch.scan(tree, store.path, tasks=[noisy], scheduler="sync")


def stream_noise(store: codebatch.Store) -> object:
    portions = (noise(number, 1000) for number in range(700))
    with store.directory.group(durable=True) as group:
        return store.directory.objects.put_stream(portions, group)


@pytest.mark.parametrize(
    "act", [take_noise, stream_noise, pytest.param(scan_noisily, marks=pytest.mark.slow)]
)
def test_no_room_for_what_is_held_back(
    act: Callable[[codebatch.Store], object], store: codebatch.Store
) -> None:
    """What a buffer still holds is refused again when the file is closed: that is no other error,
    nothing stays of the file, and no shard has failed.
    """
    with limited_files(2**19), pytest.raises(StoreWriteError, match="File too large"):
        act(store)
    assert list(store.path.rglob(".tmp-*")) == []
    assert list(store.path.rglob("state.json")) == []
    assert act(store)
    assert codebatch.open_store(store.path).verify(read_data=True).ok


@contextlib.contextmanager
def small_disk(folder: Path, size: str) -> Iterator[Path]:
    """A file system in memory of so many bytes; skips where it cannot be mounted."""
    folder.mkdir()
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mount(b"tmpfs", os.fsencode(folder), b"tmpfs", 0, f"size={size}".encode()) != 0:
        pytest.skip(f"cannot mount a tmpfs: {os.strerror(ctypes.get_errno())}")
    try:
        yield folder
    finally:
        assert libc.umount2(os.fsencode(folder), 2) == 0


def remount(folder: Path, options: str, flags: int = 0) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    code = libc.mount(b"tmpfs", os.fsencode(folder), b"tmpfs", 32 | flags, options.encode())
    assert code == 0, os.strerror(ctypes.get_errno())


@pytest.mark.parametrize(
    "scheduler",
    ["sync", *(pytest.param(s, marks=pytest.mark.slow) for s in ("threads", "processes"))],
)
def test_real_disk_that_is_full(
    scheduler: str, tmp_path: Path, cli: Callable[..., Outcome]
) -> None:
    """Full, then read-only, then large enough: nothing is lost, and the result is the same."""
    functions = "".join(f"def f{n}(a, b):\n    return a if b else {n}\n" for n in range(40))
    files = {f"m{n}.py": f"X = {n}\n{functions}" for n in range(12)}
    tree = write_tree(tmp_path / "tree", {**files})
    elsewhere = cli("scan", tree, "--store", tmp_path / "store", "--json")
    result = json.loads(elsewhere.stdout)["result"]
    with small_disk(tmp_path / "disk", "1m") as disk:
        store = disk / "store"
        command = ("scan", tree, "--store", store, "--scheduler", scheduler, "--json")
        sizes = [f"{size}k" for size in range(150, 1250, 350)]
        codes = []
        for size in sizes:
            remount(disk, f"size={size}")
            done = cli(*command)
            assert b"Traceback" not in done.stderr
            codes.append(done.code)
            if done.code == 4:
                assert json.loads(done.stdout)["error"]["code"] == "STORE_WRITE_FAILED"
            if (store / "store.json").exists():
                check_store(store)
        assert codes[0] == 4, codes
        remount(disk, "size=64m", flags=1)  # read-only
        done = cli(*command)
        assert (done.code, b"Traceback" in done.stderr) in {(4, False)} | {(0, False)}
        remount(disk, "size=64m")
        done = cli(*command)
        assert (done.code, json.loads(done.stdout)["result"]) == (0, result), done
        check_store(store)
