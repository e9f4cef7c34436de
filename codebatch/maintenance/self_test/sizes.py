"""Sizes that are not to be believed: sparse files, bombs, sources that cost a parser too much."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

from codebatch.maintenance.self_test.links import place_of
from codebatch.maintenance.self_test.vector import DONE_OR_DAMAGED, Command, Scene, Vector
from codebatch.store.objects.compression import zstd

KIND = "sizes"


_READING = tuple(
    Command(f"{words} --store {{store}}", DONE_OR_DAMAGED)
    for words in ("status --batch {batch}", "errors --batch {batch}", "verify", "gc")
)


def _files(scene: Scene, path: str) -> list[Path]:
    return sorted(place_of(scene, "").glob(str(place_of(scene, path).relative_to(scene.store))))


def _sparse(path: str) -> Vector:
    """Return the vector of a file of 8 GiB of nothing in the store."""

    def plant(scene: Scene) -> None:
        place = _files(scene, path)[0]
        place.chmod(0o644)
        with place.open("wb") as stream:
            stream.truncate(8 * 2**30)

    return Vector(KIND, f"{path} has 8 GiB", plant, _READING)


def _bomb(scene: Scene) -> None:
    """Put a frame that unpacks to 4 GiB in the place of an object."""
    compressor = zstd.ZstdCompressor(level=1)
    portion = bytes(2**24)
    frame = b"".join([compressor.compress(portion) for _ in range(256)] + [compressor.flush()])
    digest = sha256((scene.tree / "a.py").read_bytes()).hexdigest()
    place = scene.store / "objects" / "sha256" / digest[:2] / digest[2:4] / digest
    place.unlink()
    place.with_name(f"{digest}.zst").write_bytes(frame)


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

_STORED = (
    *("store.json", "snapshots/{snapshot}/snapshot.json", "snapshots/{snapshot}/files.index.jsonl"),
    *("batches/{batch}/batch.json", "batches/{batch}/plan.json", "batches/{batch}/events.jsonl"),
    *("batches/{batch}/inputs.index.jsonl", "batches/{batch}/tasks/lint/task.json"),
    "batches/{batch}/tasks/lint/shards/*/state.json",
    "batches/{batch}/tasks/lint/shards/*/outputs.index.jsonl",
    *("objects/sha256/*/*/*", "indexes/stat/*", "indexes/memo/*/*"),
)


def _remembered(scene: Scene) -> None:
    """Put 128 MB of empty lists in the place of what is remembered, and edit the tree."""
    unpacked = b"\xdd" + (2**27 - 5).to_bytes(4, "big") + b"\x90" * (2**27 - 5)
    data = zstd.compress(unpacked)
    for place in _files(scene, "indexes/memo/*/*"):
        place.with_name(f"{sha256(data).hexdigest()}.memo").write_bytes(data)
        place.unlink()
    for path in scene.tree.rglob("*.py"):
        path.write_text("x = 1\n")


_UNPACKING = tuple(
    Command(f"{words} --store {{store}}", DONE_OR_DAMAGED)
    for words in ("inspect a.py --batch {batch}", "verify --read-data", "run --batch {batch}")
)

VECTORS: tuple[Vector, ...] = (
    *_SOURCES,
    *(_sparse(path) for path in _STORED),
    Vector(KIND, "an object unpacks to 4 GiB", _bomb, _UNPACKING),
    Vector(KIND, "a memo of empty lists", _remembered, (Command("scan {tree} --store {store}"),)),
)
