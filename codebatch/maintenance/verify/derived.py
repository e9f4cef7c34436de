"""What lies below ``indexes/`` and ``leases/``: nothing there is ever the only place of anything.

Damage to it is found when it is read, and then it counts as absent; a check says so beforehand.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from codebatch.maintenance.verify.documents import find_document
from codebatch.maintenance.verify.findings import Findings
from codebatch.model.errors import StoreError
from codebatch.store import StoreDirectory, is_intact
from codebatch.store.door import ABSENT
from codebatch.store.files import read_file
from codebatch.store.indexes.index_files import is_unfinished
from codebatch.store.indexes.memo import MOST_BYTES, is_segment
from codebatch.store.layout import INDEX_BYTES, MEMO_SUFFIX, SMALL_BYTES
from codebatch.store.path_kinds import INDEXES_FOLDER, LEASES_FOLDER, walk_store
from codebatch.store.write_group import reporting_read_errors

_CHECKSUM_DIGITS = 64
_PORTION = 2**20


def check_derived(findings: Findings) -> None:
    """Check the memo and the indexes that carry a checksum; report what belongs to neither."""
    for entry in walk_store(findings.store.layout.door, LEASES_FOLDER):
        findings.add_stray(entry)
    for entry in walk_store(findings.store.layout.door, INDEXES_FOLDER):
        if findings.add_stray(entry):
            continue
        path = findings.store.root / entry.path
        if path.suffix == MEMO_SUFFIX:
            if not is_whole_segment(findings.store, path):
                findings.add("MEMO_DAMAGED", "a segment is not what its name says", path)
        elif not is_whole_index(findings.store, path):
            findings.add("INDEX_DAMAGED", "an index does not match its checksum", path)


def is_whole_segment(store: StoreDirectory, path: Path) -> bool:
    """Return True if a segment of the memo is what its name says; one that is gone does no harm."""
    try:
        data = read_file(store.layout.door, path, MOST_BYTES)
    except StoreError:
        return False
    return data is None or is_segment(path.name, data)


def is_whole_index(store: StoreDirectory, path: Path) -> bool:
    """Return True if an index matches its checksum; one that is gone, or has none, does no harm."""
    layout = store.layout
    if path.parent == layout.quarantine:
        found = find_document(store, path, SMALL_BYTES)
        return found.document is not None or found.is_missing
    if path.parent == layout.stat_caches:
        return _is_whole_cache(store, path)
    if path.parent not in (layout.sql_indexes, layout.all_totals) or path.suffix == ".sha256":
        return True
    if is_unfinished(layout, path) or not layout.door.is_there(path):
        return True
    return is_intact(layout, path, INDEX_BYTES)


def _is_whole_cache(store: StoreDirectory, path: Path) -> bool:
    hasher = hashlib.sha256()
    try:
        with reporting_read_errors(path), store.layout.door.stream(path) as stream:
            if os.fstat(stream.fileno()).st_size > INDEX_BYTES:
                return False
            checksum = stream.read(_CHECKSUM_DIGITS)
            while portion := stream.read(_PORTION):
                hasher.update(portion)
    except ABSENT:
        return True
    except StoreError:
        return False
    return hasher.hexdigest().encode() == checksum
