"""Sizes that are not to be believed: sparse files, bombs, sources that cost a parser too much."""

from __future__ import annotations

from codebatch.self_test.vector import DONE_OR_DAMAGED, Command, Scene, Vector

KIND = "sizes"


def _sparse(path: str, *commands: Command) -> Vector:
    """Return the vector of a file of 8 GiB of nothing in the store."""

    def plant(scene: Scene) -> None:
        (place,) = scene.store.glob(path)
        place.chmod(0o644)
        with place.open("wb") as stream:
            stream.truncate(8 * 2**30)

    return Vector(KIND, f"{path} has 8 GiB", plant, commands)


VECTORS: tuple[Vector, ...] = (
    _sparse("store.json", Command("status --store {store} --batch {batch}", DONE_OR_DAMAGED)),
)
