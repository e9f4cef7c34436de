"""What the tests of `deploy/` share: its files, parsed, and the programs that they start."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import yaml

DEPLOY = Path(__file__).parent.parent / "deploy"
README = (DEPLOY / "README.md").read_text(encoding="utf-8")

_OPTION = re.compile(r"(?<![\w-])--?[a-z][a-z-]*")
_COMMAND = re.compile(r"^(?:.* )?((?:dask|codebatch) .*)$", re.MULTILINE)
_WITH_SUBCOMMANDS = ("batch", "snapshot", "memo", "query")


class _Loader(yaml.SafeLoader):
    """Knows the tag that takes away what the file below has."""


_Loader.add_constructor("!reset", lambda *_: None)


def load_yaml(name: str) -> list[Any]:
    """The documents of a file of the folder."""
    return list(yaml.load_all((DEPLOY / name).read_text(encoding="utf-8"), _Loader))  # noqa: S506 - a SafeLoader


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
    shown = (line for line in lines if not line.lstrip().startswith("#"))
    return [match[1].split() for line in shown for match in _COMMAND.finditer(line)]


def shell_blocks(language: str = "sh") -> list[str]:
    """The blocks of the README in a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


def option(words: list[str], name: str) -> str:
    """The value that follows an option."""
    return words[words.index(name) + 1]
