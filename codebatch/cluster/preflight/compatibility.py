"""Check the facts of a cluster against what a plan needs.

Pure: the facts are gathered by `cluster.preflight.preflight`. Each difference becomes a `Problem`
that names the process, what is wrong with it, and the remedy. An ``error`` would make results
wrong, or work fail; with a ``warning`` work may go well.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import NamedTuple

from codebatch.cluster.preflight.environment import COPY, MISSING, OTHER, READ_ONLY, VISIBLE, Facts
from codebatch.cluster.settings import AUTO, SHARED, SHIPPED
from codebatch.model.errors import ClusterMismatchError
from codebatch.model.records import PlannedTask

ERROR, WARNING = "error", "warning"
SCHEDULER = "scheduler"

_CARRIERS = ("dask", "distributed", "msgpack")  # what calls and answers go through
_IMPLEMENTATION = "the interpreter"
_PYTHON = {"python": "Python", "implementation": _IMPLEMENTATION}  # as a toolchain calls them
_NAMED = 3
_MOUNT = "mount the folder of the store at the same path there"
_SEEN = {
    MISSING: ("sees no store at {store}", _MOUNT),
    OTHER: ("sees another store at {store}", _MOUNT),
    COPY: (
        "sees a copy of the store at {store}, not the store itself",
        "mount the very folder there: copies grow apart",
    ),
    READ_ONLY: (
        "cannot write to the store at {store}",
        "mount it writable there, and start the worker as a user who may write to it",
    ),
}


@dataclass(frozen=True)
class Problem:
    """Something wrong: an ``error`` keeps work from being done, a ``warning`` may. ``who`` is the
    address of the worker, or ``scheduler``; None for what is no process of a cluster.
    """

    code: str
    severity: str
    message: str
    remedy: str
    who: str | None = None


class SchedulerFacts(NamedTuple):
    """Versions of packages of a scheduler, that of Python and, if it can be imported there, that of
    codebatch among them; ``error`` says why it cannot.
    """

    packages: Mapping[str, str]
    error: str | None = None


class ClusterFacts(NamedTuple):
    """The facts of the processes of a cluster: of each worker, by its address, its facts, the
    error it gave instead, or None if it was silent.
    """

    scheduler: SchedulerFacts
    workers: Mapping[str, Facts | str | None]


@dataclass(frozen=True)
class Needs:
    """The requirements of a cluster: this process, the tasks of a plan, and a store (None for none)
    that workers have to see where the transport is ``shared``.
    """

    here: Facts
    tasks: Sequence[PlannedTask]
    store: str | None = None
    transport: str = SHARED


@dataclass(frozen=True)
class Compatibility:
    """A cluster that was found fit, and how its workers get at the files.

    ``workers`` have answered and are fit, ``silent`` have not answered; ``problems`` are warnings.
    """

    transport: str
    workers: Mapping[str, Facts]
    silent: tuple[str, ...] = ()
    problems: tuple[Problem, ...] = ()


def check_cluster(cluster: ClusterFacts, needs: Needs) -> list[Problem]:
    """Return all problems of a cluster."""
    problems = check_scheduler(cluster.scheduler, needs.here)
    if not cluster.workers:
        remedy = "start some: dask worker ADDRESS"
        problems.append(Problem("CLUSTER_EMPTY", ERROR, "the cluster has no workers", remedy))
    for address, facts in cluster.workers.items():
        problems += check_worker(address, facts, needs)
    return problems


def check_scheduler(facts: SchedulerFacts, here: Facts) -> list[Problem]:
    """Return all problems of the scheduler."""
    process, found = _Process("the scheduler", SCHEDULER), []
    if facts.error is not None:
        what = _failure(facts.error, "load codebatch")
        remedy = f"install codebatch {here.codebatch} where it runs: it unpacks what it hands out"
        found.append(process.problem("CLUSTER_SCHEDULER_FAILED", what, remedy))
    there = facts.packages.get("codebatch", here.codebatch)
    if there != here.codebatch:
        found.append(process.other("codebatch", there, here.codebatch))
    python = ".".join(facts.packages.get("python", here.python).split(".")[:3])  # 3.13.0.final.0
    if _minor(python) != _minor(here.python):
        found.append(process.other("Python", python, _minor(here.python)))
    return [*found, *process.other_carriers(facts.packages, here)]


def check_worker(address: str, facts: Facts | str | None, needs: Needs) -> list[Problem]:
    """Return all problems of one worker."""
    process = _Process(f"worker {address}", address)
    if facts is None:
        remedy = "it is left out; is it stopped or very busy?"
        return [process.problem("CLUSTER_SILENT", "does not answer", remedy, WARNING)]
    if isinstance(facts, str):
        remedy = f"install codebatch {needs.here.codebatch} there"
        return [process.problem("CLUSTER_WORKER_FAILED", _failure(facts, "answer"), remedy)]
    if facts.name not in (None, address):
        process = _Process(f"worker {facts.name} ({address})", address)
    return [
        *_version_problems(process, facts, needs),
        *_task_problems(process, facts, needs),
        *_store_problems(process, facts, needs),
    ]


class _Process(NamedTuple):
    """A process that has problems: what messages call it, and its address."""

    who: str
    address: str

    def problem(self, code: str, what: str, remedy: str, severity: str = ERROR) -> Problem:
        """Return a problem of this process."""
        return Problem(code, severity, f"{self.who} {what}", remedy, self.address)

    def other(
        self,
        name: str,
        there: str | None,
        wanted: str | None,
        severity: str = ERROR,
        task: str | None = None,
    ) -> Problem:
        """Return a difference of versions, and what to install."""
        wants = "here is" if task is None else f"task {task} was planned with"
        what = f"has {name} {there or '(none)'}, {wants} {wanted or '(none)'}"
        if name in ("Python", _IMPLEMENTATION):
            remedy = f"start it with {wanted if name == _IMPLEMENTATION else f'Python {wanted}'}"
        elif wanted is None:
            remedy = f"take {name} away there"
        else:
            remedy = f"install {name} {wanted} there"
            if name != "codebatch":
                remedy += f": pip install '{name}=={wanted}'"
        return self.problem("CLUSTER_VERSION", what, remedy, severity)

    def other_carriers(self, packages: Mapping[str, str], here: Facts) -> Iterator[Problem]:
        """Yield the packages that calls go through and that are there in another version."""
        for name in _CARRIERS:
            there, ours = packages.get(name), here.packages.get(name)
            if there is not None and there != ours:
                yield self.other(name, there, ours, WARNING)


def choose_transport(cluster: ClusterFacts, asked: str) -> str:
    """Return ``shared`` where every worker that answers sees the very store and may write to it,
    else ``shipped``, unless one of them is asked for.
    """
    if asked != AUTO:
        return asked
    seen = [facts.store for facts in cluster.workers.values() if isinstance(facts, Facts)]
    return SHARED if all(one == VISIBLE for one in seen) else SHIPPED


def mismatch(problems: Sequence[Problem]) -> ClusterMismatchError | None:
    """Return the error that says that work cannot be done; None if no problem is an error."""
    errors = [problem for problem in problems if problem.severity == ERROR]
    if not errors:
        return None
    processes: dict[str, dict[str, None]] = {}
    for problem in errors:
        processes.setdefault(problem.remedy, {})[problem.who or ""] = None
    more, hints = "", list(processes)
    if len(errors) > 1:
        more = f" (and {len(errors) - 1} more)"
        hints = [_hint(remedy, list(filter(None, who))) for remedy, who in processes.items()]
    return ClusterMismatchError(
        f"the cluster cannot run this: {errors[0].message}{more}",
        hints=hints,
        details={"problems": [asdict(problem) for problem in problems]},
    )


def _hint(remedy: str, named: Sequence[str]) -> str:
    rest = f" and {len(named) - _NAMED} more" if len(named) > _NAMED else ""
    return f"{remedy} ({', '.join(named[:_NAMED])}{rest})" if named else remedy


def _version_problems(process: _Process, facts: Facts, needs: Needs) -> Iterator[Problem]:
    here = needs.here
    if facts.codebatch != here.codebatch:
        yield process.other("codebatch", facts.codebatch, here.codebatch)
    depends = any("python" in _toolchain(task.components) for task in needs.tasks)
    if not depends and _minor(facts.python) != _minor(here.python):
        yield process.other("Python", facts.python, _minor(here.python), WARNING)
    yield from process.other_carriers(facts.packages, here)


def _task_problems(process: _Process, facts: Facts, needs: Needs) -> Iterator[Problem]:
    """Yield tasks that are not there, and each tool that differs, once for all of its tasks."""
    told: set[str] = set()
    for task in needs.tasks:
        there = facts.tasks.get(task.id, {"error": "it says nothing of it", "found": True})
        planned, found = _toolchain(task.components), _toolchain(there)
        if "error" in there:
            remedy = "install the package that it is in there, or upload it to the workers"
            if there.get("found"):
                tools = (f"{name} {version}" for name, version in planned.items())
                remedy = f"install there what it was planned with: {', '.join(tools)}"
            what = f"cannot run task {task.id}: {there['error']}"
            yield process.problem("CLUSTER_TASK", what, remedy)
            continue
        yield from _other_versions(process, task.id, planned, found, told)
        wanted, has = _distributions(task.components), _distributions(there)
        yield from _other_versions(process, task.id, wanted, has, told)
        if facts.codebatch != needs.here.codebatch:
            continue  # that has been said, and is why
        for name in sorted((task.components.keys() | there.keys()) - {"toolchain", "code"}):
            ours, theirs = task.components.get(name), there.get(name)
            if ours != theirs:
                what = f"has another task {task.id}: its {name} is {theirs}, planned was {ours}"
                remedy = "install the package that it is in there in the same version"
                yield process.problem("CLUSTER_TASK", what, remedy)


def _other_versions(
    process: _Process,
    task_id: str,
    planned: Mapping[str, str],
    found: Mapping[str, str],
    told: set[str],
) -> Iterator[Problem]:
    for name in sorted(planned.keys() | found.keys()):
        there, wanted = found.get(name) or None, planned.get(name) or None  # "": it is not there
        if there != wanted and name not in told:
            told.add(name)
            yield process.other(_PYTHON.get(name, name), there, wanted, task=task_id)


def _store_problems(process: _Process, facts: Facts, needs: Needs) -> Iterator[Problem]:
    if needs.store is None or needs.transport == SHIPPED or facts.store in (None, VISIBLE):
        return
    what, remedy = _SEEN[facts.store]
    severity = ERROR
    if needs.transport == AUTO:
        severity, remedy = WARNING, f"files are shipped to workers then; or {remedy}"
    yield process.problem("CLUSTER_STORE", what.format(store=needs.store), remedy, severity)


def _toolchain(components: Mapping[str, object]) -> Mapping[str, str]:
    found = components.get("toolchain")
    return found if isinstance(found, Mapping) else {}


def _distributions(components: Mapping[str, object]) -> Mapping[str, str]:
    """Return what the code of a user's task imports that is installed; without any for others."""
    code = components.get("code")
    found = code.get("distributions") if isinstance(code, Mapping) else None
    return found if isinstance(found, Mapping) else {}


def _failure(error: str, what: str) -> str:
    return (
        "has no codebatch" if "No module named 'codebatch'" in error else f"cannot {what}: {error}"
    )


def _minor(version: str) -> str:
    return ".".join(version.split(".")[:2])
