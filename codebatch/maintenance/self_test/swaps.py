"""Folders that become links while they are walked."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator

from codebatch.maintenance.self_test.vector import Command, Scene, Vector

KIND = "swaps"


def _plant(scene: Scene) -> None:
    for number in range(50):
        scene.write(f"tree/swapped/canary{number}.py", "x = 1\n")
    scene.write("tree/swapped/canary.py", "x = 1\n")
    (scene.root / "link").symlink_to(scene.outside)


@contextlib.contextmanager
def _swapping(scene: Scene) -> Iterator[None]:
    """Exchange the folder for a link to the one outside, again and again."""
    stop = threading.Event()
    folder, link, aside = scene.tree / "swapped", scene.root / "link", scene.root / "aside"

    def swap() -> None:
        while not stop.is_set():
            os.rename(folder, aside)
            os.rename(link, folder)
            os.rename(folder, link)
            os.rename(aside, folder)

    thread = threading.Thread(target=swap)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


_SNAPSHOTS = (Command("snapshot {tree} --store {store} --no-cache"),) * 5

VECTORS: tuple[Vector, ...] = (
    Vector(KIND, "a folder is swapped for a link", _plant, _SNAPSHOTS, meanwhile=_swapping),
)
