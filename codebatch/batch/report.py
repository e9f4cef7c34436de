"""The reports on runs and rechecks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from types import MappingProxyType

from codebatch.cluster.usage import ClusterUsage
from codebatch.display.displayed import Displayed, card
from codebatch.model.errors import (
    NonDeterminismError,
    NotReusedError,
    ShardFailedError,
    StoreWriteError,
)
from codebatch.model.messages import Receipt
from codebatch.model.records import DONE, FAILED, INTERRUPTED, path_key
from codebatch.status.batch_status import BatchStatus
from codebatch.status.totals import Totals
from codebatch.store import StoreDirectory
from codebatch.tasks.rules import QUARANTINED


@dataclass(frozen=True, repr=False)
class RunReport(Displayed):
    """The outcome of a run over ``file_count`` files. ``files`` counts results, one per task and
    file, and those that are quarantined once more; ``quarantined`` names them with task and code.
    ``seconds`` is wall time. ``cluster`` is what was used of one. ``nodes`` counts the values in
    the trees of batch tasks, which are no files. ``memo`` says what was read from a remote and what
    was written to it: packs, results and bytes of each; None where nothing was. ``totals`` are
    those of the states of the batch.
    """

    batch_id: str
    snapshot_id: str
    status: str
    result: str | None
    shards: dict[str, int]
    files: dict[str, int]
    seconds: float
    errors: tuple[dict[str, object], ...] = ()
    quarantined: tuple[dict[str, str], ...] = ()
    cluster: ClusterUsage | None = None
    nodes: Mapping[str, int] = field(default_factory=dict)
    file_count: int = 0
    memo: Mapping[str, Mapping[str, int]] | None = None
    totals: Totals | None = field(default=None, repr=False, compare=False)

    def as_document(self) -> dict[str, object]:
        """Return what ``codebatch run --json`` prints: all but the totals."""
        document = asdict(replace(self, totals=None))
        del document["totals"]
        return document

    def _card(self) -> card.Card:
        """Return what is shown: how far it came, what was computed, and what went wrong."""
        facts = {
            "snapshot": self.snapshot_id,
            "shards": card.state_bar(self.shards),
            "files": self.file_count,
            "results": card.Counts(self.files),
            "values": card.Counts(self.nodes) if any(self.nodes.values()) else None,
            "seconds": self.seconds,
            "workers": len(self.cluster.workers) if self.cluster else None,
            **{name: card.Counts(numbers) for name, numbers in (self.memo or {}).items()},
            "result": self.result,
        }
        tables = [card.table_of(self.errors, title="errors")] if self.errors else []
        if self.quarantined:
            tables.append(card.table_of(self.quarantined, title="quarantined"))
        return card.Card("Run of", self.batch_id, self.status, facts, tables)


class RunInterrupted(KeyboardInterrupt):
    """Ctrl-C has ended a run, which has committed what was in flight; see its ``report``."""

    def __init__(self, report: RunReport) -> None:
        super().__init__(report)
        self.report = report

    def __str__(self) -> str:
        done, total = self.report.shards["done"], self.report.shards["total"]
        return f"{self.report.batch_id}: {done} of {total} shards are done; batch.run() goes on"


@dataclass(frozen=True, repr=False)
class RecheckReport(Displayed):
    """The outcome of computing results again: how many were compared, which differ, and whether
    the shards of these have been computed anew, and their files have no other memo entries.
    """

    batch_id: str
    checked: int
    differ: tuple[dict[str, str], ...]
    replaced: bool
    seconds: float


def check_written(batch_id: str, receipt: Receipt) -> None:
    """Raise `StoreWriteError` where the shard could not be stored: no other could, either."""
    error = receipt.error or {}
    if error.get("code") == StoreWriteError.code:
        raise StoreWriteError(
            str(error.get("message")),
            hints=[
                "free space or restore the permission",
                f"then go on: codebatch resume --batch {batch_id}",
            ],
            details={"batch_id": batch_id, "shard_id": receipt.shard_id},
        )


def report_run(  # noqa: PLR0913 - all that a report says
    batch_status: BatchStatus,
    receipts: Mapping[str, Receipt],
    attempts: set[str],
    seconds: float,
    *,
    interrupted: bool,
    quarantined: Sequence[dict[str, str]] = (),
    cluster: ClusterUsage | None = None,
    nodes: Mapping[str, int] = MappingProxyType({}),
) -> RunReport:
    """The report on a run from the states it left and the receipts by shard.

    ``attempts`` are those whose states are this run's work.
    """
    disputed = _refused(receipts, NonDeterminismError.code)
    missing = _refused(receipts, NotReusedError.code)
    status = FAILED if disputed else batch_status.status
    if interrupted and status not in (DONE, FAILED):
        status = INTERRUPTED
    elif missing and status not in (DONE, FAILED):
        raise NotReusedError(
            f"{len(missing)} of {len(batch_status.shard_ids)} shards need computing: "
            f"{missing[0]['message']}",
            hints=[f"compute them: codebatch run --batch {batch_status.batch_id}"],
            details={"shards": missing},
        )
    elif status not in (DONE, FAILED):
        raise ShardFailedError(
            f"the run of {batch_status.batch_id} ended with shards still pending"
        )
    shards = batch_status.shards()
    errors = {str(error["shard_id"]): dict(error) for error in (*batch_status.errors(), *disputed)}
    return RunReport(
        batch_id=batch_status.batch_id,
        snapshot_id=batch_status.plan.snapshot_id,
        status=status,
        result=None if disputed else batch_status.result,
        shards={name: shards[name] for name in ("total", "done", "failed")},
        files={**_files(batch_status, attempts), "quarantined": len(quarantined)},
        seconds=round(seconds, 3),
        errors=tuple(errors[shard_id] for shard_id in sorted(errors)),
        quarantined=tuple(quarantined),
        cluster=cluster,
        nodes=nodes,
        file_count=batch_status.plan.files,
        totals=batch_status.totals,
    )


def quarantined_files(store: StoreDirectory, batch_status: BatchStatus) -> list[dict[str, str]]:
    """Return what is quarantined in a batch, in the order of paths, then of tasks."""
    found = [
        {"path": str(record["path"]), "task_id": task.id, "code": str(record["code"])}
        for task in batch_status.plan.tasks
        for shard_id, state in batch_status.states[task.id].items()
        if state is not None and not QUARANTINED.isdisjoint(state.counts.by_code)
        for record in store.shards.iter_outputs(batch_status.batch_id, task, shard_id)
        if record.get("code") in QUARANTINED
    ]
    return sorted(found, key=lambda one: path_key(one["path"]))


def report_recheck(batch_id: str, receipts: Sequence[Receipt], seconds: float) -> RecheckReport:
    """The report on a recheck; `ShardFailedError` where a shard could not be computed."""
    for receipt in receipts:
        if receipt.error is not None:
            raise ShardFailedError(
                f"cannot compute shard {receipt.shard_id} again: {receipt.error.get('message')}"
            )
    differ = sorted((*place, one.shard_id) for one in receipts for place in one.differ)
    named = [{"task_id": task, "path": path, "shard_id": shard} for task, path, shard in differ]
    return RecheckReport(
        batch_id=batch_id,
        checked=sum(receipt.checked for receipt in receipts),
        differ=tuple(named),
        replaced=False,
        seconds=round(seconds, 3),
    )


def _refused(receipts: Mapping[str, Receipt], code: str) -> list[dict[str, object]]:
    """The shards that answered with this error."""
    return [
        {"shard_id": shard_id, **(receipt.error or {})}
        for shard_id, receipt in sorted(receipts.items())
        if (receipt.error or {}).get("code") == code
    ]


def _files(batch_status: BatchStatus, attempts: set[str]) -> dict[str, int]:
    """Computed by this run; reused from equal files, the memo, other batches or earlier runs."""
    done = [
        state
        for task in batch_status.plan.of_files.tasks
        for state in batch_status.states[task.id].values()
        if state is not None and state.status == DONE
    ]
    total = sum(state.files for state in done)
    computed = sum(state.computed for state in done if state.attempt in attempts)
    return {"computed": computed, "reused": total - computed}
