"""The work of a child process: run shards, or a task on a file, within limits that end it.

**Time.** Before each computation the kernel is told to end the process when the limit has
passed (``setitimer``; `SIGALRM` ends a process that has set no handler). That costs half a
microsecond, needs no thread, and works in a C function that holds the interpreter's lock.

**Memory.** The data a process may have is limited, relative to what it has before it works. What
exceeds the limit gets a `MemoryError`, or the process ends in whatever way the code that asked
for memory knows.

Messages and their answers are described at `_Serving`. The process ends when its channel does.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import resource
import signal
import socket
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

from codebatch.model.digest import digest_bytes
from codebatch.model.errors import CodeBatchError, MemoryExhaustedError, TaskFailedError
from codebatch.model.limits import Limits
from codebatch.model.messages import Receipt, ShardCall, Used, call_from
from codebatch.model.record_lines import FileLines
from codebatch.model.records import PlannedTask
from codebatch.processes.channel import BrokenChannelError, receive, send
from codebatch.reduction.messages import NodeCall
from codebatch.reduction.run import run_node
from codebatch.runtime.gc_paused import collector_held
from codebatch.shard.compute import Computation, ShardContext, run_task
from codebatch.shard.parcel import (
    Parcel,
    compute_parcel,
    pack_results,
    parcel_from,
    reader_of,
    task_from,
)
from codebatch.shard.together import run_group
from codebatch.tasks.base import Task, ToolCrashedError
from codebatch.tasks.code.carry import adopt
from codebatch.tasks.registry import task_of
from codebatch.tasks.source import SourceFile

_MEMORY_SHARE = 2
_CGROUP_LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")
_KILL_FIRST = "500"
_MAXRSS_UNIT = 1 if sys.platform == "darwin" else 1024

Message = Mapping[str, Any]
Watch = Callable[[int], None]


def serve(channel: socket.socket) -> None:
    """Answer what comes over the channel until it ends, or memory has run out."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the owner decides what an interrupt means
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGALRM])
    _prefer_to_die()
    serving = _Serving(channel)
    with contextlib.suppress(BrokenChannelError):
        while not serving.exhausted:
            message = receive(channel)
            before = _used().cpu_seconds
            for answer in serving.answers(message):
                used = _used()
                spent, before = used.cpu_seconds - before, used.cpu_seconds
                send(channel, {**answer, "used": used._replace(cpu_seconds=round(spent, 6))})


class _Serving:
    """Answers ``{"adopt": code}`` once, before all else, with the code of users' tasks;
    ``{"run": calls}`` with a ``{"receipt": …}`` of each, after which it waits for whether to go on,
    but for the last; ``{"node": call}`` with ``{"node": …}``,
    ``{"call": (module, name), "with": arguments}`` with what that function of ours returns,
    ``{"parcel": …}`` with what is in an `Answer` that is not empty; and ``{"compute": …}``, which
    holds what a task on a file depends on, with its lines, or with the rule under which a tool has
    ``crashed`` on it. In the midst of the latter it may ask ``{"want": n}`` for the content of the
    n-th file it was told of. What goes wrong with all of a task is ``{"failed": message}``;
    ``{"exhausted": true}`` says that memory has run out, after which it answers no more.

    State: ``_source`` is the file that was looked at last, under ``_name``; ``_prepared`` what
    tasks have prepared for files, by task and name.
    """

    def __init__(self, channel: socket.socket) -> None:
        self.exhausted = False
        self._channel = channel
        self._name: object = None
        self._source = SourceFile(b"", "")
        self._prepared: dict[bytes, dict[object, object]] = {}

    def answers(self, message: Message) -> Iterator[Message]:
        """The answers to one message."""
        if "run" not in message:
            yield self._answer(message)
            return
        calls = [call_from(one) for one in message["run"]]
        answers = self._working(message, lambda watch: self._run(calls, watch))
        for left, answer in zip(range(len(calls))[::-1], answers, strict=False):
            yield answer
            if "receipt" not in answer or (left and not receive(self._channel)):
                break

    def _answer(self, message: Message) -> Message:
        if "adopt" not in message:
            return self._work(message)
        os.environb.clear()
        os.environb.update(message["variables"])
        return _adopt(message["adopt"])

    def _work(self, message: Message) -> Message:
        """The answer to a message that asks for a result."""
        (answer,) = self._working(message, lambda watch: iter([self._act(message, watch)]))
        return answer

    def _working(
        self, message: Message, act: Callable[[Watch], Iterator[Message]]
    ) -> Iterator[Message]:
        """Yield what is answered under the limits of a message; what goes wrong is the last."""
        limits = Limits(*message["limits"])
        watch = _watch(limits)
        try:
            limit_memory(limits)
            yield from act(watch)
        except MemoryError:
            self.exhausted = True
            yield {"exhausted": True}
        except BrokenChannelError:
            raise
        except CodeBatchError as error:
            yield {"failed": error.message}
        except Exception as error:  # noqa: BLE001 - said to the owner, who knows what it means
            yield {"failed": f"{type(error).__name__}: {error}"}
        finally:
            watch(0)

    def _act(self, message: Message, watch: Watch) -> Message:
        if "node" in message:
            return self._run_node(NodeCall.from_wire(message["node"]), watch)
        if "call" in message:
            module, name = message["call"]
            answer: Message = getattr(importlib.import_module(module), name)(*message["with"])
            return answer
        if "parcel" in message:
            return self._serve(parcel_from(message["parcel"]), watch)
        return self._compute(message["compute"], watch)

    def _run(self, calls: Sequence[ShardCall], watch: Watch) -> Iterator[Message]:
        limited = partial(replace, watch=watch, memory_is_limited=True)
        for receipt in run_group(calls, limited, watch):
            self.exhausted = (receipt.error or {}).get("code") == MemoryExhaustedError.code
            yield {"exhausted": True} if self.exhausted else {"receipt": receipt}

    def _run_node(self, call: NodeCall, watch: Watch) -> Message:
        receipt = run_node(call, watch=watch)
        self.exhausted = (receipt.error or {}).get("code") == MemoryExhaustedError.code
        return {"exhausted": True} if self.exhausted else {"node": receipt}

    def _serve(self, parcel: Parcel, watch: Watch) -> Message:
        limited = partial(replace, watch=watch, memory_is_limited=True)
        try:
            with collector_held():
                results = compute_parcel(parcel, reader_of(parcel.contents), limited)
            return {"results": pack_results(results), "quarantined": results.quarantined}
        except MemoryExhaustedError:
            self.exhausted = True
            return {"exhausted": True}
        except CodeBatchError as error:
            return {"error": error.in_short()}

    def _compute(self, work: Message, watch: Watch) -> Message:
        task = task_from(work["task"])
        self._look_at(work["files"][0])
        blobs: list[bytes] = []

        def put(data: bytes) -> str:
            blobs.append(data)
            return digest_bytes(data)

        with collector_held():
            found = task_of(task)
            try:
                prepared = self._prepared_for(found, task, work, watch)
            except TaskFailedError as error:
                return {"task_failed": error.message}
            file = found.file(self._source, work["upstream"], prepared)
            watch(1)
            limited = ShardContext(_nothing, put, _not_here, memory_is_limited=True)
            try:
                lines = run_task(found, task.config, file, limited, task.levels)
            except ToolCrashedError as error:
                return {"crashed": error.rule}
        watch(0)
        counts = lines.counts.as_document()
        return {"lines": lines.lines, "counts": counts, "blobs": blobs}

    def _look_at(self, file: Sequence[Any]) -> None:
        """Have this file at hand; what was made of it before is kept."""
        if _name_of(file) != self._name:
            self._source.drop_tree()
            self._name, self._source = _name_of(file), self._source_of(0, file)

    def _prepared_for(self, found: Task, task: PlannedTask, work: Message, watch: Watch) -> object:
        if found.prepare is None:
            return None
        names = [_name_of(file) for file in work["files"]]
        values = self._prepared.setdefault(work["task"], {})
        if names[0] not in values:
            later = map(self._source_of, range(1, len(names)), work["files"][1:])
            sources = [self._source, *later]
            watch(0 if found.keeps_time else len(sources))
            values.update(zip(names, found.prepare_now(sources, task.config), strict=True))
        return values[names[0]]

    def _source_of(self, number: int, file: Sequence[Any]) -> SourceFile:
        _, size, language, facets = file
        return SourceFile.stored(partial(self._content, number), size, language, facets)

    def _content(self, number: int) -> bytes:
        send(self._channel, {"want": number})
        content: bytes = receive(self._channel)
        return content


def limit_memory(limits: Limits) -> None:
    """Let this process take so much more memory than it has now."""
    size = limits.memory_bytes
    if size is None:
        size = memory_there_is() // _MEMORY_SHARE
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    wanted = size + _data_bytes() if size else resource.RLIM_INFINITY
    if hard != resource.RLIM_INFINITY:
        wanted = hard if wanted == resource.RLIM_INFINITY else min(wanted, hard)
    resource.setrlimit(resource.RLIMIT_DATA, (wanted, hard))


@lru_cache(maxsize=1)
def memory_there_is() -> int:
    """Bytes of memory of this machine, or of the container that this process is in."""
    found = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    for name in _CGROUP_LIMITS:
        with contextlib.suppress(OSError, ValueError):
            found = min(found, int(Path(name).read_text(encoding="ascii")))
    return found


def _used() -> Used:
    """Return what this process and the tools it has started have taken so far."""
    own = resource.getrusage(resource.RUSAGE_SELF)
    tools = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = sum(one.ru_utime + one.ru_stime for one in (own, tools))
    return Used(seconds, max(own.ru_maxrss, tools.ru_maxrss) * _MAXRSS_UNIT)


def _watch(limits: Limits) -> Watch:
    """A function that is told for how many files the next step takes time; 0: there is none."""

    def watch(files: int) -> None:
        signal.setitimer(signal.ITIMER_REAL, limits.seconds_for(files))

    return watch


def _data_bytes() -> int:
    """Return the bytes that the limit counts of this process; 0 where the system does not tell."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        status = Path("/proc/self/status").read_text(encoding="ascii", errors="replace")
        return int(status.partition("VmData:")[2].split()[0]) * 1024
    return 0


def _prefer_to_die() -> None:
    """Have no core written, and be what the kernel kills first where memory runs out: what a
    child was at is done again, its owner's work is not.
    """
    _, hard = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (0, hard))
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(_KILL_FIRST, encoding="ascii")


def _adopt(code: bytes) -> Message:
    try:
        adopt(code)
    except CodeBatchError as error:
        return {"failed": error.message}
    return {}


def receipt_from(wire: Sequence[Any]) -> Receipt:
    """The receipt that a child has sent."""
    receipt = Receipt(*wire)
    differ = tuple((task, path) for task, path in receipt.differ)
    return receipt._replace(differ=differ, used=Used(*receipt.used), efforts=())


def _name_of(file: Sequence[Any]) -> object:
    """Return what tells files apart as tasks see them."""
    digest, _, language, facets = file
    return digest, language, tuple(sorted(facets.items()))


def _not_here(work: Computation, code: str) -> FileLines:
    raise CodeBatchError(f"a child gives nothing up: {work.key} {code}")


def _nothing(digest: str, _limit: int) -> bytes:
    raise CodeBatchError(f"a child reads no object: {digest}")
