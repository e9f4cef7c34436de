"""Run shards in child processes, and find out which file is to blame where one ends.

A shard runs whole in a child (`run_guarded`): what crashes, hangs or takes all memory there ends
that child alone. Then the shard is run again *isolated*: this process goes through its files and
has a child run one task on one file at a time, so it is known what a child was at when it ended.
No file is blamed for what it may have met: what ended a child that had been used before, or that
prepared several files at once, is repeated in a fresh one, which is given nothing else. Only what
ends that as well is quarantined. What another process may have done, by
killing or stopping the child, has to happen twice. All results stay, so each end costs one
computation; and how many files are prepared together is halved each time when it was none of the
one at hand.

This process looks into no file and runs no task on any.
"""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from functools import partial
from typing import Any

from codebatch.model.digest import canonical_json
from codebatch.model.errors import (
    CodeBatchError,
    ShardFailedError,
    TaskFailedError,
    WorkerLostError,
)
from codebatch.model.limits import Limits
from codebatch.model.messages import Receipt, ShardCall, Used, refusal
from codebatch.model.record_lines import FileLines
from codebatch.model.records import Counts, InputFile
from codebatch.processes.child import receipt_from
from codebatch.processes.pool import TOLD_TO_END, Child, ChildEndedError, Children
from codebatch.shard.compute import Change, Computation, ShardContext
from codebatch.shard.run import run_shard
from codebatch.tasks.registry import prepares
from codebatch.tasks.rules import TASK_CRASHED, TASK_OUT_OF_MEMORY, TASK_TIMED_OUT
from codebatch.tasks.source import SourceFile

# The kernel ends a child in time; this is for one whose timer a task has taken.
_GRACE_SECONDS = 5
# A request to end, from outside: that says nothing about a file.
_TOLD_TO_END = TOLD_TO_END - {-signal.SIGKILL}  # the kernel sends that where memory runs out
_OF_OTHERS = {-signal.SIGALRM: TASK_TIMED_OUT, -signal.SIGKILL: TASK_OUT_OF_MEMORY}

Source = tuple[InputFile, SourceFile]


class _ChildDiedError(Exception):
    """A child ended over a computation; ``code`` is what the file would be quarantined under.

    ``by_other`` is true where another process may have killed it, or stopped it for so long.
    """

    def __init__(self, code: str, *, by_other: bool = False) -> None:
        super().__init__(code)
        self.code = code
        self.by_other = by_other


def run_guarded(call: ShardCall, children: Children) -> Receipt:
    """Run a shard in a child; a file that ends it is quarantined, all others are computed."""
    try:
        answer = ask_child(children, {"run": [call], "limits": call.limits})
        if answer is not None and "receipt" in answer:
            return receipt_from(answer["receipt"])._replace(used=Used(*answer["used"]))
        with isolated(call.limits, children) as change:
            return run_shard(call, change)
    except CodeBatchError as error:
        return refusal(call, error)


def ask_child(children: Children, message: object) -> Any:
    """Return the answer of a child; None where it ended or ran out of memory before."""
    try:
        with children.borrow() as child:
            child.send(message)
            answer = child.receive()
            if "exhausted" in answer:
                raise ChildEndedError(0)
            return answer
    except ChildEndedError as end:
        if end.status in _TOLD_TO_END:
            raise WorkerLostError("a worker process was told to end") from None
        children.check_wanted()
        return None
    except OSError as error:  # no more processes or descriptors: elsewhere, or later, there are
        raise WorkerLostError(f"no worker process: {error}") from error


@contextlib.contextmanager
def isolated(limits: Limits, children: Children) -> Iterator[Change]:
    """Change a context, for a block, such that every result is computed in a child; one that ends
    its child is quarantined.
    """
    isolation = _Isolation(limits, children)
    try:
        yield isolation.change
    except OSError as error:
        raise WorkerLostError(f"no worker process: {error}") from error
    finally:
        isolation.close()


class _Isolation:
    """Computes the results of files in children, one at a time.

    State: ``_child`` is the child in use, None where the next computation starts one;
    ``_prepared`` the tasks and files it has prepared; ``_together`` how many files may be
    prepared at once.
    """

    def __init__(self, limits: Limits, children: Children) -> None:
        self._limits = limits
        self._children = children
        self._child: Child | None = None
        self._prepared: set[tuple[str, tuple[object, ...]]] = set()
        self._together = 2**30

    def change(self, context: ShardContext) -> ShardContext:
        """Return the context with results computed in children."""
        return replace(context, compute=partial(self._compute, context))

    def close(self) -> None:
        """Let the child go."""
        if self._child is not None:
            self._children.drop(self._child)
        self._child = None
        self._prepared.clear()

    def _compute(self, context: ShardContext, work: Computation) -> FileLines:
        company = self._company(work)
        in_company = len(company)
        seen: set[str] = set()  # what may have been the doing of others
        while True:
            alone = not company and self._child is None
            try:
                found = self._ask(context, work, company)
            except _ChildDiedError as death:
                self._children.check_wanted()  # or it was killed for that
                # A limit of time is for one file: what stands beside it makes no difference.
                proven = alone or (not company and death.code == TASK_TIMED_OUT)
                if proven and (death.code in seen or not death.by_other):
                    return context.quarantine(work, death.code)
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
        if has_prepared or not prepares(work.task):
            return []
        return list(work.later())[: self._together - 1]

    def _ask(
        self, context: ShardContext, work: Computation, company: Sequence[Source]
    ) -> FileLines:
        """Have a task run on a file in a child."""
        self._children.check_wanted()
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
        if "task_failed" in answer:
            raise TaskFailedError(answer["task_failed"])
        if "crashed" in answer:
            return context.quarantine(work, answer["crashed"])
        self._prepared.update((work.task.id, _name(file)) for file, _ in sources)
        objects = tuple(context.put(blob) for blob in answer["blobs"])
        return FileLines(answer["lines"], Counts.from_document(answer["counts"]), objects)

    def _converse(self, child: Child, work: Computation, sources: Sequence[Source]) -> Any:
        """Send a computation, and what the child wants to read, until it has an answer."""
        files = [(file.object, file.size, file.language, file.facets) for file, _ in sources]
        upstream = {need: found.lines for need, found in work.upstream.items()}
        task = canonical_json(asdict(work.task))
        described = {"task": task, "files": files, "upstream": upstream}
        child.send({"compute": described, "limits": self._limits})
        limit = self._limits.seconds_for(len(sources))
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


def _death(status: int) -> Exception:
    """Return the error that the exit status of a child stands for."""
    try:
        code = code_of_end(status)
    except WorkerLostError as lost:
        return lost
    # Its time goes on while it is stopped, and the kernel kills where memory runs out.
    return _ChildDiedError(code, by_other=status in _OF_OTHERS)


def code_of_end(status: int) -> str:
    """Return what a computation failed with that ended its process; `WorkerLostError` where that
    was told to end.
    """
    if status in _TOLD_TO_END:
        raise WorkerLostError("a worker process was told to end")
    return _OF_OTHERS.get(status, TASK_CRASHED)


def _name(file: InputFile) -> tuple[object, ...]:
    """Return what tells files apart as tasks see them."""
    return file.object, file.language, *sorted(file.facets.items())
