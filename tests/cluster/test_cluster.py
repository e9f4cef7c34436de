"""Real clusters: the same command gives the same result there as here."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import distributed
import pytest
from clusters import Cluster, Member, Run, apart, make_certificates
from conftest import Outcome, Scanned
from networks import Network, why_no_network
from verifier import verify_store

import codebatch

Cli = Callable[..., Outcome]

needs_openssl = pytest.mark.skipif(
    shutil.which("openssl") is None, reason="there is no openssl to make certificates with"
)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A scheduler and four workers."""
    with Cluster(tmp_path_factory.mktemp("cluster")) as started:
        started.start_workers(4)
        yield started


def scan(cli: Cli, tree: Path, store: Path, cluster: Cluster, *words: object) -> dict[str, Any]:
    """Scan on the cluster; the report of a batch that is done."""
    where = ("--store", store, "--scheduler", cluster.address, "--json")
    done = cli("scan", tree, *where, *words, env=cluster.client_environment)
    assert done.code == 0, done.err
    assert b"Traceback" not in done.stderr
    document: dict[str, Any] = json.loads(done.stdout)
    assert document["status"] == "done"
    return document


def check_same(store: Path, expected: codebatch.Batch) -> None:
    """The newest batch of the store is sound and has the records of the other, each once."""
    verify_store(store)
    opened = codebatch.open_store(store)
    assert opened.verify().ok
    found = opened.find_batch("latest")
    assert list(found.sorted_records()) == list(expected.sorted_records())


def test_four_workers_give_the_local_result(
    cluster: Cluster, scanned: Scanned, tmp_path: Path, cli: Cli
) -> None:
    document = scan(cli, scanned.tree, tmp_path / "store", cluster, "--shards", 16)
    assert document["result"] == scanned.report.result
    assert document["files"] == scanned.report.files
    check_same(tmp_path / "store", scanned.batch)


@pytest.mark.parametrize("transport", ["shared", "shipped"])
def test_two_clients_with_a_store_each_run_the_same_batch(
    transport: str, cluster: Cluster, scanned: Scanned, tmp_path: Path, cli: Cli
) -> None:
    """One key space for all clients: an equal key would be answered with the other's value."""

    def scan_into(name: str) -> dict[str, Any]:
        return scan(cli, scanned.tree, tmp_path / name, cluster, "--transport", transport)

    with ThreadPoolExecutor(2) as pool:
        documents = list(pool.map(scan_into, ["one", "two"]))
    for name, document in zip(("one", "two"), documents, strict=True):
        assert document["result"] == scanned.report.result
        assert document["files"] == scanned.report.files
        check_same(tmp_path / name, scanned.batch)
    assert key_collisions(cluster) == 0


def sees(member: Member, store: Path) -> bool:
    """Whether the process has the store in its file system."""
    return Path(f"/proc/{member.pid}/root{store}/store.json").exists()


def key_collisions(cluster: Cluster) -> int:
    """How many tasks had a key that the scheduler knew with another content."""
    with distributed.Client(cluster.address, set_as_default=False) as client:
        events = [event for _, event in client.get_events("scheduler")]
    updates = [event for event in events if event.get("action") == "update-graph"]
    assert len(updates) >= 2
    assert {event["status"] for event in updates} == {"OK"}
    return sum(event["metrics"]["key_collisions"] for event in updates)


# -- hosts of their own ----------------------------------------------------------------------------


@pytest.mark.skipif(bool(why_no_network()), reason=f"no network: {why_no_network()}")
def test_hosts_that_have_no_access_to_the_store(scanned: Scanned, tmp_path: Path) -> None:
    """Workers that see neither the store nor the sources are sent what they need."""
    store = tmp_path / "client" / "store"
    store.parent.mkdir()
    hidden = [f"mount -t tmpfs none {path}" for path in (store.parent, scanned.tree)]
    with Network("client", "scheduler", "one", "two") as network:
        host = apart(*hidden, host=network["scheduler"])
        with Cluster(tmp_path / "cluster", host=host) as cluster:
            for name in ("one", "two"):
                cluster.start_worker(name, host=apart(*hidden, host=network[name]))
            cluster.wait_for_workers(2)
            with Run(
                *(store, "scan", scanned.tree, "--scheduler", cluster.address),
                host=network["client"],
            ) as run:
                report = run.report()
            assert not any(sees(cluster.members[name], store) for name in cluster.members)
    assert report["result"] == scanned.report.result
    assert report["files"] == scanned.report.files
    assert report["cluster"]["transport"] == "shipped"
    assert {one["name"] for one in report["cluster"]["workers"]} == {"one", "two"}
    check_same(store, scanned.batch)


# -- mutual TLS ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def certified(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A scheduler and a worker that speak to nobody without a certificate of their authority."""
    base = tmp_path_factory.mktemp("certified")
    with Cluster(base / "cluster", tls=make_certificates(base / "certificates")) as started:
        started.start_workers(1)
        yield started


@needs_openssl
def test_mutual_tls(certified: Cluster, scanned: Scanned, tmp_path: Path, cli: Cli) -> None:
    assert certified.address.startswith("tls://")
    document = scan(cli, scanned.tree, tmp_path / "store", certified)
    assert document["result"] == scanned.report.result


@needs_openssl
@pytest.mark.parametrize("has", ["no certificates", "those of another authority"])
def test_who_is_not_known_is_turned_away(
    has: str, certified: Cluster, scanned: Scanned, tmp_path: Path, cli: Cli
) -> None:
    environment: dict[str, str | None] = {}
    if has == "those of another authority":
        environment |= make_certificates(tmp_path / "others").environment()
    words = ("scan", scanned.tree, "--store", tmp_path / "store", "-q")
    done = cli(*words, "--scheduler", certified.address, env=environment)
    assert (done.code, done.stdout) == (6, b"")
    (line,) = [line for line in done.err.splitlines() if line.startswith("error")]
    assert certified.address in line
    assert "DASK_DISTRIBUTED__COMM__TLS__CA_FILE" in done.err
    assert b"Traceback" not in done.stderr
