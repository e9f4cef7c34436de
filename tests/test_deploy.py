"""`deploy/` agrees with itself and with the programs it starts."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

import codebatch

DEPLOY = Path(__file__).parent.parent / "deploy"
COMPOSE: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text(encoding="utf-8"))
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
DOCKERFILE = (DEPLOY / "Dockerfile").read_text(encoding="utf-8")
README = (DEPLOY / "README.md").read_text(encoding="utf-8")

_OPTION = re.compile(r"(?<![\w-])--?[a-z][a-z-]*")
_PROGRAM = re.compile(r"^(?:.* )?((?:dask|codebatch) .*)$", re.MULTILINE)


@cache
def options_of(program: str, *command: str) -> frozenset[str]:
    """The options that a program names in its help."""
    done = subprocess.run(
        [sys.executable, "-m", program, *command, "--help"],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "COLUMNS": "200", "PYTHONWARNINGS": ""},
    )
    return frozenset(_OPTION.findall(done.stdout))


def check_options(words: list[str]) -> None:
    """Each option of the command is one its program has."""
    given = [word.split("=")[0] for word in words if word.startswith("-")]
    known = options_of(*(words[:3] if words[1] == "batch" else words[:2]))
    assert not set(given) - known, words


@pytest.mark.parametrize("service", sorted(SERVICES))
def test_commands_of_services_exist(service: str) -> None:
    check_options(SERVICES[service]["command"])


def test_commands_of_the_readme_exist() -> None:
    blocks = "".join(re.findall(r"^```sh\n(.*?)^```$", README, re.MULTILINE | re.DOTALL))
    commands = [
        match[1].split()
        for match in _PROGRAM.finditer(blocks.replace("\\\n", " "))
        if " compose " not in match[1]
    ]
    assert len(commands) >= 6
    for words in commands:
        check_options(words)


def test_every_service_has_the_same_image_and_store() -> None:
    assert {service["image"] for service in SERVICES.values()} == {
        f"codebatch:{codebatch.__version__}"
    }
    assert f"-t codebatch:{codebatch.__version__} " in DOCKERFILE
    for service in SERVICES.values():
        mounts = dict(volume.rsplit(":ro", 1)[0].rsplit(":", 1) for volume in service["volumes"])
        store = service["environment"]["CODEBATCH_STORE"]
        assert mounts["store"] == store
        assert f"ENV CODEBATCH_STORE={store}\n" in DOCKERFILE
        assert f"VOLUME {store}\n" in DOCKERFILE
    assert set(COMPOSE["volumes"]) == {"store"}


def test_source_is_mounted_where_the_client_reads_it() -> None:
    client = SERVICES["client"]
    mount = next(volume for volume in client["volumes"] if "SOURCE" in volume)
    assert mount.endswith(f":{client['command'][2]}:ro")


def test_addresses_agree() -> None:
    scheduler = SERVICES["scheduler"]
    command = scheduler["command"]
    port = command[command.index("--port") + 1]
    assert scheduler["expose"] == [port]
    assert f"('127.0.0.1', {port})" in scheduler["healthcheck"]["test"][-1]
    for name in ("worker", "client"):
        assert f"tcp://scheduler:{port}" in SERVICES[name]["command"]
        assert SERVICES[name]["depends_on"] == {"scheduler": {"condition": "service_healthy"}}


def test_no_port_is_published() -> None:
    assert not any("ports" in service for service in SERVICES.values())


def test_workers_have_replicas() -> None:
    assert SERVICES["worker"]["deploy"]["replicas"] > 1


def test_image_is_built_from_what_the_package_needs() -> None:
    root = DEPLOY.parent
    build = SERVICES["scheduler"]["build"]
    assert (DEPLOY / build["context"]).resolve() == root.resolve()
    assert (root / build["dockerfile"]).is_file()
    sources = [
        name for line in re.findall(r"^COPY (.*)$", DOCKERFILE, re.M) for name in line.split()[:-1]
    ]
    assert all((root / name).exists() for name in sources)
    assert {"pyproject.toml", "README.md", "LICENSE", "codebatch", "graphs", "schemas"} <= {
        *sources
    }


def test_image_does_not_run_as_root() -> None:
    user = re.findall(r"^USER (\w+)$", DOCKERFILE, re.MULTILINE)
    assert user == ["codebatch"]
    assert DOCKERFILE.index("USER codebatch") > DOCKERFILE.rindex("RUN ")
