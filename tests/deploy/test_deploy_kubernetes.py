"""`deploy/kubernetes/` is what an API server and Dask's operator take, and agrees with itself."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import pytest
from apiserver import complaints
from deployed import DEPLOY, DOCKERFILE, IMAGE, check_command, load_yaml, option

from codebatch.model.limits import parse_size

FILES = sorted(path.name for path in (DEPLOY / "kubernetes").iterdir())
DOCUMENTS: list[tuple[str, dict[str, Any]]] = [
    (name, document) for name in FILES for document in load_yaml(f"kubernetes/{name}")
]
CLUSTER_FILES = {"cluster.yaml": "DaskCluster", "job.yaml": "DaskJob"}
NAME, COMPONENT = "dask.org/cluster-name", "dask.org/component"


def find(file: str, kind: str) -> dict[str, Any]:
    """The document of a kind in a file."""
    (found,) = (it for name, it in DOCUMENTS if name == file and it["kind"] == kind)
    return found


def cluster_of(file: str) -> dict[str, Any]:
    """The part that describes scheduler and workers."""
    found = find(file, CLUSTER_FILES[file])["spec"]
    part: dict[str, Any] = found["cluster"]["spec"] if "cluster" in found else found
    return part


def pods() -> Iterator[tuple[str, dict[str, Any]]]:
    """Every specification of a pod, with what it is for."""
    for file in CLUSTER_FILES:
        yield f"{file}/scheduler", cluster_of(file)["scheduler"]["spec"]
        yield f"{file}/worker", cluster_of(file)["worker"]["spec"]
    yield "job.yaml/job", find("job.yaml", "DaskJob")["spec"]["job"]["spec"]
    yield "client.yaml", find("client.yaml", "Pod")["spec"]


PODS = dict(pods())
each_pod = pytest.mark.parametrize("pod", PODS.values(), ids=list(PODS))
each_cluster = pytest.mark.parametrize("file", CLUSTER_FILES)


def containers(pod: dict[str, Any]) -> list[dict[str, Any]]:
    """Those that prepare, and those that run."""
    return [*pod.get("initContainers", []), *pod["containers"]]


# -- as an API server would say ------------------------------------------------------------------


@pytest.mark.oracle
@pytest.mark.parametrize(
    ("file", "document"), DOCUMENTS, ids=[f"{name}-{it['kind']}" for name, it in DOCUMENTS]
)
def test_documents_have_the_fields_that_there_are(file: str, document: dict[str, Any]) -> None:
    assert complaints(document) == [], file


@pytest.mark.oracle
def test_a_field_that_does_not_exist_is_found() -> None:
    job = copy.deepcopy(find("job.yaml", "DaskJob"))
    worker = job["spec"]["cluster"]["spec"]["worker"]["spec"]["containers"][0]
    worker["securityContext"]["readOnlyRootFileSystem"] = True
    worker["resources"]["limits"]["cpu"] = None
    job["metadata"]["lables"] = {}
    assert len(complaints(job)) == 3
    policy = copy.deepcopy(find("autoscaler.yaml", "NetworkPolicy"))
    policy["spec"]["ingres"] = policy["spec"].pop("ingress")
    assert len(complaints(policy)) == 1


def test_kinds() -> None:
    kinds = {it["kind"] for _, it in DOCUMENTS}
    assert {"DaskCluster", "DaskJob", "DaskAutoscaler"} < kinds
    assert {"NetworkPolicy", "PersistentVolumeClaim", "Pod"} < kinds
    for _, document in DOCUMENTS:
        assert "namespace" not in document["metadata"], "it is chosen with kubectl"


# -- pods ----------------------------------------------------------------------------------------


@each_pod
def test_commands_exist(pod: dict[str, Any]) -> None:
    for container in containers(pod):
        assert container["image"] == IMAGE
        if container["args"][0] in ("dask", "codebatch"):
            check_command(container["args"])
        else:
            assert container["args"][0] in ("git", "sh", "sleep")


@each_pod
def test_pods_meet_the_restricted_standard(pod: dict[str, Any]) -> None:
    assert f"USER {pod['securityContext']['runAsUser']}:" in DOCKERFILE
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert pod["automountServiceAccountToken"] is False
    # Else a service named codebatch-scheduler would set variables that begin with CODEBATCH_.
    assert pod["enableServiceLinks"] is False
    for container in containers(pod):
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }


@each_pod
def test_containers_have_requests_and_limits(pod: dict[str, Any]) -> None:
    for container in containers(pod):
        for given in ("requests", "limits"):
            assert set(container["resources"][given]) == {"cpu", "memory"}


@each_pod
def test_volumes_are_there_for_what_is_mounted(pod: dict[str, Any]) -> None:
    volumes = {volume["name"]: volume for volume in pod["volumes"]}
    used = {it["name"] for container in containers(pod) for it in container.get("volumeMounts", [])}
    assert used == set(volumes)
    assert all("sizeLimit" in it["emptyDir"] for it in volumes.values() if "emptyDir" in it)
    for container in pod["containers"]:
        assert "/tmp" in {mount["mountPath"] for mount in container["volumeMounts"]}


# -- clusters ------------------------------------------------------------------------------------


@each_cluster
def test_the_service_leads_to_the_scheduler(file: str) -> None:
    scheduler = cluster_of(file)["scheduler"]
    (container,) = scheduler["spec"]["containers"]
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    assert str(ports["tcp-comm"]) == option(container["args"], "--port")
    assert f":{ports['http-dashboard']}" == option(container["args"], "--dashboard-address")
    name = find(file, CLUSTER_FILES[file])["metadata"]["name"]
    assert scheduler["service"]["selector"] == {NAME: name, COMPONENT: "scheduler"}
    assert {port["targetPort"]: port["port"] for port in scheduler["service"]["ports"]} == ports
    # The port that the operator writes into DASK_SCHEDULER_ADDRESS.
    assert ports["tcp-comm"] == 8786
    assert len(f"{name}-scheduler") <= 63


@each_cluster
@pytest.mark.parametrize("part", ["scheduler", "worker"])
def test_probes_ask_a_port_that_is_listened_on(file: str, part: str) -> None:
    (container,) = cluster_of(file)[part]["spec"]["containers"]
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    probes = [container[name] for name in container if name.endswith("Probe")]
    assert probes
    for probe in probes:
        assert probe["httpGet"]["path"] == "/health"
        port = ports[probe["httpGet"]["port"]]
        assert f":{port}" == option(container["args"], "--dashboard-address")


@each_cluster
def test_workers_take_what_they_get(file: str) -> None:
    (container,) = cluster_of(file)["worker"]["spec"]["containers"]
    limits = container["resources"]["limits"]
    assert parse_size(option(container["args"], "--memory-limit")) == parse_size(
        limits["memory"] + "B"
    )
    assert option(container["args"], "--nthreads") == limits["cpu"]
    # By this name the operator takes a worker away.
    assert option(container["args"], "--name") == "$(DASK_WORKER_NAME)"


def test_clusters_differ_in_the_store_alone() -> None:
    shared, single = (copy.deepcopy(cluster_of(file)) for file in CLUSTER_FILES)
    for cluster, has_store in ((shared, True), (single, False)):
        worker = cluster["worker"]["spec"]
        stores = [it for it in worker["volumes"] if it["name"] == "store"]
        mounts = worker["containers"][0]["volumeMounts"]
        assert (len(stores) == 1) is has_store
        worker["volumes"] = [it for it in worker["volumes"] if it["name"] != "store"]
        worker["containers"][0]["volumeMounts"] = [it for it in mounts if it["name"] != "store"]
        del cluster["scheduler"]["service"]["selector"]
    assert shared == single


def test_the_store() -> None:
    """At one path, on a volume that as many nodes can mount as need to."""
    assert "CODEBATCH_STORE=/store " in DOCKERFILE
    for pod in PODS.values():
        for volume in (it for it in pod["volumes"] if it["name"] == "store"):
            assert volume["persistentVolumeClaim"] == {"claimName": "codebatch-store"}
            mounted = [
                mount["mountPath"]
                for container in pod["containers"]
                for mount in container["volumeMounts"]
                if mount["name"] == "store"
            ]
            assert mounted == ["/store"]
    for file, mode in (("store-shared", "ReadWriteMany"), ("store-single", "ReadWriteOnce")):
        claim = find(f"{file}.yaml", "PersistentVolumeClaim")
        assert claim["metadata"]["name"] == "codebatch-store"
        assert claim["spec"]["accessModes"] == [mode]


def test_the_job() -> None:
    job = PODS["job.yaml/job"]
    (clone,) = job["initContainers"]
    (main,) = job["containers"]
    assert main["args"][:3] == ["codebatch", "scan", clone["args"][-1]]
    assert option(main["args"], "--transport") == "shipped"
    assert "--scheduler" not in main["args"], "the operator names it"
    assert "env" not in main
    assert float(option(main["args"], "--cluster-timeout")) >= 600, "it may come before the others"


def test_the_client_and_the_autoscaler_belong_to_the_cluster() -> None:
    name = find("cluster.yaml", "DaskCluster")["metadata"]["name"]
    client = find("client.yaml", "Pod")
    assert client["metadata"]["labels"] == {NAME: name, COMPONENT: "client"}
    assert PODS["client.yaml"]["containers"][0]["env"] == [
        {"name": "CODEBATCH_SCHEDULER", "value": f"tcp://{name}-scheduler:8786"}
    ]
    assert find("autoscaler.yaml", "DaskAutoscaler")["spec"]["cluster"] == name


# -- who reaches whom ----------------------------------------------------------------------------


def applies(policy: dict[str, Any], labels: dict[str, str]) -> bool:
    """Whether a policy selects a pod with these labels."""
    return selects(policy["spec"]["podSelector"], labels)


def selects(selector: dict[str, Any], labels: dict[str, str]) -> bool:
    """Whether a selector of Kubernetes does."""
    for rule in selector.get("matchExpressions", []):
        holds = labels.get(rule["key"]) in rule["values"]
        if holds is not {"In": True, "NotIn": False}[rule["operator"]]:
            return False
    return selector.get("matchLabels", {}).items() <= labels.items()


def reaches(source: dict[str, str], target: dict[str, str], files: tuple[str, ...]) -> bool:
    """Whether a pod of this namespace may connect to another."""
    policies = [it for name, it in DOCUMENTS if name in files and it["kind"] == "NetworkPolicy"]
    into = [it["spec"] for it in policies if applies(it, target)]
    from_there = [it["spec"] for it in policies if applies(it, source)]
    from_there = [it for it in from_there if "Egress" in it["policyTypes"]]

    def allows(peers: list[dict[str, Any]], labels: dict[str, str]) -> bool:
        return any("podSelector" in it and selects(it["podSelector"], labels) for it in peers)

    entered = not into or any(
        allows(rule["from"], source) for it in into for rule in it.get("ingress", [])
    )
    left = not from_there or any(
        allows(rule.get("to", []), target) for it in from_there for rule in it["egress"]
    )
    return entered and left


@each_cluster
def test_only_pods_of_the_cluster_reach_it(file: str) -> None:
    name = find(file, CLUSTER_FILES[file])["metadata"]["name"]
    own = [{NAME: name, COMPONENT: part} for part in ("scheduler", "worker", "job-runner")]
    scheduler, worker, runner = own
    others = [{}, {"app": "other"}, {NAME: "other", COMPONENT: "worker"}, {NAME: "other"}]
    files = (*CLUSTER_FILES, "autoscaler.yaml")
    for target in (scheduler, worker):
        assert all(reaches(one, target, files) for one in own)
        assert not any(reaches(one, target, files) for one in others)
        assert not any(reaches(target, one, files) for one in others)
    assert not any(reaches(one, runner, files) for one in (*own, *others))


def test_the_operator_reaches_one_port_of_the_scheduler() -> None:
    policy = find("autoscaler.yaml", "NetworkPolicy")["spec"]
    assert policy["podSelector"]["matchLabels"][COMPONENT] == "scheduler"
    (rule,) = policy["ingress"]
    assert rule["ports"] == [{"protocol": "TCP", "port": "http-dashboard"}]
    assert [set(peer) for peer in rule["from"]] == [{"namespaceSelector"}]
