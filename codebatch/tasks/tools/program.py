"""Programs of tools: where they are, which version they have, how they are started.

A program is looked for beside the Python that runs, where installers put those of its packages, and
then in the absolute folders of `PATH`; never in the current folder.
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from functools import cache, lru_cache
from typing import NamedTuple

from codebatch.tasks.native_tool import ToolError, ToolLimits
from codebatch.tasks.tools.description import Description

MISSING = "missing"
UNKNOWN = "unknown"
_VERSION_SECONDS = 60
_MOST_CHARACTERS = 200
_MIB = 2**20
# How each installer is told to get something; ``see`` names a page.
_INSTALLERS = {
    "pip": "pip install",
    "npm": "npm install --global",
    "apt": "apt install",
    "cargo": "cargo install",
    "go": "go install",
    "gem": "gem install",
    "brew": "brew install",
    "see": "see",
}
# The order of sets must not show in what a tool says.
_OF_ALL_TOOLS = {"LC_ALL": "C.UTF-8", "PYTHONHASHSEED": "0"}
_UNSHARE = ("unshare", "--map-current-user", "--net", "--")
_DIE_WITH_US = ("setpriv", "--pdeathsig", "KILL", "--")


class Program(NamedTuple):
    """A program as `ToolRun` starts it. ``path`` is empty where it is not installed."""

    name: str
    ends_well: frozenset[int]
    limits: ToolLimits
    path: str
    remedy: str

    def binary(self) -> str:
        """Return the path; `ToolError` where there is none."""
        if not self.path:
            raise ToolError(f"{self.name} is not installed{self.remedy}")
        return self.path


def program_of(tool: Description) -> Program:
    """Return the program that a description runs."""
    every = frozenset(range(256)) if tool.error_codes and not tool.success_codes else frozenset()
    ends_well = (every or frozenset(tool.success_codes)) - frozenset(tool.error_codes)
    memory = tool.memory_limit * _MIB
    limits = ToolLimits(memory_bytes=memory, cpu_seconds=tool.timeout * (os.cpu_count() or 1))
    remedy = f", get it: {ways[0]}" if (ways := ways_to_install(tool)) else ""
    name = os.path.basename(tool.program)  # of a folder, too, which has no slash in it
    return Program(name, ends_well, limits, find_program(tool.program), remedy)


def ways_to_install(tool: Description) -> list[str]:
    """Return the commands by which one gets a tool, and the pages that say more."""
    return [f"{_INSTALLERS[by]} {what}" for by, what in tool.install.items()]


def find_program(name: str) -> str:
    """Return the absolute path of a program; empty where it is not installed."""
    if os.path.isabs(name):
        return name if os.access(name, os.X_OK) else ""
    if os.sep in name:
        return ""  # it would be one of the current folder
    return shutil.which(name, path=search_path()) or ""


def search_path() -> str:
    """Return the `PATH` that tools are given: absolute folders alone."""
    given = os.environ.get("PATH", os.defpath).split(os.pathsep)
    own = os.path.join(sys.prefix, "bin")
    return os.pathsep.join(dict.fromkeys(p for p in (own, *given) if os.path.isabs(p)))


def version_of(tool: Description) -> str:
    """Return what the tool says of its version, on one line, and the version of Python that it is
    run by; `MISSING` where it is not there, and `UNKNOWN` where it does not say.
    """
    command = tuple(tool.version_command) or (tool.program, "--version")
    path, program = find_program(command[0]), find_program(tool.program)
    if not path or not program:
        return MISSING
    stamps = tuple(map(_stamp, (path, program)))
    said = _version(path, command[1:], tuple(sorted(variables_of(tool).items())), stamps)
    python = _python_of(program, stamps[1])
    return f"{said}, {python}" if said != UNKNOWN and python else said


def _stamp(path: str) -> tuple[int, int, int]:
    """Return what tells a program from another one that takes its place."""
    found = os.stat(path)
    return found.st_mtime_ns, found.st_size, found.st_ino


@lru_cache(maxsize=256)
def _python_of(path: str, _: tuple[int, int, int]) -> str:
    """Return the version of the Python that runs a script; empty for any other program."""
    with open(path, "rb") as stream:
        line = stream.readline(1024)
    interpreter = line.removeprefix(b"#!").split()[0:1] if line.startswith(b"#!") else []
    if not interpreter or not os.path.basename(interpreter[0]).startswith(b"python"):
        return ""
    if os.path.realpath(interpreter[0]) == os.path.realpath(os.fsencode(sys.executable)):
        return f"{platform.python_implementation()} {platform.python_version()}"
    script = "import platform as p; print(p.python_implementation(), p.python_version())"
    command = [interpreter[0], b"-I", b"-S", b"-c", script.encode()]
    try:
        done = subprocess.run(command, capture_output=True, timeout=_VERSION_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.decode("utf-8", "replace").strip()[:_MOST_CHARACTERS]


@lru_cache(maxsize=256)
def _version(
    path: str,
    arguments: Sequence[str],
    variables: tuple[tuple[str, str], ...],
    _: tuple[tuple[int, int, int], ...],
) -> str:
    with tempfile.TemporaryDirectory(prefix="codebatch-version-") as home:
        own = dict.fromkeys(("HOME", "XDG_CONFIG_HOME", "XDG_CACHE_HOME", "TMPDIR"), home)
        try:
            done = subprocess.run(
                [path, *arguments],
                cwd=home,
                env={**own, **dict(variables)},
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=_VERSION_SECONDS,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired):
            return UNKNOWN
    lines = (done.stdout or done.stderr).decode("utf-8", "replace").replace(home, "").splitlines()
    said = next((line.strip() for line in lines if any(map(str.isdigit, line))), "")
    return said[:_MOST_CHARACTERS] if done.returncode == 0 and said else UNKNOWN


def variables_of(tool: Description) -> Mapping[str, str]:
    """Return the variables that a tool is given beside those that all are."""
    passed = {name: os.environ[name] for name in tool.environment if name in os.environ}
    return {**_OF_ALL_TOOLS, "PATH": search_path(), **passed, **tool.variables}


def confined() -> tuple[str, ...]:
    """Return the command that starts another without a network, and has it end with the process
    that started it, as far as this machine allows either.
    """
    return (*without_network(), *_if_it_works(_DIE_WITH_US))


def without_network() -> tuple[str, ...]:
    """Return the command that starts another without a network; empty where none may be."""
    return _if_it_works(_UNSHARE)


@cache
def _if_it_works(command: tuple[str, ...]) -> tuple[str, ...]:
    path = shutil.which(command[0], path=os.defpath)
    if path is None:
        return ()
    prefix = (path, *command[1:])
    try:
        tried = subprocess.run([*prefix, "true"], capture_output=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ()
    return prefix if tried.returncode == 0 else ()
