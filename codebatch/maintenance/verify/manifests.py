"""The manifest of a snapshot, line by line, and what tells that two lists are of the same files."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Iterable, Iterator

from codebatch.model.checks import check_manifest
from codebatch.model.digest import canonical_json, digest_bytes, short_id
from codebatch.model.errors import InvalidIdError
from codebatch.model.records import FileRecord, InputFile, path_key
from codebatch.store import SNAPSHOT_PREFIX, typed


def parse_manifest(snapshot_id: str, data: bytes) -> Iterator[FileRecord]:
    """Yield the files of a manifest; ValueError with what is wrong where there is no more to it."""
    if short_id(SNAPSHOT_PREFIX, digest_bytes(data)) != snapshot_id:
        raise ValueError("its bytes give another id")
    before = b""
    for count, line in enumerate(io.BytesIO(data), 1):
        file = _file_of(line)
        if file is None:
            raise ValueError(f"line {count} is not what the format says")
        if path_key(file.path) <= before:
            raise ValueError(f"line {count} is not in path order")
        before = path_key(file.path)
        yield file


def _file_of(line: bytes) -> FileRecord | None:
    """The file of a line of a manifest; None where it is no such line, to the byte."""
    try:
        file = FileRecord.from_document(json.loads(line))
        check_manifest([file])
        return file if canonical_json(file._asdict()) + b"\n" == line else None
    except (KeyError, TypeError, ValueError, RecursionError, InvalidIdError):
        return None


def load_whole_manifest(snapshot_id: str, data: bytes) -> list[FileRecord]:
    """Return all that `parse_manifest` yields, much sooner; `StoreDamagedError` for some that
    take a closer look, as for those that are damaged.
    """

    def parse(data: bytes) -> list[FileRecord]:
        documents = json.loads(b"[" + data[:-1].replace(b"\n", b",") + b"]")
        files = list(map(FileRecord.from_document, documents))
        check_manifest(files)
        again = canonical_json([file._asdict() for file in files])
        is_same = again[1:-1].replace(b"},{", b"}\n{") + b"\n" == data
        if not is_same or short_id(SNAPSHOT_PREFIX, digest_bytes(data)) != snapshot_id:
            raise ValueError("its bytes are not those of its lines, or give another id")
        return files

    return typed(data, parse, "a manifest")


def number_of(files: Iterable[InputFile | FileRecord]) -> int:
    """Return a number for files that does not depend on their order: a sum."""
    said = (f"{file.object} {file.size} {file.path}" for file in files)
    digests = (hashlib.sha256(one.encode("utf-8", "surrogatepass")).digest() for one in said)
    return sum(int.from_bytes(digest, "big") for digest in digests)
