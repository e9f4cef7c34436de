"""Code of the tree that would run where Python or a program is started beside it."""

from __future__ import annotations

from codebatch.self_test.vector import Command, Scene, Vector

KIND = "programs"

_SCAN = Command("scan {tree} --store {store}")


def _module(name: str) -> Vector:
    def plant(scene: Scene) -> None:
        scene.write(f"tree/{name}.py", scene.python_marker(name))

    return Vector(KIND, f"a module {name} in the tree", plant, (_SCAN,))


VECTORS: tuple[Vector, ...] = (_module("json"),)
