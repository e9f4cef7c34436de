"""What lies below ``indexes/``: nothing there is ever the only place of anything.

Damage to it is found when it is read, and then it counts as absent; a check says so beforehand.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

from codebatch.errors import StoreError
from codebatch.store import BATCH_PREFIX, StoreDirectory, is_intact
from codebatch.store.files import TEMPORARY_PREFIX, read_file
from codebatch.store.indexes import is_unfinished
from codebatch.store.layout import VERDICT_SUFFIX
from codebatch.store.memo import MemoStore, is_segment
from codebatch.verify.documents import find_document
from codebatch.verify.findings import Findings

_CHECKSUM_DIGITS = 64


def check_derived(findings: Findings) -> None:
    """Check the memo and the indexes that carry a checksum."""
    for _, path in MemoStore(findings.store.layout).segments():
        if not is_whole_segment(path):
            findings.add("MEMO_DAMAGED", "a segment is not what its name says", path)
    for path in _indexes(findings.store):
        if not is_whole_index(findings.store, path):
            findings.add("INDEX_DAMAGED", "an index does not match its checksum", path)


def is_whole_segment(path: Path) -> bool:
    """Whether a segment of the memo is what its name says; one that is gone does no harm."""
    try:
        data = None if path.is_symlink() else read_file(path)
    except StoreError:
        return False
    return is_segment(path.name, data) if data is not None else not path.is_symlink()


def is_whole_index(store: StoreDirectory, path: Path) -> bool:
    """Whether an index matches its checksum; one that is gone does no harm."""
    if path.parent == store.layout.quarantine:
        return find_document(path).document is not None or not path.exists()
    if path.parent != store.layout.stat_caches:
        return is_intact(path) or is_unfinished(path) or not path.exists()
    try:
        data = read_file(path)
    except StoreError:
        return False
    if data is None:
        return True
    checksum, rest = data[:_CHECKSUM_DIGITS], data[_CHECKSUM_DIGITS:]
    return hashlib.sha256(rest).hexdigest().encode() == checksum


def _indexes(store: StoreDirectory) -> Iterator[Path]:
    for folder in store.layout.batch_indexes():
        found = sorted(folder.glob(f"{BATCH_PREFIX}-*")) if folder.is_dir() else []
        yield from (path for path in found if path.suffix in (".sqlite", ".json"))
    yield from sorted(store.layout.quarantine.glob(f"*{VERDICT_SUFFIX}"))
    caches = store.layout.stat_caches
    for path in sorted(caches.iterdir()) if caches.is_dir() else []:
        if not path.name.startswith(TEMPORARY_PREFIX):
            yield path
