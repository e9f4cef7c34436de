"""Links inside a store that lead out of it."""

from __future__ import annotations

import shutil

from codebatch.self_test.vector import DONE_OR_DAMAGED, Command, Scene, Vector

KIND = "links"

_REMOVING = tuple(
    Command(words, DONE_OR_DAMAGED)
    for words in ("gc --store {store} --grace 0", "verify --repair --store {store}")
)


def _linked(path: str) -> Vector:
    """Return the vector of a folder of the store that is a link to the folder outside."""

    def plant(scene: Scene) -> None:
        place = scene.store / path
        shutil.rmtree(place, ignore_errors=True)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.symlink_to(scene.outside)

    return Vector(KIND, f"{path} is a link", plant, _REMOVING)


VECTORS: tuple[Vector, ...] = (_linked("indexes/stat"),)
