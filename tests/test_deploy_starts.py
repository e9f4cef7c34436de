"""The commands of `deploy/` start a cluster that works, and answer what watches them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from conftest import make_tree
from deployed import Processes, fetch, free_ports
from test_deploy import SERVICES, merged
from test_deploy_kubernetes import cluster_of, find

import codebatch

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("default::ResourceWarning")]


@dataclass(frozen=True)
class Setup:
    """The commands of a way to deploy, and whether the operator looks after it."""

    scheduler: list[str]
    worker: list[str]
    client: list[str]
    environment: dict[str, str]
    operated: bool = False


def of_compose(services: dict[str, Any]) -> Setup:
    return Setup(*(services[name]["command"] for name in ("scheduler", "worker", "client")), {})


def of_kubernetes(file: str) -> Setup:
    (scheduler,) = cluster_of(file)["scheduler"]["spec"]["containers"]
    (worker,) = cluster_of(file)["worker"]["spec"]["containers"]
    client = ["codebatch", "scan", "/source"]
    if file == "job.yaml":
        client = find(file, "DaskJob")["spec"]["job"]["spec"]["containers"][0]["args"]
    environment = {it["name"]: it["value"] for it in scheduler["env"]}
    # There each pod has an address of its own.
    own = [*scheduler["args"], "--host", "127.0.0.1"]
    return Setup(own, worker["args"], client, environment, operated=True)


SETUPS = {
    "compose.yaml": of_compose(SERVICES),
    "compose.shipped.yaml": of_compose(merged()),
    "cluster.yaml": of_kubernetes("cluster.yaml"),
    "job.yaml": of_kubernetes("job.yaml"),
}


@pytest.mark.parametrize("setup", SETUPS.values(), ids=list(SETUPS))
def test_a_scan(setup: Setup, tmp_path: Path) -> None:
    port, health, worker_health = free_ports(3)
    tree, store = make_tree(tmp_path / "tree"), tmp_path / "store"
    address = f"tcp://127.0.0.1:{port}"
    here = {
        "8786": str(port),
        "0.0.0.0": "127.0.0.1",
        "tcp://scheduler:8786": address,
        "$(DASK_WORKER_NAME)": "one",
        "/source": str(tree),
    }
    for host in ("", "127.0.0.1"):
        here |= {
            f"{host}:8787": f"127.0.0.1:{health}",
            f"{host}:8788": f"127.0.0.1:{worker_health}",
        }

    def moved(words: list[str]) -> list[str]:
        return [here.get(word, word) for word in words]

    with Processes(tmp_path) as processes:
        processes.start(moved(setup.scheduler), **setup.environment)
        assert processes.wait_for(lambda: fetch(health, "/health")) == "ok"
        local = ["--local-directory", str(tmp_path)]
        processes.start([*moved(setup.worker), *local], DASK_SCHEDULER_ADDRESS=address)
        assert processes.wait_for(lambda: fetch(worker_health, "/health")) == "ok"
        client = processes.start(
            moved(setup.client), DASK_SCHEDULER_ADDRESS=address, CODEBATCH_STORE=str(store)
        )
        assert client.wait(timeout=60) == 0, processes.logs()
        if setup.operated:
            assert_the_operator_is_answered(health)
    alone, report = codebatch.scan(tree, tmp_path / "other", scheduler="sync")
    (row,) = codebatch.open_store(store).batches()
    assert (row["batch_id"], row["result"]) == (alone.id, report.result)


def assert_the_operator_is_answered(port: int) -> None:
    """As dask_kubernetes.operator.controller asks when it scales a cluster."""
    assert json.loads(fetch(port, "/api/v1/adaptive_target") or "")["workers"] >= 0
    retired = json.loads(fetch(port, "/api/v1/retire_workers", json.dumps({"n": 1})) or "")
    assert [worker["name"] for worker in retired.values()] == ["one"]
