"""Everything that can go wrong and is not a bug, as one exception tree.

Each class carries a stable ``code`` for machines and the exit code the command line uses for
it, those of its base unless it names others; each instance one line for a person, hints on what to
do, and details. The library raises these and never prints; the command line turns them into
messages in one place.
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
    EXIT_GATE: "a gate failed: what --fail-on names was found, a baseline file has stale entries, "
    "results had to be computed that --require-reused forbids, --recompute gave other results that "
    "are not replaced, files that apply would change are other than in the batch, or verify found "
    "damage, with --repair damage that is left",
    EXIT_USAGE: "the command line, a pipeline or an argument is wrong, or the output cannot be "
    "written",
    EXIT_SHARDS_FAILED: "the batch ran to its end, but shards failed",
    EXIT_STORE: "the store, snapshot, batch or object is missing, damaged or incompatible, the "
    "store or the remote of memo push or pull cannot be read or written, or this machine lacks "
    "memory, processes or open files",
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

    def __init_subclass__(cls, code: str | None = None, exit_code: int | None = None) -> None:
        cls.code = code or cls.code
        cls.exit_code = exit_code or cls.exit_code

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

    def in_short(self) -> dict[str, object]:
        """The code and the message, as states and messages between processes have them."""
        return {"code": self.code, "message": self.message}

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


class UsageError(CodeBatchError, code="USAGE"):
    """The request itself cannot be understood or carried out."""


class InvalidIdError(UsageError, code="INVALID_ID"):
    """An id that has not the form of an id; it is never used as a path."""


class AmbiguousIdError(UsageError, code="AMBIGUOUS_ID"):
    """An abbreviated id that fits more than one thing."""


class FileNotInBatchError(UsageError, code="FILE_NOT_FOUND"):
    """No file of the batch has that path, or a path that ends so."""


class PathNotInBatchError(UsageError, code="PATH_NOT_IN_BATCH"):
    """No file of the batch is, is below, or matches the path that is asked for."""


class AmbiguousPathError(UsageError, code="AMBIGUOUS_PATH"):
    """The end of a path that fits more than one file of the batch."""


class NoSyntaxTreeError(UsageError, code="NO_SYNTAX_TREE"):
    """A file that was not parsed, or a batch of which no task parses."""


class SourceNotFoundError(UsageError, code="SOURCE_NOT_FOUND"):
    """The directory to snapshot is not there or cannot be listed."""


class RepositoryNotFoundError(UsageError, code="REPOSITORY_NOT_FOUND"):
    """No git repository where one is needed."""


class RevisionNotFoundError(UsageError, code="REVISION_NOT_FOUND"):
    """No commit of that name in the repository."""


class FindingNotFoundError(UsageError, code="FINDING_NOT_FOUND"):
    """No finding of the batch is meant, or more than one."""


class NotFetchedError(UsageError, code="NOT_FETCHED"):
    """A commit or file that the repository should have and was not fetched into it."""


class ConfigNotFoundError(UsageError, code="CONFIG_NOT_FOUND"):
    """A configuration file that was named and cannot be read."""


class ConfigInvalidError(UsageError, code="CONFIG_INVALID"):
    """A configuration that is no TOML, or has a key or a value that is none."""


class ConfigUntrustedError(UsageError, code="CONFIG_UNTRUSTED"):
    """A configuration that nobody named says what would run code, or reach out of its folder."""


class NothingStagedError(UsageError, code="NOTHING_STAGED"):
    """The index of a git repository has no tree that could be taken: none is there, or conflicts
    are.
    """


class PipelineNotFoundError(UsageError, code="PIPELINE_NOT_FOUND"):
    """No packaged pipeline of that name and no file of that path."""


class PipelineInvalidError(UsageError, code="PIPELINE_INVALID"):
    """A pipeline document that breaks the schema or the rules of a DAG."""


class TaskNotFoundError(UsageError, code="TASK_NOT_FOUND"):
    """A task that is not in the registry, or a task id the pipeline does not have."""


class TaskCodeError(UsageError, code="TASK_CODE_INVALID"):
    """Code of a task that its fingerprint cannot cover, or that cannot be found or sent."""


class TaskLoadError(UsageError, code="TASK_LOAD_FAILED"):
    """The module of a task raises an error while it is imported."""


class TaskInvalidError(UsageError, code="TASK_INVALID"):
    """What is declared as a task is none, or its name is taken."""


class ToolImportError(UsageError, code="TOOL_IMPORT_INVALID"):
    """Nothing to import descriptions of tools from, or a file of it that cannot be read."""


class FilterInvalidError(UsageError, code="FILTER_INVALID"):
    """A filter value that names nothing that can exist (kind, severity, language ...)."""


class MissingExtraError(UsageError, code="MISSING_EXTRA"):
    """A request that needs an optional package which is not installed."""


class OutputError(UsageError, code="OUTPUT_FAILED"):
    """A file to write results to cannot be written."""


class SqlInvalidError(UsageError, code="SQL_INVALID"):
    """A statement that SQLite refuses, or that does more than read."""


class SqlTimeoutError(UsageError, code="SQL_TIMEOUT"):
    """A statement that took longer than it may."""


class SqlTooLargeError(UsageError, code="SQL_TOO_LARGE"):
    """A statement that needs more memory, or gives more, than it may."""


class SchedulerInvalidError(UsageError, code="SCHEDULER_INVALID"):
    """Neither the name of a local scheduler nor an address nor a scheduler file."""


class StoreError(CodeBatchError, code="STORE_ERROR", exit_code=EXIT_STORE):
    """The store is missing, damaged, incompatible, or refuses to be written."""


class StoreNotFoundError(StoreError, code="STORE_NOT_FOUND"):
    """No store where one was expected."""


class StoreExistsError(StoreError, code="STORE_FOREIGN"):
    """A directory that is neither empty nor a store, where a store should be made."""


class StoreFormatError(StoreError, code="STORE_INCOMPATIBLE"):
    """A store of a format this version does not read."""


class StoreDamagedError(StoreError, code="STORE_DAMAGED"):
    """Bytes in the store that are not what their digest says."""


class StoreReadError(StoreError, code="STORE_UNREADABLE"):
    """The file system refuses to let the store be read (permission, device)."""


class StoreWriteError(StoreError, code="STORE_WRITE_FAILED"):
    """The file system refused a write (full, read-only, permission)."""


class SnapshotNotFoundError(StoreError, code="SNAPSHOT_NOT_FOUND"):
    """No snapshot of that id."""


class IdNotFoundError(StoreError, code="ID_NOT_FOUND"):
    """Neither a snapshot nor a batch of that id."""


class ObjectNotFoundError(StoreError, code="OBJECT_NOT_FOUND"):
    """No object of that digest."""


class BatchNotFoundError(StoreError, code="BATCH_NOT_FOUND"):
    """No batch of that id."""


class NameNotFoundError(StoreError, code="NAME_NOT_FOUND"):
    """No snapshot or batch has that name."""


class BatchUnfinishedError(UsageError, code="BATCH_UNFINISHED"):
    """A batch that has to be done for what was asked, and is not."""


class NonDeterminismError(StoreError, code="NON_DETERMINISTIC"):
    """A task gave other bytes for a key that was already committed."""


class SnapshotInUseError(UsageError, code="SNAPSHOT_IN_USE"):
    """A snapshot that batches refer to cannot be removed."""


class NamedError(UsageError, code="NAMED"):
    """A snapshot or a batch that has a name cannot be removed."""


class LockedError(CodeBatchError, code="LOCKED", exit_code=EXIT_LOCKED):
    """Another command removes or repairs something in the store."""


class BatchRunningError(LockedError, code="BATCH_RUNNING"):
    """A batch that is being run can be neither removed nor tried again."""


class ClusterError(CodeBatchError, code="CLUSTER_UNREACHABLE", exit_code=EXIT_CLUSTER):
    """The cluster cannot be reached, or does not answer."""


class ClusterMismatchError(ClusterError, code="CLUSTER_MISMATCH"):
    """The scheduler or workers of a cluster are not such that they can do this work."""


class ToolchainMismatchError(ClusterError, code="TOOLCHAIN_MISMATCH"):
    """The plan was made with other tool versions than those at hand."""


class ShardFailedError(CodeBatchError, code="SHARD_FAILED", exit_code=EXIT_SHARDS_FAILED):
    """A shard as a whole could not be computed; the batch goes on with the others.

    ``code`` is that of the reason, where a worker has said one.
    """

    def __init__(self, message: str, *, code: object = None, hints: Sequence[str] = ()) -> None:
        super().__init__(message, hints=hints)
        if code is not None:
            self.code = str(code)


class TaskFailedError(ShardFailedError, code="TASK_FAILED"):
    """A task could not be run on the files of a shard, and none of them is to blame; other tasks
    go on.
    """


class WorkerLostError(CodeBatchError, code="WORKER_DIED", exit_code=EXIT_SHARDS_FAILED):
    """A worker is gone for an unknown reason, or was told to end; no file is to blame."""


class MemoryExhaustedError(ShardFailedError, code="MEMORY_EXHAUSTED"):
    """A process ran out of memory, or of what else there is a limit to; no file is to blame."""


class DiskExhaustedError(ShardFailedError, code="DISK_EXHAUSTED"):
    """A process has no room for temporary files; no file is to blame."""


class MachineExhaustedError(CodeBatchError, code="MACHINE_EXHAUSTED", exit_code=EXIT_STORE):
    """This process lacks memory, open files, processes or room for temporary files."""


class NotReusedError(CodeBatchError, code="NOT_REUSED", exit_code=EXIT_GATE):
    """A run that may only reuse results met one that is not there."""


class LogInvalidError(UsageError, code="LOG_INVALID"):
    """A file to import is no log of SARIF, or cannot be read."""


class BaselineInvalidError(UsageError, code="BASELINE_INVALID"):
    """A baseline file that cannot be read, or has a line that is no entry."""


class BaseNotFoundError(UsageError, code="BASE_NOT_FOUND"):
    """Nothing to compare with is named, and none can be found."""


class PatchConflictError(UsageError, code="PATCH_CONFLICT"):
    """Several tasks would change the same file."""


class PatchRefusedError(CodeBatchError, code="PATCH_REFUSED", exit_code=EXIT_GATE):
    """Files that patches are for are not what they were in the snapshot; nothing is changed."""


class ArchiveInvalidError(UsageError, code="ARCHIVE_INVALID"):
    """A file to import is no memo archive, or a damaged one."""


class RemoteInvalidError(UsageError, code="REMOTE_INVALID"):
    """What is named as a remote for shared results is none."""


class RemoteError(CodeBatchError, code="REMOTE_FAILED", exit_code=EXIT_STORE):
    """A remote for shared results that cannot be reached, read or written."""


class RemoteDamagedError(RemoteError, code="REMOTE_DAMAGED"):
    """A file at a remote that is not what it should be."""


class RemoteFormatError(RemoteError, code="REMOTE_INCOMPATIBLE"):
    """A remote of a format this version does not read."""


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
