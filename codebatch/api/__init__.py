"""The Python face: stores, snapshots, batches. The command line is built on this module.

    >>> import codebatch
    >>> store = codebatch.open_store("work/store", create=True)
    >>> batch = store.batch(store.snapshot("path/to/project"), pipeline="full")
    >>> batch.run().status
    'done'
    >>> [record["message"] for record in batch.records(code="L101")]

A `Batch` is a Dask collection: ``dask.compute(batch)`` and ``client.compute(batch)`` run it.
"""

from __future__ import annotations

from codebatch.api.authoring import (
    check_pipeline,
    draw_pipeline,
    import_tools,
    list_tasks,
    new_task,
    pipeline,
    pipelines,
)
from codebatch.api.batch import Batch
from codebatch.api.given import IdLike, PathLike, named_path
from codebatch.api.package import diagnose, try_vectors
from codebatch.api.results import UnfinishedBatchWarning
from codebatch.api.scanning import Scan, ScanResult, check_scan, open_watch, scan
from codebatch.api.several import question_about
from codebatch.api.snapshots import Snapshot
from codebatch.api.store import (
    STORE_NAME,
    STORE_VARIABLE,
    Store,
    find_store,
    open_damaged_store,
    open_store,
)
from codebatch.api.watching import ScanUpdate, follow, watch

__all__ = [
    "STORE_NAME",
    "STORE_VARIABLE",
    "Batch",
    "IdLike",
    "PathLike",
    "Scan",
    "ScanResult",
    "ScanUpdate",
    "Snapshot",
    "Store",
    "UnfinishedBatchWarning",
    "check_pipeline",
    "check_scan",
    "diagnose",
    "draw_pipeline",
    "find_store",
    "follow",
    "import_tools",
    "list_tasks",
    "named_path",
    "new_task",
    "open_damaged_store",
    "open_store",
    "open_watch",
    "pipeline",
    "pipelines",
    "question_about",
    "scan",
    "try_vectors",
    "watch",
]
