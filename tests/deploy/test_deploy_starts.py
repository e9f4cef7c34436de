"""The commands of `deploy/` start a cluster that works, and answer what watches them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import pytest
from clusters import free_port
from conftest import make_tree, run_cli
from deployed import Started, compose_services, fetch, load_yaml

import codebatch

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("default::ResourceWarning")]


@dataclass(frozen=True)
class Setup:
    """The commands of a way to deploy, and whether the operator looks after it."""

    scheduler: list[str]
    worker: list[str]
    client: list[str]
    transport: str = "shared"
    environment: dict[str, str] | None = None


def of_compose(*files: str) -> tuple[list[str], ...]:
    services = compose_services(*files)
    return tuple(services[name]["command"] for name in ("scheduler", "worker", "client"))


def of_kubernetes(file: str) -> tuple[list[str], list[str], list[str], dict[str, str]]:
    spec = load_yaml(f"kubernetes/{file}")[-1]["spec"]
    cluster = spec["cluster"]["spec"] if "cluster" in spec else spec
    (scheduler,) = cluster["scheduler"]["spec"]["containers"]
    (worker,) = cluster["worker"]["spec"]["containers"]
    client = ["codebatch", "scan", "/source"]
    if "job" in spec:
        client = spec["job"]["spec"]["containers"][0]["args"]
    environment = {it["name"]: it["value"] for it in scheduler["env"]}
    # There each pod has an address of its own.
    own = [*scheduler["args"], "--host", "127.0.0.1"]
    return own, worker["args"], client, environment


def setups() -> dict[str, Setup]:
    """By the name of the file."""
    shipped = ("compose.yaml", "compose.shipped.yaml")
    found = {
        "compose.yaml": Setup(*of_compose("compose.yaml")),
        "compose.shipped.yaml": Setup(*of_compose(*shipped), transport="shipped"),
    }
    for file, transport in (("cluster.yaml", "shared"), ("job.yaml", "shipped")):
        *commands, environment = of_kubernetes(file)
        found[file] = Setup(*commands, transport, environment)
    return found


SETUPS = setups()


@pytest.mark.parametrize("setup", SETUPS.values(), ids=list(SETUPS))
def test_a_scan(setup: Setup, tmp_path: Path) -> None:
    port, health, worker_health = free_port(), free_port(), free_port()
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

    with Started(tmp_path) as started:
        started.start(moved(setup.scheduler), **(setup.environment or {}))
        started.wait_for(lambda: fetch(health, "/health") == "ok", "the scheduler is healthy")
        local = ["--local-directory", str(tmp_path)]
        started.start([*moved(setup.worker), *local], DASK_SCHEDULER_ADDRESS=address)
        started.wait_for(lambda: fetch(worker_health, "/health") == "ok", "the worker is")
        given: dict[str, str | None] = {"DASK_SCHEDULER_ADDRESS": address}
        words = (*moved(setup.client)[1:], "--json")
        done = run_cli(*words, env={**given, "CODEBATCH_STORE": str(store)})
        assert done.code == 0, done.err
        used = json.loads(done.stdout)["cluster"]
        assert used["transport"] == setup.transport
        if setup.environment:
            assert_the_operator_is_answered(health)
    alone, report = codebatch.scan(tree, tmp_path / "other", scheduler="sync")
    (row,) = codebatch.open_store(store).batches()
    assert (row["batch_id"], row["result"]) == (alone.id, report.result)
    assert setup.environment is None or [it["name"] for it in used["workers"]] == ["one"]


def assert_the_operator_is_answered(port: int) -> None:
    """As dask_kubernetes.operator.controller asks when it scales a cluster."""
    assert json.loads(fetch(port, "/api/v1/adaptive_target") or "")["workers"] >= 0
    retired = json.loads(fetch(port, "/api/v1/retire_workers", json.dumps({"n": 1})) or "")
    assert [worker["name"] for worker in retired.values()] == ["one"]
