"""What a task changes in a file, checked before it is kept: a diff that is stored applies."""

from __future__ import annotations

from collections.abc import Iterable

from codebatch.model.digest import digest_bytes
from codebatch.model.records import Record
from codebatch.runtime.lazy import lazily
from codebatch.tasks.records import MisfitError, Patch, checked_bytes
from codebatch.tasks.source import SourceFile

with lazily():
    from codebatch.model import unified


def with_patches(records: Iterable[Record], source: SourceFile) -> list[Record]:
    """Return the records of a file with the diff among them as it is kept: in the normal form, with
    what it comes to; without it where it changes nothing. `MisfitError` where it does not apply to
    the file.
    """
    found, patches = list[Record](), 0
    for record in records:
        if record["kind"] != Patch.kind:
            found.append(record)
            continue
        patches += 1
        if patches > 1:
            raise MisfitError("there are several patches of one file")
        try:
            hunks = unified.read_hunks(checked_bytes("data", record.get("data")))
            result = unified.apply_hunks(source.content, hunks)
        except unified.PatchMisfitError as error:
            raise MisfitError(f"the patch does not apply: {error}") from None
        if result != source.content:
            if source.language == "symlink":
                raise MisfitError("a symbolic link cannot be patched")
            added, removed = unified.count_changes(hunks)
            numbers = {"added": added, "removed": removed, "result": digest_bytes(result)}
            found.append({**record, **numbers, "data": unified.normal_form(hunks)})
    return found
