"""Where configuration files are, and what they say.

Looked for is ``codebatch.toml``, or a ``pyproject.toml`` with a table ``tool.codebatch``, in the
current folder and then in those above. A tree is untrusted: what is found, rather than named, is
opened without following a link and without waiting, and only so many bytes of it are read.
"""

from __future__ import annotations

import os
import re
import stat
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from codebatch.model.errors import ConfigInvalidError, ConfigNotFoundError
from codebatch.runtime.lazy import lazy

if TYPE_CHECKING:
    import tomllib
elif sys.version_info >= (3, 11):
    tomllib = lazy("tomllib")
else:
    tomllib = lazy("tomli")

CONFIG_VARIABLE = "CODEBATCH_CONFIG"
OWN_NAME = "codebatch.toml"
SHARED_NAME = "pyproject.toml"

_MOST_BYTES = 2**20
_MOST_TRIES = 20
_TABLE = ("tool", "codebatch")
_HEADER = re.compile(r"\s*\[+\s*([^\[\]]+?)\s*\]+\s*(?:#.*)?$")
_KEY = re.compile(r"""\s*(["']?)([\w-]+)\1\s*[=.]""")


class ConfigFile(NamedTuple):
    """A file that was read: where it is, its text, its table, and whether it was named."""

    path: Path
    text: str
    table: dict[str, Any]
    is_named: bool

    @property
    def shown(self) -> str:
        """The path as people see it from here."""
        path = os.path.relpath(self.path)
        return str(self.path) if path.startswith(os.path.join(*[os.pardir] * 8)) else path

    def line_of(self, key: str) -> int | None:
        """Return the line on which a key first stands; None where that cannot be told."""
        prefix = ".".join(_TABLE) if self.path.name == SHARED_NAME else ""
        lines = self.text.split("\n")
        there = [n for n, is_there in enumerate(_mentions(lines, prefix, key)) if is_there]
        # In a text of several lines it is no key: what stands before is no document then.
        found = (n + 1 for n in there[:_MOST_TRIES] if _is_toml("\n".join(lines[:n])))
        return next(found, None)


def find_file() -> ConfigFile | None:
    """Return the nearest file from the current folder upwards; None where there is none."""
    try:
        here = Path.cwd()
    except FileNotFoundError:  # it was removed
        return None
    for folder in (here, *here.parents):
        for name in (OWN_NAME, SHARED_NAME):
            found = _found(folder / name)
            if found is not None:
                return found
    return None


def read_file(path: Path) -> ConfigFile:
    """Return the file that was named; `ConfigNotFoundError` where it cannot be read."""
    try:
        with path.open("rb") as stream:
            data = stream.read(_MOST_BYTES + 1)
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        raise ConfigNotFoundError(f"cannot read the configuration {path}: {why}") from error
    table = _table_of(path, data)
    return ConfigFile(path, data.decode(), {} if table is None else table, is_named=True)


def _found(path: Path) -> ConfigFile | None:
    data = _read_untrusted(path)
    if data is None or (path.name == SHARED_NAME and _TABLE[-1].encode() not in data):
        return None
    table = _table_of(path, data)
    return None if table is None else ConfigFile(path, data.decode(), table, is_named=False)


def _read_untrusted(path: Path) -> bytes | None:
    """Return the bytes of a plain file; None where there is none."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        if path.name == OWN_NAME and path.is_symlink():
            raise ConfigInvalidError(
                f"{os.path.relpath(path)} is a symbolic link, which is not followed",
                hints=_ways_out(path),
            ) from error
        return None
    with open(descriptor, "rb") as stream:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return None
        return stream.read(_MOST_BYTES + 1)


def _table_of(path: Path, data: bytes) -> dict[str, Any] | None:
    """Return the table that is ours; None where the file is shared and has none."""
    where = os.path.relpath(path)
    if len(data) > _MOST_BYTES:
        raise ConfigInvalidError(f"{where}: larger than {_MOST_BYTES} bytes", hints=_ways_out(path))
    try:
        found: Any = tomllib.loads(data.decode())
    except (ValueError, RecursionError) as error:
        raise ConfigInvalidError(f"{where}: no TOML: {error}", hints=_ways_out(path)) from error
    if path.name == SHARED_NAME:
        for part in _TABLE:
            found = found.get(part) if isinstance(found, dict) else None
    if found is not None and not isinstance(found, dict):
        raise ConfigInvalidError(f"{where}: {'.'.join(_TABLE)} is no table")
    return found


def _ways_out(path: Path) -> list[str]:
    return [f"name it: codebatch --config {path.name}", "or leave it out: codebatch --no-config"]


def _mentions(lines: Sequence[str], prefix: str, key: str) -> list[bool]:
    """Return for each line whether it reads as one that begins the key of the table."""
    table, found = "", []
    for line in lines:
        header = _HEADER.match(line)
        word = None
        if header is not None:
            table = _bare(header[1])
            word = table
        elif match := _KEY.match(line):
            word = f"{table}.{match[2]}" if table else match[2]
        wanted = f"{prefix}.{key}" if prefix else key
        found.append(word is not None and (word == wanted or word.startswith(f"{wanted}.")))
    return found


def _bare(header: str) -> str:
    """Return the name of a table without quotes and spaces around its parts."""
    return ".".join(part.strip(" \t\"'") for part in header.split("."))


def _is_toml(text: str) -> bool:
    try:
        tomllib.loads(text)
    except (ValueError, RecursionError):
        return False
    return True
