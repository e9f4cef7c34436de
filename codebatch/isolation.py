"""Run shards in child processes, and find out which file is to blame where one ends.

A shard runs whole in a child (`run_guarded`): what crashes, hangs or takes all memory there ends
that child alone. Then the shard is run again *isolated*: this process goes through its files and
has a child run one task on one file at a time, so it is known what a child was at when it ended.
No file is blamed for what it may have met: what ended a child that had been used before, or that
prepared several files at once, is repeated in a fresh one, which is given nothing else. Only what
ends that as well is quarantined. What may be the doing of somebody else, who killed or stopped the
child, has to happen twice. Whatever came out stays, so each end costs one computation; and
how many files are prepared together is halved each time when it was none of the one at hand.

This process looks into no file and runs no task on any.
"""

from __future__ import annotations

import signal
from collections.abc import Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

from codebatch.child import receipt_from
from codebatch.digest import Document, canonical_json
from codebatch.errors import (
    CodeBatchError,
    MemoryExhaustedError,
    ShardFailedError,
    WorkerLostError,
)
from codebatch.lines import FileLines
from codebatch.messages import Receipt, ShardCall
from codebatch.pool import Child, ChildEndedError, Children
from codebatch.quarantine import Quarantine, quarantined_lines
from codebatch.records import FAILED, Counts, InputFile
from codebatch.shard import Computation, Surroundings
from codebatch.store import open_store
from codebatch.tasks.registry import find_task
from codebatch.tasks.rules import TASK_CRASHED, TASK_OUT_OF_MEMORY, TASK_TIMED_OUT
from codebatch.tasks.source import SourceFile
from codebatch.worker import run_shard

# The kernel ends a child in time; this is for one whose timer a task has taken.
_GRACE_SECONDS = 5
# Ended by somebody who wanted the process to end: that says nothing about a file.
_TOLD_TO_END = {-signal.SIGTERM, -signal.SIGINT, -signal.SIGHUP, -signal.SIGQUIT}

# Those of a worker of a cluster: they wait for its next shard.
_children = Children()

Source = tuple[InputFile, SourceFile]


class _ChildDiedError(Exception):
    """A child ended over a computation; ``code`` is what the file would be quarantined under.

    ``by_other`` is true where somebody else may have killed it, or stopped it for so long.
    """

    def __init__(self, code: str, *, by_other: bool = False) -> None:
        super().__init__(code)
        self.code = code
        self.by_other = by_other


def run_guarded(call: ShardCall, children: Children = _children) -> Receipt:
    """As `run_shard`, in a child; a file that ends it is quarantined, all others are computed."""
    try:
        receipt = _run_in_child(call, children)
        if receipt is None and children.stopped:
            raise WorkerLostError("the run was stopped")
        return _run_isolated(call, children) if receipt is None else receipt
    except CodeBatchError as error:
        failure = {"code": error.code, "message": error.message}
    except OSError as error:  # no more processes or descriptors: elsewhere, or later, there are
        failure = {"code": WorkerLostError.code, "message": f"no worker process: {error}"}
    return Receipt(call.shard_id, call.attempt, FAILED, failure)


def _run_in_child(call: ShardCall, children: Children) -> Receipt | None:
    """Run a shard whole; None where the child did not live to say what came of it."""
    try:
        with children.borrow() as child:
            child.send({"run": call, "limits": call.limits})
            answer = child.receive()
            receipt = receipt_from(answer["receipt"]) if "receipt" in answer else None
            if receipt is None or (receipt.error or {}).get("code") == MemoryExhaustedError.code:
                raise ChildEndedError(0)  # it has no memory left to serve with
            return receipt
    except ChildEndedError as end:
        if end.status in _TOLD_TO_END:
            raise WorkerLostError("a worker process was told to end") from None
        return None


def _run_isolated(call: ShardCall, children: Children) -> Receipt:
    isolation = _Isolation(call, children)
    try:
        return run_shard(call, isolation.around)
    finally:
        isolation.close()


class _Isolation:
    """Computes the results of one shard in children, one at a time.

    State: ``_child`` is the child in use, None where the next computation starts one;
    ``_prepared`` the tasks and files it has prepared; ``_together`` how many files may be
    prepared at once.
    """

    def __init__(self, call: ShardCall, children: Children) -> None:
        self._call = call
        self._children = children
        self._quarantine = Quarantine(open_store(Path(call.store)))
        self._child: Child | None = None
        self._prepared: set[tuple[str, tuple[object, ...]]] = set()
        self._together = 2**30

    def around(self, around: Surroundings) -> Surroundings:
        """The surroundings of the shard, with its results computed in children."""
        return replace(around, compute=partial(self._compute, around))

    def close(self) -> None:
        """Let the child go."""
        if self._child is not None:
            self._children.drop(self._child)
        self._child = None
        self._prepared.clear()

    def _compute(self, around: Surroundings, work: Computation) -> FileLines:
        company = self._company(work)
        in_company = len(company)
        seen: set[str] = set()  # what may have been the doing of others
        while True:
            alone = not company and self._child is None
            try:
                found = self._ask(around, work, company)
            except _ChildDiedError as death:
                # A limit of time is for one file: what stands beside it makes no difference.
                proven = alone or (not company and death.code == TASK_TIMED_OUT)
                if proven and (death.code in seen or not death.by_other):
                    return self._condemn(work, death.code)
                if proven:
                    seen.add(death.code)
                company = []
                continue
            if in_company and not company:
                self._together = max(1, (in_company + 1) // 2)
            return found

    def _company(self, work: Computation) -> list[Source]:
        """The files that are to be prepared together with the one at hand."""
        has_prepared = (work.task.id, _name(work.file)) in self._prepared
        if has_prepared or find_task(work.task.task).prepare is None:
            return []
        return list(work.later())[: self._together - 1]

    def _ask(self, around: Surroundings, work: Computation, company: Sequence[Source]) -> FileLines:
        """Have a task run on a file in a child."""
        if self._children.stopped:
            raise WorkerLostError("the run was stopped")
        if self._child is None:
            self._child = self._children.start()
        sources = [(work.file, work.source), *company]
        try:
            answer = self._converse(self._child, work, sources)
        except ChildEndedError as end:
            self.close()
            raise _death(end.status) from None
        except BaseException:
            self.close()
            raise
        if "exhausted" in answer:
            self.close()
            raise _ChildDiedError(TASK_OUT_OF_MEMORY)
        if "failed" in answer:
            raise ShardFailedError(answer["failed"])
        self._prepared.update((work.task.id, _name(file)) for file, _ in sources)
        objects = tuple(around.put(blob) for blob in answer["blobs"])
        return FileLines(answer["lines"], Counts.from_document(answer["counts"]), objects)

    def _converse(self, child: Child, work: Computation, sources: Sequence[Source]) -> Any:
        """Send a computation, and what the child wants to read, until it has an answer."""
        files = [(file.object, file.size, file.language, file.facets) for file, _ in sources]
        upstream = {need: found.lines for need, found in work.upstream.items()}
        task = canonical_json(asdict(work.task))
        described = {"task": task, "files": files, "upstream": upstream}
        child.send({"compute": described, "limits": self._call.limits})
        limit = self._call.limits.seconds_for(len(sources))
        seconds = limit + _GRACE_SECONDS if limit else None
        while True:
            try:
                answer = child.receive(seconds)
            except TimeoutError:
                child.kill()
                raise _ChildDiedError(TASK_TIMED_OUT, by_other=True) from None
            if "want" not in answer:
                return answer
            child.send(sources[answer["want"]][1].content)

    def _condemn(self, work: Computation, code: str) -> FileLines:
        """Quarantine a result; what only checks results gives none up."""
        if self._call.recheck is not None:
            return quarantined_lines(code)
        facts: Document = {
            "batch_id": self._call.batch_id,
            "task_id": work.task.id,
            "path": work.file.path,
            "object": work.file.object,
        }
        return self._quarantine.add(work.key, code, facts)


def _death(status: int) -> Exception:
    """What the end of a child says about what it was at."""
    if status in _TOLD_TO_END:
        return WorkerLostError("a worker process was told to end")
    if status == -signal.SIGALRM:  # its time goes on while it is stopped
        return _ChildDiedError(TASK_TIMED_OUT, by_other=True)
    if status == -signal.SIGKILL:  # as the kernel does where memory runs out
        return _ChildDiedError(TASK_OUT_OF_MEMORY, by_other=True)
    return _ChildDiedError(TASK_CRASHED)


def _name(file: InputFile) -> tuple[object, ...]:
    """What tells files apart as tasks see them."""
    return file.object, file.language, *sorted(file.facets.items())
