"""What is derived: a file that is damaged is dropped, and made again when it is needed."""

from __future__ import annotations

import hashlib
from pathlib import Path

from codebatch.maintenance.verify.findings import find_document
from codebatch.model.errors import StoreError
from codebatch.store import StoreDirectory, is_intact, lacks_checksum
from codebatch.store.files import read_file
from codebatch.store.indexes.memo import MOST_BYTES, entries_in
from codebatch.store.indexes.partials import is_whole
from codebatch.store.indexes.segments import is_list
from codebatch.store.layout import (
    CACHE_BYTES,
    KEYS_SUFFIX,
    MEMO_SUFFIX,
    PARTIAL_SUFFIX,
    PARTS_SUFFIX,
    SEGMENT_BYTES,
    SMALL_BYTES,
)

_CHECKSUM_DIGITS = 64


def is_whole_index(store: StoreDirectory, path: Path) -> bool:
    """Return True if a derived file is what its name or its checksum says; one that is gone, or
    has no checksum, does no harm.
    """
    layout = store.layout
    if path.parent == layout.quarantine:
        found = find_document(store, path, SMALL_BYTES)
        return found.document is not None or found.is_missing
    is_keys = path.suffix == KEYS_SUFFIX
    has_sum = path.parent in (layout.sql_indexes, layout.all_totals) and not is_keys
    if has_sum or layout.columns in path.parents:
        is_kept = path.suffix != ".sha256" and layout.door.is_there(path)
        return not is_kept or lacks_checksum(layout, path) or is_intact(layout, path, SEGMENT_BYTES)
    is_memo = path.suffix == MEMO_SUFFIX
    if not (is_memo or is_keys or path.parent in (layout.stat_caches, layout.git_caches)):
        return path.suffix not in (PARTIAL_SUFFIX, PARTS_SUFFIX) or is_whole(layout.door, path)
    try:
        data = read_file(layout.door, path, MOST_BYTES if is_memo else CACHE_BYTES)
    except StoreError:
        return False
    if data is None or is_memo or is_keys:
        # What is in an entry is checked when it is recalled.
        is_named_so = entries_in if is_memo else is_list
        return data is None or bool(is_named_so(path.name, data))
    checksum = hashlib.sha256(memoryview(data)[_CHECKSUM_DIGITS:]).hexdigest()
    return checksum.encode() == data[:_CHECKSUM_DIGITS]
