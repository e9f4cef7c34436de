"""Tasks of users from planning to the last worker: what is computed again, where code runs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from clusters import connected_client, two_workers
from conftest import write_tree
from usercode import Notebook, Project, running_notebook
from verifier import verify_store

import codebatch
from codebatch.model.errors import ClusterMismatchError, TaskCodeError, TaskLoadError

pytestmark = pytest.mark.filterwarnings("default::ResourceWarning")

WAYS = ("sync", "threads", "processes", "shared", "shipped")
FILES = {f"{number}.py": f"x = {number}  # TODO {number}\n" for number in range(20)}
TASK = """\
import codebatch
from .helper import is_due

@codebatch.task(version=1)
def todos(file: codebatch.File):
    for number, line in enumerate(file.text.splitlines(), 1):
        if is_due(line):
            yield codebatch.Diagnostic(code="TODO", severity="info", line=number, message=line)
"""
HELPER = "def is_due(line):\n    return 'TODO' in line\n"

cluster = pytest.fixture(two_workers, scope="module")
client = pytest.fixture(connected_client, scope="module")
notebook = pytest.fixture(running_notebook)

Run = Callable[..., codebatch.RunReport]
Plan = Callable[..., codebatch.Batch]


@pytest.fixture
def run(request: pytest.FixtureRequest) -> Run:
    """Runs a batch in a way."""

    def run(batch: codebatch.Batch, way: str) -> codebatch.RunReport:
        if way in ("shared", "shipped"):
            return batch.run(client=request.getfixturevalue("client"), transport=way)
        return batch.run(way, workers=2)

    return run


@pytest.fixture
def project(tmp_path: Path) -> Project:
    project = Project(tmp_path)
    project.write({"PKG/__init__.py": "", "PKG/helper.py": HELPER, "PKG/tasks.py": TASK})
    return project


@pytest.fixture
def planned(tmp_path: Path) -> Plan:
    """Plans tasks and ``parse`` over a few files."""
    store = codebatch.open_store(tmp_path / "store", create=True)
    snapshot = store.snapshot(write_tree(tmp_path / "tree", FILES))
    return lambda *tasks, others=("parse",): store.batch(snapshot, pipeline=[*tasks, *others])


def reasons(batch: codebatch.Batch, task: str) -> tuple[int, Counter[str]]:
    """Return how many files a task would be computed for, and why."""
    one = next(one for one in batch.forecast().tasks if one.task_id == task)
    return one.compute, one.reasons


def test_one_result_everywhere(project: Project, run: Run, tmp_path: Path) -> None:
    """The package is on no path of any process, and its files are gone when workers run."""
    task = project.load("PKG/tasks.py:todos")
    found = {}
    tree = write_tree(tmp_path / "tree", FILES)
    for way in WAYS:
        store = codebatch.open_store(tmp_path / way, create=True)
        batch = store.batch(store.snapshot(tree), pipeline=[task, "parse"])
        project.write({"PKG/helper.py": "1 / 0", "PKG/tasks.py": "1 / 0"})
        report = run(batch, way)
        assert report.status == "done"
        assert {one["code"] for one in batch.sorted_records(task="todos")} == {"TODO"}
        found[way] = report.result
        verify_store(tmp_path / way)
    assert len(set(found.values())) == 1, found


def test_what_is_computed_again(project: Project, planned: Plan, run: Run) -> None:
    first = planned(project.load("PKG/tasks.py:todos"))
    assert reasons(first, "todos") == (20, Counter(first=20))
    result = run(first, "sync").result
    project.write({"PKG/helper.py": f"# a comment\n{HELPER}"})
    assert planned(project.load("PKG/tasks.py:todos")).id == first.id
    project.write({"PKG/helper.py": HELPER.replace("'TODO'", "'TODO 1'")})
    second = planned(project.load("PKG/tasks.py:todos"))
    assert reasons(second, "todos") == (20, Counter({f"code {project.package}.helper": 20}))
    assert reasons(second, "parse") == (0, Counter())
    report = run(second, "processes")
    assert report.files == {"computed": 20, "reused": 20, "quarantined": 0}
    assert report.result != result
    explained = second.explain("todos", "1.py")["components"]["code"]
    assert sorted(explained["modules"]) == [
        project.package,
        f"{project.package}.helper",
        f"{project.package}.tasks",
    ]


@pytest.mark.parametrize("way", ["shared", "shipped"])
def test_versions_of_a_module_do_not_mix(
    way: str, project: Project, planned: Plan, run: Run
) -> None:
    """Workers live on; imports within a function are of the version that is run, too."""
    lazily = TASK.replace("from .helper import is_due\n", "")
    lazily = lazily.replace("    for number", "    from .helper import is_due\n    for number")
    counts = []
    for word in ("TODO", "TODO 1", "TODO", "TODO 2"):
        helper = HELPER.replace("TODO", word)
        project.write({"PKG/tasks.py": lazily, "PKG/helper.py": f"{helper}# {len(counts)}\n"})
        batch = planned(project.load("PKG/tasks.py:todos"))
        assert run(batch, way).status == "done"
        counts.append(len(batch.sorted_records(task="todos").to_list()))
    assert counts == [20, 11, 20, 1]


SIZE = """\
import codebatch

@codebatch.task(version=1)
def size(file):
    yield codebatch.Metric("size", len(file.text))
"""


def test_each_content_is_sent_once(project: Project, planned: Plan, run: Run) -> None:
    """A task of a user says nothing about what it reads."""
    project.write({"PKG_size.py": SIZE})
    report = run(planned(project.load("PKG_size.py:size"), others=()), "shipped")
    assert report.cluster is not None
    calls = sum(worker.calls for worker in report.cluster.workers)
    assert calls == report.shards["done"]


def test_dask_computes_it(project: Project, planned: Plan, client: Any) -> None:
    batch = planned(project.load("PKG/tasks.py:todos"))
    report = client.compute(batch).result()
    assert report.status == "done"
    assert len(batch.sorted_records(task="todos").to_list()) == 20


FATAL = """\
import os, signal, time, codebatch

@codebatch.task(version=1)
def fatal(file):
    if "TODO 7" in file.text:
        os._exit(7)
    if "TODO 8" in file.text:
        os.kill(os.getpid(), signal.SIGSEGV)
    yield codebatch.Metric("size", len(file.text))
"""


@pytest.mark.parametrize("way", WAYS[2:])
def test_the_file_that_is_to_blame(way: str, project: Project, planned: Plan, run: Run) -> None:
    project.write({"PKG_fatal.py": FATAL})
    report = run(planned(project.load("PKG_fatal.py:fatal")), way)
    assert report.status == "done"
    assert [one["path"] for one in report.quarantined] == ["7.py", "8.py"]


@pytest.mark.parametrize("way", WAYS[2:])
def test_code_that_loads_here_alone(way: str, project: Project, planned: Plan, run: Run) -> None:
    """A module that reads a file beside it finds none on other machines."""
    project.write({"PKG/helper.py": f"open(__file__ + '.txt').close()\n{HELPER}"})
    project.write({"PKG/helper.py.txt": ""})
    batch = planned(project.load("PKG/tasks.py:todos"))
    (project.folder / project.package / "helper.py.txt").unlink()
    report = run(batch, way)
    assert report.status == "failed"
    assert {error["code"] for error in report.errors} == {TaskLoadError.code}
    assert "FileNotFoundError" in str(report.errors[0]["message"])


def test_a_distribution_that_workers_lack(
    project: Project, planned: Plan, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One line says which, and where, before any work is sent."""
    project.write({"site-packages/PKG_lib/__init__.py": ""})
    project.install(f"{project.package}_lib", "2.0")
    monkeypatch.syspath_prepend(project.folder / "site-packages")
    project.write({"PKG/tasks.py": f"import PKG_lib\n{TASK}"})
    batch = planned(project.load("PKG/tasks.py:todos"))
    with pytest.raises(ClusterMismatchError) as refused:
        run(batch, "shipped")
    name = f"{project.package}_lib-distribution"
    assert f"has {name} (none), task todos was planned with 2.0" in refused.value.message
    assert any(f"pip install '{name}==2.0'" in hint for hint in refused.value.hints)


CELL = """\
import codebatch
@codebatch.task(version=1)
def todos(file):
    for number, line in enumerate(file.lines, 1):
        if word in line:
            yield codebatch.Diagnostic(code="TODO", severity="info", line=number, message=line)
task = todos
"""


def test_a_notebook(notebook: Notebook, planned: Plan, run: Run) -> None:
    notebook.run("word = 'TODO'")
    first = planned(notebook.run(CELL))
    assert run(first, "processes").status == "done"
    again = planned(notebook.run(CELL))
    assert again.id == first.id
    notebook.run("word = 'TODO 1'")
    second = planned(notebook.run(CELL))
    assert reasons(second, "todos") == (20, Counter({"code word": 20}))
    assert run(second, "shipped").files["computed"] == 20
    third = planned(notebook.run(CELL.replace("if word", "if not word")))
    assert reasons(third, "todos") == (20, Counter({"code __main__:todos": 20}))
    assert run(third, "shared").status == "done"


def test_a_closure_over_an_open_file(notebook: Notebook, planned: Plan, tmp_path: Path) -> None:
    opened = (tmp_path / "log").open("w")
    with opened as notebook.names["word"], pytest.raises(TaskCodeError, match="word, which todos"):
        planned(notebook.run(CELL))
    assert not codebatch.open_store(tmp_path / "store").batches()


IMPURE = {
    "clock": "import time\ndef value():\n    return time.time_ns()\n",
    "global": "count = 0\ndef value():\n    global count\n    count += 1\n    return count\n",
}


@pytest.mark.parametrize("what", IMPURE)
def test_tasks_that_look_elsewhere(what: str, project: Project, planned: Plan, run: Run) -> None:
    body = "import codebatch\n@codebatch.task(version=1)\ndef impure(file):\n"
    body += "    yield codebatch.Metric('value', value())\n"
    project.write({"PKG_impure.py": IMPURE[what] + body})
    batch = planned(project.load("PKG_impure.py:impure"))
    run(batch, "sync")
    differ = batch.recheck(scheduler="sync").differ
    assert {one["task_id"] for one in differ} == {"impure"}
    assert len(differ) == 20
