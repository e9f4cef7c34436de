"""Git's configuration files: what is set in one, and what the user has set for all repositories.

The user's own files are followed where they lead, as git does, but are not waited for. Of what a
configuration file includes on a condition, ``gitdir`` is known.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator

from codebatch.model.globs import GlobTable
from codebatch.snapshot.descriptors import read_file
from codebatch.snapshot.ignore import LARGEST_RULES

LARGEST_CONFIG = 2**20

_SECTION = re.compile(rb'\[\s*([\w.-]+)(?:\s+"((?:[^"\\\n]|\\.)*)")?\s*\]')
_NAME = re.compile(rb"([A-Za-z][\w-]*)[ \t]*(=?)")
_ESCAPES = {b"n": b"\n", b"t": b"\t", b"b": b"\b", b'"': b'"', b"\\": b"\\"}
_FALSE = (b"false", b"no", b"off", b"0", b"")
_SYSTEM_CONFIG = b"/etc/gitconfig"
_DEEPEST_INCLUDE = 10
_WANTED = (b"core.excludesfile", b"core.ignorecase")


def read_settings(text: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield names, as ``section.subsection.name``, and values in the order of the file; a name
    without a value has ``true``. ``ValueError`` where git would refuse the file.
    """
    section, at = b"", 0
    text = text.removeprefix(b"\xef\xbb\xbf").replace(b"\r\n", b"\n")
    while at < len(text):
        char = text[at : at + 1]
        if char.isspace():
            at += 1
        elif char in b"#;":
            at = _line_end(text, at)
        elif char == b"[":
            found = _SECTION.match(text, at)
            if found is None:
                raise ValueError("a section that does not end")
            subsection = re.sub(rb"\\(.)", rb"\1", found[2]) if found[2] is not None else None
            section = found[1].lower() + (b"" if subsection is None else b"." + subsection)
            at = found.end()
        else:
            found = _NAME.match(text, at)
            if found is None or not section:
                raise ValueError("neither a section nor a name")
            value, at = _value(text, found.end()) if found[2] else (b"true", found.end())
            yield section + b"." + found[1].lower(), value


def is_true(value: bytes | None) -> bool:
    """Return the value as a boolean; one that is not set is false."""
    return value is not None and value.lower() not in _FALSE


def _line_end(text: bytes, at: int) -> int:
    end = text.find(b"\n", at)
    return len(text) if end < 0 else end


def _value(text: bytes, at: int) -> tuple[bytes, int]:
    """Return the value that begins here, without quotes and outer spaces, and its end."""
    value = bytearray()
    kept, quoted = 0, False
    while at < len(text) and text[at : at + 1] != b"\n":
        char = text[at : at + 1]
        at += 1
        if char == b"\\":
            follows = text[at : at + 1]
            at += 1
            if follows == b"\n":
                continue
            if follows not in _ESCAPES:
                raise ValueError("an escape that is not known")
            value += _ESCAPES[follows]
        elif char == b'"':
            quoted = not quoted
        elif char in b"#;" and not quoted:
            at = _line_end(text, at)
            break
        elif char.isspace() and not quoted:
            value += char if value else b""
            continue
        else:
            value += char
        kept = len(value)
    if quoted:
        raise ValueError("a quote that does not end")
    return bytes(value[:kept]), at


class UserSettings:
    """What the user who runs this has set for the repository at a path."""

    def __init__(self, git_folder: bytes) -> None:
        self._git_folder = git_folder
        self._home = os.environb.get(b"HOME", b"")
        config = os.environb.get(b"XDG_CONFIG_HOME") or (
            os.path.join(self._home, b".config") if self._home else b""
        )
        self._folder = os.path.join(config, b"git") if os.path.isabs(config) else b""
        own = [os.path.join(self._folder, b"config")] if self._folder else []
        own += [os.path.join(self._home, b".gitconfig")] if self._home else []
        self._settings: dict[bytes, bytes] = {}
        for path in (_SYSTEM_CONFIG, *own):
            self._settings.update(self._with_includes(path, _DEEPEST_INCLUDE))

    def ignores_case(self) -> bool:
        """Return True if case is not to count, unless the repository says otherwise."""
        return is_true(self._settings.get(b"core.ignorecase"))

    def excludes(self) -> bytes:
        """Return the text of the user's own ignore file."""
        named = self._settings.get(b"core.excludesfile")
        path = self._expanded(named) if named is not None else os.path.join(self._folder, b"ignore")
        try:
            return (os.path.isabs(path) and read_file(path, LARGEST_RULES)) or b""
        except OSError:
            return b""  # as git, which only warns

    def _with_includes(self, path: bytes, depth: int) -> Iterator[tuple[bytes, bytes]]:
        try:
            found = list(read_settings(read_file(path, LARGEST_CONFIG) or b""))
        except (OSError, ValueError):
            return  # git would not start; the rest of the rules still hold
        for name, value in found:
            if name in _WANTED:
                yield name, value
            elif depth and self._is_included(name, path):
                included = os.path.join(os.path.dirname(path), self._expanded(value))
                yield from self._with_includes(included, depth - 1)

    def _is_included(self, name: bytes, config: bytes) -> bool:
        if name == b"include.path":
            return True
        if not (name.startswith(b"includeif.gitdir") and name.endswith(b".path")):
            return False
        kind, _, pattern = name[len(b"includeif.") : -len(b".path")].partition(b":")
        if kind not in (b"gitdir", b"gitdir/i"):
            return False
        pattern = self._expanded(pattern)
        if pattern.startswith(b"./"):
            pattern = os.path.dirname(os.path.realpath(config)) + pattern[1:]
        elif not os.path.isabs(pattern):
            pattern = b"**/" + pattern
        table = GlobTable(is_path=True, fold=kind == b"gitdir/i")
        table.add(pattern + (b"**" if pattern.endswith(b"/") else b""), 0)
        return table.best(self._git_folder) == 0

    def _expanded(self, path: bytes) -> bytes:
        if path.startswith(b"~/") and self._home:
            return os.path.join(self._home, path[2:])
        return os.path.expanduser(path) if path.startswith(b"~") else path
