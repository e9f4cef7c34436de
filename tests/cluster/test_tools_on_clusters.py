"""Tools on workers: the same results by either transport, and a worker without one is named."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from clusters import Cluster, Host, connected_client
from conftest import write_tree

import codebatch
from codebatch.model.errors import ClusterMismatchError

LINES = {"format": "lines", "pattern": r"^(?P<path>.+?):(?P<line>\d+): (?P<message>.*)$"}
PROGRAM = """
if sys.argv[1:] == ["--version"]:
    sys.exit(print("todo 1.0"))
for name in sys.argv[1:]:
    text = open(name).read()
    if "CRASH" in text:
        os.kill(os.getpid(), 11)
    for number, line in enumerate(text.splitlines(), 1):
        print(f"{name}:{number}: {line}")
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a program that is on the `PATH` of two of three workers."""
    made = tmp_path_factory.mktemp("bin")
    program = made / "todo-of-tests"
    program.write_text(f"#!{sys.executable}\nimport os, sys\n{PROGRAM}")
    program.chmod(0o755)
    return made


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory, folder: Path) -> Iterator[Cluster]:
    there = Host(launcher=("env", f"PATH={folder}{os.pathsep}{os.environ['PATH']}"))
    with Cluster(tmp_path_factory.mktemp("cluster")) as started:
        started.start_worker("with-1", host=there)
        started.start_worker("with-2", host=there)
        started.wait_for_workers(2)
        yield started


client = pytest.fixture(connected_client, scope="module")


def tools() -> list[codebatch.Task]:
    """Tools that depend on the path, on siblings, and on the whole project; and one that changes
    files.
    """
    given: dict[str, Any] = {"run": ["todo-of-tests", "${target}"], "output": LINES}
    whole = {**given, "depends": "project", "files": {"include": ["f1*.py"]}}
    todo, every = codebatch.tool("todo", **given), codebatch.tool("every", **whole)
    words = ["check", "--fix-only", "--no-cache", "--quiet", "--exit-zero", "--select", "F401"]
    fix = codebatch.tool(
        "fix",
        run=["ruff", *words, "${target}"],
        output={"format": "rewrite"},
        files={"include": ["f*.py"]},
    )
    return [todo, codebatch.tool("ruff"), every, fix]


@pytest.fixture
def planned(tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> codebatch.Batch:
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    files: dict[str, str | bytes] = {
        f"p{n % 4}/f{n}.py": f"import os\nx{n}: int = ''\n" for n in range(40)
    }
    tree = write_tree(tmp_path / "tree", {**files, "p1/__init__.py": "", "p2/bad.py": "CRASH\n"})
    store = codebatch.open_store(tmp_path / "store", create=True)
    return store.batch(store.snapshot(tree), tasks=tools())


@pytest.mark.slow
@pytest.mark.parametrize("transport", ["shared", "shipped"])
def test_results_are_those_of_a_local_run(
    planned: codebatch.Batch, client: Any, tmp_path: Path, transport: str
) -> None:
    there = planned.run(client=client, transport=transport)
    assert there.status == "done"
    assert {r["path"] for r in planned.records(code="E0003")} == {"p2/bad.py"}
    store = codebatch.open_store(tmp_path / "local", create=True)
    snapshot = store.snapshot(tmp_path / "tree")
    here = store.batch(snapshot, tasks=tools()).run("sync")
    assert here.result == there.result
    found = planned.apply(tmp_path / "tree").files
    assert {file.path for file in found} == {f"p{n % 4}/f{n}.py" for n in range(40)}
    assert (tmp_path / "tree/p0/f0.py").read_text() == "x0: int = ''\n"


def test_a_worker_without_the_tool_is_named_before_any_work(
    planned: codebatch.Batch, cluster: Cluster, client: Any
) -> None:
    cluster.start_worker("without", host=Host(launcher=("env", "PATH=/usr/bin:/bin")))
    cluster.wait_for_workers(3)
    try:
        with pytest.raises(ClusterMismatchError) as refused:
            planned.run(client=client)
        message = str(refused.value)
        assert "worker without" in message
        assert "todo missing" in message
        assert planned.status()["status"] == "pending"
    finally:
        cluster.members["without"].kill()
