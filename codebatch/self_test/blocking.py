"""Pipes and devices in place of files, and patterns without end: a command must not wait."""

from __future__ import annotations

import os

from codebatch.self_test.vector import Command, Scene, Vector

KIND = "blocking"


def _pipe(path: str, command: Command) -> Vector:
    """Return the vector of a named pipe at a path below the scene's root."""

    def plant(scene: Scene) -> None:
        place = scene.root / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.unlink(missing_ok=True)
        os.mkfifo(place)

    return Vector(KIND, f"{path} is a pipe", plant, (command,))


VECTORS: tuple[Vector, ...] = (
    _pipe("tree/.gitignore", Command("snapshot {tree} --store {store}")),
)
