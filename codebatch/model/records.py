"""The documents on disk as frozen records.

Untyped JSON is parsed into these once, where it is read; everything else in the package works
on them.
"""

from __future__ import annotations

import re
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from operator import itemgetter
from typing import NamedTuple, TypeVar

from codebatch.model.digest import Document, check_digest
from codebatch.model.json_types import (
    to_count,
    to_list,
    to_mapping,
    to_numbers,
    to_pairs,
    to_text,
    to_texts,
)

Record = dict[str, object]
Digest = str
T = TypeVar("T")

FILE_MODE = "100644"
EXECUTABLE_MODE = "100755"
SYMLINK_MODE = "120000"

KINDS = tuple("artifact ast diagnostic edge metric patch skip suppression symbol".split())
OBJECT_KINDS = frozenset({"artifact", "ast", "patch"})  # whose records refer to an object
CODE = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,63}\Z")  # of a finding; metrics are named so as well
SEVERITIES = ("error", "warning", "info")
OFF, BY_CONFIGURATION = "off", "configuration"  # in place of a severity, and what suppresses then
LEVELS = frozenset({*SEVERITIES, OFF})
_BY_COMMENT = "noqa codebatch-ignore codebatch-ignore-next-line codebatch-ignore-file"
SUPPRESSED_BY = (*_BY_COMMENT.split(), BY_CONFIGURATION)

DONE = "done"
FAILED = "failed"
PENDING = "pending"
PARTIAL = "partial"
INTERRUPTED = "interrupted"
CLAIMED = "claimed"

READS_CONTENT = "content"
READS_TREE = "tree"

FILE_SCOPE = "file"
BATCH_SCOPE = "batch"

COMPUTED = "c"
EQUAL = "e"
MEMO_HIT = "m"


def path_key(path: str) -> bytes:
    """The order of paths everywhere: by their bytes."""
    return path.encode("utf-8", "surrogateescape")


class FileRecord(NamedTuple):
    """One line of a manifest. ``mode`` is git's: 100644, 100755 or 120000 (symbolic link)."""

    path: str
    object: str
    size: int
    mode: str

    @classmethod
    def from_document(cls, document: Document) -> FileRecord:
        """Parse one manifest line; KeyError, TypeError, ValueError or an id error if it is none."""
        return cls(
            path=to_text(document["path"]),
            object=check_digest(document["object"]),
            size=to_count(document["size"]),
            mode=sys.intern(to_text(document["mode"])),
        )


class SkippedFile(NamedTuple):
    """Something of the tree that is not in the manifest, and why."""

    path: str
    reason: str


class InputFile(NamedTuple):
    """One file of a batch as its tasks receive it: what the manifest says, language, facets."""

    path: str
    object: str
    size: int
    language: str
    facets: Mapping[str, str]

    @classmethod
    def from_document(cls, document: Document) -> InputFile:
        """Parse one line of ``inputs.index.jsonl``."""
        return cls(
            path=to_text(document["path"]),
            object=check_digest(document["object"]),
            size=to_count(document["size"]),
            language=sys.intern(to_text(document["language"])),
            facets={to_text(k): to_text(v) for k, v in to_mapping(document["facets"]).items()},
        )


@dataclass(frozen=True)
class PlannedTask:
    """A task of the pipeline with everything resolved that its results depend on.

    ``components`` is what the fingerprint covers. ``fields`` has the types of the fields of kinds
    that are the task's own, ``rules`` what it says about the codes of its findings, and ``source``
    names a user's task again on a command line; plans from before there were such have none.
    """

    id: str
    task: str
    needs: tuple[str, ...]
    config: Mapping[str, object]
    kinds: tuple[str, ...]
    fingerprint: Digest
    components: Mapping[str, object]
    scope: str = FILE_SCOPE
    fields: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    rules: tuple[Mapping[str, object], ...] = ()
    source: str = ""

    @cached_property
    def code(self) -> str | None:
        """The digest of the code of a user's task; None for a built-in one."""
        code = self.components.get("code")
        return None if code is None else check_digest(to_mapping(code)["digest"])

    @cached_property
    def facets(self) -> tuple[str, ...]:
        """The facets of a path that the task reads, sorted."""
        return to_texts(self.components["facets"])

    @property
    def levels(self) -> object:
        """How severe findings are, where the project says so; else None."""
        return self.components.get("levels")

    @cached_property
    def key_opening(self) -> str:
        """The first lines of the text of each of the task's keys."""
        return f"codebatch-file-key\ntask {self.fingerprint}\nlanguage "

    @cached_property
    def reads_tree(self) -> bool:
        """Return whether a task sees of a file only the tree that an upstream task records."""
        return self.components["reads"] == READS_TREE

    @classmethod
    def from_document(cls, document: Document) -> PlannedTask:
        """Parse one entry of a plan's ``tasks``."""
        return _parsed(cls, document)

    def as_document(self) -> Document:
        """The document that `from_document` parses; of a built-in task, as it always was."""
        later = {name: getattr(self, name) for name in _LATER}
        is_usual = {name: not value or value == FILE_SCOPE for name, value in later.items()}
        return {name: value for name, value in asdict(self).items() if not is_usual.get(name)}


class PlannedShard(NamedTuple):
    """A range of lines of ``inputs.index.jsonl``: ``length`` bytes from ``offset``."""

    shard_id: str
    files: int
    bytes: int
    offset: int
    length: int
    digest: str

    @classmethod
    def from_document(cls, document: Document) -> PlannedShard:
        """Parse one entry of a plan's ``shards``."""
        files, size, offset, length = (
            to_count(document[name]) for name in ("files", "bytes", "offset", "length")
        )
        digest = check_digest(document["digest"])
        return cls(to_text(document["shard_id"]), files, size, offset, length, digest)


@dataclass(frozen=True)
class Plan:
    """A pipeline resolved against one snapshot."""

    snapshot_id: str
    pipeline: str
    tasks: tuple[PlannedTask, ...]
    shards: tuple[PlannedShard, ...]
    files: int
    languages: Mapping[str, int]

    @classmethod
    def from_document(cls, document: Document) -> Plan:
        """Parse ``plan.json``."""
        tasks = [PlannedTask.from_document(task) for task in to_list(document["tasks"])]
        shards = [PlannedShard.from_document(shard) for shard in to_list(document["shards"])]
        return _parsed(cls, document, tasks=tuple(tasks), shards=tuple(shards))

    def shard(self, shard_id: str) -> PlannedShard:
        """The planned shard of that id; KeyError where the plan has none."""
        return self._by_id[shard_id]

    def task(self, task_id: str) -> PlannedTask:
        """The planned task of that id; KeyError where the plan has none."""
        return {task.id: task for task in self.tasks}[task_id]

    @cached_property
    def batch_tasks(self) -> tuple[PlannedTask, ...]:
        """The tasks of scope ``batch``, which look at the records of all files."""
        return tuple(task for task in self.tasks if task.scope == BATCH_SCOPE)

    @cached_property
    def of_files(self) -> Plan:
        """The plan with the tasks alone that look at one file at a time: what a shard runs."""
        if not self.batch_tasks:
            return self
        return replace(self, tasks=tuple(t for t in self.tasks if t.scope != BATCH_SCOPE))

    def prefixes_below(self, prefix: str) -> tuple[str, ...]:
        """Return the prefixes of shards that are one digit longer, in order."""
        digits = len(prefix) + 1
        found = {id_[:digits] for id_ in self._by_id if id_.startswith(prefix)}
        return tuple(sorted(found))

    def has_shard(self, shard_id: str, digest: str) -> bool:
        """Return whether the plan has a shard of that id with these very inputs."""
        shard = self._by_id.get(shard_id)
        return shard is not None and shard.digest == digest

    @cached_property
    def _by_id(self) -> dict[str, PlannedShard]:
        return {shard.shard_id: shard for shard in self.shards}


@dataclass  # not frozen: there are several for each file
class Counts:
    """The numbers of records, in total and by kind, severity and code (of diagnostics)."""

    records: int = 0
    by_kind: Mapping[str, int] = field(default_factory=dict)
    by_severity: Mapping[str, int] = field(default_factory=dict)
    by_code: Mapping[str, int] = field(default_factory=dict)
    by_skip_reason: Mapping[str, int] = field(default_factory=dict)

    @classmethod
    def from_document(cls, document: Document) -> Counts:
        """Parse the ``counts`` of a state."""
        return _parsed(cls, document)

    @classmethod
    def of(cls, records: Sequence[Record]) -> Counts:
        """Count records."""
        by_kind = _tally(list(map(_kind_of, records)))
        if "diagnostic" not in by_kind and "skip" not in by_kind:
            return cls(len(records), by_kind)
        found = [record for record in records if record["kind"] == "diagnostic"]
        skips = [record for record in records if record["kind"] == "skip"]
        return cls(
            records=len(records),
            by_kind=by_kind,
            by_severity=_tally([record["severity"] for record in found]),
            by_code=_tally([record["code"] for record in found]),
            by_skip_reason=_tally([record["reason"] for record in skips]),
        )

    def as_document(self) -> Document:
        """The document that `from_document` parses."""
        return dict(vars(self))

    @property
    def diagnostics(self) -> int:
        """The number of diagnostics."""
        return self.by_kind.get("diagnostic", 0)

    @classmethod
    def total(cls, parts: Iterable[Counts]) -> Counts:
        """The sum of counts."""
        records = 0
        sums: tuple[dict[str, int], ...] = tuple({} for _ in _COUNT_FIELDS)
        for part in parts:
            records += part.records
            tallies = (part.by_kind, part.by_severity, part.by_code, part.by_skip_reason)
            for total, tally in zip(sums, tallies, strict=True):
                for key, number in tally.items():
                    total[key] = total.get(key, 0) + number
        named = zip(_COUNT_FIELDS, sums, strict=True)
        return cls(records=records, **{name: dict(sorted(total.items())) for name, total in named})

    def less(self, part: Counts) -> Counts:
        """Return the counts without those of a part."""
        left: dict[str, dict[str, int]] = {}
        for name in _COUNT_FIELDS:
            taken = getattr(part, name)
            numbers = ((key, n - taken.get(key, 0)) for key, n in getattr(self, name).items())
            left[name] = {key: number for key, number in numbers if number}
        return Counts(records=self.records - part.records, **left)


_COUNT_FIELDS = ("by_kind", "by_severity", "by_code", "by_skip_reason")


@dataclass(frozen=True)
class ShardState:
    """``state.json``: the outcome of one task on one shard.

    For each file of the shard in path order, ``per_file`` holds (records, diagnostics) and
    ``origins`` one letter: `COMPUTED`, `EQUAL` (to another file of the shard) or `MEMO_HIT`.
    ``linked`` names the batch whose outputs these are, where the shard was taken over whole.
    """

    status: str
    digest: Digest
    size: int
    tree: Digest
    files: int
    computed: int
    reused: int
    counts: Counts
    attempt: str
    per_file: tuple[tuple[int, int], ...] = ()
    origins: str = ""
    linked: str | None = None
    error: Mapping[str, object] | None = None
    started: str = ""
    finished: str = ""

    @classmethod
    def from_document(cls, document: Document) -> ShardState:
        """Parse ``state.json``; raises on anything but a complete state."""
        return _parsed(cls, document, digest=check_digest(document["outputs"]))

    def as_document(self) -> Document:
        """The document that `from_document` parses."""
        document = {**vars(self), "outputs": self.digest, "counts": self.counts.as_document()}
        del document["digest"]  # the name of that of the document itself
        return document


_kind_of = itemgetter("kind")


def _tally(keys: Sequence[object]) -> dict[str, int]:
    """Return the number of each key, in order; most often they are few."""
    different = sorted({*keys}, key=str)
    count = keys.count if len(different) < 4 else Counter(keys).__getitem__
    return {str(key): count(key) for key in different}


# What is made of a value in a document, by the type that a field is declared with.
_PARSERS: Mapping[str, Callable[[object], object]] = {
    "str": to_text,
    "str | None": lambda value: None if value is None else to_text(value),
    "Digest": check_digest,
    "int": to_count,
    "tuple[str, ...]": to_texts,
    "tuple[tuple[int, int], ...]": to_pairs,
    "Mapping[str, object]": to_mapping,
    "Mapping[str, object] | None": lambda value: value,
    "Mapping[str, int]": to_numbers,
    "Mapping[str, Mapping[str, str]]": lambda value: {
        to_text(kind): {
            to_text(name): to_text(of_type) for name, of_type in to_mapping(types).items()
        }
        for kind, types in to_mapping(value).items()
    },
    "tuple[Mapping[str, object], ...]": lambda value: tuple(map(to_mapping, to_list(value))),
    "Counts": lambda value: Counts.from_document(to_mapping(value)),
}


def _parsed(kind: type[T], document: Document, **known: object) -> T:
    """Return a value of a dataclass whose fields, but for known ones, are those of a document;
    KeyError, TypeError, ValueError or an id error for what is none. Fields of `_LATER`
    may be missing.
    """
    declared = kind.__annotations__.items()
    parsed = {
        name: _PARSERS[of_type](document[name])
        for name, of_type in declared
        if name not in known and (name in document or name not in _LATER)
    }
    return kind(**parsed, **known)


# Fields that documents of earlier versions do not have.
_LATER = frozenset({"scope", "fields", "rules", "source"})
