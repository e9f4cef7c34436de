"""`deploy/` agrees with itself and with the programs it starts: its README, the image, compose."""

from __future__ import annotations

import ast
import inspect
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import distributed
import jsonschema
import pytest
from deployed import (
    DEPLOY,
    DOCKERFILE,
    IMAGE,
    README,
    check_command,
    commands_in,
    compose_services,
    load_yaml,
    option,
    shell_blocks,
)
from official import official_schema

from codebatch.model.limits import parse_size

COMPOSE: dict[str, Any] = load_yaml("compose.yaml")[0]
SHIPPED: dict[str, Any] = load_yaml("compose.shipped.yaml")[0]
SERVICES = compose_services("compose.yaml")
WITHOUT_STORE = compose_services("compose.yaml", "compose.shipped.yaml")
SCRIPTS = sorted(
    path.relative_to(DEPLOY) for path in DEPLOY.rglob("*") if path.suffix in (".sh", ".sbatch")
)


# -- the README ----------------------------------------------------------------------------------


def test_commands_of_the_readme_exist() -> None:
    commands = commands_in("".join(shell_blocks()))
    assert len(commands) >= 16
    for words in commands:
        check_command(words)


def test_the_readme_names_every_file() -> None:
    """And no file that is not there."""
    files = {str(path.relative_to(DEPLOY)) for path in DEPLOY.rglob("*") if path.is_file()}
    files = {name for name in files if not name.endswith((".pyc", ".dockerignore", "README.md"))}
    for name in files:
        assert Path(name).name in README, name
    named = set(re.findall(r"deploy/([\w./-]+\.(?:yaml|sh|py|sbatch))", README))
    assert named
    assert named <= files


def test_links_of_the_readme_lead_somewhere() -> None:
    targets = re.findall(r"\]\(([^)#]+)[^)]*\)", README)
    assert targets
    for target in targets:
        assert target.startswith("https://") or (DEPLOY / target).exists(), target


def test_python_of_the_readme_calls_what_there_is() -> None:
    (block,) = shell_blocks("python")
    calls = [
        node
        for node in ast.walk(ast.parse(block))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    ]
    assert {call.func.id for call in calls if isinstance(call.func, ast.Name)} == {
        *("Client", "PipInstall", "UploadDirectory")
    }
    for call in calls:
        assert isinstance(call.func, ast.Name)
        known = inspect.signature(getattr(distributed, call.func.id)).parameters
        assert {keyword.arg for keyword in call.keywords} <= set(known)


@pytest.mark.parametrize("script", SCRIPTS, ids=str)
def test_scripts_are_shell(script: Path) -> None:
    path = DEPLOY / script
    assert path.read_text(encoding="utf-8").splitlines()[0] == "#!/usr/bin/env bash"
    subprocess.run(["bash", "-n", path], check=True)


@pytest.mark.oracle
def test_shellcheck_finds_nothing() -> None:
    program = shutil.which("shellcheck")
    if program is None:
        pytest.skip("shellcheck is not installed")
    blocks = "".join(shell_blocks())
    for source, options in ((None, ["-e", "SC2148,SC2155"]), *((path, []) for path in SCRIPTS)):
        command = [program, *options, "-" if source is None else str(DEPLOY / source)]
        done = subprocess.run(command, input=blocks, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout


# -- the image -----------------------------------------------------------------------------------


def instructions(name: str) -> list[str]:
    """What follows an instruction of the Dockerfile, each time it occurs."""
    whole = DOCKERFILE.replace("\\\n", " ")
    return re.findall(rf"^{name} +(.*)$", whole, re.MULTILINE)


def test_image_is_built_from_what_the_package_needs() -> None:
    root = DEPLOY.parent
    build = SERVICES["scheduler"]["build"]
    assert (DEPLOY / build["context"]).resolve() == root.resolve()
    assert (root / build["dockerfile"]).is_file()
    sources = {name for line in instructions("COPY") for name in line.split()[:-1]}
    assert all((root / name).exists() for name in sources)
    assert sources == {"pyproject.toml", "README.md", "LICENSE", "codebatch", "graphs", "schemas"}


def test_nothing_else_is_sent_to_the_builder() -> None:
    lines = (DEPLOY / "Dockerfile.dockerignore").read_text(encoding="utf-8").splitlines()
    rules = [line for line in lines if not line.startswith("#")]
    sources = {name for line in instructions("COPY") for name in line.split()[:-1]}
    assert rules[0] == "*"
    assert {rule[1:] for rule in rules if rule.startswith("!")} == sources


def test_image_does_not_run_as_root() -> None:
    """By number: Kubernetes cannot tell of a name that it is not root."""
    assert instructions("USER") == ["10001:10001"]
    assert DOCKERFILE.index("\nUSER ") > DOCKERFILE.rindex("\nRUN ")
    assert "useradd --uid 10001 " in DOCKERFILE


def test_python_of_the_image_is_one_that_is_supported() -> None:
    (version,) = {line.removeprefix("PYTHON=") for line in instructions("ARG")}
    project = (DEPLOY.parent / "pyproject.toml").read_text(encoding="utf-8")
    assert f'"Programming Language :: Python :: {version}"' in project


def test_git_trusts_the_tree_that_is_mounted() -> None:
    """It belongs to another user; without this, git would not say what is ignored in it."""
    client = SERVICES["client"]
    assert f"git config --system --add safe.directory {client['command'][2]}\n" in DOCKERFILE


# -- compose -------------------------------------------------------------------------------------


@pytest.mark.oracle
@pytest.mark.parametrize("document", [COMPOSE, SHIPPED], ids=["shared", "shipped"])
def test_compose_files_are_valid(document: dict[str, Any]) -> None:
    schema = official_schema(b"compose", lambda it: it.get("title") == "Compose Specification")
    services = {
        name: {key: value for key, value in service.items() if value is not None}
        for name, service in document["services"].items()
    }
    validator = jsonschema.Draft201909Validator(schema)
    assert [e.message for e in validator.iter_errors({**document, "services": services})] == []
    services["worker"]["read_onyl"] = True
    assert not validator.is_valid({**document, "services": services})


@pytest.mark.parametrize("services", [SERVICES, WITHOUT_STORE], ids=["shared", "shipped"])
@pytest.mark.parametrize("service", sorted(SERVICES))
def test_commands_of_services_exist(services: dict[str, Any], service: str) -> None:
    check_command(services[service]["command"])


def test_every_service_has_the_same_image() -> None:
    assert {service["image"] for service in SERVICES.values()} == {IMAGE}
    assert f"-t {IMAGE} " in DOCKERFILE


def mounts(service: dict[str, Any]) -> dict[str, str]:
    """What is mounted where."""
    volumes = service.get("volumes") or []
    return dict(volume.removesuffix(":ro").rsplit(":", 1) for volume in volumes)


def test_the_store_has_one_path() -> None:
    """At the workers only where it is shared, and never at the scheduler, which needs none."""
    (path,) = re.findall(r"CODEBATCH_STORE=(\S+)", DOCKERFILE)
    assert f"mkdir {path} " in DOCKERFILE
    assert not instructions("VOLUME"), "each container would get a store of its own"
    for services, names in ((SERVICES, {"worker", "client"}), (WITHOUT_STORE, {"client"})):
        found = {name: mounts(services[name]).get("store") for name in services}
        assert {name: at for name, at in found.items() if at} == dict.fromkeys(names, path)
    assert set(COMPOSE["volumes"]) == {"store"}
    assert option(WITHOUT_STORE["client"]["command"], "--transport") == "shipped"


def test_source_is_mounted_where_the_client_reads_it() -> None:
    for services in (SERVICES, WITHOUT_STORE):
        client = services["client"]
        mount = next(volume for volume in client["volumes"] if "SOURCE" in volume)
        assert mount.endswith(f":{client['command'][2]}:ro")


def test_addresses_agree() -> None:
    scheduler = SERVICES["scheduler"]
    port = option(scheduler["command"], "--port")
    address = f"tcp://scheduler:{port}"
    assert scheduler["expose"] == [port]
    assert address in SERVICES["worker"]["command"]
    assert SERVICES["client"]["environment"]["CODEBATCH_SCHEDULER"] == address
    for name in ("worker", "client"):
        assert SERVICES[name]["depends_on"] == {"scheduler": {"condition": "service_healthy"}}


@pytest.mark.parametrize("service", ["scheduler", "worker"])
def test_health_is_asked_where_it_is_told(service: str) -> None:
    where = option(SERVICES[service]["command"], "--dashboard-address")
    test = SERVICES[service]["healthcheck"]["test"]
    assert test[:3] == ["CMD", "python", "-c"]
    assert f"'http://{where}/health'" in test[3]
    compile(test[3], service, "exec")


def test_services_have_no_rights_and_no_way_out() -> None:
    assert COMPOSE["networks"] == {"cluster": {"internal": True}}
    for service in SERVICES.values():
        assert "ports" not in service
        assert service["networks"] == ["cluster"]
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]


def test_services_have_limits() -> None:
    for service in SERVICES.values():
        limits = service["deploy"]["resources"]["limits"]
        assert set(limits) == {"cpus", "memory", "pids"}
    worker = SERVICES["worker"]
    limits = worker["deploy"]["resources"]["limits"]
    assert parse_size(limits["memory"]) == parse_size(option(worker["command"], "--memory-limit"))
    assert option(worker["command"], "--nthreads") == limits["cpus"] == "1"
    assert worker["deploy"]["replicas"] > 1
