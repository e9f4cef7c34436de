"""What makes a cluster unfit for a plan, each thing with its remedy."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from conftest import Scanned
from usercode import HELPER, TASK, Project

from codebatch.cluster.preflight.compatibility import (
    ERROR,
    WARNING,
    ClusterFacts,
    Needs,
    Problem,
    SchedulerFacts,
    check_cluster,
    check_scheduler,
    check_worker,
    choose_transport,
    mismatch,
)
from codebatch.cluster.preflight.environment import (
    COPY,
    MISSING,
    OTHER,
    READ_ONLY,
    VISIBLE,
    Facts,
    facts_here,
    store_probe,
)
from codebatch.cluster.settings import AUTO, SHARED, SHIPPED
from codebatch.model.records import PlannedTask
from codebatch.plan.pipeline import resolve_pipeline
from codebatch.plan.plan import identify

W = "tcp://10.0.0.7:4000"


@pytest.fixture(scope="module")
def tasks(scanned: Scanned) -> tuple[PlannedTask, ...]:
    return scanned.batch.load_status().plan.tasks


@pytest.fixture(scope="module")
def here(scanned: Scanned, tasks: tuple[PlannedTask, ...]) -> Facts:
    """What a worker in this process would say."""
    directory = scanned.store.directory
    with store_probe(str(directory.root), directory.store_id) as probe:
        return facts_here(tasks, probe)


@pytest.fixture(scope="module")
def needs(here: Facts, tasks: tuple[PlannedTask, ...]) -> Needs:
    return Needs(here, tasks, "/store", SHARED)


def without_tool(facts: Facts, task: str, tool: str, version: str | None) -> Facts:
    """The facts, with another version of a tool of one task."""
    components = dict(facts.tasks[task])
    toolchain: Any = dict(components["toolchain"])  # type: ignore[call-overload]
    toolchain.pop(tool)
    if version is not None:
        toolchain[tool] = version
    return facts._replace(
        tasks={**facts.tasks, task: {**components, "toolchain": toolchain}},
    )


def said(problems: list[Problem]) -> list[tuple[str, str, str, str]]:
    return [(one.code, one.severity, one.message, one.remedy) for one in problems]


def scheduler_like(here: Facts, **changes: str) -> SchedulerFacts:
    packages = {"python": f"{here.python}.final.0", "codebatch": here.codebatch, **here.packages}
    return SchedulerFacts({**packages, **changes})


def test_what_is_the_same_is_fit(here: Facts, needs: Needs) -> None:
    assert here.store == VISIBLE
    cluster = ClusterFacts(scheduler_like(here), {W: here})
    assert check_cluster(cluster, needs) == []
    assert mismatch([]) is None


def test_another_tool_is_named_once_with_what_to_install(here: Facts, needs: Needs) -> None:
    planned = here.tasks["lint"]["toolchain"]["ruff"]  # type: ignore[index, call-overload]
    older = without_tool(here, "lint", "ruff", "0.1.0")
    message = f"worker {W} has ruff 0.1.0, task lint was planned with {planned}"
    remedy = f"install ruff {planned} there: pip install 'ruff=={planned}'"
    assert said(check_worker(W, older, needs)) == [("CLUSTER_VERSION", ERROR, message, remedy)]

    grammar = here.tasks["parse"]["toolchain"]["tree-sitter"]  # type: ignore[index, call-overload]
    for task in here.tasks:
        here = without_tool(here, task, "tree-sitter", None)
    (problem,) = check_worker(W, here, needs)
    expected = f"worker {W} has tree-sitter (none), task parse was planned with {grammar}"
    assert problem.message == expected


def test_python_is_an_error_where_results_depend_on_it(here: Facts, needs: Needs) -> None:
    other = here._replace(python="3.99.1")
    for task in here.tasks:
        other = without_tool(other, task, "python", "3.99")
    (problem,) = check_worker(W, other, needs)
    minor = ".".join(here.python.split(".")[:2])
    assert problem.message == f"worker {W} has Python 3.99, task parse was planned with {minor}"
    assert problem.remedy == f"start it with Python {minor}"
    assert problem.severity == ERROR

    independent = replace(needs.tasks[0], components={"task": "x", "version": 1})
    facts = other._replace(tasks={independent.id: independent.components})
    (problem,) = check_worker(W, facts, replace(needs, tasks=(independent,)))
    assert (problem.severity, problem.message) == (
        WARNING,
        f"worker {W} has Python 3.99.1, here is {minor}",
    )


def test_another_codebatch_is_said_and_not_all_that_follows(here: Facts, needs: Needs) -> None:
    tasks = {name: {**components, "version": 99} for name, components in here.tasks.items()}
    other = here._replace(codebatch="0.0.1", tasks=tasks, name="w1")
    assert said(check_worker(W, other, needs)) == [
        (
            "CLUSTER_VERSION",
            ERROR,
            f"worker w1 ({W}) has codebatch 0.0.1, here is {here.codebatch}",
            f"install codebatch {here.codebatch} there",
        )
    ]
    same = other._replace(codebatch=here.codebatch, name=W)
    found = check_worker(W, same, needs)
    assert {one.code for one in found} == {"CLUSTER_TASK"}
    assert len(found) == len(here.tasks)
    assert found[0].message == (
        f"worker {W} has another task parse: its version is 99, planned was "
        f"{here.tasks['parse']['version']}"
    )


def test_tasks_that_are_not_there(here: Facts, needs: Needs) -> None:
    absent = {"error": "ModuleNotFoundError: No module named 'mine'", "found": False}
    broken = {"error": "ruff is not installed", "found": True}
    found = check_worker(
        W, here._replace(tasks={**here.tasks, "parse": absent, "lint": broken}), needs
    )
    assert [one.message for one in found] == [
        f"worker {W} cannot run task parse: ModuleNotFoundError: No module named 'mine'",
        f"worker {W} cannot run task lint: ruff is not installed",
    ]
    assert found[0].remedy.endswith("or upload it to the workers")
    assert "ruff " in found[1].remedy
    assert {(one.code, one.severity) for one in found} == {("CLUSTER_TASK", ERROR)}
    (silent_on_one,) = check_worker(
        W, here._replace(tasks={n: c for n, c in here.tasks.items() if n != "lint"}), needs
    )
    assert "lint" in silent_on_one.message


def test_distributions_that_a_users_task_imports(tmp_path: Path, here: Facts, needs: Needs) -> None:
    project = Project(tmp_path)
    project.write({"PKG.py": TASK.format(imports=f"import msgpack\n{HELPER}", body="pass")})
    pipeline = resolve_pipeline([project.load("PKG.py:count")])
    (task,) = identify("snap-0000000000000000", pipeline).tasks
    fit = here._replace(tasks=facts_here([task]).tasks)
    assert check_worker(W, fit, replace(needs, tasks=[task])) == []
    components: Any = fit.tasks[task.id]
    for there, shown in (("0.1", "0.1"), ("", "(none)")):
        code = {**components["code"], "distributions": {"msgpack": there}}
        other = fit._replace(tasks={task.id: {**components, "code": code}})
        wanted = here.packages["msgpack"]
        assert said(check_worker(W, other, replace(needs, tasks=[task]))) == [
            (
                "CLUSTER_VERSION",
                ERROR,
                f"worker {W} has msgpack {shown}, task count was planned with {wanted}",
                f"install msgpack {wanted} there: pip install 'msgpack=={wanted}'",
            )
        ]


@pytest.mark.parametrize(
    ("seen", "words"),
    [
        (MISSING, "sees no store at /store"),
        (OTHER, "sees another store at /store"),
        (COPY, "sees a copy of the store at /store, not the store itself"),
        (READ_ONLY, "cannot write to the store at /store"),
    ],
)
def test_store_matters_where_workers_open_it(
    seen: str, words: str, here: Facts, needs: Needs
) -> None:
    facts = here._replace(store=seen)
    cluster = ClusterFacts(scheduler_like(here), {W: here, "tcp://other": facts})
    for transport, severity, chosen in (
        (SHARED, [ERROR], SHARED),
        (AUTO, [WARNING], SHIPPED),
        (SHIPPED, [], SHIPPED),
    ):
        found = check_worker(W, facts, replace(needs, transport=transport))
        assert [one.severity for one in found] == severity
        assert choose_transport(cluster, transport) == chosen
        assert all(one.message == f"worker {W} {words}" for one in found)
    alone = ClusterFacts(scheduler_like(here), {W: here, "tcp://silent": None})
    assert choose_transport(alone, AUTO) == SHARED


def test_workers_that_cannot_answer(here: Facts, needs: Needs) -> None:
    failed = check_worker(W, "ModuleNotFoundError: No module named 'codebatch'", needs)
    remedy = f"install codebatch {here.codebatch} there"
    assert said(failed) == [
        ("CLUSTER_WORKER_FAILED", ERROR, f"worker {W} has no codebatch", remedy)
    ]
    (other,) = check_worker(W, "AttributeError: nothing of that name", needs)
    assert other.message.endswith("cannot answer: AttributeError: nothing of that name")
    (silent,) = check_worker(W, None, needs)
    assert (silent.code, silent.severity, silent.who) == ("CLUSTER_SILENT", WARNING, W)


def test_scheduler_needs_the_same_python_and_codebatch(here: Facts) -> None:
    assert check_scheduler(scheduler_like(here), here) == []
    found = check_scheduler(scheduler_like(here, python="3.99.0", codebatch="0.0.1"), here)
    assert [(one.severity, one.who) for one in found] == [(ERROR, "scheduler")] * 2
    assert "codebatch 0.0.1" in found[0].message
    assert "Python 3.99.0" in found[1].message
    absent = SchedulerFacts({}, "ModuleNotFoundError: No module named 'codebatch'")
    (problem,) = check_scheduler(absent, here)
    assert problem.message == "the scheduler has no codebatch"
    assert "where it runs" in problem.remedy


def test_what_carries_calls_is_a_warning(here: Facts, needs: Needs) -> None:
    facts = here._replace(packages={**here.packages, "dask": "1", "msgpack": "0.1"})
    cluster = ClusterFacts(scheduler_like(here, distributed="1"), {W: facts})
    found = check_cluster(cluster, needs)
    assert [one.severity for one in found] == [WARNING] * 3
    assert mismatch(found) is None


def test_a_cluster_without_workers(here: Facts, needs: Needs) -> None:
    (problem,) = check_cluster(ClusterFacts(scheduler_like(here), {}), needs)
    assert (problem.code, problem.severity) == ("CLUSTER_EMPTY", ERROR)


def test_the_error_names_the_first_and_how_many_more(here: Facts, needs: Needs) -> None:
    older = without_tool(here, "lint", "ruff", "0.1.0")
    workers = {f"tcp://w{n}": older for n in range(5)}
    missing = here._replace(store=MISSING)
    cluster = ClusterFacts(scheduler_like(here, dask="1"), {**workers, "tcp://m": missing})
    found = check_cluster(cluster, needs)
    error = mismatch(found)
    assert error is not None
    assert (error.code, error.exit_code) == ("CLUSTER_MISMATCH", 6)
    assert error.message.startswith("the cluster cannot run this: worker tcp://w0 has ruff 0.1.0")
    assert error.message.endswith(" (and 5 more)")
    assert "\n" not in error.message
    install, mount = error.hints
    assert install.endswith("(tcp://w0, tcp://w1, tcp://w2 and 2 more)")
    assert mount == "mount the folder of the store at the same path there (tcp://m)"
    assert len(error.details["problems"]) == 7  # type: ignore[arg-type]

    alone = mismatch(check_worker(W, missing, needs))
    assert alone is not None
    assert alone.message == f"the cluster cannot run this: worker {W} sees no store at /store"
    assert alone.hints == ("mount the folder of the store at the same path there",)
