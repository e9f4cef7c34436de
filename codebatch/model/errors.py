"""Everything that can go wrong and is not a bug, as one exception tree.

Each class carries a stable ``code`` for machines and the exit code the command line uses for
it; each instance one line for a person, hints on what to do, and details. The library raises
these and never prints; the command line turns them into messages in one place.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

EXIT_OK = 0
EXIT_GATE = 1
EXIT_USAGE = 2
EXIT_SHARDS_FAILED = 3
EXIT_STORE = 4
EXIT_LOCKED = 5
EXIT_CLUSTER = 6
EXIT_BUG = 70
EXIT_INTERRUPTED = 130

EXIT_CODES: Mapping[int, str] = {
    EXIT_OK: "done",
    EXIT_GATE: "a gate failed: what --fail-on names was found, results had to be computed that "
    "--require-reused forbids, --recompute gave other results that are not replaced, or verify "
    "found damage, with --repair damage that is left",
    EXIT_USAGE: "the command line, a pipeline or an argument is wrong, or the output cannot be "
    "written",
    EXIT_SHARDS_FAILED: "the batch ran to its end, but shards failed",
    EXIT_STORE: "the store, snapshot, batch or object is missing, damaged or incompatible, the "
    "store cannot be read or written, or this machine lacks memory, processes or open files",
    EXIT_LOCKED: "another command removes or repairs something in the store, or runs the batch to "
    "be removed or tried again",
    EXIT_CLUSTER: "the cluster cannot be reached or cannot run this batch, or this command has "
    "other tool versions than the plan",
    EXIT_BUG: "a bug in codebatch",
    EXIT_INTERRUPTED: "interrupted",
}


class CodeBatchError(Exception):
    """One line saying what went wrong and with which thing; ``hints`` say what to do."""

    code = "ERROR"
    exit_code = EXIT_USAGE

    def __init__(
        self,
        message: str,
        *,
        hints: Sequence[str] = (),
        details: Mapping[str, object] | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.hints = tuple(hints)
        self.details = dict(details or {})

    def as_document(self) -> dict[str, object]:
        """The object that ``--json`` prints: code, message, hints, details."""
        return {
            "error": {
                "code": self.code,
                "message": self.message,
                "hints": list(self.hints),
                "details": self.details,
            }
        }


class UsageError(CodeBatchError):
    """The request itself cannot be understood or carried out."""

    code = "USAGE"


class InvalidIdError(UsageError):
    """An id that has not the form of an id; it is never used as a path."""

    code = "INVALID_ID"


class AmbiguousIdError(UsageError):
    """An abbreviated id that fits more than one thing."""

    code = "AMBIGUOUS_ID"


class FileNotInBatchError(UsageError):
    """No file of the batch has that path, or a path that ends so."""

    code = "FILE_NOT_FOUND"


class AmbiguousPathError(UsageError):
    """The end of a path that fits more than one file of the batch."""

    code = "AMBIGUOUS_PATH"


class SourceNotFoundError(UsageError):
    """The directory to snapshot is not there or cannot be listed."""

    code = "SOURCE_NOT_FOUND"


class PipelineNotFoundError(UsageError):
    """No packaged pipeline of that name and no file of that path."""

    code = "PIPELINE_NOT_FOUND"


class PipelineInvalidError(UsageError):
    """A pipeline document that breaks the schema or the rules of a DAG."""

    code = "PIPELINE_INVALID"


class TaskNotFoundError(UsageError):
    """A task that is not in the registry, or a task id the pipeline does not have."""

    code = "TASK_NOT_FOUND"


class FilterInvalidError(UsageError):
    """A filter value that names nothing that can exist (kind, severity, language ...)."""

    code = "FILTER_INVALID"


class MissingExtraError(UsageError):
    """A request that needs an optional package which is not installed."""

    code = "MISSING_EXTRA"


class OutputError(UsageError):
    """A file to write results to cannot be written."""

    code = "OUTPUT_FAILED"


class SqlInvalidError(UsageError):
    """A statement that SQLite refuses, or that does more than read."""

    code = "SQL_INVALID"


class SqlTimeoutError(UsageError):
    """A statement that took longer than it may."""

    code = "SQL_TIMEOUT"


class SqlTooLargeError(UsageError):
    """A statement that needs more memory, or gives more, than it may."""

    code = "SQL_TOO_LARGE"


class SchedulerInvalidError(UsageError):
    """Neither the name of a local scheduler nor an address nor a scheduler file."""

    code = "SCHEDULER_INVALID"


class StoreError(CodeBatchError):
    """The store is missing, damaged, incompatible, or refuses to be written."""

    code = "STORE_ERROR"
    exit_code = EXIT_STORE


class StoreNotFoundError(StoreError):
    """No store where one was expected."""

    code = "STORE_NOT_FOUND"


class StoreExistsError(StoreError):
    """A directory that is neither empty nor a store, where a store should be made."""

    code = "STORE_FOREIGN"


class StoreFormatError(StoreError):
    """A store of a format this version does not read."""

    code = "STORE_INCOMPATIBLE"


class StoreDamagedError(StoreError):
    """Bytes in the store that are not what their digest says."""

    code = "STORE_DAMAGED"


class StoreReadError(StoreError):
    """The file system refuses to let the store be read (permission, device)."""

    code = "STORE_UNREADABLE"


class StoreWriteError(StoreError):
    """The file system refused a write (full, read-only, permission)."""

    code = "STORE_WRITE_FAILED"


class SnapshotNotFoundError(StoreError):
    """No snapshot of that id."""

    code = "SNAPSHOT_NOT_FOUND"


class IdNotFoundError(StoreError):
    """Neither a snapshot nor a batch of that id."""

    code = "ID_NOT_FOUND"


class ObjectNotFoundError(StoreError):
    """No object of that digest."""

    code = "OBJECT_NOT_FOUND"


class BatchNotFoundError(StoreError):
    """No batch of that id."""

    code = "BATCH_NOT_FOUND"


class BatchUnfinishedError(UsageError):
    """A batch that has to be done for what was asked, and is not."""

    code = "BATCH_UNFINISHED"


class NonDeterminismError(StoreError):
    """A task gave other bytes for a key that was already committed."""

    code = "NON_DETERMINISTIC"


class SnapshotInUseError(UsageError):
    """A snapshot that batches refer to cannot be removed."""

    code = "SNAPSHOT_IN_USE"


class LockedError(CodeBatchError):
    """Another command removes or repairs something in the store."""

    code = "LOCKED"
    exit_code = EXIT_LOCKED


class BatchRunningError(LockedError):
    """A batch that is being run can be neither removed nor tried again."""

    code = "BATCH_RUNNING"


class ClusterError(CodeBatchError):
    """The cluster cannot be reached, or does not answer."""

    code = "CLUSTER_UNREACHABLE"
    exit_code = EXIT_CLUSTER


class ClusterMismatchError(ClusterError):
    """The scheduler or workers of a cluster are not such that they can do this work."""

    code = "CLUSTER_MISMATCH"


class ToolchainMismatchError(ClusterError):
    """The plan was made with other tool versions than those at hand."""

    code = "TOOLCHAIN_MISMATCH"


class ShardFailedError(CodeBatchError):
    """A shard as a whole could not be computed; the batch goes on with the others.

    ``code`` is that of the reason, where a worker has said one.
    """

    code = "SHARD_FAILED"
    exit_code = EXIT_SHARDS_FAILED

    def __init__(self, message: str, *, code: object = None) -> None:
        super().__init__(message)
        if code is not None:
            self.code = str(code)


class WorkerLostError(CodeBatchError):
    """A worker is gone for an unknown reason, or was told to end; no file is to blame."""

    code = "WORKER_DIED"
    exit_code = EXIT_SHARDS_FAILED


class MemoryExhaustedError(ShardFailedError):
    """A process ran out of memory, or of what else there is a limit to; no file is to blame."""

    code = "MEMORY_EXHAUSTED"


class DiskExhaustedError(ShardFailedError):
    """A process has no room for temporary files; no file is to blame."""

    code = "DISK_EXHAUSTED"


class MachineExhaustedError(CodeBatchError):
    """This process lacks memory, open files, processes or room for temporary files."""

    code = "MACHINE_EXHAUSTED"
    exit_code = EXIT_STORE


class NotReusedError(CodeBatchError):
    """A run that may only reuse results met one that is not there."""

    code = "NOT_REUSED"
    exit_code = EXIT_GATE


class ArchiveInvalidError(UsageError):
    """A file to import is no memo archive, or a damaged one."""

    code = "ARCHIVE_INVALID"


# Errors of the process or the machine that computed a shard: they say nothing about the shard.
ENVIRONMENT_ERRORS = (
    DiskExhaustedError,
    StoreFormatError,
    StoreNotFoundError,
    StoreReadError,
    StoreWriteError,
    TaskNotFoundError,
    ToolchainMismatchError,
)
TRANSIENT_ERRORS = (MemoryExhaustedError, WorkerLostError)
