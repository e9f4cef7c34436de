"""Digests of all that a result depends on: fingerprints of tasks, keys of files.

A fingerprint covers the task alone. The key of a task on a file covers the fingerprint and
everything about the file that the task may see: content, language, the facets it declares, and
the *records* of the tasks it needs, not how these were made. So a change upstream that changes
no record stops there, and one key names one set of lines, wherever and whenever it was computed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, cast

from codebatch.model.digest import Document, canonical_json, digest_bytes, digest_document
from codebatch.model.record_lines import FileLines
from codebatch.model.records import InputFile, PlannedTask

CODE = "code"
CODE_PARTS = ("modules", "globals", "distributions")  # of the code of a user's task

_TREE = "ast"
_OF_NAMES = ("path", "extension", "siblings ")  # how facets begin that are made of names


def fingerprint(components: Document) -> str:
    """Digest of everything about a task that may change what it yields."""
    return digest_document("fingerprint", components)


def changed_components(before: Mapping[str, object], after: Mapping[str, object]) -> Iterator[str]:
    """Yield the names of the components in which two tasks differ, in order; of their code the
    modules, values and distributions, as ``code pkg.helper``.
    """
    for name in sorted({*before, *after}):
        if before.get(name) != after.get(name):
            yield from changed_code(before, after) if name == CODE else (name,)


def changed_code(before: Mapping[str, object], after: Mapping[str, object]) -> Iterator[str]:
    """Yield the parts of the code in which the components of two tasks differ."""
    earlier, later = (cast("Mapping[str, Any]", one.get(CODE) or {}) for one in (before, after))
    for part in CODE_PARTS:
        old, new = earlier.get(part, {}), later.get(part, {})
        yield from (f"{CODE} {one}" for one in sorted({*old, *new}) if old.get(one) != new.get(one))


def file_key(task: PlannedTask, file: InputFile, upstream: Mapping[str, FileLines]) -> str:
    """The key of a task's lines on a file; ``upstream`` has the lines of each task it needs."""
    return digest_bytes(file_key_preimage(task, file, upstream))


def file_key_preimage(
    task: PlannedTask, file: InputFile, upstream: Mapping[str, FileLines]
) -> bytes:
    """The text whose digest `file_key` is: one line for each thing the lines depend on."""
    parts = [task.key_opening, file.language, "\n"]
    parts += [f"facet {name} {_spelled(name, file.facets[name])}\n" for name in task.facets]
    if task.reads_tree and any(_TREE in upstream[need].counts.by_kind for need in task.needs):
        # The tree is all that the task sees of the file, if it looks at it at all.
        within = file.size <= cast("int", task.config["max_bytes"])
        parts.append(f"within-limit {'yes' if within else 'no'}\n")
    else:
        parts.append(f"object {file.object}\n")
    parts += [f"upstream {need} {upstream[need].digest}\n" for need in task.needs]
    return "".join(parts).encode()


def _spelled(facet: str, value: str) -> str:
    """The value of a facet on one line: a name may hold line ends, and bytes that are no text."""
    return canonical_json(value).decode() if facet.startswith(_OF_NAMES) else value


def pipeline_fingerprints(tasks: Iterable[PlannedTask]) -> dict[str, str]:
    """For each task id, a digest over its fingerprint and those of all tasks it builds on."""
    found: dict[str, str] = {}
    for task in tasks:
        needs = {need: found[need] for need in task.needs}
        found[task.id] = digest_document("task-closure", [task.fingerprint, needs])
    return found
