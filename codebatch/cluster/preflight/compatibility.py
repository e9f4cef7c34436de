"""Check the facts of a cluster against what a plan needs.

Pure: the facts are gathered by `cluster.preflight.facts`. Each
difference becomes a `Problem` that names the process, what is wrong with it, and the remedy. An
``error`` would make results wrong, or work fail; with a ``warning`` work may go well.
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
_ABSENT = "No module named 'codebatch'"
_NAMED = 3
_SEEN = {
    MISSING: ("sees no store at {store}", "mount the folder of the store at the same path there"),
    OTHER: (
        "sees another store at {store}",
        "mount the folder of the store at the same path there",
    ),
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
    who, problems = "the scheduler", []
    if facts.error is not None:
        message = f"{who} {_failure(facts.error, 'load codebatch')}"
        remedy = f"install codebatch {here.codebatch} where it runs: it unpacks what it hands out"
        problems.append(Problem("CLUSTER_SCHEDULER_FAILED", ERROR, message, remedy, SCHEDULER))
    there = facts.packages.get("codebatch", here.codebatch)
    if there != here.codebatch:
        problems.append(_other(who, SCHEDULER, "codebatch", there, here.codebatch))
    python = ".".join(facts.packages.get("python", here.python).split(".")[:3])  # 3.13.0.final.0
    if _minor(python) != _minor(here.python):
        problems.append(_other(who, SCHEDULER, "Python", python, _minor(here.python)))
    return [*problems, *_carrier_problems(who, SCHEDULER, facts.packages, here)]


def check_worker(address: str, facts: Facts | str | None, needs: Needs) -> list[Problem]:
    """Return all problems of one worker."""
    who = f"worker {address}"
    if facts is None:
        silent = f"{who} does not answer"
        remedy = "it is left out; is it stopped or very busy?"
        return [Problem("CLUSTER_SILENT", WARNING, silent, remedy, address)]
    if isinstance(facts, str):
        remedy = f"install codebatch {needs.here.codebatch} there"
        failed = f"{who} {_failure(facts, 'answer')}"
        return [Problem("CLUSTER_WORKER_FAILED", ERROR, failed, remedy, address)]
    if facts.name not in (None, address):
        who = f"worker {facts.name} ({address})"
    return [
        *_version_problems(who, address, facts, needs),
        *_task_problems(who, address, facts, needs),
        *_store_problems(who, address, facts, needs),
    ]


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
    more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
    processes: dict[str, list[str]] = {}
    for problem in errors:
        processes.setdefault(problem.remedy, []).append(problem.who or "")
    return ClusterMismatchError(
        f"the cluster cannot run this: {errors[0].message}{more}",
        hints=[_hint(remedy, who, alone=not more) for remedy, who in processes.items()],
        details={"problems": [asdict(problem) for problem in problems]},
    )


def _hint(remedy: str, processes: Sequence[str], *, alone: bool) -> str:
    named = list(dict.fromkeys(filter(None, processes)))
    if alone or not named:
        return remedy
    rest = f" and {len(named) - _NAMED} more" if len(named) > _NAMED else ""
    return f"{remedy} ({', '.join(named[:_NAMED])}{rest})"


def _version_problems(who: str, address: str, facts: Facts, needs: Needs) -> Iterator[Problem]:
    here = needs.here
    if facts.codebatch != here.codebatch:
        yield _other(who, address, "codebatch", facts.codebatch, here.codebatch)
    depends = any("python" in _toolchain(task.components) for task in needs.tasks)
    if not depends and _minor(facts.python) != _minor(here.python):
        yield _other(who, address, "Python", facts.python, _minor(here.python), WARNING)
    yield from _carrier_problems(who, address, facts.packages, here)


def _carrier_problems(
    who: str, address: str, packages: Mapping[str, str], here: Facts
) -> Iterator[Problem]:
    for name in _CARRIERS:
        there, ours = packages.get(name), here.packages.get(name)
        if there is not None and there != ours:
            yield _other(who, address, name, there, ours, WARNING)


def _task_problems(who: str, address: str, facts: Facts, needs: Needs) -> Iterator[Problem]:
    """Tasks that are not there, and each tool that differs, once for all tasks that use it."""
    told: set[str] = set()
    for task in needs.tasks:
        there = facts.tasks.get(task.id, {"error": "it says nothing of it", "found": True})
        if "error" in there:
            yield _task_missing(who, address, task, there)
            continue
        planned, found = _toolchain(task.components), _toolchain(there)
        for tool in sorted(planned.keys() | found.keys()):
            if planned.get(tool) != found.get(tool) and tool not in told:
                told.add(tool)
                name = _PYTHON.get(tool, tool)
                yield _other(who, address, name, found.get(tool), planned.get(tool), task=task.id)
        if facts.codebatch == needs.here.codebatch:  # else that has been said, and is why
            yield from _component_problems(who, address, task, there)


def _task_missing(
    who: str, address: str, task: PlannedTask, there: Mapping[str, object]
) -> Problem:
    if there.get("found"):
        tools = (f"{name} {version}" for name, version in _toolchain(task.components).items())
        remedy = f"install there what it was planned with: {', '.join(tools)}"
    else:
        remedy = "install the package that it is in there, or upload it to the workers"
    message = f"{who} cannot run task {task.id}: {there['error']}"
    return Problem("CLUSTER_TASK", ERROR, message, remedy, address)


def _component_problems(
    who: str, address: str, task: PlannedTask, there: Mapping[str, object]
) -> Iterator[Problem]:
    for name in sorted(task.components.keys() | there.keys()):
        planned, found = task.components.get(name), there.get(name)
        if name != "toolchain" and planned != found:
            yield Problem(
                "CLUSTER_TASK",
                ERROR,
                f"{who} has another task {task.id}: its {name} is {found}, planned was {planned}",
                "install the package that it is in there in the same version",
                address,
            )


def _store_problems(who: str, address: str, facts: Facts, needs: Needs) -> Iterator[Problem]:
    if needs.store is None or needs.transport == SHIPPED or facts.store in (None, VISIBLE):
        return
    what, remedy = _SEEN[facts.store]
    severity = ERROR
    if needs.transport == AUTO:
        severity, remedy = WARNING, f"files are shipped to workers then; or {remedy}"
    message = f"{who} {what.format(store=needs.store)}"
    yield Problem("CLUSTER_STORE", severity, message, remedy, address)


def _other(
    who: str,
    address: str,
    name: str,
    there: str | None,
    wanted: str | None,
    severity: str = ERROR,
    *,
    task: str | None = None,
) -> Problem:
    """A difference of versions, and what to install."""
    wants = "here is" if task is None else f"task {task} was planned with"
    message = f"{who} has {name} {there or '(none)'}, {wants} {wanted or '(none)'}"
    return Problem("CLUSTER_VERSION", severity, message, _remedy(name, wanted), address)


def _remedy(name: str, wanted: str | None) -> str:
    if name == _IMPLEMENTATION:
        return f"start it with {wanted}"
    if name == "Python":
        return f"start it with Python {wanted}"
    if wanted is None:
        return f"take {name} away there"
    if name == "codebatch":
        return f"install codebatch {wanted} there"
    return f"install {name} {wanted} there: pip install '{name}=={wanted}'"


def _toolchain(components: Mapping[str, object]) -> Mapping[str, str]:
    found = components.get("toolchain")
    return found if isinstance(found, Mapping) else {}


def _failure(error: str, what: str) -> str:
    return "has no codebatch" if _ABSENT in error else f"cannot {what}: {error}"


def _minor(version: str) -> str:
    return ".".join(version.split(".")[:2])
