"""Snapshots of files that nobody wrote: as many as are asked for, and no bytes of any.

Planning a batch reads a manifest and no file whose name tells its language, so a manifest is all
that a planner of a million files needs. Paths, sizes, languages and copies are about as common as
in real repositories; everything is a function of the file's number, so that two runs measure the
same. The snapshot is written by the store's own code, and is what a real one would be but for its
objects. The pipeline is ``full`` with a limit of one byte: every task answers every file with a
``skip`` record and reads none, so that a run of it costs what a run costs beside the analysis.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

from codebatch.model.digest import DIGEST_PREFIX, Document, canonical_json
from codebatch.model.records import FILE_MODE, FileRecord, path_key
from codebatch.plan.pipeline import load_pipeline, pipeline_document
from codebatch.snapshot.writer import writing_snapshot
from codebatch.store import init_store

# Of 256 files, how many have which extension.
_SHARES = "py 90 ts 45 js 38 tsx 20 json 18 md 12 html 10 css 8 yaml 6 png 5 txt 4".split()
_EXTENSIONS = [
    extension
    for extension, share in zip(_SHARES[::2], _SHARES[1::2], strict=True)
    for _ in range(int(share))
]
_WORDS = (
    "api billing cache client common config core data events export forms handlers index internal "
    "jobs layout models network orders parsers queries reports schemas search services session "
    "storage tables templates users utils"
).split()
_PER_FOLDER = 12
_COPIES = 50  # of so many files, one is a copy of another
_EDITED = 100  # of so many files, one differs in the next edition


def make_snapshot(root: Path, count: int, edition: int = 0) -> str:
    """Write a snapshot of so many files into the store at ``root``, made if need be; its id.

    In an edition other than 0, one of a hundred files has another content than in edition 0.
    """
    store = init_store(root).store
    files = sorted(make_files(count, edition), key=lambda file: path_key(file.path))
    manifest = b"".join(canonical_json(file._asdict()) + b"\n" for file in files)
    with writing_snapshot(store, b"/synthetic") as writer:
        return writer.save(manifest, count, sum(file.size for file in files), ()).snapshot_id


def make_files(count: int, edition: int = 0) -> Iterator[FileRecord]:
    """The lines of a manifest, in no order."""
    for number in range(count):
        content = number - 1 if number % _COPIES == 1 else number
        edited = edition if number % _EDITED == 0 else 0
        digest = _digest(f"content {edited}", content)
        size = 64 + int.from_bytes(digest[4:6], "big") // (1 + digest[6] % 16)
        path = f"{_stem(number)}.{_EXTENSIONS[_digest('extension', content)[0]]}"
        yield FileRecord(path, DIGEST_PREFIX + digest.hex(), size, FILE_MODE)


def make_tree(root: Path, count: int) -> Path:
    """A real tree of files of those paths and of a few bytes, no two of them equal."""
    folders: set[Path] = set()
    for number, file in enumerate(make_files(count)):
        path = root / file.path
        if path.parent not in folders:
            path.parent.mkdir(parents=True, exist_ok=True)
            folders.add(path.parent)
        path.write_bytes(b"x = %d\n" % number)
    return root


def pipeline_without_work() -> Document:
    """The document of ``full``, with limits that let no task look into a file."""
    document = pipeline_document(load_pipeline("full"))
    tasks = document["tasks"]
    assert isinstance(tasks, list)
    limited = [{**task, "config": {**task["config"], "max_bytes": 1}} for task in tasks]
    return {**document, "name": "without-work", "tasks": limited}


def _stem(number: int) -> str:
    """The path without an extension. Some dozen files share a folder, whose depth is 3 to 6."""
    look = _digest("name", number)
    folder = _digest("folder", number // _PER_FOLDER)
    names = [_WORDS[byte % len(_WORDS)] for byte in folder[1 : 3 + folder[0] % 4]]
    name = f"{_WORDS[look[1] % len(_WORDS)]}_{_WORDS[look[2] % len(_WORDS)]}_{number}"
    return f"src/{'/'.join(names)}/{name}"


def _digest(what: str, number: int) -> bytes:
    return hashlib.sha256(f"{what} {number}".encode()).digest()
