"""The documents on disk and the messages between processes, as frozen dataclasses.

Untyped JSON is parsed into these once, where it is read; everything else in the package works
on them. What crosses a process boundary (`ShardCall`, `Receipt`) is small and plain.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import cast

from codebatch.digest import Document, check_digest

Record = dict[str, object]

FILE_MODE = "100644"
EXECUTABLE_MODE = "100755"
SYMLINK_MODE = "120000"

KINDS = ("ast", "diagnostic", "edge", "metric", "skip", "symbol")
SEVERITIES = ("error", "warning", "info")

DONE = "done"
FAILED = "failed"
PENDING = "pending"
PARTIAL = "partial"
INTERRUPTED = "interrupted"


def path_key(path: str) -> bytes:
    """The order of paths everywhere: by their bytes."""
    return path.encode("utf-8", "surrogateescape")


@dataclass(frozen=True)
class FileRecord:
    """One line of a manifest. ``mode`` is git's: 100644, 100755 or 120000 (symbolic link)."""

    path: str
    object: str
    size: int
    mode: str

    @classmethod
    def from_document(cls, document: Document) -> FileRecord:
        """Parse one manifest line; KeyError, TypeError, ValueError or an id error if it is none."""
        return cls(
            path=_text(document["path"]),
            object=check_digest(document["object"]),
            size=_count(document["size"]),
            mode=_text(document["mode"]),
        )


@dataclass(frozen=True)
class SkippedFile:
    """Something of the tree that is not in the manifest, and why."""

    path: str
    reason: str


@dataclass(frozen=True)
class InputFile:
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
            path=_text(document["path"]),
            object=check_digest(document["object"]),
            size=_count(document["size"]),
            language=_text(document["language"]),
            facets={_text(k): _text(v) for k, v in _mapping(document["facets"]).items()},
        )


@dataclass(frozen=True)
class PlannedTask:
    """A task of the pipeline with everything resolved that its results depend on."""

    id: str
    task: str
    needs: tuple[str, ...]
    config: Mapping[str, object]
    kinds: tuple[str, ...]
    fingerprint: str
    components: Mapping[str, object]

    @classmethod
    def from_document(cls, document: Document) -> PlannedTask:
        """Parse one entry of a plan's ``tasks``."""
        return cls(
            id=_text(document["id"]),
            task=_text(document["task"]),
            needs=_texts(document["needs"]),
            config=_mapping(document["config"]),
            kinds=_texts(document["kinds"]),
            fingerprint=check_digest(document["fingerprint"]),
            components=_mapping(document["components"]),
        )


@dataclass(frozen=True)
class PlannedShard:
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
        return cls(
            shard_id=_text(document["shard_id"]),
            files=_count(document["files"]),
            bytes=_count(document["bytes"]),
            offset=_count(document["offset"]),
            length=_count(document["length"]),
            digest=check_digest(document["digest"]),
        )


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
        tasks = cast("list[Document]", document["tasks"])
        shards = cast("list[Document]", document["shards"])
        return cls(
            snapshot_id=_text(document["snapshot_id"]),
            pipeline=_text(document["pipeline"]),
            tasks=tuple(PlannedTask.from_document(task) for task in tasks),
            shards=tuple(PlannedShard.from_document(shard) for shard in shards),
            files=_count(document["files"]),
            languages=_numbers(document["languages"]),
        )

    def shard(self, shard_id: str) -> PlannedShard:
        """The planned shard of that id; KeyError where the plan has none."""
        for shard in self.shards:
            if shard.shard_id == shard_id:
                return shard
        raise KeyError(shard_id)


@dataclass(frozen=True)
class Counts:
    """How many records, in total and by kind, severity and code (the latter of diagnostics)."""

    records: int = 0
    by_kind: Mapping[str, int] = field(default_factory=dict)
    by_severity: Mapping[str, int] = field(default_factory=dict)
    by_code: Mapping[str, int] = field(default_factory=dict)
    by_skip_reason: Mapping[str, int] = field(default_factory=dict)

    @classmethod
    def from_document(cls, document: Document) -> Counts:
        """Parse the ``counts`` of a state."""
        parts = {name: _numbers(document[name]) for name in _COUNT_FIELDS}
        return cls(records=_count(document["records"]), **parts)

    @classmethod
    def of(cls, records: Iterable[Record]) -> Counts:
        """Count records."""
        counts: dict[str, dict[str, int]] = {name: {} for name in _COUNT_FIELDS}
        total = 0
        for record in records:
            total += 1
            kind = record["kind"]
            _increment(counts["by_kind"], kind)
            if kind == "diagnostic":
                _increment(counts["by_severity"], record["severity"])
                _increment(counts["by_code"], record["code"])
            elif kind == "skip":
                _increment(counts["by_skip_reason"], record["reason"])
        return cls(records=total, **{k: dict(sorted(v.items())) for k, v in counts.items()})

    @property
    def diagnostics(self) -> int:
        """How many of the records are diagnostics."""
        return self.by_kind.get("diagnostic", 0)

    @classmethod
    def total(cls, parts: Iterable[Counts]) -> Counts:
        """The sum of counts."""
        sums: dict[str, dict[str, int]] = {name: {} for name in _COUNT_FIELDS}
        records = 0
        for part in parts:
            records += part.records
            for name in _COUNT_FIELDS:
                for key, number in getattr(part, name).items():
                    sums[name][key] = sums[name].get(key, 0) + number
        return cls(records=records, **{k: dict(sorted(v.items())) for k, v in sums.items()})


_COUNT_FIELDS = ("by_kind", "by_severity", "by_code", "by_skip_reason")


@dataclass(frozen=True)
class ShardState:
    """``state.json``: the outcome of one task on one shard.

    ``per_file`` holds (records, diagnostics) of each file of the shard, in path order.
    """

    status: str
    digest: str
    size: int
    tree: str
    files: int
    computed: int
    reused: int
    counts: Counts
    attempt: str
    per_file: tuple[tuple[int, int], ...] = ()
    error: Mapping[str, object] | None = None
    started: str = ""
    finished: str = ""

    @classmethod
    def from_document(cls, document: Document) -> ShardState:
        """Parse ``state.json``; raises on anything but a complete state."""
        status = _text(document["status"])
        if status not in (DONE, FAILED):
            raise ValueError(f"unknown shard status {status!r}")
        return cls(
            status=status,
            digest=check_digest(document["outputs"]),
            size=_count(document["size"]),
            tree=check_digest(document["tree"]),
            files=_count(document["files"]),
            computed=_count(document["computed"]),
            reused=_count(document["reused"]),
            counts=Counts.from_document(_mapping(document["counts"])),
            attempt=_text(document["attempt"]),
            per_file=tuple(
                (_count(records), _count(diagnostics))
                for records, diagnostics in cast("list[list[int]]", document["per_file"])
            ),
            error=cast("Document | None", document["error"]),
            started=_text(document["started"]),
            finished=_text(document["finished"]),
        )

    def as_document(self) -> Document:
        """The document that `from_document` parses."""
        return {
            "status": self.status,
            "outputs": self.digest,
            "size": self.size,
            "tree": self.tree,
            "files": self.files,
            "computed": self.computed,
            "reused": self.reused,
            "counts": {
                "records": self.counts.records,
                **{name: dict(getattr(self.counts, name)) for name in _COUNT_FIELDS},
            },
            "attempt": self.attempt,
            "per_file": [list(counts) for counts in self.per_file],
            "error": None if self.error is None else dict(self.error),
            "started": self.started,
            "finished": self.finished,
        }


@dataclass(frozen=True)
class ShardCall:
    """Everything a worker that can open the store needs in order to run one shard."""

    store: str
    store_id: str
    batch_id: str
    shard_id: str
    attempt: str


@dataclass(frozen=True)
class Receipt:
    """What a worker says it did. It is believed only where the store says the same."""

    shard_id: str
    attempt: str
    status: str
    error: Mapping[str, object] | None = None


def _increment(counts: dict[str, int], key: object) -> None:
    name = str(key)
    counts[name] = counts.get(name, 0) + 1


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"expected text, got {type(value).__name__}")
    return value


def _count(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise ValueError(f"expected a count, got {value!r}")
    return value


def _mapping(value: object) -> Document:
    if not isinstance(value, dict):
        raise TypeError(f"expected an object, got {type(value).__name__}")
    return value


def _numbers(value: object) -> dict[str, int]:
    return {name: _count(number) for name, number in _mapping(value).items()}


def _texts(value: object) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise TypeError(f"expected a list, got {type(value).__name__}")
    return tuple(_text(item) for item in value)
