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

_MOST_BYTES = 2**16
_MOST_PARTS = 100  # of a key: those who read TOML take the square of it
_MOST_TRIES = 20
_TABLE = ("tool", "codebatch")
_HEADER = re.compile(r"\s*\[+\s*([^\[\]]+?)\s*\]+\s*(?:#.*)?$")
_KEY = re.compile(r"""\s*(["']?)([\w-]+)\1\s*[=.]""")
_PART = r"""\.[ \t]*(?:[\w-]+|"(?:[^"\\\n]|\\.)*"|'[^'\n]*')[ \t]*"""
_LONG_KEY = re.compile(f"(?:{_PART}){{{_MOST_PARTS}}}")


class ConfigFile(NamedTuple):
    """A file that was read: where it is, its text, its table, and whether it was named."""

    path: Path
    text: str
    table: dict[str, Any]
    is_named: bool

    @property
    def shown(self) -> str:
        """The path as people see it from here."""
        return _shown(self.path)

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
    text, table = _parse(path, data)
    return ConfigFile(path, text, {} if table is None else table, is_named=True)


def ways_out(path: Path) -> list[str]:
    """Return what to do about a file that was found and not named, as hints."""
    return [f"name it if you trust it: --config {_shown(path)}", "or leave it out: --no-config"]


def _found(path: Path) -> ConfigFile | None:
    data = _read_untrusted(path)
    if data is None or (path.name == SHARED_NAME and _TABLE[-1].encode() not in data):
        return None
    try:
        text, table = _parse(path, data)
    except ConfigInvalidError as error:
        error.hints = ("leave it out: --no-config",)
        raise
    return None if table is None else ConfigFile(path, text, table, is_named=False)


def _read_untrusted(path: Path) -> bytes | None:
    """Return the bytes of a plain file; None where there is none. `ConfigInvalidError` for what may
    say something and is not read.
    """
    try:
        kind = path.lstat().st_mode
    except OSError:  # not there, or in a folder that is not ours to look into
        return None
    if not stat.S_ISREG(kind):
        if path.name == SHARED_NAME and not _mentions_us(path):
            return None
        what = "a symbolic link, which is not followed" if stat.S_ISLNK(kind) else "no plain file"
        raise ConfigInvalidError(f"{_shown(path)} is {what}", hints=ways_out(path))
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(descriptor, "rb") as stream:
            return stream.read(_MOST_BYTES + 1)
    except OSError as error:
        message = f"cannot read {_shown(path)}: {error.strerror}"
        raise ConfigInvalidError(message, hints=ways_out(path)) from error


def _mentions_us(path: Path) -> bool:
    """Return whether a shared file that is no plain one is a link to one that has our table."""
    try:
        if not path.is_file():
            return False
        with path.open("rb") as stream:
            return _TABLE[-1].encode() in stream.read(_MOST_BYTES)
    except OSError:
        return False


def _parse(path: Path, data: bytes) -> tuple[str, dict[str, Any] | None]:
    """Return the text and the table that is ours; None where the file is shared and has none."""
    where = _shown(path)
    if len(data) > _MOST_BYTES:
        raise ConfigInvalidError(f"{where}: larger than {_MOST_BYTES} bytes")
    try:
        text = data.decode("utf-8-sig")
        if _LONG_KEY.search(text):
            raise ConfigInvalidError(f"{where}: a key has more than {_MOST_PARTS} parts")
        found: Any = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise ConfigInvalidError(f"{where}: no TOML: {error}") from error
    if path.name == SHARED_NAME:
        for part in _TABLE:
            found = found.get(part) if isinstance(found, dict) else None
    if found is not None and not isinstance(found, dict):
        raise ConfigInvalidError(f"{where}: {'.'.join(_TABLE)} is no table")
    return text, found


def _shown(path: Path) -> str:
    """Return a path as people see it from here."""
    shown = os.path.relpath(path)
    return str(path) if shown.startswith(os.path.join(*[os.pardir] * 8)) else shown


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
