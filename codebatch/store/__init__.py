"""The store directory: durable files, names, objects, typed documents."""

from codebatch.store.askings import Asking, Checkout, check_asking
from codebatch.store.batches import parse_plan
from codebatch.store.documents import (
    LATEST,
    Documents,
    check_there,
    expecting,
    parse_lines,
    pretty,
    removal_of,
    typed,
)
from codebatch.store.door import ABSENT, Door, too_large
from codebatch.store.files import is_intact, lacks_checksum, read_intact, replacing
from codebatch.store.layout import BATCH_PREFIX, SNAPSHOT_PREFIX, STORE_DOCUMENT, check_name
from codebatch.store.names import Name, Names, check_named
from codebatch.store.objects.forms import (
    StoredBytes,
    check_object,
    measure,
    open_stored,
    whole_frame,
)
from codebatch.store.shards import has_objects_of, parse_chunks
from codebatch.store.store import (
    IGNORE_LINE,
    StoreDirectory,
    init_store,
    is_own_document,
    is_store_document,
    open_damaged_store,
    open_store,
    raise_version,
    restore_identity,
    restore_ignore_file,
)
from codebatch.store.write_group import (
    WriteGroup,
    reporting_read_errors,
    reporting_write_errors,
    sync_file_system,
)

__all__ = [
    "ABSENT",
    "BATCH_PREFIX",
    "IGNORE_LINE",
    "LATEST",
    "SNAPSHOT_PREFIX",
    "STORE_DOCUMENT",
    "Asking",
    "Checkout",
    "Documents",
    "Door",
    "Name",
    "Names",
    "StoreDirectory",
    "StoredBytes",
    "WriteGroup",
    "check_asking",
    "check_name",
    "check_named",
    "check_object",
    "check_there",
    "expecting",
    "has_objects_of",
    "init_store",
    "is_intact",
    "is_own_document",
    "is_store_document",
    "lacks_checksum",
    "measure",
    "open_damaged_store",
    "open_store",
    "open_stored",
    "parse_chunks",
    "parse_lines",
    "parse_plan",
    "pretty",
    "raise_version",
    "read_intact",
    "removal_of",
    "replacing",
    "reporting_read_errors",
    "reporting_write_errors",
    "restore_identity",
    "restore_ignore_file",
    "sync_file_system",
    "too_large",
    "typed",
    "whole_frame",
]
