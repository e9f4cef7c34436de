"""What the tests of `deploy/` share: its files, parsed, and the programs that they start."""

from __future__ import annotations

import contextlib
import http.client
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from conftest import cli_environment

DEPLOY = Path(__file__).parent.parent / "deploy"
README = (DEPLOY / "README.md").read_text(encoding="utf-8")

_OPTION = re.compile(r"(?<![\w-])--?[a-z][a-z-]*")
_COMMAND = re.compile(r"^(?:.* (?:--|client) )?((?:dask|codebatch) .*)$")
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


def option(words: list[str], name: str) -> str:
    """The value that follows an option."""
    return words[words.index(name) + 1]


class Processes:
    """Programs that were started, and are killed at the end of the block."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._started: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Processes:
        return self

    def __exit__(self, *_: object) -> None:
        for process in reversed(self._started):
            process.kill()
            process.wait()

    def start(self, words: list[str], **changes: str | None) -> subprocess.Popen[bytes]:
        """Start a command of dask or codebatch, its output in a file; environment as given."""
        log = self.folder / f"{len(self._started)}-{words[0]}-{words[1]}.log"
        with log.open("wb") as stream:
            process = subprocess.Popen(
                [sys.executable, "-m", *words],
                env=cli_environment(**changes),
                stdout=stream,
                stderr=subprocess.STDOUT,
                cwd=self.folder,
            )
        self._started.append(process)
        return process

    def logs(self) -> str:
        """What all of them have written, for whoever reads why a test failed."""
        logs = sorted(self.folder.glob("*.log"))
        return "\n".join(f"--- {log.name}\n{log.read_text(errors='replace')}" for log in logs)

    def wait_for(self, what: Callable[[], Any], seconds: float = 30) -> Any:
        """What the call returns as soon as that is true."""
        deadline = time.monotonic() + seconds
        while not (found := what()):
            dead = [process.args for process in self._started if process.poll() is not None]
            assert not dead, f"{dead}\n{self.logs()}"
            assert time.monotonic() < deadline, self.logs()
            time.sleep(0.05)
        return found


def free_ports(count: int) -> list[int]:
    """Ports of the loopback address on which nobody listens."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


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
