"""The store directory: durable files, names, objects, typed documents."""

from codebatch.store.documents import LATEST, pretty
from codebatch.store.indexes.index_files import is_intact, replacing
from codebatch.store.layout import BATCH_PREFIX, SNAPSHOT_PREFIX, STORE_DOCUMENT, check_name
from codebatch.store.objects.cas import measure
from codebatch.store.store import (
    OpenedStore,
    StoreDirectory,
    init_store,
    is_own_document,
    is_store,
    is_store_document,
    open_damaged_store,
    open_store,
)
from codebatch.store.write_group import WriteGroup

__all__ = [
    "BATCH_PREFIX",
    "LATEST",
    "SNAPSHOT_PREFIX",
    "STORE_DOCUMENT",
    "OpenedStore",
    "StoreDirectory",
    "WriteGroup",
    "check_name",
    "init_store",
    "is_intact",
    "is_own_document",
    "is_store",
    "is_store_document",
    "measure",
    "open_damaged_store",
    "open_store",
    "pretty",
    "replacing",
]
