"""Check a whole store: everything is looked at, and everything that is wrong is reported.

Nothing is written. It is safe beside running writers: what a document refers to was written
before it, and what is read first here is what was written last.
"""

from __future__ import annotations

from codebatch.maintenance.verify.batches import check_batches
from codebatch.maintenance.verify.derived import check_derived
from codebatch.maintenance.verify.documents import find_bytes, find_document
from codebatch.maintenance.verify.findings import Findings
from codebatch.maintenance.verify.objects import Progress, check_objects
from codebatch.maintenance.verify.selection import NONE, Selection
from codebatch.maintenance.verify.snapshots import check_snapshots
from codebatch.store import StoreDirectory, is_own_document
from codebatch.store.path_kinds import IGNORE, STORE, Place, walk_store
from codebatch.store.store import IGNORE_LINE


def check_store(
    store: StoreDirectory, selection: Selection = NONE, progress: Progress | None = None
) -> Findings:
    """Return what a check of the store finds; objects of the selection are read."""
    findings = Findings(store)
    _check_root(findings)
    check_objects(findings, selection, progress)
    check_snapshots(findings)
    check_batches(findings)
    check_derived(findings)
    return findings


def _check_root(findings: Findings) -> None:
    layout = findings.store.layout
    for entry in walk_store(findings.store.layout.door, depth=0):
        findings.add_stray(entry)
    found = find_document(findings.store, layout.store_document)
    if not is_own_document(found.document):
        wrong = found.wrong or "it is not what the format says"
        code = "UNREADABLE" if found.is_unreadable else "STORE_DOCUMENT_DAMAGED"
        findings.add(
            code, f"{layout.store_document.name}: {wrong}", layout.store_document, Place(STORE)
        )
    ignore = find_bytes(findings.store, layout.gitignore)
    if not ignore.is_missing and ignore.data != IGNORE_LINE:
        wrong = ignore.wrong or "it holds something else than one line with *"
        code = "UNREADABLE" if ignore.is_unreadable else "IGNORE_FILE_DAMAGED"
        findings.add(code, f"{layout.gitignore.name}: {wrong}", layout.gitignore, Place(IGNORE))
