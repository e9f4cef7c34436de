"""Pipes and devices in place of files, and patterns without end: a command must not wait."""

from __future__ import annotations

import os
import shutil
import socket
from functools import partial
from pathlib import Path

from codebatch.maintenance.self_test.git_metadata import plant_repository
from codebatch.maintenance.self_test.links import place_of
from codebatch.maintenance.self_test.vector import DONE_OR_DAMAGED, Command, Scene, Vector

KIND = "blocking"

_SNAPSHOT = Command("snapshot {tree} --store {store}")
_ON_STORE = tuple(
    Command(f"{words} --store {{store}}", DONE_OR_DAMAGED)
    for words in ("summary --batch {batch}", "resume --batch {batch}", "gc", "verify --repair")
)


def _pipe(path: str, command: Command) -> Vector:
    """Return the vector of a named pipe at a path below the scene's root."""

    def plant(scene: Scene) -> None:
        os.mkfifo(_emptied(scene, path))

    return Vector(KIND, f"{path} is a pipe", plant, (command,))


def _in_store(path: str) -> Vector:
    """Return the vector of a named pipe in that place of the store."""

    def plant(scene: Scene) -> None:
        place = place_of(scene, path)
        shutil.rmtree(place, ignore_errors=True)
        place.unlink(missing_ok=True)
        place.parent.mkdir(parents=True, exist_ok=True)
        os.mkfifo(place)

    return Vector(KIND, f"{path} of the store is a pipe", plant, _ON_STORE)


def _in_repository(path: str) -> Vector:
    """Return the vector of a named pipe in the repository that the tree is."""

    def plant(scene: Scene) -> None:
        plant_repository(scene)
        os.mkfifo(_emptied(scene, path))

    return Vector(KIND, f"{path} is a pipe", plant, (_SNAPSHOT,))


def _emptied(scene: Scene, path: str) -> Path:
    place = scene.root / path
    place.parent.mkdir(parents=True, exist_ok=True)
    if place.is_dir():
        os.rename(place, scene.root / "aside")
    place.unlink(missing_ok=True)
    return place


def _socket(scene: Scene) -> None:
    # Bound from within: its path may be too long for a socket's address.
    before = os.getcwd()
    os.chdir(scene.tree)
    try:
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(".gitignore")
    finally:
        os.chdir(before)


def _named_by_user(scene: Scene) -> None:
    plant_repository(scene)
    os.mkfifo(scene.root / "pipe")
    scene.write("home/.gitconfig", f"[core]\n\texcludesFile = {scene.root / 'pipe'}\n")


def _included_by_user(scene: Scene) -> None:
    plant_repository(scene)
    os.mkfifo(scene.root / "pipe")
    scene.write("home/.gitconfig", f"[include]\n\tpath = {scene.root / 'pipe'}\n")


def _named_by_tree(text: str, scene: Scene) -> None:
    os.mkfifo(scene.tree / "pipe")
    plant_repository(scene, text)


def _sparse(path: str, scene: Scene) -> None:
    plant_repository(scene)
    with scene.write(path, "").open("wb") as stream:
        stream.truncate(8 * 2**30)


def _endless_device(scene: Scene) -> None:
    (scene.tree / ".gitignore").symlink_to("/dev/zero")


def _patterns(name: str, text: str, *, in_git: bool = False) -> Vector:
    """Return the vector of an ignore file with this text, and of files with long names."""

    def plant(scene: Scene) -> None:
        if in_git:
            plant_repository(scene)
        scene.write("tree/.gitignore", text)
        for number in range(100):
            scene.write(f"tree/names/{'a' * 200}{number}", "")

    return Vector(KIND, name, plant, (_SNAPSHOT,))


def _many(pattern: str) -> str:
    return "".join(pattern.replace("N", str(number)) for number in range(300_000))


VECTORS: tuple[Vector, ...] = (
    *(
        _pipe(path, _SNAPSHOT)
        for path in (
            *("tree/.gitignore", "tree/.codebatchignore", "tree/pkg/.gitignore"),
            *("tree/.git", "tree/pkg/.git", "tree/store.json", "tree/pkg/store.json"),
        )
    ),
    *(
        _in_repository(path)
        for path in (
            *("tree/.git/HEAD", "tree/.git/config", "tree/.git/index", "tree/.git/commondir"),
            *("tree/.git/info", "tree/.git/info/exclude", "tree/.git/objects"),
            *("home/.gitconfig", "home/.config/git/config", "home/.config/git/ignore"),
        )
    ),
    *(
        _in_store(path)
        for path in (
            *("store.json", "maintenance.lock", "maintenance.json", "leases", "indexes/totals"),
            *("snapshots/{snapshot}/snapshot.json", "snapshots/{snapshot}/files.index.jsonl"),
            *("batches/{batch}/batch.json", "batches/{batch}/plan.json", "objects/sha256"),
            *("batches/{batch}/events.jsonl", "batches/{batch}/inputs.index.jsonl"),
        )
    ),
    Vector(KIND, "an ignore file is a socket", _socket, (_SNAPSHOT,)),
    Vector(KIND, "an ignore file leads to an endless device", _endless_device, (_SNAPSHOT,)),
    Vector(KIND, "the user's excludes are a pipe", _named_by_user, (_SNAPSHOT,)),
    Vector(KIND, "the user's configuration includes a pipe", _included_by_user, (_SNAPSHOT,)),
    *(
        Vector(KIND, f"{name} names a pipe", partial(_named_by_tree, text), (_SNAPSHOT,))
        for name, text in {
            "core.excludesFile": "[core]\n\texcludesFile = pipe\n",
            "include.path": "[include]\n\tpath = ../pipe\n",
        }.items()
    ),
    *(
        Vector(KIND, f"{path} has 8 GiB", partial(_sparse, path), (_SNAPSHOT,))
        for path in ("tree/.gitignore", "tree/.git/index", "tree/.git/config", "tree/.git/HEAD")
    ),
    _patterns("a pattern of stars", "a*" * 12 + "Z\n"),
    _patterns("a pattern of many stars", "*a" * 2000 + "Z\n", in_git=True),
    _patterns("a pattern of double stars", "/**/a" * 400 + "Z\n", in_git=True),
    _patterns("300,000 names", _many("nameN\n")),
    _patterns("300,000 patterns", _many("aN*?Z\n"), in_git=True),
    _patterns("300,000 patterns that begin with a star", _many("*aN*Z\n")),
    _patterns("300,000 classes", _many("[ab]*[cd]N\n")),
)
