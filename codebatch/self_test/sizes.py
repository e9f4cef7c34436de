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


def _source(name: str, unit: str, count: int) -> Vector:
    """Return the vector of a source that costs a parser or a tool far more than its size."""

    def plant(scene: Scene) -> None:
        scene.write(f"tree/{name}", unit * count)

    what = f"{name} of {count} times {unit!r}"
    return Vector(KIND, what, plant, (Command("scan {tree} --store {store}"),))


_SOURCES = (
    _source("zeros.py", "[0,0],", 2_500_000),
    _source("terms.py", "a+", 8_000_000),
    _source("lambdas.py", "lambda:", 160_000),
    _source("open.js", "[", 16_000_000),
    _source("spaces.txt", "  \n", 5_000_000),
)

VECTORS: tuple[Vector, ...] = (
    *_SOURCES,
    _sparse("store.json", Command("status --store {store} --batch {batch}", DONE_OR_DAMAGED)),
)
