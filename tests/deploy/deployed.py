"""What the tests of `deploy/` share: its files, parsed, and the programs that they start."""

from __future__ import annotations

import http.client
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from clusters import Member, wait_for
from conftest import REPOSITORY, cli_environment, evidence

import codebatch

DEPLOY = REPOSITORY / "deploy"
README = (DEPLOY / "README.md").read_text(encoding="utf-8")
DOCKERFILE = (DEPLOY / "Dockerfile").read_text(encoding="utf-8")
IMAGE = f"codebatch:{codebatch.__version__}"

_OPTION = re.compile(r"(?<![\w-])--?[a-z][a-z-]*")
_COMMAND = re.compile(r"^(?:.* (?:--|client) +)?((?:dask|codebatch) .*)$")
_WITH_SUBCOMMANDS = ("batch", "snapshot", "memo", "query")


class _Loader(yaml.SafeLoader):
    """Knows the tag that takes away what the file below has."""


_Loader.add_constructor("!reset", lambda *_: None)


def load_yaml(name: str) -> list[Any]:
    """The documents of a file of the folder."""
    return list(yaml.load_all((DEPLOY / name).read_text(encoding="utf-8"), _Loader))


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


def check_command(words: list[str]) -> None:
    """The program has the command, and the command each of the options."""
    assert words[0] in ("dask", "codebatch"), words
    given = {word.split("=")[0] for word in words if word.startswith("-")}
    length = 3 if words[1] in _WITH_SUBCOMMANDS and not words[2].startswith("-") else 2
    assert not given - options_of(*words[:length]), words


def commands_in(text: str) -> list[list[str]]:
    """The commands of dask and codebatch in a script, whatever starts them."""
    lines = text.replace("\\\n", " ").splitlines()
    return [match[1].split() for line in lines if (match := _COMMAND.match(line.strip()))]


def shell_blocks(language: str = "sh") -> list[str]:
    """The blocks of the README in a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


def compose_services(*files: str) -> dict[str, dict[str, Any]]:
    """The services of files of Docker Compose, each on top of the one before."""
    services: dict[str, dict[str, Any]] = {}
    for file in files:
        (document,) = load_yaml(file)
        for name, service in document["services"].items():
            services[name] = {**services.get(name, {}), **service}
    return services


def option(words: list[str], name: str) -> str:
    """The value that follows an option."""
    return words[words.index(name) + 1]


class Started:
    """Commands of dask that run for a block; pytest shows what they print where a test fails."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._members: list[Member] = []

    def __enter__(self) -> Started:
        evidence.add(self._printed)
        return self

    def __exit__(self, *_: object) -> None:
        evidence.discard(self._printed)
        for member in reversed(self._members):
            member.end()

    def start(self, words: list[str], **changes: str | None) -> None:
        """Start one, with changes to the environment."""
        name = words[1]
        command = [sys.executable, "-m", *words]
        log = self._folder / f"{name}.log"
        self._members.append(Member(name, command, cli_environment(**changes), log))

    def wait_for(self, condition: Callable[[], Any], what: str) -> None:
        """Wait until something is true, or one of them has ended."""
        wait_for(lambda: condition() or not self._all_run(), what)
        assert self._all_run(), f"{what}: one has ended"

    def _all_run(self) -> bool:
        return all(member.is_running for member in self._members)

    def _printed(self) -> Iterator[tuple[str, str]]:
        for member in self._members:
            yield member.name, member.output()


def fetch(port: int, path: str, body: str | None = None) -> str | None:
    """What an HTTP server on the loopback address answers; None where there is none."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request("GET" if body is None else "POST", path, body)
        answer = connection.getresponse()
        text = answer.read().decode()
    except OSError:
        return None
    finally:
        connection.close()
    assert answer.status == 200, (path, answer.status, text)
    return text
