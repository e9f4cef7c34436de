"""Real clusters are looked at before work is sent: what does not fit is named, and nothing runs."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import distributed
import pytest
from clusters import Cluster, Host, apart, why_not_apart, with_other_ruff, with_path
from conftest import Outcome, Scanned

import codebatch
from codebatch.cluster.connect.connection import connect
from codebatch.cluster.preflight import preflight
from codebatch.cluster.preflight.compatibility import Problem
from codebatch.cluster.preflight.preflight import Work, examine, examine_workers
from codebatch.model.errors import ClusterError, ClusterMismatchError

Cli = Callable[..., Outcome]

pytestmark = pytest.mark.filterwarnings("default::ResourceWarning")

HIDING = """
import sys
class _Hiding:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "codebatch":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, _Hiding())
"""
NOT_APART = why_not_apart()
SEEN = {
    "no-store": "sees no store at",
    "other-store": "sees another store at",
    "store-copy": "sees a copy of the store at",
    "read-only": "cannot write to the store at",
}


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("preflight")


@pytest.fixture(scope="module")
def planned(here: Path, scanned: Scanned) -> codebatch.Batch:
    """A batch that is to be run; nobody runs it."""
    store = codebatch.open_store(here / "store", create=True)
    return store.batch(store.snapshot(scanned.tree), "full")


def without_codebatch(folder: Path) -> Host:
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(HIDING)
    return with_path(folder)


def with_other_codebatch(folder: Path) -> Host:
    package = Path(codebatch.__file__).parent
    shutil.copytree(package, folder / "codebatch", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("graphs", "schemas"):
        if (package.parent / name).is_dir():
            (folder / name).symlink_to(package.parent / name)
    init = folder / "codebatch/model/version.py"
    init.write_text(init.read_text().replace(codebatch.__version__, "0.0.1"))
    return with_path(folder)


def seeing(store: Path, here: Path) -> dict[str, Host]:
    """Hosts that see the place of the store in other ways."""
    codebatch.open_store(here / "another", create=True)
    shutil.copytree(store, here / "copy")
    return {
        "no-store": apart(f"mount -t tmpfs none {store}"),
        "other-store": apart(f"mount --bind {here / 'another'} {store}"),
        "store-copy": apart(f"mount --bind {here / 'copy'} {store}"),
        "read-only": apart(f"mount --bind {store} {store}", f"mount -o remount,ro,bind {store}"),
    }


@pytest.fixture(scope="module")
def cluster(here: Path, planned: codebatch.Batch) -> Iterator[Cluster]:
    """Workers of all kinds; those called ``fit`` are."""
    hosts = {
        "fit-1": Host(),
        "fit-2": Host(),
        "ruff": with_other_ruff(here / "ruff"),
        "version": with_other_codebatch(here / "version"),
        "none": without_codebatch(here / "none"),
    }
    if NOT_APART is None:
        hosts |= seeing(planned.path, here)
    with Cluster(here / "cluster") as started:
        for name, host in hosts.items():
            started.start_worker(name, host=host)
        started.wait_for_workers(len(hosts))
        yield started


@pytest.fixture(scope="module")
def client(cluster: Cluster) -> Iterator[Any]:
    with connect(cluster.address) as connected:
        yield connected


@pytest.fixture(scope="module")
def addresses(client: Any) -> dict[str, str]:
    """The address of each worker, by its name."""
    workers = client.scheduler_info(n_workers=-1)["workers"]
    return {str(one["name"]): address for address, one in workers.items()}


def look(client: Any, batch: codebatch.Batch, **options: Any) -> Any:
    directory = batch.directory
    tasks = batch.load_status().plan.tasks
    return examine(client, Work(tasks, str(directory.root), directory.store_id), **options)


def look_at(
    client: Any, batch: codebatch.Batch, *workers: str, transport: str = "shared"
) -> list[tuple[Problem, ...]]:
    """What is wrong with each of some workers."""
    directory = batch.directory
    tasks = batch.load_status().plan.tasks
    where = (str(directory.root), directory.store_id)
    found = examine_workers(client, list(workers), Work(tasks, *where), transport)
    assert list(found) == list(workers)
    return list(found.values())


def test_each_worker_that_does_not_fit_is_named_with_the_remedy(
    client: Any, addresses: dict[str, str], planned: codebatch.Batch
) -> None:
    names = ("fit-1", "ruff", "version", "none")
    fit, ruff, version, none = look_at(client, planned, *(addresses[name] for name in names))
    assert fit == ()
    (problem,) = ruff
    assert problem.message.startswith(
        f"worker ruff ({addresses['ruff']}) has ruff 0.0.1, task parse"
    )
    assert "pip install 'ruff==" in problem.remedy
    (problem,) = version
    where = f"worker version ({addresses['version']})"
    assert problem.message == f"{where} has codebatch 0.0.1, here is {codebatch.__version__}"
    (problem,) = none
    assert problem.message == f"worker {addresses['none']} has no codebatch"
    assert problem.remedy == f"install codebatch {codebatch.__version__} there"


def test_who_fits_prepares_for_work(
    cluster: Cluster, client: Any, addresses: dict[str, str], planned: codebatch.Batch
) -> None:
    """The server of child processes runs before the first shard comes."""
    names = ("fit-1", "ruff")
    look_at(client, planned, *(addresses[name] for name in names))
    servers = {
        name: [
            one for one in cluster.members[name].family() if "fork_server" in "".join(one.cmdline())
        ]
        for name in names
    }
    assert {name: len(found) for name, found in servers.items()} == {"fit-1": 1, "ruff": 0}


@pytest.mark.skipif(NOT_APART is not None, reason=f"no mounts for one process: {NOT_APART}")
def test_each_worker_that_sees_another_store_is_named(
    client: Any, addresses: dict[str, str], planned: codebatch.Batch
) -> None:
    workers = [addresses[name] for name in SEEN]
    for (problem,), words in zip(look_at(client, planned, *workers), SEEN.values(), strict=True):
        assert f"{words} {planned.path}" in problem.message
        assert problem.code == "CLUSTER_STORE"
    assert look_at(client, planned, *workers, transport="shipped") == [()] * len(SEEN)
    assert not list(planned.path.glob(".tmp-*"))


def test_a_task_that_is_nowhere(
    client: Any, addresses: dict[str, str], planned: codebatch.Batch
) -> None:
    directory = planned.directory
    task = replace(planned.load_status().plan.tasks[0], id="mine", task="mine:check")
    where = (str(directory.root), directory.store_id)
    found = examine_workers(client, [addresses["fit-1"]], Work([task], *where))
    ((problem,),) = found.values()
    assert "cannot run task mine: unknown task: mine:check" in problem.message
    assert problem.remedy.endswith("or upload it to the workers")


def test_a_run_on_an_unfit_cluster_does_nothing(
    cluster: Cluster, client: Any, planned: codebatch.Batch, cli: Cli
) -> None:
    words = ("run", "--store", planned.path, "--scheduler", cluster.address)
    done = cli(*words, "--json")
    assert done.code == 6, done.err
    error = json.loads(done.stdout)["error"]
    assert error["code"] == "CLUSTER_MISMATCH"
    errors = [one for one in error["details"]["problems"] if one["severity"] == "error"]
    assert error["message"].endswith(f" (and {len(errors) - 1} more)")
    assert {"CLUSTER_VERSION", "CLUSTER_WORKER_FAILED"} <= {one["code"] for one in errors}
    done = cli(*words)
    _, line = [line for line in done.err.splitlines() if not line.startswith("  ")]
    assert line.startswith("error: the cluster cannot run this: worker ")
    assert (done.code, done.stdout) == (6, b"")
    assert planned.status()["status"] == "pending"
    with pytest.raises(ClusterMismatchError):
        planned.run(client=client)


def test_diagnose_says_the_same(cluster: Cluster, planned: codebatch.Batch, cli: Cli) -> None:
    done = cli("diagnose", "--store", planned.path, "--scheduler", cluster.address, "--json")
    assert done.code == 6
    document = json.loads(done.stdout)
    who = {one["who"] for one in document["problems"]}
    by_name = {one.get("name"): one for one in document["cluster"]["workers"].values()}
    assert by_name["ruff"]["toolchain"]["ruff"] == "0.0.1"
    assert len(who) >= 3


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preflight, "ANSWER_SECONDS", 4)


@pytest.mark.slow
def test_a_frozen_worker_is_left_out_and_a_busy_one_is_not(
    cluster: Cluster, client: Any, addresses: dict[str, str], planned: codebatch.Batch
) -> None:
    busy = client.submit(time.sleep, 600, workers=[addresses["fit-1"]], key="busy", pure=False)
    workers = [addresses[name] for name in ("fit-1", "fit-2")]
    began = time.monotonic()
    assert look_at(client, planned, *workers) == [(), ()]
    assert time.monotonic() - began < preflight.ANSWER_SECONDS
    cluster.members["fit-2"].freeze()
    try:
        began = time.monotonic()
        fit, frozen = look_at(client, planned, *workers)
        assert time.monotonic() - began < 60
        assert fit == ()
        assert [one.code for one in frozen] == ["CLUSTER_SILENT"]
    finally:
        cluster.members["fit-2"].thaw()
        busy.release()


# -- clusters of other kinds -----------------------------------------------------------------------


def local(workers: int = 0) -> Any:
    """A cluster in this process."""
    return distributed.LocalCluster(
        n_workers=workers,
        threads_per_worker=1,
        processes=False,
        protocol="tcp",
        host="127.0.0.1",
        dashboard_address="127.0.0.1:0",
    )


def test_a_cluster_that_starts_workers_when_there_is_work(planned: codebatch.Batch) -> None:
    notices: list[str] = []
    with local() as adaptive, distributed.Client(adaptive, set_as_default=False) as client:
        with pytest.raises(ClusterError, match=r"no workers, and none came within 0\.5 s"):
            look(client, planned, timeout=0.5)
        adaptive.adapt(minimum=0, maximum=1, interval="1.5s")
        compatibility = look(client, planned, on_notice=notices.append, timeout=120)
        assert compatibility.transport == "shared"
        assert len(compatibility.workers) == 1
        assert compatibility.problems == ()
        assert not any(key.startswith("codebatch-probe") for key in client.who_has())
    assert set(notices) <= {"waiting for workers: the cluster has none"}


@pytest.mark.slow
def test_waiting_is_said(planned: codebatch.Batch) -> None:
    notices: list[str] = []
    with (
        local() as empty,
        distributed.Client(empty, set_as_default=False) as client,
        pytest.raises(ClusterError) as caught,
    ):
        look(client, planned, on_notice=notices.append, timeout=4)
    assert caught.value.exit_code == 6
    assert notices == ["waiting for workers: the cluster has none"]


@pytest.mark.slow
@pytest.mark.usefixtures("impatient")
def test_all_workers_are_frozen(here: Path, planned: codebatch.Batch) -> None:
    notices: list[str] = []
    with Cluster(here / "frozen") as cluster:
        cluster.start_workers(1)
        with connect(cluster.address) as client:
            cluster.members["w1"].freeze()
            with pytest.raises(ClusterError, match="none of the workers of the cluster answers"):
                look(client, planned, on_notice=notices.append)
    (notice,) = notices
    assert notice.endswith("does not answer: it is left out")


def test_a_scheduler_without_codebatch(here: Path, planned: codebatch.Batch, cli: Cli) -> None:
    """It unpacks what it hands out, so it is refused before it starts workers for us."""
    with Cluster(here / "bare", host=without_codebatch(here / "hidden")) as cluster:
        done = cli("run", "--store", planned.path, "--scheduler", cluster.address, "--json")
        assert done.code == 6, done.err
        error = json.loads(done.stdout)["error"]
        assert error["message"] == "the cluster cannot run this: the scheduler has no codebatch"
        version = codebatch.__version__
        assert error["hints"] == [
            f"install codebatch {version} where it runs: it unpacks what it hands out"
        ]


def test_preflight_is_quick(planned: codebatch.Batch, note: Callable[[str], None]) -> None:
    with local(2) as cluster, distributed.Client(cluster, set_as_default=False) as client:
        look(client, planned)
        seconds = []
        for _ in range(5):
            began = time.monotonic()
            assert len(look(client, planned).workers) == 2
            seconds.append(time.monotonic() - began)
    note(f"preflight of two workers: {min(seconds) * 1000:.0f} ms")
    assert min(seconds) < 1, "it is some hundredths of a second where nobody else is at work"
