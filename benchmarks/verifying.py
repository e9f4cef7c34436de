"""Rows about ``verify --read-data``, against ``sha256sum``, which only hashes.

Much of a store is compressed, and ``verify`` unpacks all of it, checks every line and follows what
it refers to. So there are two rows: over the bytes that ``verify`` looks at, in one file, and over
the files of the store as they lie there.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

from benchmarks.commands import codebatch, interleaved, require, run, settle
from benchmarks.corpus import files_below, stored_size
from benchmarks.settings import Settings
from benchmarks.table import Result, Row, ratio_result

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

UNPACKED = Row("verify", "`verify --read-data` / `sha256sum` of the same bytes, unpacked", 3)
STORED = Row("verify-stored", "`verify --read-data` / `sha256sum` of the files of the store", 3)
ROWS = (UNPACKED, STORED)

_HASH_ALL = 'find "$1" -type f -print0 | xargs -0 sha256sum'
_FRAME = bytes.fromhex("28b52ffd")
_MEGABYTE = 1e6


def measure(settings: Settings, store: Path) -> Iterator[Result]:
    """The wanted rows of `ROWS`, of a store in which nothing is wrong."""
    if not settings.wants(*(row.name for row in ROWS)):
        return
    unpacked = store.parent / "unpacked"
    size = _unpack(store, unpacked)
    files, stored, _ = stored_size(store)

    def ours(_: int) -> float:
        done = run(codebatch("verify", "--read-data", "--store", store, "--json"))
        require(done.document()["ok"], "something is wrong with the store")
        return done.seconds

    sides = (
        ours,
        lambda _: run(["sha256sum", str(unpacked)]).seconds,
        lambda _: run(["sh", "-c", _HASH_ALL, "sh", str(store)]).seconds,
    )
    list(interleaved(sides, 1))
    settle()
    turns = list(interleaved(sides, settings.repeat))
    for number, row, words in (
        (1, UNPACKED, f"{size / _MEGABYTE:,.0f} MB"),
        (2, STORED, f"{files:,} files, {stored / _MEGABYTE:,.0f} MB"),
    ):
        if settings.wants(row.name):
            yield ratio_result(row, [(turn[0], turn[number]) for turn in turns], words)


def _unpack(store: Path, target: Path) -> int:
    """Write what is in all files of a store into one; how many bytes that are."""
    with target.open("wb") as stream:
        for path in files_below(store):
            with path.open("rb") as stored:
                is_packed = stored.read(len(_FRAME)) == _FRAME
            # Frame by frame: a pack has thousands, of which nothing is read twice so.
            with zstd.open(path) if is_packed else path.open("rb") as content:
                shutil.copyfileobj(content, stream)
        return stream.tell()
